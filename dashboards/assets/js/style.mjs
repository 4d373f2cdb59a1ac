// The map's style: sources and layers as data, no server but our own. All sizes are for a 1080-line screen; map.mjs scales the
// whole canvas, so that 2160 lines show the same picture twice as sharp.
//
// Feature state drives what lives: `colour`, `band`, `level`, `known` of devices and of the links their detectors watch.

import { GREY, LEVEL_COLOURS } from "./appearance.mjs";

// No glyph server: MapLibre draws the letters from the machine's own fonts. It reads the weight out of the first name.
const FONTS = ["Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC"];
const MEDIUM = ["Wall Medium", ...FONTS];
const BOLD = ["Wall Bold", ...FONTS];

const GROUND = "#0a1728";
const CYAN = "#35c6f4";

const LAND = {
  park: "#0e2f2c",
  green: "#0f332d",
  farmland: "#0e2425",
  village: "#142436",
  industry: "#11233b",
  logistics: "#10213a",
  research: "#122a49",
  residential: "#13243a",
  commercial: "#1a2743",
  education: "#162842",
  water: "#123a5c",
  reserved: "#0c1c2c",
};

const DISTRICTS = {
  ecology: "#1c7f6a",
  reserve: "#25445f",
  biopharma: "#2a8f8a",
  commercial_residential: "#5566b8",
  equipment: "#2f6fb0",
  compute: "#b0823a",
  university_science_park: "#4a7fc0",
  ai_innovation: "#2aa8d8",
  electronic_display: "#6a62c0",
  new_materials: "#2d7f9c",
};

const ROAD_WIDTH = { expressway: 5, arterial: 4, collector: 3, local: 2.2 };
const BAND_OPACITY = [0.62, 0.75, 0.95, 1, 1]; // calm where traffic is calm

// px at the scale of the whole zone
const RADIUS = {
  "link-detector": 2.2,
  "air-station": 6,
  "weather-station": 5.5,
  "water-station": 5.5,
  "noise-monitor": 3.6,
  "soil-station": 3.6,
  "car-park": 4.6,
  "compute-centre": 8,
  server: 2,
  chiller: 2.6,
  "power-unit": 2.6,
  "compute-pool": 6,
  dispatch: 5,
  "street-light": 2.1,
  manhole: 1.8,
  "pumping-station": 4.2,
  underpass: 4.8,
  "city-grid": 4.2,
};

const state = (name, otherwise) => ["coalesce", ["feature-state", name], otherwise];
const match = (property, table, otherwise) => ["match", ["get", property], ...Object.entries(table).flat(), otherwise];
const byZoom = (expression, ...stops) => [
  "interpolate",
  ["exponential", 1.5],
  ["zoom"],
  ...stops.flatMap(([zoom, factor]) => [zoom, ["*", expression, factor]]),
];

/** Which layers belong to a domain: those whose id ends with its name. */
export const layersOf = (domain, layers) => layers.filter(({ id }) => id.endsWith(`-${domain}`)).map(({ id }) => id);

/**
 * @param {Record<string, string | object>} data layer name → GeoJSON or its URL, with `outside` and `districtLabels`
 * @param {string[]} domains in drawing order
 * @param {number} count how many devices there are
 */
export function style(data, domains, language, count = 0) {
  const crowd = Math.min(1, Math.max(0.5, Math.sqrt(1_500 / Math.max(1, count)))); // smaller points where there are many
  const source = (name, more = {}) => ({ type: "geojson", data: data[name], maxzoom: 15, tolerance: 0.2, ...more });
  return {
    version: 8,
    name: "gaoxin",
    light: { anchor: "map", position: [1.3, 215, 35], color: "#cfe6ff", intensity: 0.32 },
    sources: {
      boundary: source("boundary"),
      grid: source("grid", { buffer: 4 }),
      outside: source("outside"),
      districts: source("districts"),
      districtLabels: source("districtLabels"),
      landuse: source("landuse"),
      river: source("river"),
      roads: source("roads"),
      bridges: source("bridges"),
      links: source("links"),
      landmarks: source("landmarks"),
      buildings: source("buildings", { buffer: 64 }),
      devices: source("devices", { buffer: 64 }),
    },
    layers: [
      ...water(),
      ...ground(),
      ...roads(),
      ...traffic(domains),
      ...outline(),
      ...buildings(),
      ...domains.flatMap((domain) => devices(domain, crowd)),
      ...selection(),
      ...labels(language),
    ],
  };
}

