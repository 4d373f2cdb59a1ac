// Two days on one map: a device's colour says how much higher or lower it shows than at the other time.
//
// The bytes of a frame are a share of the metric's scale (twin/snapshot.py), so that their difference means the same for
// devices of one kind. It is brought into classes and painted as bands are: the map has nothing to learn but the colours.

import { NO_BAND, UNKNOWN } from "./frame.mjs";

const EDGES = [-64, -24, -8, 8, 24, 64]; // of 254 steps of the scale
export const COLOURS = ["#2f7bff", "#6fb0ff", "#a9cdf2", "#5c6b7a", "#f5cfa0", "#ff9a3d", "#ff3b4e"];
const SAME = EDGES.length / 2;

/** 0 far lower … 3 the same … 6 far higher. */
export const classOf = (value, other) => EDGES.filter((edge) => value - other >= edge + (edge > 0 ? 0 : 1)).length;

/** [value, status] of a device as the map is to paint it; `level` of its alarm. Unknown where either is. */
export function painted(value, other, level) {
  if (value >= UNKNOWN || other >= UNKNOWN) return [UNKNOWN, (NO_BAND << 4) | level];
  return [value, (classOf(value, other) << 4) | level];
}

/** The kinds with the colours of the difference instead of their own: what differs most stands out most, either way. */
export function recoloured(kinds) {
  const bands = COLOURS.map((colour, i) => ({ colour, weight: Math.abs(i - SAME) }));
  return Object.fromEntries(Object.entries(kinds).map(([name, kind]) => [name, { ...kind, bands }]));
}
