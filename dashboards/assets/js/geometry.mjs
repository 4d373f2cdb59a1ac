// Plane geometry on longitude and latitude, small enough for one zone: for placing labels and the camera.

/** [west, south, east, north] of any GeoJSON. */
export function bounds(geojson) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  const visit = (c) => {
    if (typeof c[0] !== "number") return c.forEach(visit);
    box[0] = Math.min(box[0], c[0]);
    box[1] = Math.min(box[1], c[1]);
    box[2] = Math.max(box[2], c[0]);
    box[3] = Math.max(box[3], c[1]);
  };
  for (const feature of geojson.features) visit(feature.geometry.coordinates);
  return box;
}

/** The outer rings of all polygons. */
export function outerRings(geojson) {
  return geojson.features.flatMap(({ geometry }) =>
    geometry.type === "Polygon" ? [geometry.coordinates[0]] : geometry.type === "MultiPolygon" ? geometry.coordinates.map((p) => p[0]) : [],
  );
}

/** Everything but the rings: for dimming what is outside the zone. */
export function outside(rings, margin = 1) {
  const [w, s, e, n] = bounds({ features: [{ geometry: { coordinates: rings } }] });
  const frame = [
    [w - margin, s - margin],
    [e + margin, s - margin],
    [e + margin, n + margin],
    [w - margin, n + margin],
    [w - margin, s - margin],
  ];
  return { type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [frame, ...rings] } };
}

/** Lines each `step` degrees of latitude (and about as far apart in longitude) over a box and well around it. */
export function grid([w, s, e, n], step = 0.01, around = 0.12) {
  const across = step / Math.cos((((s + n) / 2) * Math.PI) / 180);
  const lines = [];
  for (let y = Math.floor((s - around) / step) * step; y <= n + around; y += step) lines.push([[w - around, y], [e + around, y]]);
  for (let x = w - around; x <= e + around; x += across) lines.push([[x, s - around], [x, n + around]]);
  return { type: "FeatureCollection", features: [{ type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates: lines } }] };
}

/** The point of a polygon farthest from its edges, to about a fiftieth of its size: where a label fits best. */
export function labelPoint(ring, grid = 24) {
  const [w, s, e, n] = bounds({ features: [{ geometry: { coordinates: ring } }] });
  const squeeze = Math.cos((((s + n) / 2) * Math.PI) / 180); // a degree of longitude is shorter
  let best = [(w + e) / 2, (s + n) / 2];
  let most = -Infinity;
  for (let i = 1; i < grid; i++) {
    for (let j = 1; j < grid; j++) {
      const point = [w + ((e - w) * i) / grid, s + ((n - s) * j) / grid];
      if (!inside(point, ring)) continue;
      const room = distanceToEdge(point, ring, squeeze);
      if (room > most) [most, best] = [room, point];
    }
  }
  return best;
}

function inside([x, y], ring) {
  let odd = false;
  for (let i = 0, k = ring.length - 1; i < ring.length; k = i++) {
    const [[x1, y1], [x2, y2]] = [ring[i], ring[k]];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) odd = !odd;
  }
  return odd;
}

function distanceToEdge([x, y], ring, squeeze) {
  let least = Infinity;
  for (let i = 0, k = ring.length - 1; i < ring.length; k = i++) {
    const ax = (ring[k][0] - x) * squeeze;
    const ay = ring[k][1] - y;
    const dx = (ring[i][0] - ring[k][0]) * squeeze;
    const dy = ring[i][1] - ring[k][1];
    const length = dx * dx + dy * dy;
    const t = length ? Math.max(0, Math.min(1, -(ax * dx + ay * dy) / length)) : 0;
    least = Math.min(least, Math.hypot(ax + t * dx, ay + t * dy));
  }
  return least;
}