function water() {
  return [
    { id: "grid", type: "line", source: "grid", paint: { "line-color": "#5fa8d8", "line-opacity": 0.09, "line-width": 1 } },
    {
      id: "river",
      type: "fill",
      source: "river",
      filter: ["==", ["geometry-type"], "Polygon"],
      paint: { "fill-color": "#10507c", "fill-opacity": 0.8 },
    },
    {
      id: "river-shine",
      type: "line",
      source: "river",
      filter: ["==", ["geometry-type"], "Polygon"],
      paint: { "line-color": "#57b8ea", "line-opacity": 0.5, "line-width": 1.4, "line-blur": 0.6 },
    },
    { id: "outside", type: "fill", source: "outside", paint: { "fill-color": "#060b14", "fill-opacity": 0.4 } },
  ];
}

function ground() {
  return [
    // The zone as a slab above the dark: its own outline, shifted down the screen
    slab("slab-3", 17, "#04101f", 0.95),
    slab("slab-2", 11, "#082038", 0.95),
    slab("slab-1", 5, "#0c2f50", 0.95),
    { id: "zone", type: "fill", source: "boundary", paint: { "fill-color": GROUND } },
    {
      id: "landuse",
      type: "fill",
      source: "landuse",
      paint: { "fill-color": match("use", LAND, GROUND), "fill-opacity": 0.9 },
    },
    {
      id: "districts",
      type: "fill",
      source: "districts",
      paint: { "fill-color": match("district_type", DISTRICTS, "#2f6fb0"), "fill-opacity": 0.13 },
    },
    {
      id: "district-borders",
      type: "line",
      source: "districts",
      layout: { "line-join": "round" },
      paint: { "line-color": "#69b4e6", "line-opacity": 0.28, "line-width": 1, "line-dasharray": [4, 3] },
    },
  ];
}

function slab(id, down, colour, opacity) {
  return {
    id,
    type: "fill",
    source: "boundary",
    paint: { "fill-color": colour, "fill-opacity": opacity, "fill-translate": [0, down], "fill-translate-anchor": "viewport" },
  };
}

function roads() {
  const width = match("road_class", ROAD_WIDTH, 2.2);
  return [
    {
      id: "roads",
      type: "line",
      source: "roads",
      layout: { "line-join": "round", "line-cap": "round" },
      paint: {
        "line-color": "#1d3a59",
        "line-width": byZoom(["+", ["*", width, 1.7], 1.4], [10, 0.4], [12, 1], [15, 4.2], [18, 16]),
      },
    },
    {
      id: "bridges",
      type: "line",
      source: "bridges",
      layout: { "line-cap": "butt" },
      paint: { "line-color": "#8fc9ea", "line-opacity": 0.55, "line-width": byZoom(4, [10, 0.5], [12, 1], [15, 4]) },
    },
  ];
}

/** Each direction on its own side of the road: a link's geometry runs with its traffic, which keeps right. */
function traffic(domains) {
  if (!domains.includes("traffic")) return [];
  const width = match("roadClass", ROAD_WIDTH, 2.2);
  const worse = ["+", 0.8, ["*", 0.13, ["max", 0, state("band", 0)]]];
  const layout = { "line-cap": "round", "line-join": "round" };
  const offset = byZoom(["+", ["*", width, 0.42], 0.35], [10, 0.4], [12, 1], [15, 4.2], [18, 16]);
  return [
    {
      id: "links-glow-traffic",
      type: "line",
      source: "links",
      layout,
      paint: {
        "line-color": state("colour", GREY),
        "line-opacity": ["case", [">=", state("band", -1), 2], 0.35, 0],
        "line-width": byZoom(["*", width, 2.6], [10, 0.4], [12, 1], [15, 3]),
        "line-blur": byZoom(["*", width, 1.6], [10, 0.4], [12, 1], [15, 3]),
        "line-offset": offset,
      },
    },
    {
      id: "links-traffic",
      type: "line",
      source: "links",
      layout,
      paint: {
        "line-color": state("colour", GREY),
        "line-opacity": ["case", state("known", false), ["at", ["max", 0, state("band", 0)], ["literal", BAND_OPACITY]], 0.5],
        "line-width": byZoom(["*", width, 0.72, worse], [10, 0.4], [12, 1], [15, 4.2], [18, 16]),
        "line-offset": offset,
      },
    },
  ];
}

