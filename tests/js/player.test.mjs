// The replay's clock and what it fetches, on a past that is made here and answered at once, late or not at all.

import assert from "node:assert/strict";
import test from "node:test";

import { Chunks } from "../../dashboards/assets/js/chunks.mjs";
import { levelOf, Player } from "../../dashboards/assets/js/player.mjs";
import { PlayedZone } from "../../dashboards/assets/js/replay-frames.mjs";

const HOUR = 3_600_000;
const DEVICES = 5;
const T = Date.UTC(2026, 10, 20); // a whole hour, and a whole day

/** What a device shows at an instant: changes every 7 + index seconds. */
const truth = (i, at) => Math.floor((at - T) / (1000 * (7 + i))) & 127;

function chunk({ begin, end, step, view = "then" }, until = end) {
  const steps = Math.max(Math.ceil((Math.min(end, until) - begin) / step), 0);
  const [offsets, device, values] = [[0, 0], [], []];
  for (let k = 1; k < steps; k++) {
    for (let i = 0; i < DEVICES; i++) {
      const [before, after] = [truth(i, begin + (k - 1) * step), truth(i, begin + k * step)];
      if (before !== after) device.push(i), values.push(after);
    }
    offsets.push(device.length);
  }
  const data = {
    view, digest: 1, count: DEVICES, steps, step, begin, end: begin + steps * step,
    offsets: Uint32Array.from(offsets), device: Uint32Array.from(device),
    keyValues: Uint8Array.from({ length: DEVICES }, (_, i) => truth(i, begin)), keyStatus: new Uint8Array(DEVICES),
    values: Uint8Array.from(values), status: new Uint8Array(values.length),
  };
  return { data, end: data.end, bytes: 1_000 };
}

/** A loader that answers when told to. */
function server({ until = Infinity } = {}) {
  const asked = [];
  const load = (span, signal) =>
    new Promise((resolve, reject) => {
      const views = [];
      for (let at = span.begin; at < Math.min(span.end, until); at += span.step) views.push({ at, view: { at } });
      const answer = span.kind === "frames" ? () => chunk(span, until) : () => ({ data: views, end: Math.min(span.end, until), bytes: 100 });
      asked.push({ span, signal, answer: () => resolve(answer()), refuse: (why) => reject(new Error(why)) });
    });
  const answer = async (which = () => true) => {
    for (const one of asked.splice(0)) which(one.span) ? one.answer() : asked.push(one);
    await new Promise(setImmediate);
  };
  return { asked, load, answer };
}

function made({ from = T, to = T + 24 * HOUR, chunks, offsets = [0], ...options } = {}) {
  const past = server(options);
  const told = [];
  const tracks = offsets.map((offset) => ({ offset, zone: new PlayedZone(DEVICES, 1) }));
  const player = new Player({
    chunks: new Chunks(past.load, chunks), tracks, from, to,
    frame: () => {}, told: (view, track) => told.push([view?.at ?? null, track]),
  });
  let now = 0;
  const run = async (ms, every = 16) => {
    for (const end = now + ms; now < end; now += every) {
      player.tick(now);
      if (past.open) await past.answer();
    }
  };
  return { past, player, tracks, told, run, zone: tracks[0].zone };
}

/** All that is asked for is there from now on. */
async function open(past, player) {
  past.open = true;
  for (let i = 0; i < 6; i++) {
    player.tick(i);
    await past.answer();
  }
  player.tick(7);
}

/** What is asked for at an instant, and is among `which`, is there: its moment, then its chunk. */
async function answered(past, player, which) {
  for (const now of [0, 1]) {
    player.tick(now);
    await past.answer(which);
  }
  player.tick(2);
}

const right = (zone, at) => [...zone.values].every((v, i) => v === truth(i, Math.floor(at / 1000) * 1000));

