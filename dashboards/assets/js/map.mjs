// The map of the zone: MapLibre with our own layers only, and the devices' live colours as feature state.
//
// `createMap` never throws: where there is no WebGL, the panel says so and it tries again each minute, because an unattended
// screen has nobody to press reload.

import * as maplibre from "../vendor/maplibre.mjs";
import { appearance, appearanceKey, LEVEL_COLOURS } from "./appearance.mjs";
import { bounds, grid, labelPoint, outerRings, outside } from "./geometry.mjs";
import { layersOf, SELECTION_LAYERS, style } from "./style.mjs";
import { words } from "./words.mjs";

maplibre.setWorkerUrl(new URL("../vendor/maplibre-worker.mjs", import.meta.url).href);

// Turned so that a zone of 16 by 11 km fills the panel: more in a square one, less in a wide one
const view = (width, height) => ({ pitch: 45, bearing: width / height < 1.35 ? 20 : 8 });
const DESIGN_REM = 16; // the style's sizes are for this root font size
const PULSES = 40; // alarms that pulse; the rest have a still ring
const RECOVERY_MS = 20_000; // how long a lost context may take to come back by itself
const RETRY_MS = 60_000;

/**
 * @param {HTMLElement} element
 * @param {{layers: Record<string, string>, devices: object[], kinds: object, domains: object, language: string,
 *   onSelect: (index: number | null) => void, lead?: () => object | null}} options `layers`: name → GeoJSON URL; `lead`: the
 *   camera to begin with, and after a change of size, instead of the whole zone's
 */
export function createMap(element, options) {
  return new ZoneMap(element, options);
}

class ZoneMap {
  map = null;
  ready = false;
  onMove = () => {}; // the camera has moved
  #data = null; // the layers the page itself reads: outline and districts
  #zone = null;
  #shown; // the appearance key each device was last painted with
  #pulses = new Map(); // device index → marker
  #waiting = null; // indices of the devices whose alarm nobody has acknowledged; null: not told
  #counts = ""; // the alarms at the districts' names, as drawn
  #hidden = new Set(); // domains
  #selected = null; // device index
  #moved = false; // somebody took the camera
  #orbit = null;
  #timers = new Set();
  #gone = false;

  constructor(element, { layers, devices, kinds, domains, language, onSelect, lead = () => null }) {
    Object.assign(this, { element, layers, devices, kinds, domains, language, onSelect, lead });
    this.words = words(language);
    this.#shown = new Int16Array(devices.length).fill(-1);
    element.replaceChildren();
    this.canvas = append(element, "div", "map-canvas");
    this.message = append(element, "div", "map-message");
    this.message.hidden = true;
    this.#tools();
    this.#observer = new ResizeObserver(() => this.#fitScale());
    this.#observer.observe(element);
    this.#load();
  }

  #observer;

  // ---------------------------------------------------------------- what the page calls

  /** Repaint the devices at these indexes; all of them when the map was not ready before. */
  update(changed, zone) {
    this.#zone = zone;
    if (!this.ready) return;
    for (const index of changed) this.#paint(index);
  }

  /** Paint with other colours for the kinds' bands. */
  recolour(kinds) {
    this.kinds = kinds;
    if (this.ready) this.#paintAll();
  }

  setDomainVisible(domain, visible) {
    if (visible) this.#hidden.delete(domain);
    else this.#hidden.add(domain);
    if (this.map?.getStyle()) this.#applyVisibility(domain);
  }