function outline() {
  const line = (id, width, blur, opacity, colour = CYAN) => ({
    id,
    type: "line",
    source: "boundary",
    layout: { "line-join": "round" },
    paint: { "line-color": colour, "line-width": width, "line-blur": blur, "line-opacity": opacity },
  });
  return [line("zone-glow-wide", 22, 20, 0.28), line("zone-glow", 8, 6, 0.45), line("zone-edge", 1.8, 0.2, 0.95, "#8fe3ff")];
}

function buildings() {
  const height = ["coalesce", ["get", "height"], 6];
  return [
    {
      id: "buildings",
      type: "fill-extrusion",
      source: "buildings",
      paint: {
        "fill-extrusion-color": [
          "match",
          ["get", "kind"],
          "ai_hub",
          "#3fd0ff",
          "compute_centre",
          "#e0a64a",
          ["interpolate", ["linear"], height, 4, "#17304d", 20, "#214a73", 45, "#336f9f", 90, "#5aa5d2"],
        ],
        // Raised where the whole zone is in view, or a town of 16 km would look flat; true to scale close by
        "fill-extrusion-height": ["interpolate", ["linear"], ["zoom"], 11, ["*", height, 3.4], 13, ["*", height, 2], 15.5, height],
        "fill-extrusion-opacity": 0.9,
        "fill-extrusion-vertical-gradient": true,
      },
    },
  ];
}

/** A domain's devices: a soft pool on the ground, a ring by alarm level, and the point itself. */
function devices(domain, crowd) {
  const radius = ["*", match("kind", RADIUS, 3.5), crowd];
  const near = domain === "traffic" ? { minzoom: 14 } : {};
  const layer = (id, paint, more = {}) => ({
    id: `${id}-${domain}`,
    type: "circle",
    source: "devices",
    filter: ["==", ["get", "domain"], domain],
    layout: { "circle-sort-key": radius },
    paint,
    ...near,
    ...more,
  });
  const grown = (factor, add = 0) => byZoom(["+", ["*", radius, factor], add], [10, 0.6], [12, 1], [15, 1.9], [18, 3]);
  return [
    layer("devices-halo", {
      "circle-color": state("colour", GREY),
      "circle-radius": grown(2.3, 1),
      "circle-blur": 0.9,
      "circle-opacity": ["case", state("known", false), 0.42, 0.12],
      "circle-pitch-alignment": "map",
    }),
    layer(
      "devices-alarm",
      {
        "circle-color": "rgba(0,0,0,0)",
        "circle-radius": grown(1.4, 5),
        "circle-stroke-width": ["case", [">", state("level", 0), 0], 2.4, 0],
        "circle-stroke-color": ["match", state("level", 0), ...LEVEL_COLOURS.flatMap((c, i) => (i ? [i, c] : [])), "#000000"],
        "circle-pitch-alignment": "map",
      },
      { minzoom: 0 },
    ),
    layer("devices-core", {
      "circle-color": state("colour", GREY),
      "circle-radius": grown(1),
      "circle-opacity": ["case", state("known", false), 1, 0.7],
      "circle-stroke-width": byZoom(1, [10, 0.6], [12, 1.1], [15, 2]),
      "circle-stroke-color": ["case", state("known", false), "rgba(6,11,20,0.75)", "rgba(6,11,20,0.9)"],
    }),
  ];
}

export const SELECTION_LAYERS = ["selected-link", "selected-device"];

function selection() {
  const none = ["==", ["id"], -1];
  return [
    {
      id: "selected-link",
      type: "line",
      source: "links",
      filter: none,
      layout: { "line-cap": "round" },
      paint: {
        "line-color": "#ffffff",
        "line-opacity": 0.9,
        "line-width": byZoom(2, [10, 0.5], [12, 1], [15, 3]),
        "line-offset": byZoom(["+", ["*", match("roadClass", ROAD_WIDTH, 2.2), 0.42], 0.35], [10, 0.4], [12, 1], [15, 4.2]),
      },
    },
    {
      id: "selected-device",
      type: "circle",
      source: "devices",
      filter: none,
      paint: {
        "circle-color": "rgba(255,255,255,0.08)",
        "circle-radius": byZoom(["+", match("kind", RADIUS, 3.5), 6], [10, 0.7], [12, 1], [15, 1.8], [18, 2.6]),
        "circle-stroke-color": "#ffffff",
        "circle-stroke-width": 2.4,
      },
    },
  ];
}

