import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Ages, ageText } from "../../dashboards/assets/js/age.mjs";
import { at, bind, text } from "../../dashboards/assets/js/bind.mjs";
import { Element, writes } from "./dom.mjs";

describe("a path", () => {
  it("leads into the view, or nowhere", () => {
    const view = { a: { b: { c: 3 }, list: [7] }, none: null };
    assert.equal(at(view, "a.b.c"), 3);
    assert.equal(at(view, "a.list.0"), 7);
    for (const path of ["a.x.c", "none.b", "a.b.c.d", "", "toString", "a.constructor", null]) assert.equal(at(view, path), undefined);
    assert.equal(at(undefined, "a"), undefined);
  });

  it("reads as text, an em dash for what is none", () => {
    assert.deepEqual([text("x"), text(""), text(0), text(1.5)], ["x", "", "0", "1.5"]);
    for (const value of [undefined, null, NaN, Infinity, {}, [], true]) assert.equal(text(value), "—");
  });
});

describe("bind", () => {
  const page = () => {
    const parts = {
      value: new Element("span", { "data-bind": "air.aqi", "data-tone": "air.tone", "data-colour": "air.colour" }),
      chart: new Element("div", { "data-chart": "air.parts" }),
      list: new Element("div", { "data-list": "rows" }),
    };
    return { ...parts, root: new Element("div", {}, Object.values(parts)) };
  };
  const view = () => ({
    air: { aqi: "57", tone: "ok", colour: "#ffe03d", parts: { kind: "bars", rows: [] } },
    rows: [
      { cells: ["one", "two"], tone: "bad", device: "aq-01" },
      { cells: ["three", null], tone: "none" },
    ],
  });

  it("puts texts, tones, rows and charts in their places", () => {
    const { root, value, list, chart } = page();
    const drawn = [];
    bind(root, view(), (element, spec) => drawn.push([element, spec.kind]));
    assert.equal(value.textContent, "57");
    assert.equal(value.getAttribute("data-tone-now"), "ok");
    assert.equal(value.style.getPropertyValue("--tone"), "#ffe03d");
    assert.deepEqual(drawn, [[chart, "bars"]]);
    assert.deepEqual(list.children.map((row) => row.children.map((c) => c.textContent)), [["one", "two"], ["three", "—"]]);
    assert.deepEqual(list.children.map((row) => row.getAttribute("data-device")), ["aq-01", null]);
    assert.deepEqual(list.children.map((row) => [row.className, row.children[0].className]), [["row", "cell"], ["row", "cell"]]);
  });

  it("touches nothing when nothing changed", () => {
    const { root } = page();
    let draws = 0;
    bind(root, view(), () => draws++);
    const before = writes(root);
    bind(root, view(), () => draws++);
    assert.deepEqual([writes(root), draws], [before, 1]);
  });

  it("shrinks and refills lists, and forgets what a row no longer has", () => {
    const { root, list } = page();
    bind(root, view());
    bind(root, { rows: [{ cells: ["four"] }] });
    assert.deepEqual(list.children.map((row) => row.textContent), ["four"]);
    assert.equal(list.children[0].getAttribute("data-device"), null);
    assert.equal(list.children[0].getAttribute("data-tone-now"), "none");
  });

  it("says what is missing is missing", () => {
    const { root, value, list, chart } = page();
    const drawn = [];
    bind(root, view());
    bind(root, {}, (element, spec) => drawn.push(spec));
    assert.equal(value.style.getPropertyValue("--tone"), "");
    assert.equal(value.textContent, "—");
    assert.equal(value.getAttribute("data-tone-now"), "none");
    assert.equal(list.textContent, "—");
    assert.deepEqual(drawn, [null]);
    assert.ok(chart);
    for (const broken of [{ rows: [null, {}, { cells: "x" }] }, { rows: 3, air: [] }]) {
      bind(root, broken);
      assert.doesNotMatch(root.textContent, /undefined|NaN|null/);
    }
  });
});

describe("age", () => {
  it("is said in the largest whole unit", () => {
    const zh = (s) => ageText(s * 1000, "zh");
    assert.deepEqual([0, 59.9, 60, 3_599, 3_600, 86_399, 86_400, 864_000].map(zh), ["0 秒前", "59 秒前", "1 分钟前", "59 分钟前", "1 小时前", "23 小时前", "1 天前", "10 天前"]);
    assert.deepEqual([12, 120, 7_200, 172_800].map((s) => ageText(s * 1000, "en")), ["12 s ago", "2 min ago", "2 h ago", "2 d ago"]);
    assert.equal(ageText(-700, "zh"), "0 秒前");
    assert.equal(ageText(NaN, "zh"), "—");
  });

  it("grows each second, and marks what is older than it should be", () => {
    const element = new Element("span", { "data-age": "air.at", "data-age-limit": "180" });
    const ages = new Ages(new Element("div", {}, [element]), "zh");
    const tick = (now, view) => {
      if (view) ages.take(view);
      ages.tick(now);
      return [element.textContent, element.hasAttribute("data-stale")];
    };
    assert.deepEqual(tick(5_000), ["—", true]);
    assert.deepEqual(tick(5_000, { air: { at: 2_000 } }), ["3 秒前", false]);
    assert.deepEqual(tick(182_000), ["3 分钟前", false]);
    assert.deepEqual(tick(182_001), ["3 分钟前", true]);
    assert.deepEqual(tick(182_500, { air: { at: 182_000 } }), ["0 秒前", false]);
    assert.deepEqual(tick(182_500, { air: { at: null } }), ["—", true]);
    assert.deepEqual(tick(182_500, { air: { at: 0 } }), ["—", true]);
  });
});
