// Times as places on the time line and as text, a day's curve cut at an instant, and alarms re-run from their transitions.

import assert from "node:assert/strict";
import test from "node:test";

import { addressOf, parse, said } from "../../dashboards/assets/js/moments.mjs";
import { rangeOf } from "../../dashboards/assets/js/replay.mjs";
import { choiceOf, madeUnder, questionOf, Rerun } from "../../dashboards/assets/js/rerun.mjs";
import { labels, placeOf, timeOf, zoomed } from "../../dashboards/assets/js/timeline.mjs";
import { keep, kept } from "../../dashboards/assets/js/draft.mjs";
import { words } from "../../dashboards/assets/js/words.mjs";
import { Trend } from "../../dashboards/assets/js/trend.mjs";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOON = Date.parse("2026-11-20T12:00:00+08:00");

test("a moment survives the address and is said in the zone's own time", () => {
  assert.equal(said(NOON), "2026-11-20 12:00:00");
  assert.equal(parse(addressOf(NOON)), NOON);
  assert.equal(parse(addressOf(NOON).replace("+", " ")), NOON, "an unescaped plus is a space once decoded");
  assert.equal(parse("2026-11-20T12:00"), NOON, "without an offset: local");
  assert.equal(parse("2026-11-20"), NOON - 12 * HOUR);
  assert.equal(parse("2026-11-20T04:00:00Z"), NOON);
  assert.equal(parse(String(NOON)), NOON);
  for (const wrong of ["", null, "noon", "2026-13-01"]) assert.ok(Number.isNaN(parse(wrong)), `${wrong}`);
});

test("a range is in order, of the past, neither too short nor too long", () => {
  assert.deepEqual(rangeOf(NaN, NaN, NOON), [NOON - DAY, NOON]);
  assert.deepEqual(rangeOf(NOON - 2 * DAY, NaN, NOON), [NOON - 2 * DAY, NOON - DAY]);
  assert.deepEqual(rangeOf(NOON - HOUR, NOON + HOUR, NOON), [NOON - HOUR, NOON]);
  assert.deepEqual(rangeOf(NOON, NOON - HOUR, NOON), [NOON - HOUR - DAY, NOON - HOUR]);
  assert.deepEqual(rangeOf(NOON - 100 * DAY, NOON, NOON), [NOON - 31 * DAY, NOON]);
  assert.deepEqual(rangeOf(NOON - 1, NOON, NOON), [NOON - 60_000, NOON]);
});

test("labels stand on whole local hours and days, as many as fit", () => {
  const day = labels({ from: NOON, to: NOON + DAY }, 24);
  assert.deepEqual(day.slice(0, 3).map(({ text }) => text), ["12:00", "13:00", "14:00"]);
  assert.deepEqual(day.filter((l) => l.day).map(({ text }) => text), ["11-21"]);
  assert.ok(labels({ from: NOON, to: NOON + 31 * DAY }, 24).every((l) => l.day));
  assert.ok(labels({ from: NOON, to: NOON + 31 * DAY }, 24).length <= 24);
});

test("what is under the pointer stays there while it zooms", () => {
  const range = { from: NOON, to: NOON + DAY };
  const about = timeOf(300, range, 1_200);
  const [from, to] = zoomed(range, about, 0.5);
  assert.equal(to - from, DAY / 2);
  assert.ok(Math.abs(placeOf(about, { from, to }, 1_200) - 300) < 1e-6);
});

const transition = (rule, subject, minute, kind, level) => ({ rule, subject, at: NOON + minute * 60_000, kind, level, was: 0 });
const FOUND = {
  names: { full: "车场已满" },
  transitions: [
    transition("full", "b", 1, "raised", 2),
    transition("full", "a", 2, "raised", 1),
    transition("heat", "b", 3, "raised", 4),
    transition("full", "b", 4, "unknown", 2),
    transition("heat", "b", 5, "cleared", 0),
  ],
};
const DEVICES = { devices: [{ id: "a", name: "甲" }, { id: "b", name: "乙" }] };

test("re-run alarms at an instant are the same whichever way one came to it", () => {
  const at = (minute) => NOON + minute * 60_000;
  const moved = new Rerun(FOUND, DEVICES, "zh");
  for (const minute of [3, 0, 5, 2, 4, 1]) {
    moved.seek(at(minute));
    const straight = new Rerun(FOUND, DEVICES, "zh");
    for (let m = 0; m <= minute; m++) straight.seek(at(m));
    assert.deepEqual([...moved.open], [...straight.open], `minute ${minute}`);
    assert.deepEqual([moved.level(0), moved.level(1)], [straight.level(0), straight.level(1)]);
  }
});

