import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { appearance, appearanceKey, GREY } from "../../dashboards/assets/js/appearance.mjs";
import { decode, FrameError, Zone } from "../../dashboards/assets/js/frame.mjs";

const DIGEST = 0xdeadbeef;
const STARTED = 1_792_540_800;

/** A frame as twin/snapshot.py encodes it; `index` null makes a key frame. */
function encode({ digest = DIGEST, seq = 1, at = 1_792_540_800_123, started = STARTED, index = null, values, status }) {
  const n = values.length;
  const bytes = new Uint8Array(28 + n * (index ? 6 : 2));
  const view = new DataView(bytes.buffer);
  bytes.set([0x47, 0x58, 1, index ? 1 : 0]);
  view.setUint32(4, digest, true);
  view.setUint32(8, seq, true);
  view.setUint32(12, n, true);
  view.setFloat64(16, at, true);
  view.setUint32(24, started, true);
  index?.forEach((i, k) => view.setUint32(28 + 4 * k, i, true));
  bytes.set(values, bytes.length - 2 * n);
  bytes.set(status, bytes.length - n);
  return bytes.buffer;
}

const key = (more = {}) => encode({ values: [10, 20, 254], status: [0x10, 0xf2, 0xf0], ...more });
const delta = (more = {}) => encode({ seq: 2, index: [1], values: [99], status: [0x30], ...more });

describe("a frame", () => {
  it("is read back as it was written", () => {
    const frame = decode(key());
    assert.equal(frame.kind, "key");
    assert.deepEqual([frame.digest, frame.seq, frame.at, frame.started], [DIGEST, 1, 1_792_540_800_123, STARTED]);
    assert.deepEqual([...frame.values, ...frame.status], [10, 20, 254, 0x10, 0xf2, 0xf0]);
    const changed = decode(delta());
    assert.equal(changed.kind, "delta");
    assert.deepEqual([[...changed.index], [...changed.values], [...changed.status]], [[1], [99], [0x30]]);
  });

  it("is read from a view at any offset", () => {
    const shifted = new Uint8Array(1 + delta().byteLength);
    shifted.set(new Uint8Array(delta()), 1);
    assert.deepEqual([...decode(shifted.subarray(1)).index], [1]);
  });

  it("may be empty", () => {
    assert.equal(decode(encode({ index: [], values: [], status: [] })).count, 0);
  });

  for (const [what, bytes, says] of [
    ["nothing", new ArrayBuffer(0), /at least 28 bytes, this has 0/],
    ["a piece", key().slice(0, 27), /at least 28 bytes, this has 27/],
    ["a cut body", key().slice(0, -1), /3 devices has 34 bytes, this has 33/],
    ["too much", new Uint8Array([...new Uint8Array(key()), 0]), /3 devices has 34 bytes, this has 35/],
    ["text", new TextEncoder().encode("x".repeat(40)), /does not begin with GX/],
    ["another version", new Uint8Array(key()).with(2, 2), /version 2/],
    ["another kind", new Uint8Array(key()).with(3, 7), /kind 7/],
  ]) {
    it(`is not ${what}`, () => {
      assert.throws(() => decode(bytes), (error) => error instanceof FrameError && says.test(error.message));
    });
  }

  it("is never half read, whatever the bytes", () => {
    let seed = 7;
    const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    for (let i = 0; i < 2_000; i++) {
      const bytes = new Uint8Array(i % 2 ? delta() : key());
      for (let k = 0; k < 3; k++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      const zone = new Zone(3, DIGEST);
      try {
        zone.apply(decode(bytes));
      } catch (error) {
        assert.ok(error instanceof FrameError, String(error));
      }
      assert.equal(zone.values.length, 3);
    }
  });
});

describe("the zone", () => {
  const fresh = () => {
    const zone = new Zone(3, DIGEST);
    zone.apply(decode(key()));
    return zone;
  };

  it("knows nothing before the first frame", () => {
    const zone = new Zone(2, DIGEST);
    assert.deepEqual([zone.known(0), zone.band(0), zone.level(0), zone.seq], [false, 15, 0, 0]);
  });

  it("takes a key frame whatever came before, and says what changed", () => {
    const zone = new Zone(3, DIGEST);
    assert.deepEqual(zone.apply(decode(key())), [0, 1, 2]);
    assert.deepEqual(zone.apply(decode(key({ seq: 900 }))), []);
    assert.deepEqual([zone.seq, zone.band(0), zone.level(1), zone.known(2)], [900, 1, 2, false]);
  });

  it("takes the delta that follows", () => {
    const zone = fresh();
    assert.deepEqual(zone.apply(decode(delta())), [1]);
    assert.deepEqual([zone.values[1], zone.band(1), zone.seq], [99, 3, 2]);
    assert.deepEqual(zone.apply(decode(delta({ seq: 3 }))), [], "the same again changes nothing");
  });

  it("follows the sequence round its end", () => {
    const zone = new Zone(3, DIGEST);
    zone.apply(decode(key({ seq: 0xffffffff })));
    assert.deepEqual(zone.apply(decode(delta({ seq: 0 }))), [1]);
  });

  for (const [what, more] of [
    ["a delta is missing", { seq: 3 }],
    ["a delta comes twice", { seq: 1 }],
    ["the engine has restarted", { seq: 2, started: STARTED + 1 }],
  ]) {
    it(`reports a gap and changes nothing when ${what}`, () => {
      const zone = fresh();
      assert.equal(zone.apply(decode(delta(more))), "gap");
      assert.deepEqual([zone.values[1], zone.seq], [20, 1]);
    });
  }

  it("reports another registry", () => {
    assert.equal(fresh().apply(decode(key({ digest: 1 }))), "mismatch");
    assert.equal(fresh().apply(decode(delta({ digest: 1 }))), "mismatch");
    assert.equal(new Zone(4, DIGEST).apply(decode(key())), "mismatch");
  });

  it("refuses a delta for a device that there is not, whole", () => {
    const zone = fresh();
    assert.throws(() => zone.apply(decode(delta({ index: [0, 3], values: [1, 1], status: [0, 0] }))), /device 3 of 3/);
    assert.equal(zone.values[0], 10);
  });
});

describe("how a device looks", () => {
  const directory = {
    kinds: { "air-station": { bands: [{ colour: "#00E400" }, { colour: "#FFFF00" }] }, chiller: { bands: [] } },
    domains: { environment: { colour: "#58d68d" }, compute: { colour: "#ffb454" } },
  };
  const air = { kind: "air-station", domain: "environment" };

  it("is its band's colour, or its domain's where there is none", () => {
    assert.deepEqual(appearance(air, 100, 0x13, directory), { colour: "#FFFF00", band: 1, level: 3, known: true });
    assert.equal(appearance({ kind: "chiller", domain: "compute" }, 100, 0xf0, directory).colour, "#ffb454");
    assert.equal(appearance({ kind: "new", domain: "new" }, 100, 0xf0, directory).colour, GREY);
  });

  it("is grey when silent or never heard, and its alarm stays", () => {
    assert.deepEqual(appearance(air, 254, 0xf4, directory), { colour: GREY, band: -1, level: 4, known: false });
    assert.equal(appearance(air, 255, 0xf0, directory).colour, GREY);
  });

  it("depends on its key alone", () => {
    const seen = new Map();
    for (const value of [0, 1, 250, 254, 255]) {
      for (let status = 0; status < 256; status++) {
        const looks = JSON.stringify(appearance(air, value, status, directory));
        const before = seen.get(appearanceKey(value, status));
        assert.ok(before === undefined || before === looks);
        seen.set(appearanceKey(value, status), looks);
      }
    }
  });
});