test("before anything has come, nothing is shown, and it says so", () => {
  const { player, past } = made();
  player.tick(0);
  assert.equal(player.shown, false);
  assert.equal(player.waiting, "loading");
  assert.deepEqual(past.asked.map(({ span }) => span.end - span.begin), [1000], "the moment first, and alone");
});

test("at 60 times, sixteen seconds are sixteen minutes, and the picture is always that of the clock", async () => {
  const { player, past, run, zone } = made();
  await open(past, player);
  player.play();
  for (let i = 0; i < 100; i++) {
    await run(160);
    assert.ok(right(zone, player.at));
  }
  assert.ok(Math.abs(player.at - (T + 60 * 16_000)) < 60 * 40, `${player.at - T}`);
});

test("a jump shows what the straight way shows, forward and back, within a chunk and beyond", async () => {
  const { player, past, run, zone } = made();
  await open(past, player);
  for (const at of [T + 61_000, T + 3_599_000, T + 5_000, T + 20 * HOUR + 1_234_567, T + HOUR, T + HOUR - 1, T]) {
    player.seek(at);
    await run(64);
    assert.equal(player.at, at);
    assert.equal(player.shown, true);
    assert.ok(right(zone, at), `at ${at - T}`);
  }
});

test("where a chunk is missing the clock waits at the step before it, and goes on when it is there", async () => {
  const { player, past, run, zone } = made();
  player.speed = 600;
  await answered(past, player, ({ begin }) => begin === T);
  player.play();
  await run(30_000);
  assert.equal(player.at, T + HOUR - 1);
  assert.equal(player.waiting, "loading");
  assert.equal(player.shown, true, "the picture is that of the clock, which waits");
  assert.ok(right(zone, player.at));
  past.open = true;
  await run(2_000);
  assert.equal(player.waiting, "");
  assert.ok(player.at > T + HOUR);
  assert.ok(right(zone, player.at));
});

test("after a jump to where nothing is yet, the old picture is not called that time's", async () => {
  const { player, past, zone } = made();
  await answered(past, player, ({ begin }) => begin === T);
  assert.equal(player.shown, true);
  player.seek(T + 10 * HOUR);
  player.tick(3);
  assert.equal(player.shown, false);
  assert.ok(right(zone, T), "the zone itself is untouched");
});

test("where it stands in the dark the moment comes before its chunk; while it is dragged nothing of the kind is asked for", async () => {
  const { player, past, zone } = made();
  const moments = () => past.asked.filter(({ span, signal }) => span.end - span.begin === 1000 && !signal.aborted);
  let now = 0;
  for (; now < 800; now += 16) {
    player.seek(T + 10 * HOUR + now * 60_000);
    player.tick(now);
  }
  assert.equal(moments().length, 0, "dragged");
  const at = T + 15 * HOUR + 61_234;
  player.seek(at);
  for (const end = now + 160; now < end; now += 16) player.tick(now);
  assert.equal(moments().length, 1, "it stands, and it is asked for once");
  await past.answer(({ end, begin }) => end - begin === 1000);
  player.tick(now);
  assert.equal(player.shown, true);
  assert.ok(right(zone, at));
  player.play();
  player.tick((now += 500));
  player.tick((now += 500));
  assert.equal(player.at, at, "no further than there is something to show");
  assert.equal(player.waiting, "loading");
  past.open = true;
  await past.answer();
  for (const end = now + 800; now < end; now += 16) {
    player.tick(now);
    await past.answer();
  }
  assert.ok(player.at > at);
  assert.ok(right(zone, player.at));
});

test("what cannot be read is said with its reason, and asked for again later", async () => {
  const { player, past } = made();
  for (const now of [0, 5, 10]) {
    player.tick(now);
    for (const { refuse } of past.asked.splice(0)) refuse("the store cannot answer");
    await new Promise(setImmediate);
  }
  player.tick(15);
  assert.equal(player.waiting, "the store cannot answer");
  const again = () => past.asked.filter(({ span }) => span.kind === "frames" && span.begin === T).length;
  assert.equal(again(), 0, "not at once");
  player.tick(5_000);
  assert.equal(again(), 1);
});

