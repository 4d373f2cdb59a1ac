import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { latest } from "../../dashboards/assets/js/ask.mjs";
import { bounds, direction, extent, freeId, handles, left, moved, plain, put, rebased, replaced, rounded, same, spread, stepOf, whole } from "../../dashboards/assets/js/rule.mjs";
import { boxes, midnights } from "../../dashboards/assets/js/stories.mjs";

const above = { metric: "pm25", condition: "above", blue: 115, yellow: 150, red: 250, band: 10 };
const below = { metric: "speed", condition: "below", yellow: 20, orange: 12, band: 3 };
const outside = { metric: "voltage", condition: "outside", yellow: [372, 428], orange: [340, 440], band: 4 };
const of = (term, level, side = null) => handles(term).find((h) => h.level === level && h.side === side);

describe("a rule in the form", () => {
  const rule = { id: "r", name: "R", when: [above] };

  it("comes back as it was when nothing is changed", () => {
    assert.ok(same(plain(whole(rule)), rule));
    const much = { ...rule, scope: { kinds: ["x"], where: { a: ["b"] } }, schedule: [{ days: [], start: "22:00", end: "06:00" }], raise_after_s: 60, enabled: false };
    assert.ok(same(plain(whole(much)), much));
  });

  it("is not the same once a threshold is another", () => {
    const edited = whole(rule);
    put(edited, "when.1.yellow", 151);
    assert.ok(!same(plain(edited), rule));
    assert.equal(rule.when[0].yellow, 150);
  });

  it("loses what is emptied", () => {
    const edited = whole(rule);
    put(edited, "when.1.red", null);
    put(edited, "scope.kinds", []);
    assert.deepEqual(plain(edited), { id: "r", name: "R", when: [{ metric: "pm25", condition: "above", blue: 115, yellow: 150, band: 10 }] });
  });
});

describe("a line that is dragged", () => {
  it("stays between its neighbours", () => {
    assert.deepEqual(bounds(above, of(above, "yellow"), [0, 2000], 1), [116, 249]);
    assert.deepEqual(bounds(above, of(above, "blue"), [0, 2000], 1), [0, 149]);
    assert.deepEqual(bounds(above, of(above, "red"), [0, 2000], 1), [151, 2000]);
  });

  it("goes the other way where less is worse", () => {
    assert.deepEqual(bounds(below, of(below, "yellow"), [0, 250], 1), [13, 250]);
    assert.deepEqual(bounds(below, of(below, "orange"), [0, 250], 1), [0, 19]);
  });

  it("keeps the ends of a range apart and the wider range outside", () => {
    assert.deepEqual(bounds(outside, of(outside, "yellow", 0), [0, 1000], 1), [341, 427]);
    assert.deepEqual(bounds(outside, of(outside, "orange", 1), [0, 1000], 1), [429, 1000]);
  });

  it("has its dead band on the side from which it is left", () => {
    assert.equal(left(above, of(above, "blue")), 105);
    assert.equal(left(below, of(below, "orange")), 15);
    assert.equal(left(outside, of(outside, "yellow", 0)), 376);
    assert.equal(left(outside, of(outside, "yellow", 1)), 424);
    assert.equal(direction({ condition: "rate", yellow: -2 }, null), -1);
  });

  it("moves alone", () => {
    const made = moved(outside, of(outside, "yellow", 0), 380);
    assert.deepEqual(made.yellow, [380, 428]);
    assert.deepEqual(outside.yellow, [372, 428]);
  });

  it("goes in round steps", () => {
    assert.deepEqual([1, 130, 400, 2000].map(stepOf), [0.005, 1, 2, 10]);
    assert.equal(rounded(0.30000000000000004, 0.005), 0.3);
    assert.equal(rounded(118.4, 0.5), 118.5);
  });

  it("is always on the chart", () => {
    const [low, high] = extent([30, 60], [115], [0, 2000]);
    assert.ok(low >= 0 && low < 30 && high > 115);
    assert.deepEqual(extent([], [], [0, 1]), [0, 1]);
    const flat = extent([5], [], [0, 100]);
    assert.ok(flat[0] < 5 && flat[1] > 5);
  });
});