function labels(language) {
  const major = ["in", ["get", "kind"], ["literal", ["ai_hub", "compute_centre", "operations_centre"]]];
  const name = language === "en" ? ["coalesce", ["get", "name_en"], ["get", "name"]] : ["get", "name"];
  // what stands in brackets is for close by
  const short = ["let", "name", name, "end", ["index-of", "（", name], ["case", [">", ["var", "end"], 0], ["slice", ["var", "name"], 0, ["var", "end"]], ["var", "name"]]];
  const halo = { "text-halo-color": "rgba(4,9,18,0.92)", "text-halo-width": 1.8, "text-halo-blur": 0.4 };
  return [
    {
      id: "river-name",
      type: "symbol",
      source: "river",
      filter: ["==", ["get", "id"], "river:wei:centre"],
      layout: {
        "symbol-placement": "line",
        "symbol-spacing": 460,
        "text-field": language === "en" ? "Wei River" : "渭河",
        "text-font": MEDIUM,
        "text-size": 16,
        "text-letter-spacing": 0.5,
        "text-pitch-alignment": "map",
        "text-rotation-alignment": "map",
      },
      paint: { "text-color": "#7cc6ee", "text-opacity": 0.85 },
    },
    {
      id: "road-names",
      type: "symbol",
      source: "roads",
      minzoom: 13,
      layout: {
        "symbol-placement": "line",
        "symbol-spacing": 420,
        "text-field": name,
        "text-font": MEDIUM,
        "text-size": ["interpolate", ["linear"], ["zoom"], 13, 12, 17, 17],
        "text-letter-spacing": 0.12,
      },
      paint: { "text-color": "#9dbfd9", ...halo },
    },
    {
      id: "landmarks",
      type: "symbol",
      source: "landmarks",
      filter: ["!", major],
      minzoom: 12.9,
      layout: {
        "icon-image": "landmark",
        "icon-size": 0.8,
        "text-field": name,
        "text-font": MEDIUM,
        "text-size": ["interpolate", ["linear"], ["zoom"], 12.9, 12, 16, 16],
        "text-anchor": "left",
        "text-offset": [0.8, 0],
        "text-max-width": 12,
      },
      paint: { "text-color": "#c3dbea", ...halo },
    },
    {
      id: "district-names",
      type: "symbol",
      source: "districtLabels",
      maxzoom: 15,
      layout: {
        "text-field": ["format", ["get", "title"], {}, ["get", "more"], { "font-scale": 0.76 }, ["get", "alarms"], { "font-scale": 0.95, "text-color": ["get", "alarmColour"] }],
        "text-font": MEDIUM,
        "text-size": ["interpolate", ["linear"], ["zoom"], 10.5, 13, 12, 18, 14, 24],
        "text-letter-spacing": language === "en" ? 0.02 : 0.08,
        "text-line-height": 1.25,
        "text-max-width": language === "en" ? 9 : 14,
        "symbol-sort-key": ["-", ["get", "area_km2"]],
        "text-padding": 4,
      },
      paint: { "text-color": "#d3e8f8", "text-opacity": 0.92, ...halo },
    },
    {
      id: "landmarks-major",
      type: "symbol",
      source: "landmarks",
      filter: major,
      layout: {
        "icon-image": "landmark-major",
        "icon-anchor": "bottom",
        "icon-allow-overlap": true,
        "text-field": short,
        "text-font": BOLD,
        "text-size": ["interpolate", ["linear"], ["zoom"], 11, 15, 15, 21],
        "text-variable-anchor": ["top", "left", "right"],
        "text-radial-offset": 0.35,
        "text-max-width": 14,
        "text-optional": true,
        "symbol-sort-key": ["match", ["get", "kind"], "ai_hub", 0, "operations_centre", 1, 2],
      },
      paint: { "text-color": "#aeeaff", ...halo },
    },
  ];
}
