import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { option, textWidth, withGaps } from "../../dashboards/assets/js/charts.mjs";

const HOUR = 3_600_000;
const rows = [
  { label: "西环路", value: 4.2, text: "4.2", colour: "#f5c542" },
  { label: "永昌路", value: null, text: "—", colour: "#6b7684" },
];

/** Every number below a value that is not finite, and every undefined: ECharts would draw nonsense of them. */
function unsound(value, path = "") {
  if (typeof value === "number") return Number.isFinite(value) ? [] : [`${path}: ${value}`];
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([k, v]) => (v === undefined ? [`${path}.${k}: undefined`] : unsound(v, `${path}.${k}`)));
}

describe("a chart", () => {
  it("is never animated", () => {
    for (const spec of [
      { kind: "bars", rows, max: 10 },
      { kind: "columns", rows, unit: "km" },
      { kind: "line", series: [{ name: "x", at: [0, HOUR], values: [1, 2] }] },
      { kind: "ring", value: 0.4, text: "40%", colour: "#35c6f4" },
      { kind: "spark", values: [1, 2, 3] },
    ]) {
      const made = option(spec, 16, { width: 400, height: 300 });
      assert.equal(made.animation, false, spec.kind);
      assert.deepEqual(unsound(made), [], spec.kind);
    }
  });

  it("is nothing when there is no spec, or one of a kind unknown here", () => {
    const empty = [{ kind: "bars", rows: [] }, { kind: "line", series: [] }];
    for (const spec of [null, undefined, {}, { kind: "sankey" }, { kind: "toString" }, ...empty]) assert.equal(option(spec, 16), null);
  });

  it("survives a spec with nothing in it", () => {
    for (const kind of ["bars", "columns", "line", "ring", "spark"]) assert.deepEqual(unsound(option({ kind }, 16)), [], kind);
  });

  it("is twice as large at twice the root font size", () => {
    const size = (rem) => option({ kind: "ring", value: 1, text: "100%" }, rem).series[0].detail.fontSize;
    assert.equal(size(32), 2 * size(16));
  });

  it("shows a bar a row with the server's text and colour, and no bar for no value", () => {
    const { yAxis, xAxis, series } = option({ kind: "bars", rows, max: 10 }, 16);
    assert.deepEqual([yAxis[0].data, yAxis[1].data], [["西环路", "永昌路"], ["4.2", "—"]]);
    assert.equal(xAxis.max, 10);
    assert.deepEqual(series[0].data.map((d) => d.value), [4.2, null]);
  });

  it("makes bars fit a low panel", () => {
    const size = (height) => option({ kind: "bars", rows }, 16, { width: 300, height }).yAxis[0].axisLabel.fontSize;
    assert.deepEqual([size(300), size(20)], [16, 8]);
  });

  it("shows an unknown share as an empty ring", () => {
    const { series } = option({ kind: "ring", value: null, text: "—" }, 16);
    assert.equal(series[0].progress.itemStyle.color, "transparent");
    assert.equal(series[0].progress.show, true); // a progress that appears later breaks ECharts
    assert.equal(series[0].detail.formatter(), "—");
  });
});

describe("a line", () => {
  it("stands on Shanghai's clock face, wherever the browser is", () => {
    const made = option({ kind: "line", series: [{ name: "x", at: [0], values: [1] }], from: 0, to: HOUR }, 16);
    assert.equal(made.useUTC, true);
    assert.deepEqual(made.series[0].data, [[8 * HOUR, 1]]);
    assert.deepEqual([made.xAxis.min, made.xAxis.max], [8 * HOUR, 9 * HOUR]);
  });

  it("breaks where nothing was heard", () => {
    const minute = 60_000;
    const points = withGaps([0, minute, 2 * minute, 9 * minute], [1, null, 3, 4]);
    assert.deepEqual(points.map(([, value]) => value), [1, null, 3, null, 4]);
    assert.deepEqual(withGaps([], []), []);
    assert.deepEqual(withGaps([0], [5]), [[8 * HOUR, 5]]);
  });

  it("shades between low and high where both are known", () => {
    const { series } = option({ kind: "line", series: [{ name: "x", at: [0, 1], values: [2, 3], low: [1, null], high: [4, 5] }] }, 16);
    assert.equal(series.length, 3);
    assert.deepEqual(series.map((s) => s.data.map(([, v]) => v)), [[1, null], [3, null], [2, 3]]);
    assert.ok(series.every((s) => s.connectNulls !== true));
  });

  it("names its series when there is more than one", () => {
    const series = ["a", "b"].map((name) => ({ name, at: [0], values: [1] }));
    assert.equal(option({ kind: "line", series }, 16).legend.show, true);
    assert.equal(option({ kind: "line", series: series.slice(1) }, 16).legend.show, false);
  });
});

describe("the width of a text", () => {
  it("grows with its letters, and Chinese ones are the widest", () => {
    assert.ok(textWidth(["PM2.5"], 16) > 40);
    assert.ok(textWidth(["西环路"], 16) > textWidth(["abc"], 16));
    assert.ok(textWidth([], 16) < 2);
  });
});