  /** `waiting`: ids of the devices that pulse; `byDistrict`: district → {text, level} beside its name. */
  setAlarms({ waiting = [], byDistrict = {} }) {
    const before = this.#waiting;
    this.#waiting = new Set(waiting.map((id) => (this.#index ??= new Map(this.devices.map((d, i) => [d.id, i]))).get(id)));
    if (!this.ready || !this.#zone) return;
    for (const index of new Set([...(before ?? this.#pulses.keys()), ...this.#waiting])) {
      if (index !== undefined && before?.has(index) !== this.#waiting.has(index)) this.#pulse(index, this.#zone.level(index));
    }
    this.#label(byDistrict);
  }

  #index = null; // device id → index

  /** Drawn only when a count changes. */
  #label(byDistrict) {
    const counts = JSON.stringify(byDistrict);
    if (counts === this.#counts) return;
    this.#counts = counts;
    const labels = this.#data.districtLabels;
    for (const { properties } of labels.features) {
      const { text = "", level = 0 } = byDistrict[properties.id] ?? {};
      properties.alarms = text && `\n${text}`;
      properties.alarmColour = LEVEL_COLOURS[level];
    }
    this.map.getSource("districtLabels")?.setData(labels);
  }

  /** A device by id or index; null takes the mark away. */
  select(which) {
    const index = typeof which === "string" ? this.devices.findIndex((d) => d.id === which) : which;
    this.#selected = index === null || index < 0 ? null : index;
    if (this.ready) this.#applySelection();
  }

  /** The index of the device under a point of the screen; null where there is none. */
  under(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.#scale();
    return this.#deviceAt({ x: (clientX - box.left) / scale, y: (clientY - box.top) / scale });
  }

  /** Whether a device is on the right half of the map as it is seen now. */
  isRight(index) {
    if (!this.map) return false;
    const { lon, lat } = this.devices[index];
    return this.map.project([lon, lat]).x > this.canvas.clientWidth / 2;
  }

  /** The whole zone, as large as the panel allows. */
  resetView() {
    this.#moved = false;
    if (!this.map || !this.#data) return;
    const { map } = this;
    const ring = outerRings(this.#data.boundary).flat();
    const [w, s, e, n] = bounds(this.#data.boundary);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    map.jumpTo({ center: [(w + e) / 2, (s + n) / 2], zoom: 11.5, ...view(width, height) });
    // A pitched view has no exact fit by formula: measure the outline on the screen and correct, which settles at once
    const room = { left: 30, right: 30, top: 62, bottom: 118 };
    for (let i = 0; i < 5; i++) {
      const points = ring.map((p) => map.project(p));
      const box = [extent(points.map((p) => p.x)), extent(points.map((p) => p.y))];
      const scale = Math.min(
        (width - room.left - room.right) / (box[0][1] - box[0][0]),
        (height - room.top - room.bottom) / (box[1][1] - box[1][0]),
      );
      const middle = [(box[0][0] + box[0][1]) / 2, (box[1][0] + box[1][1]) / 2];
      const aim = [width / 2 + (room.left - room.right) / 2, height / 2 + (room.top - room.bottom) / 2];
      const centre = map.unproject([width / 2 + middle[0] - aim[0], height / 2 + middle[1] - aim[1]]);
      map.jumpTo({ center: centre, zoom: map.getZoom() + Math.log2(scale) });
    }
  }

  /** Where the map is seen from; null before there is one. `moved`: somebody took it there. */
  get camera() {
    const { map } = this;
    return map && { center: map.getCenter(), zoom: map.getZoom(), bearing: map.getBearing(), pitch: map.getPitch(), moved: this.#moved };
  }

  /** Take the camera of another map. */
  follow({ moved, ...camera }) {
    this.#moved = moved;
    this.map?.jumpTo(camera);
  }

  #frame() {
    const camera = this.lead();
    if (camera) this.follow(camera);
    else this.resetView();
  }

  /** Sways slowly about the standard bearing. */
  orbit(on) {
    clearInterval(this.#orbit);
    this.#orbit = null;
    if (!on || !this.map) return;
    const began = performance.now();
    const from = this.map.getBearing();
    this.#orbit = setInterval(() => this.map?.setBearing(from + 12 * Math.sin((performance.now() - began) / 14_000)), 66);
  }

  get orbiting() {
    return this.#orbit !== null;
  }

  destroy() {
    this.#gone = true;
    this.orbit(false);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#observer.disconnect();
    this.#drop();
    this.element.replaceChildren();
  }

  // ---------------------------------------------------------------- making it, and making it again

  /** The outline and the districts are needed before the map: for the camera and the labels. */
  async #load(attempt = 0) {
    try {
      const [boundary, districts] = await Promise.all([read(this.layers.boundary), read(this.layers.districts)]);
      if (this.#gone) return;
      const rings = outerRings(boundary);
      this.#data = {
        ...this.layers,
        boundary,
        districts,
        outside: { type: "FeatureCollection", features: [outside(rings)] },
        grid: grid(bounds(boundary)),
        districtLabels: districtLabels(districts, this.language),
      };
      this.#build();
    } catch (error) {
      this.#say(`${this.words.mapFailed}: ${error.message}`);
      this.#after(Math.min(30_000, 1_000 * 2 ** attempt), () => this.#load(attempt + 1));
    }
  }

  #build() {
    if (this.#gone) return;
    this.#drop();
    try {
      this.map = new maplibre.Map({
        container: this.canvas,
        style: style(this.#data, Object.keys(this.domains), this.language, this.devices.length),
        center: [108.607, 34.292],
        zoom: 11.5,
        minZoom: 9.5,
        maxZoom: 18,
        maxPitch: 70,
        pixelRatio: devicePixelRatio * this.#scale(),
        localIdeographFontFamily: '"Noto Sans CJK SC","Source Han Sans SC","Microsoft YaHei",sans-serif',
        canvasContextAttributes: { antialias: false },
        attributionControl: false,
        fadeDuration: 0,
        renderWorldCopies: false,
        maxTileCacheSize: 64,
        maxCanvasSize: [8192, 8192],
        trackResize: false,
      });
    } catch (error) {
      this.map = null;
      this.canvas.replaceChildren();
      this.#say(this.words.noMap);
      console.warn("no map:", error.message);
      this.#after(RETRY_MS, () => this.#build());
      return;
    }
    this.#listen(this.map);
    this.#fitScale();
    this.#frame();
  }

  #listen(map) {
    map.on("style.load", () => this.#dress(map));
    map.on("load", () => {
      this.#say(null);
      this.ready = true;
      this.#paintAll();
    });
    map.on("error", ({ error, sourceId }) => {
      console.warn("map:", sourceId ?? "", error?.message);
      // A layer that could not be fetched is fetched again: the server may just have started
      if (sourceId && typeof this.#data[sourceId] === "string" && error?.status !== 404) {
        this.#after(5_000, () => map === this.map && map.getSource(sourceId)?.setData(this.#data[sourceId]));
      }
    });
    map.on("webglcontextlost", () => {
      this.ready = false;
      this.#say(this.words.mapLost);
      this.#after(RECOVERY_MS, () => {
        if (!this.ready && map === this.map) this.#build();
      });
    });
    // MapLibre restores style and images; feature state is ours to bring back
    map.on("webglcontextrestored", () => {
      const painted = () => {
        this.#say(null);
        this.ready = true;
        this.#paintAll();
      };
      if (map.isStyleLoaded()) painted();
      else map.once("idle", painted);
    });
    map.on("click", ({ point }) => this.onSelect(this.#deviceAt(point)));
    map.on("move", () => this.onMove());
    map.on("movestart", ({ originalEvent }) => {
      if (originalEvent) this.#moved = true;
    });
  }

  #dress(map) {
    const ratio = 4;
    for (const [name, draw, size] of [
      ["landmark", drawDot, 10],
      ["landmark-major", drawBeacon, 30],
    ]) {
      if (!map.hasImage(name)) map.addImage(name, canvasImage(size * ratio, draw), { pixelRatio: ratio });
    }
    for (const domain of this.#hidden) this.#applyVisibility(domain);
    this.#applySelection();
  }

  #drop() {
    this.ready = false;
    for (const marker of this.#pulses.values()) marker.remove();
    this.#pulses.clear();
    const map = this.map;
    this.map = null;
    try {
      map?.remove();
    } catch (error) {
      console.warn("the map could not be taken down:", error.message);
    }
  }

  // ---------------------------------------------------------------- painting

  #paintAll() {
    if (!this.#zone) return;
    this.#shown.fill(-1);
    for (let index = 0; index < this.devices.length; index++) this.#paint(index);
  }

  #paint(index) {
    const value = this.#zone.values[index];
    const status = this.#zone.status[index];
    const key = appearanceKey(value, status);
    if (this.#shown[index] === key) return; // another value, the same look
    this.#shown[index] = key;
    const device = this.devices[index];
    const look = appearance(device, value, status, this);
    this.map.setFeatureState({ source: "devices", id: index }, look);
    if (device.domain === "traffic") this.map.setFeatureState({ source: "links", id: index }, look);
    this.#pulse(index, look.level);
  }

  /** A DOM ring, moved by the compositor: the map itself need not be drawn again for an alarm to be seen. */
  #pulse(index, level) {
    const marker = this.#pulses.get(index);
    const waits = this.#waiting === null || this.#waiting.has(index);
    if (level === 0 || !waits || (this.#pulses.size >= PULSES && !marker)) {
      marker?.remove();
      this.#pulses.delete(index);
      return;
    }
    const { lon, lat, domain } = this.devices[index];
    const ring = marker?.getElement() ?? document.createElement("div");
    // MapLibre keeps classes of its own on a marker's element
    if (!marker) {
      ring.className = "map-pulse";
      this.#pulses.set(index, new maplibre.Marker({ element: ring, pitchAlignment: "map" }).setLngLat([lon, lat]).addTo(this.map));
    }
    ring.style.setProperty("--pulse", LEVEL_COLOURS[level]);
    ring.hidden = this.#hidden.has(domain);
  }

  #applyVisibility(domain) {
    const visible = !this.#hidden.has(domain);
    for (const id of layersOf(domain, this.map.getStyle().layers)) {
      this.map.setLayoutProperty(id, "visibility", visible ? "visible" : "none");
    }
    for (const [index, marker] of this.#pulses) {
      if (this.devices[index].domain === domain) marker.getElement().hidden = !visible;
    }
  }

  #applySelection() {
    for (const id of SELECTION_LAYERS) {
      if (this.map.getLayer(id)) this.map.setFilter(id, ["==", ["id"], this.#selected ?? -1]);
    }
  }

  /** The device meant by a click: a point that was hit, else a link that was hit, else the nearest point within reach. */
  #deviceAt({ x, y }) {
    if (!this.ready) return null;
    const present = this.map.getStyle().layers.map(({ id }) => id);
    const around = (prefix, reach) =>
      this.map.queryRenderedFeatures(
        [
          [x - reach, y - reach],
          [x + reach, y + reach],
        ],
        { layers: present.filter((id) => id.startsWith(prefix)) },
      );
    const distance = (id) => {
      const { lon, lat } = this.devices[id];
      const at = this.map.project([lon, lat]);
      return Math.hypot(at.x - x, at.y - y);
    };
    const points = around("devices-core-", 9)
      .map(({ id }) => [distance(id), id])
      .sort(([a], [b]) => a - b);
    const [nearest, point] = points[0] ?? [Infinity, null];
    if (nearest <= 5) return point;
    return around("links-traffic", 4)[0]?.id ?? point;
  }

  // ---------------------------------------------------------------- the panel around it

  #scale() {
    return parseFloat(getComputedStyle(document.documentElement).fontSize) / DESIGN_REM || 1;
  }

  /** The map is laid out for a 1080-line screen and magnified, with as many more pixels. */
  #fitScale() {
    const scale = this.#scale();
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height) return;
    Object.assign(this.canvas.style, {
      width: `${width / scale}px`,
      height: `${height / scale}px`,
      transform: scale === 1 ? "" : `scale(${scale})`,
    });
    if (!this.map) return;
    this.map.setPixelRatio(devicePixelRatio * scale);
    this.map.resize();
    if (!this.#moved) this.#frame();
  }

  #tools() {
    const tools = append(this.element, "div", "map-tools");
    const button = (label, symbol, press) => {
      const made = append(tools, "button", "map-tool");
      Object.assign(made, { type: "button", title: label, textContent: symbol });
      made.setAttribute("aria-label", label);
      made.addEventListener("click", () => press(made));
    };
    button(this.words.resetView, "⌂", () => {
      this.orbit(false);
      this.resetView();
    });
    button(this.words.orbit, "⟲", (made) => {
      this.orbit(!this.orbiting);
      made.setAttribute("aria-pressed", String(this.orbiting));
    });
  }

  #say(message) {
    this.message.hidden = message === null;
    this.message.textContent = message ?? "";
  }

  #after(ms, act) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#gone) act();
    }, ms);
    this.#timers.add(timer);
  }
}

async function read(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

/** One label a district, where it fits best; what is in brackets goes below. */
function districtLabels(districts, language) {
  const features = districts.features.map(({ properties, geometry }) => {
    const rings = outerRings({ features: [{ geometry }] });
    const name = (language === "en" && properties.name_en) || properties.name || "";
    const [title, more] = name.split(/[（(]/);
    return {
      type: "Feature",
      properties: { ...properties, title: title.trim(), more: more ? `\n${more.replace(/[）)]/, "")}` : "", alarms: "", alarmColour: LEVEL_COLOURS[0] },
      geometry: { type: "Point", coordinates: labelPoint(rings[0]) },
    };
  });
  return { type: "FeatureCollection", features };
}

const extent = (numbers) => [Math.min(...numbers), Math.max(...numbers)];

function append(parent, tag, className) {
  const made = document.createElement(tag);
  made.className = className;
  parent.append(made);
  return made;
}

function canvasImage(size, draw) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const pen = canvas.getContext("2d");
  draw(pen, size);
  return pen.getImageData(0, 0, size, size);
}

function drawDot(pen, size) {
  pen.translate(size / 2, size / 2);
  pen.rotate(Math.PI / 4);
  pen.fillStyle = "#9fd8f2";
  pen.fillRect(-size / 5, -size / 5, (2 * size) / 5, (2 * size) / 5);
}

/** A slender beam with a diamond on top. */
function drawBeacon(pen, size) {
  const beam = pen.createLinearGradient(0, size, 0, size * 0.3);
  beam.addColorStop(0, "rgba(53,198,244,0)");
  beam.addColorStop(1, "rgba(143,227,255,0.95)");
  pen.fillStyle = beam;
  pen.fillRect(size / 2 - size / 34, size * 0.3, size / 17, size * 0.7);
  pen.translate(size / 2, size * 0.24);
  pen.rotate(Math.PI / 4);
  pen.shadowColor = "#35c6f4";
  pen.shadowBlur = size / 8;
  pen.fillStyle = "#d8f5ff";
  pen.fillRect(-size / 9, -size / 9, (2 * size) / 9, (2 * size) / 9);
}
