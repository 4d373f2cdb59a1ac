// The card under the pointer: when it comes, what it asks, and where it stands.

import assert from "node:assert/strict";
import test, { beforeEach, mock } from "node:test";

import { stateSaid, valueSaid } from "../../dashboards/assets/js/exact.mjs";
import { besides, createHover } from "../../dashboards/assets/js/hover.mjs";
import { words } from "../../dashboards/assets/js/words.mjs";
import { Element } from "./dom.mjs";

class Node extends Element {
  handlers = {};
  addEventListener(name, act) {
    this.handlers[name] = act;
  }
  removeEventListener(name) {
    delete this.handlers[name];
  }
  append(...children) {
    super.append(...children.map((c) => (typeof c === "string" ? Object.assign(new Node("text"), { textContent: c }) : c)));
  }
  replaceChildren(...children) {
    this.children = [];
    this.append(...children.filter(Boolean));
  }
  closest() {
    return this;
  }
}

const METRIC = { name: "pm25", label: "PM2.5", unit: "ug/m3", decimals: 1 };
const DEVICES = ["a", "b"].map((id) => ({ id, name: `站 ${id}`, kind: "air", districtName: "北区", metrics: [METRIC] }));
const KINDS = { air: { label: "空气站", bands: [{ label: "优", colour: "#0f0" }] } };
const NOW = 1_795_000_000_000;

let card, place, asked, moving, hover;

beforeEach(() => {
  globalThis.document = { createElement: (tag) => new Node(tag), documentElement: {} };
  globalThis.getComputedStyle = () => ({ fontSize: "16px" });
  Object.assign(globalThis, { innerWidth: 1280, innerHeight: 720 });
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  [card, place, asked, moving] = [new Node("div"), new Node("div"), [], false];
  Object.assign(card, { hidden: true, offsetWidth: 200, offsetHeight: 100 });
  hover = createHover(card, { language: "zh", devices: DEVICES, kinds: KINDS });
  hover.watch(place, {
    under: (x) => (x < 100 ? 0 : x < 200 ? 1 : null),
    look: () => ({ known: true, band: 0, level: 4 }),
    moving: () => moving,
    now: () => NOW,
    ask: (device, signal) => new Promise((answer) => asked.push({ device, signal, answer })),
  });
});

const move = (x, more = {}) => place.handlers.pointermove({ pointerType: "mouse", buttons: 0, clientX: x, clientY: 50, target: place, ...more });
const rest = (x) => (move(x), mock.timers.tick(150));
const answer = async (value) => {
  asked.at(-1).answer({ observation: { at: NOW - 12_000, values: { pm25: value } }, state: "known" });
  await Promise.resolve();
  await Promise.resolve();
};

test("it comes when the mouse rests, with the exact values of the instant, asked for once", async () => {
  move(50);
  mock.timers.tick(149);
  assert.deepEqual([card.hidden, asked.length], [true, 0]);
  mock.timers.tick(1);
  assert.match(card.textContent, /站 a■ 红色告警空气站 · 北区/);
  await answer(35.24);
  assert.match(card.textContent, /在线 · 优 · 观测于 12 秒前/);
  assert.match(card.textContent, /PM2\.535\.2µg\/m³/);
  rest(52); // a hand that trembles
  assert.equal(asked.length, 1);
});

test("what was asked is cancelled when the pointer goes on", async () => {
  rest(50);
  move(150);
  assert.deepEqual([asked[0].signal.aborted, card.hidden], [true, true]);
  mock.timers.tick(150);
  assert.deepEqual(asked.map(({ device }) => device.id), ["a", "b"]);
  asked[0].answer({ observation: { at: NOW, values: { pm25: 1 } }, state: "known" });
  await answer(2);
  assert.match(card.textContent, /站 b.*2\.0/);
  rest(300);
  assert.equal(card.hidden, true);
});

test("while time passes it shows what the frames know and asks nothing; when it stands still, once", async () => {
  moving = true;
  rest(50);
  for (let frame = 0; frame < 100; frame++) {
    hover.stir();
    hover.changed([0, 1]);
  }
  assert.match(card.textContent, /站 a.*优.*暂停后显示数值/);
  assert.equal(asked.length, 0);
  moving = false;
  hover.settle();
  await answer(7);
  assert.match(card.textContent, /7\.0/);
  hover.stir(); // another instant: those values are not of it
  assert.doesNotMatch(card.textContent, /7\.0/);
  assert.equal(asked.length, 1);
});

test("a finger, a drag and a mouse left lying have no card", () => {
  move(50, { pointerType: "touch" });
  mock.timers.tick(1_000);
  move(50, { buttons: 1 });
  mock.timers.tick(1_000);
  assert.deepEqual([card.hidden, asked.length], [true, 0]);
  rest(50);
  assert.equal(card.hidden, false);
  mock.timers.tick(60_000);
  assert.equal(card.hidden, true);
});

test("nothing is listened to any more once it is taken down", () => {
  rest(50);
  hover.destroy();
  assert.deepEqual([card.hidden, Object.keys(place.handlers)], [true, []]);
});

test("the card is beside the pointer and all on the screen", () => {
  const [size, screen] = [{ width: 200, height: 100 }, { width: 1280, height: 720 }];
  assert.deepEqual(besides({ x: 10, y: 10 }, size, screen, 16), [26, 26]);
  assert.deepEqual(besides({ x: 1270, y: 710 }, size, screen, 16), [1054, 594]);
  assert.deepEqual(besides({ x: 90, y: 10 }, { width: 200, height: 100 }, { width: 220, height: 720 }, 16), [0, 26]);
});

test("an answer is said as in the panel", () => {
  const band = { label: "优" };
  assert.equal(stateSaid({ observation: { at: NOW - 60_000 }, state: "known", band }, NOW, words("zh"), "zh"), "在线 · 优 · 观测于 1 分钟前");
  assert.equal(stateSaid({ observation: null, state: "never" }, NOW, words("en"), "en"), "Never heard");
  assert.equal(valueSaid({ values: { pm25: 0 } }, METRIC), "0.0");
  assert.equal(valueSaid({ values: { pm25: null } }, METRIC), "—");
  assert.equal(valueSaid(null, METRIC), "—");
});
