import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FrameError } from "../../dashboards/assets/js/frame.mjs";
import { decodeChunk, PlayedZone } from "../../dashboards/assets/js/replay-frames.mjs";

const DIGEST = 0xdeadbeef;
const BEGIN = 1_792_540_800_000;
const KEY = { values: [10, 20, 255], status: [0x10, 0xf2, 0xf0] };
// [device, value, status] by step
const STEPS = [[], [[0, 11, 0x10]], [], [[0, 12, 0x10], [2, 99, 0x00]], [[0, 254, 0xf0]]];

/** A chunk as twin/replay.py encodes it. */
function encode({ steps = STEPS, digest = DIGEST, begin = BEGIN, step = 1000, view = 0, key = KEY } = {}) {
  const changes = steps.flat();
  const n = key.values.length;
  const bytes = new Uint8Array(32 + 4 * (steps.length + 1) + 2 * n + 6 * changes.length);
  const data = new DataView(bytes.buffer);
  bytes.set([0x47, 0x52, 1, view]);
  [digest, n, steps.length, changes.length, step].forEach((v, i) => data.setUint32(4 + 4 * i, v, true));
  data.setFloat64(24, begin, true);
  let at = 32;
  let sum = 0;
  for (const of of [[], ...steps]) {
    sum += of.length;
    data.setUint32(at, sum, true);
    at += 4;
  }
  for (const [device] of changes) {
    data.setUint32(at, device, true);
    at += 4;
  }
  for (const part of [key.values, key.status, changes.map((c) => c[1]), changes.map((c) => c[2])]) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes.buffer;
}

describe("a chunk", () => {
  it("is read back as it was written, as views of its bytes", () => {
    const data = encode();
    const chunk = decodeChunk(data);
    assert.deepEqual([chunk.view, chunk.digest, chunk.count, chunk.steps, chunk.step], ["then", DIGEST, 3, 5, 1000]);
    assert.deepEqual([chunk.begin, chunk.end], [BEGIN, BEGIN + 5000]);
    assert.deepEqual([...chunk.offsets], [0, 0, 1, 1, 3, 4]);
    assert.deepEqual([...chunk.device], [0, 0, 2, 0]);
    assert.equal(chunk.values.buffer, data);
    assert.equal(decodeChunk(encode({ view: 1 })).view, "now");
  });

  for (const [what, bytes, says] of [
    ["nothing", new ArrayBuffer(0), /at least 32 bytes, this has 0/],
    ["a cut body", encode().slice(0, -1), /has 86 bytes, this has 85/],
    ["a frame", new Uint8Array(100).fill(0x47).buffer, /does not begin with GR/],
    ["of another version", new Uint8Array(encode()).with(2, 2).buffer, /version 2/],
    ["of another view", new Uint8Array(encode()).with(3, 2).buffer, /view 2/],
    ["of a device that there is not", encode({ steps: [[], [[3, 1, 1]]] }), /names device 3 of 3/],
    ["with changes before its key", encode({ steps: [[[0, 1, 1]], []] }), /offsets/],
  ]) {
    it(`is not ${what}`, () => {
      assert.throws(() => decodeChunk(bytes), (error) => error instanceof FrameError && says.test(error.message));
    });
  }
});

describe("the zone played", () => {
  const frames = (() => {
    const [values, status] = [[...KEY.values], [...KEY.status]];
    return STEPS.map((changes) => {
      for (const [i, v, s] of changes) [values[i], status[i]] = [v, s];
      return [[...values], [...status]];
    });
  })();
  const shows = (zone, k) => assert.deepEqual([[...zone.values], [...zone.status]], frames[k], `step ${k}`);

  it("knows nothing before the first chunk", () => {
    const zone = new PlayedZone(2, DIGEST);
    assert.deepEqual([zone.known(0), zone.band(0), zone.level(0), zone.at], [false, 15, 0, 0]);
  });

  it("goes forward by what changed, once for each device", () => {
    const zone = new PlayedZone(3, DIGEST);
    const chunk = decodeChunk(encode());
    assert.deepEqual(zone.show(chunk, BEGIN), [0, 1], "of the third nothing was heard");
    assert.deepEqual(zone.show(chunk, BEGIN + 1999), [0]);
    shows(zone, 1);
    assert.deepEqual(zone.show(chunk, BEGIN + 4000), [0, 2]);
    shows(zone, 4);
    assert.equal(zone.at, BEGIN + 4000);
    assert.deepEqual(zone.show(chunk, BEGIN + 4000), []);
  });

  it("shows any step from any other", () => {
    const zone = new PlayedZone(3, DIGEST);
    const chunk = decodeChunk(encode());
    for (let a = 0; a < 5; a++) {
      for (let b = 0; b < 5; b++) {
        zone.show(chunk, BEGIN + a * 1000);
        zone.show(chunk, BEGIN + b * 1000);
        shows(zone, b);
      }
    }
  });

  it("stays within the chunk it is given", () => {
    const zone = new PlayedZone(3, DIGEST);
    const chunk = decodeChunk(encode());
    zone.show(chunk, BEGIN + 999_000);
    shows(zone, 4);
    zone.show(chunk, BEGIN - 999_000);
    shows(zone, 0);
  });

  it("goes from one chunk to the next", () => {
    const zone = new PlayedZone(3, DIGEST);
    zone.show(decodeChunk(encode()), BEGIN + 4000);
    const next = decodeChunk(encode({ begin: BEGIN + 5000, key: { values: [254, 21, 99], status: [0xf0, 0xf2, 0] }, steps: [[]] }));
    assert.deepEqual(zone.show(next, BEGIN + 5000), [1], "only what the key changes");
    assert.equal(zone.level(1), 2);
  });

  it("refuses a chunk of another registry", () => {
    assert.equal(new PlayedZone(3, DIGEST).show(decodeChunk(encode({ digest: 7 })), BEGIN), "mismatch");
    assert.equal(new PlayedZone(4, DIGEST).show(decodeChunk(encode()), BEGIN), "mismatch");
  });
});
