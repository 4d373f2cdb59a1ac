// A chunk of the past and the zone played from it: see twin/replay.py for the layout.
//
// A chunk is the frame at its begin and what changes at each step after. The arrays are views of the bytes as they came:
// nothing is copied. Going forward applies changes; going back begins again at the key, which a chunk has once an hour.

import { FrameError, NEVER, NO_BAND } from "./frame.mjs";

const HEADER = 32;
const VIEWS = ["then", "now"];

/**
 * @param {ArrayBuffer} data
 * @returns {{view: "then" | "now", digest: number, count: number, steps: number, step: number, begin: number, end: number,
 *   offsets: Uint32Array, device: Uint32Array, keyValues: Uint8Array, keyStatus: Uint8Array, values: Uint8Array,
 *   status: Uint8Array, bytes: number}} `step` ms; `begin` and `end` (exclusive) UTC ms
 * @throws {FrameError} saying what is wrong with bytes that are no chunk
 */
export function decodeChunk(data) {
  if (data.byteLength < HEADER) throw new FrameError(`a chunk has at least ${HEADER} bytes, this has ${data.byteLength}`);
  const head = new DataView(data, 0, HEADER);
  if (head.getUint8(0) !== 0x47 || head.getUint8(1) !== 0x52) throw new FrameError("not a chunk: it does not begin with GR");
  if (head.getUint8(2) !== 1) throw new FrameError(`chunk version ${head.getUint8(2)}, this page reads version 1`);
  const view = VIEWS[head.getUint8(3)];
  if (view === undefined) throw new FrameError(`view ${head.getUint8(3)} is neither then (0) nor now (1)`);
  const [digest, count, steps, changes, step] = [4, 8, 12, 16, 20].map((at) => head.getUint32(at, true));
  const wanted = HEADER + 4 * (steps + 1) + 2 * count + 6 * changes;
  if (data.byteLength !== wanted) {
    throw new FrameError(
      `a chunk of ${count} devices, ${steps} steps and ${changes} changes has ${wanted} bytes, this has ${data.byteLength}`,
    );
  }
  let at = HEADER;
  const part = (Type, n) => {
    const found = new Type(data, at, n);
    at += found.byteLength;
    return found;
  };
  const offsets = part(Uint32Array, steps + 1);
  const device = part(Uint32Array, changes);
  const [keyValues, keyStatus] = [part(Uint8Array, count), part(Uint8Array, count)];
  const [values, status] = [part(Uint8Array, changes), part(Uint8Array, changes)];
  if (offsets[0] !== 0 || offsets[1] !== 0 || offsets[steps] !== changes || offsets.some((o, k) => k && o < offsets[k - 1])) {
    throw new FrameError("the chunk's offsets do not rise from 0 to its changes");
  }
  const beyond = device.find((i) => i >= count);
  if (beyond !== undefined) throw new FrameError(`a change names device ${beyond} of ${count}`);
  const begin = head.getFloat64(24, true);
  const end = begin + steps * step;
  return { view, digest, count, steps, step, begin, end, offsets, device, keyValues, keyStatus, values, status, bytes: wanted };
}

/** The zone at a step of a chunk: the same readings as frame.mjs's Zone, played instead of received. */
export class PlayedZone {
  chunk = null;
  k = -1;

  constructor(count, digest) {
    this.digest = digest;
    this.values = new Uint8Array(count).fill(NEVER);
    this.status = new Uint8Array(count).fill(NO_BAND << 4);
    this._seen = new Uint32Array(count); // the last call that marked a device as changed
    this._call = 0;
  }

  /** When this is, UTC ms; 0 before the first `show`. */
  get at() {
    return this.chunk === null ? 0 : this.chunk.begin + this.k * this.chunk.step;
  }

  /**
   * Show the last step at or before a time, which must lie within the chunk (else its nearest step is shown).
   * @returns {number[] | "mismatch"} the indexes that may have changed; `mismatch`: the chunk is of another registry
   */
  show(chunk, at) {
    if (chunk.digest !== this.digest || chunk.count !== this.values.length) return "mismatch";
    const k = Math.min(Math.max(Math.floor((at - chunk.begin) / chunk.step), 0), chunk.steps - 1);
    const changed = [];
    this._call++;
    let from = 0;
    if (chunk === this.chunk && k >= this.k) from = chunk.offsets[this.k + 1];
    else this._restart(chunk, changed);
    this._apply(chunk, from, chunk.offsets[k + 1], changed);
    this.chunk = chunk;
    this.k = k;
    return changed;
  }

  _restart({ keyValues, keyStatus }, changed) {
    for (let i = 0; i < keyValues.length; i++) this._set(i, keyValues[i], keyStatus[i], changed);
  }

  _apply({ device, values, status }, from, to, changed) {
    for (let c = from; c < to; c++) this._set(device[c], values[c], status[c], changed);
  }

  _set(i, value, status, changed) {
    if (this.values[i] === value && this.status[i] === status) return;
    this.values[i] = value;
    this.status[i] = status;
    if (this._seen[i] === this._call) return;
    this._seen[i] = this._call;
    changed.push(i);
  }

  known(index) {
    return this.values[index] < 254;
  }

  band(index) {
    return this.status[index] >> 4;
  }

  level(index) {
    return this.status[index] & 15;
  }
}
