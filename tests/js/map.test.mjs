import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bounds, grid, labelPoint, outside } from "../../dashboards/assets/js/geometry.mjs";
import { layersOf, SELECTION_LAYERS, style } from "../../dashboards/assets/js/style.mjs";
import { unit, words } from "../../dashboards/assets/js/words.mjs";

const DOMAINS = ["traffic", "environment", "parking", "compute", "city"];
const made = (language = "zh") => style({}, DOMAINS, language);

describe("the style", () => {
  it("asks no other host for anything", () => {
    const { glyphs, sprite, ...rest } = made();
    assert.deepEqual([glyphs, sprite], [undefined, undefined]);
    assert.doesNotMatch(JSON.stringify(rest), /https?:/);
  });

  it("draws only from sources that it has, each layer once", () => {
    const { sources, layers } = made();
    for (const { id, source } of layers) assert.ok(sources[source], `${id} draws from ${source}`);
    assert.equal(new Set(layers.map(({ id }) => id)).size, layers.length);
    for (const id of SELECTION_LAYERS) assert.ok(layers.some((l) => l.id === id));
  });

  it("gives each domain layers of its own to hide", () => {
    const { layers } = made();
    for (const domain of DOMAINS) assert.ok(layersOf(domain, layers).length >= 3, domain);
    const owned = DOMAINS.flatMap((d) => layersOf(d, layers));
    assert.equal(new Set(owned).size, owned.length);
    assert.ok(layers.filter((l) => l.source === "links" && l.id !== "selected-link").every((l) => owned.includes(l.id)));
  });
});

describe("geometry", () => {
  const l = [[0, 0], [4, 0], [4, 1], [1, 1], [1, 4], [0, 4], [0, 0]];

  it("finds the box of anything", () => {
    assert.deepEqual(bounds({ features: [{ geometry: { coordinates: [l] } }, { geometry: { coordinates: [9, -1] } }] }), [0, -1, 9, 4]);
  });

  it("puts a label inside, even in a bent shape whose middle is outside", () => {
    const [x, y] = labelPoint(l);
    assert.ok((x > 0 && x < 1 && y > 0 && y < 4) || (y > 0 && y < 1 && x > 0 && x < 4), `${x}, ${y}`);
  });

  it("dims all around the rings and nothing within", () => {
    const { geometry } = outside([l]);
    assert.deepEqual(geometry.coordinates[1], l);
    assert.deepEqual(bounds({ features: [{ geometry }] }), [-1, -1, 5, 5]);
  });

  it("draws a grid around a box", () => {
    const box = bounds(grid([108.5, 34.2, 108.7, 34.3]));
    assert.ok(box[0] < 108.4 && box[1] < 34.1 && box[2] > 108.8 && box[3] > 34.4);
  });
});

describe("words", () => {
  it("are there in both languages", () => {
    assert.deepEqual(Object.keys(words("zh")), Object.keys(words("en")));
    assert.equal(words("fr"), words("zh"));
  });

  it("write units as people do", () => {
    assert.deepEqual([unit("Cel", "zh"), unit("1", "zh"), unit("{vehicles}/h", "zh"), unit("km/h", "zh"), unit("{jobs}", "en")], ["℃", "", "辆/h", "km/h", "jobs"]);
  });
});