describe("labels", () => {
  it("stay where they are while there is room", () => assert.deepEqual(spread([10, 50, 90], 25), [0, 0, 0]));
  it("make room for each other", () => {
    for (const at of [[100, 101, 102], [102, 100, 101], [10, 12, 60, 61, 62], [5, 5]]) {
      const put = at.map((y, i) => y + spread(at, 25)[i]).sort((a, b) => a - b);
      put.slice(1).forEach((y, i) => assert.ok(y - put[i] >= 25 - 1e-9, `${at}: ${put}`));
    }
  });
  it("move as one about where they were", () => assert.deepEqual(spread([100, 100], 20), [-10, 10]));
});

describe("two people's changes", () => {
  const base = { id: "r", name: "R", raise_after_s: 60, group: "air" };

  it("come together key by key", () => {
    const found = rebased(base, { ...base, raise_after_s: 90 }, { ...base, group: "dust" });
    assert.deepEqual(found, { rule: { id: "r", name: "R", raise_after_s: 90, group: "dust" }, both: [] });
  });

  it("say where both changed the same, and differently", () => {
    assert.deepEqual(rebased(base, { ...base, raise_after_s: 90 }, { ...base, raise_after_s: 30 }).both, ["raise_after_s"]);
    assert.deepEqual(rebased(base, { ...base, raise_after_s: 90 }, { ...base, raise_after_s: 90 }).both, []);
  });

  it("keep what was taken away taken away", () => {
    const { group: _, ...without } = base;
    assert.deepEqual(rebased(base, without, { ...base, raise_after_s: 30 }).rule, { id: "r", name: "R", raise_after_s: 30 });
    assert.deepEqual(rebased(base, { ...base, name: "S" }, null), { rule: { ...base, name: "S" }, both: ["*"] });
    assert.equal(rebased(base, null, { ...base, name: "S" }).rule, null);
  });

  it("leave the other rules where they are", () => {
    const book = [{ id: "a" }, { id: "r" }, { id: "z" }];
    assert.deepEqual(replaced(book, "r", { id: "r", name: "new" }).map((r) => r.name ?? r.id), ["a", "new", "z"]);
    assert.deepEqual(replaced(book, "r", null).map((r) => r.id), ["a", "z"]);
    assert.deepEqual(replaced(book, "q", { id: "q" }).map((r) => r.id), ["a", "r", "z", "q"]);
    assert.equal(freeId([{ id: "a" }, { id: "a-2" }], "a-2"), "a-3");
  });
});

describe("questions while somebody drags", () => {
  it("never queue: one is under way, the newest waits", async () => {
    const sent = [];
    const done = [];
    const answers = [];
    const test = latest((q) => (sent.push(q), new Promise((go) => done.push(go))), (a, q) => answers.push([a, q]));
    [1, 2, 3, 4].forEach(test);
    assert.deepEqual(sent, [1]);
    done.shift()("one");
    await new Promise(setImmediate);
    assert.deepEqual(sent, [1, 4]);
    done.shift()("four");
    await new Promise(setImmediate);
    assert.deepEqual(answers, [["one", 1], ["four", 4]]);
    test(5);
    assert.deepEqual(sent, [1, 4, 5]);
  });

  it("are asked again while the answer is not there, unless there is a newer one", async () => {
    const sent = [];
    const taken = [];
    const replies = [202, 202, 200];
    const test = latest(async (q) => (sent.push(q), replies.shift()), (a) => taken.push(a), { again: (a) => (a === 202 ? 1 : 0), later: (go) => setImmediate(go) });
    test("x");
    for (let i = 0; i < 12; i++) await new Promise(setImmediate);
    assert.deepEqual(sent, ["x", "x", "x"]);
    assert.deepEqual(taken, [202, 202, 200]);
  });
});

describe("the picture", () => {
  const view = { begin: 0, end: 1000, width: 100, top: 0, height: 6 };

  it("shows the shortest alarm", () => {
    assert.equal(boxes([[500, 501, 2]], 2, view), "M50.0 0h1.0v6h-1.0z");
    assert.equal(boxes([[500, 501, 2]], 1, view), "");
  });

  it("cuts what lies beyond its ends", () => {
    assert.equal(boxes([[-500, 2000, 1]], 1, view), "M0.0 0h100.0v6h-100.0z");
  });

  it("has its nights where Shanghai has them", () => {
    const DAY = 86_400_000;
    assert.deepEqual(midnights(0, 2 * DAY).map((t) => new Date(t).toISOString()), ["1970-01-01T16:00:00.000Z", "1970-01-02T16:00:00.000Z"]);
    assert.deepEqual(midnights(0, 1000), []);
  });
});