test("re-run alarms are listed the worst first, marked, with the level of their device", () => {
  const rerun = new Rerun(FOUND, DEVICES, "zh");
  assert.deepEqual(rerun.seek(NOON + 4 * 60_000).sort(), [0, 1]);
  assert.equal(rerun.level(1), 4);
  const panel = rerun.panel();
  assert.deepEqual(panel.rows.map(({ cells }) => cells), [
    ["■ heat", "乙", "1 分钟前"],
    ["▲ 车场已满", "乙 · 失联", "3 分钟前"],
    ["● 车场已满", "甲", "2 分钟前"],
  ]);
  assert.equal(panel.red, "■ 红 1");
  assert.deepEqual(panel.waiting, ["b", "a"]);
  assert.match(panel.state, /重算/);
  const line = rerun.over({ begin: NOON + 60_000, at: [NOON, NOON + 3.5 * 60_000], alarms: [], transitions: [] });
  assert.deepEqual(line.alarms, [[0, 0, 0, 0], [1, 1, 0, 1]]);
  assert.equal(line.transitions.length, 4, "what opened before the range is no event of it");
});

test("an address names the rules in force, a version or a draft, and nothing else", () => {
  assert.deepEqual([null, "", "now", "draft", "3"].map(choiceOf), [null, null, "now", "draft", 3]);
  for (const wrong of ["0", "-1", "1.5", "v3", "1e3", "newest"]) assert.ok(Number.isNaN(choiceOf(wrong)), wrong);
  const rules = [{ id: "full" }];
  const range = { from: "10", to: "20" };
  assert.deepEqual(questionOf("now", null, 10.7, 20), range);
  assert.deepEqual(questionOf(3, { rules }, 10, 20), { ...range, version: 3 });
  assert.deepEqual(questionOf("draft", { rules }, 10, 20), { ...range, rules });
});

test("the banner says under which rules alarms were made, by whom and when", () => {
  const told = { draft: { name: "车场已满" }, versions: [{ version: 3, at: NOON, author: "王工" }] };
  assert.equal(madeUnder("now", 3, told, words("zh")), "告警按现行第 3 版规则重算 · 王工 2026-11-20");
  assert.equal(madeUnder(2, 2, told, words("en")), "Alarms re-run under version 2");
  assert.equal(madeUnder("draft", 0, told, words("zh")), "告警按草稿重算：车场已满");
});

test("a draft is kept for the tab; what is no draft is none", () => {
  const items = new Map();
  const storage = { getItem: (k) => items.get(k) ?? null, setItem: (k, v) => items.set(k, v) };
  assert.equal(kept(storage), null);
  const draft = { name: "n", base: 2, rules: [{ id: "full" }] };
  keep(draft, storage);
  assert.deepEqual(kept(storage), draft);
  for (const wrong of ["{", "{}", "null"]) {
    items.set([...items.keys()][0], wrong);
    assert.equal(kept(storage), null, wrong);
  }
});

test("a district that is alarmed is named, and marks no device", () => {
  const found = { names: {}, transitions: [transition("jam", "district:dist:north", 1, "raised", 3), transition("away", "gateway:gw-1", 1, "raised", 1)] };
  const rerun = new Rerun(found, { ...DEVICES, districts: { "dist:north": "北区" } }, "zh");
  assert.deepEqual(rerun.seek(NOON + 60_000), []);
  assert.deepEqual(rerun.panel().rows.map(({ cells, device }) => [cells[1], device]), [["北区", null], ["gw-1", null]]);
});

test("the day's curve ends at the instant shown", async () => {
  const directory = { devices: [{ id: "dc", kind: "compute-centre", metrics: [{ name: "itPower", label: "IT" }] }] };
  const at = Array.from({ length: 49 }, (_, h) => NOON - DAY + h * HOUR);
  const trend = new Trend(directory, async () => ({ at, mean: at.map((_, h) => h) }));
  assert.equal(trend.at(NOON), null);
  await trend.read(NOON, NOON + DAY);
  const { series, to } = trend.at(NOON + 6 * HOUR);
  assert.equal(to, NOON + 6 * HOUR);
  assert.equal(series[0].at.at(-1), NOON + 6 * HOUR);
  assert.ok(series[0].at[0] > NOON - 18 * HOUR);
});