test("it ends at the end, or begins again there", async () => {
  const { player, past, run, zone } = made({ to: T + 120_000 });
  await open(past, player);
  player.speed = 60;
  player.play();
  await run(4_000);
  assert.equal(player.playing, false);
  assert.equal(player.at, T + 120_000 - 1);
  player.loop = true;
  player.play();
  await run(3_000);
  assert.equal(player.playing, true);
  assert.ok(player.at < T + 120_000);
  assert.ok(right(zone, player.at));
});

test("steps go to the next and the last whole step, transitions to the next and the last alarm change", async () => {
  const { player, past } = made();
  await open(past, player);
  player.seek(T + 10_400);
  player.step(1);
  assert.equal(player.at, T + 11_000);
  player.step(-1);
  assert.equal(player.at, T + 10_000);
  player.transitions = [T + 5_000, T + 12_345, T + 20_000];
  assert.equal(player.stepTransition(1), true);
  assert.equal(player.at, T + 12_345);
  player.stepTransition(1);
  assert.equal(player.stepTransition(1), false);
  player.stepTransition(-1);
  assert.equal(player.at, T + 12_345);
});

test("two tracks run on one clock, each at its own time, and both are waited for", async () => {
  const { player, past, tracks, run } = made({ from: T + 24 * HOUR, to: T + 48 * HOUR, offsets: [0, -24 * HOUR] });
  await answered(past, player, ({ begin }) => begin >= T + 24 * HOUR);
  assert.equal(player.shown, false);
  await open(past, player);
  player.seek(T + 25 * HOUR + 60_000);
  await run(64);
  assert.ok(right(tracks[0].zone, T + 25 * HOUR + 60_000));
  assert.ok(right(tracks[1].zone, T + HOUR + 60_000));
});

test("the views told are the last at or before the clock", async () => {
  const { player, past, told, run } = made();
  await open(past, player);
  player.seek(T + 90_000);
  await run(64);
  assert.deepEqual(told.at(-1), [T + 60_000, 0]);
});

test("what is held stays within its bound, and what is near stays", async () => {
  const { player, past, run } = made({ chunks: { most: 6_000 } });
  await open(past, player);
  for (let hour = 0; hour < 20; hour++) {
    player.seek(T + hour * HOUR);
    await run(160);
    assert.ok(player.chunks.bytes <= 6_000, `${player.chunks.bytes}`);
    assert.equal(player.shown, true);
  }
  const before = past.asked.length;
  player.tick(1e6);
  assert.equal(past.asked.length, before, "nothing near is asked for twice");
});

test("a request that nobody wants any more is given up", async () => {
  const { player, past } = made();
  player.tick(0);
  const old = past.asked.slice();
  player.seek(T + 20 * HOUR);
  player.tick(1);
  assert.ok(old.every(({ signal }) => signal.aborted));
});

test("a chunk that the present cut short is asked for again when the clock comes to its end", async () => {
  const { player, past, run } = made({ from: T, to: T + HOUR, until: T + 600_000 });
  await open(past, player);
  player.seek(T + 700_000);
  past.open = false;
  await run(32);
  assert.equal(player.shown, false, "the last frame is not that of a later time");
  for (let i = 0; i < 3; i++) {
    await past.answer(({ begin, end }) => end - begin === 1000);
    await run(3_000, 100);
  }
  assert.ok(past.asked.some(({ span }) => span.begin === T && span.kind === "frames"));
});

test("a month is an overview whose chunks are few", () => {
  const { step, chunk } = levelOf(31 * 24 * HOUR);
  assert.equal(step, HOUR);
  assert.ok(chunk / step <= 3_600);
  assert.equal(levelOf(24 * HOUR).step, 1_000);
});
