// The classes that two days' difference is painted in.

import assert from "node:assert/strict";
import test from "node:test";

import { appearance } from "../../dashboards/assets/js/appearance.mjs";
import { classOf, COLOURS, painted, recoloured } from "../../dashboards/assets/js/difference.mjs";

test("the classes lie evenly about what is the same", () => {
  assert.equal(classOf(100, 100), 3);
  for (const [by, wanted] of [[7, 3], [8, 4], [23, 4], [24, 5], [63, 5], [64, 6], [200, 6]]) {
    assert.equal(classOf(210, 210 - by), wanted, `+${by}`);
    assert.equal(classOf(210 - by, 210), 6 - wanted, `-${by}`);
  }
});

test("what is unknown at either time has no difference, and an alarm stays", () => {
  assert.deepEqual(painted(254, 10, 2), [254, 0xf2]);
  assert.deepEqual(painted(10, 255, 0), [254, 0xf0]);
  assert.deepEqual(painted(10, 10, 4), [10, 0x34]);
});

test("every kind has the colours of the difference, and nothing else changes", () => {
  const kinds = recoloured({ road: { label: "Road", bands: [] } });
  assert.equal(kinds.road.label, "Road");
  assert.equal(kinds.road.bands[classOf(10, 200)].colour, COLOURS[0]);
});

test("what differs most stands out most, whichever way", () => {
  const directory = { kinds: recoloured({ road: {} }), domains: {} };
  const weight = (value, other) => appearance({ kind: "road" }, ...painted(value, other, 0), directory).band;
  assert.deepEqual([weight(10, 200), weight(90, 100), weight(100, 100), weight(110, 100), weight(200, 10)], [3, 1, 0, 1, 3]);
});
