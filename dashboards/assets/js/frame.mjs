// The binary frame and the zone it keeps up to date: see twin/snapshot.py for the layout.
//
// A key frame has every device; a delta has the changed ones and applies only to the frame before it, of the same engine.

export const UNKNOWN = 254; // heard once, silent for too long now
export const NEVER = 255; // never heard
export const NO_BAND = 15;

const HEADER = 28;
const KEY = 0;
const DELTA = 1;

export class FrameError extends Error {
  name = "FrameError";
}

/**
 * @param {ArrayBuffer | ArrayBufferView} data
 * @returns {{kind: "key" | "delta", digest: number, seq: number, at: number, started: number, count: number,
 *   index: Uint32Array | null, values: Uint8Array, status: Uint8Array}} `at` UTC ms, `started` UTC seconds
 * @throws {FrameError} saying what is wrong with bytes that are no frame
 */
export function decode(data) {
  const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
  if (bytes.length < HEADER) throw new FrameError(`a frame has at least ${HEADER} bytes, this has ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [version, kind] = [bytes[2], bytes[3]];
  if (bytes[0] !== 0x47 || bytes[1] !== 0x58) throw new FrameError("not a frame: it does not begin with GX");
  if (version !== 1) throw new FrameError(`frame version ${version}, this page reads version 1`);
  if (kind !== KEY && kind !== DELTA) throw new FrameError(`frame kind ${kind} is neither key (0) nor delta (1)`);
  const count = view.getUint32(12, true);
  const wanted = HEADER + count * (kind === KEY ? 2 : 6);
  if (bytes.length !== wanted) throw new FrameError(`a frame of ${count} devices has ${wanted} bytes, this has ${bytes.length}`);

  let body = HEADER;
  let index = null;
  if (kind === DELTA) {
    index = new Uint32Array(count);
    for (let i = 0; i < count; i++, body += 4) index[i] = view.getUint32(body, true);
  }
  return {
    kind: kind === KEY ? "key" : "delta",
    digest: view.getUint32(4, true),
    seq: view.getUint32(8, true),
    at: view.getFloat64(16, true),
    started: view.getUint32(24, true),
    count,
    index,
    values: bytes.subarray(body, body + count),
    status: bytes.subarray(body + count, body + 2 * count),
  };
}

/** What every device shows now; a device's index is its position in the registry. */
export class Zone {
  seq = 0;
  at = 0; // of the newest frame, UTC ms
  started = 0;

  constructor(count, digest) {
    this.digest = digest;
    this.values = new Uint8Array(count).fill(NEVER);
    this.status = new Uint8Array(count).fill(NO_BAND << 4);
  }

  /**
   * @returns {number[] | "gap" | "mismatch"} the indexes that changed; `gap`: a frame is missing, ask for a key frame;
   *   `mismatch`: the frame is of another registry than this zone. Neither changes anything.
   * @throws {FrameError} when a delta names a device that there is not
   */
  apply(frame) {
    const n = this.values.length;
    if (frame.digest !== this.digest || (frame.kind === "key" && frame.count !== n)) return "mismatch";
    if (frame.kind === "delta") {
      if (frame.started !== this.started || frame.seq !== (this.seq + 1) >>> 0) return "gap";
      const beyond = frame.index.find((i) => i >= n);
      if (beyond !== undefined) throw new FrameError(`a delta names device ${beyond} of ${n}`);
    }
    const changed = [];
    for (let k = 0; k < frame.count; k++) {
      const i = frame.index === null ? k : frame.index[k];
      if (this.values[i] === frame.values[k] && this.status[i] === frame.status[k]) continue;
      this.values[i] = frame.values[k];
      this.status[i] = frame.status[k];
      changed.push(i);
    }
    this.seq = frame.seq;
    this.at = frame.at;
    this.started = frame.started;
    return changed;
  }

  /** Whether the device's last value still counts. */
  known(index) {
    return this.values[index] < UNKNOWN;
  }

  /** The ordinal class by the standard, 0 the best; NO_BAND where there is none. */
  band(index) {
    return this.status[index] >> 4;
  }

  /** 0 none, 1 blue, 2 yellow, 3 orange, 4 red. */
  level(index) {
    return this.status[index] & 15;
  }
}
