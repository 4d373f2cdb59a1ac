// What of the past the browser holds: chunks fetched before they are needed, within a bound of bytes.
//
// A span is { kind: "frames" | "views", view: "then" | "now", begin, end, step } in UTC ms and names its chunk. What nobody
// wants any more is not waited for, and of what is held the farthest from the playhead goes first.

const RETRY_MS = 3_000;
const AGAIN_MS = 5_000; // a chunk that the present cut short grows: it is asked for again

const nameOf = ({ kind, view, begin, end, step }) => `${kind} ${view} ${begin} ${end} ${step}`;

export class Chunks {
  bytes = 0;
  #held = new Map(); // name → { span, state: "loading" | "ready" | "failed", data, end, bytes, at, abort, why }

  /**
   * @param {(span: object, signal: AbortSignal) => Promise<{data: object, end: number, bytes: number}>} load `end`: until
   *   when the data reaches, which is before the span's own end where that lies in the future
   * @param {{most?: number, atATime?: number}} bounds bytes held, requests at a time
   */
  constructor(load, { most = 96e6, atATime = 3 } = {}) {
    Object.assign(this, { load, most, atATime });
  }

  /** The data that is there for an instant of a span, or null. */
  at(span, instant) {
    const held = this.#held.get(nameOf(span));
    return held?.data && instant < held.end ? held.data : null;
  }

  /** Why a span could not be read, or null. */
  why(span) {
    const held = this.#held.get(nameOf(span));
    return held?.state === "failed" ? held.why : null;
  }

  get loading() {
    return [...this.#held.values()].filter(({ state }) => state === "loading").length;
  }

  /**
   * Fetch what is missing, the first first; give up what is on its way and not wanted; stay within the bound.
   * @param {{span: object, until: number, urgent?: boolean}[]} wanted `until`: the last instant needed of it; `urgent`: they
   *   stand before the others, and no other is begun while one is on its way
   * @param {number} playhead UTC ms
   * @param {number} now ms of any steady clock
   */
  want(wanted, playhead, now) {
    const names = new Set(wanted.map(({ span }) => nameOf(span)));
    for (const [name, held] of this.#held) {
      if (held.state !== "loading" || names.has(name)) continue;
      held.abort.abort();
      if (held.data) held.state = "ready";
      else this.#held.delete(name);
    }
    let alone = false;
    for (const { span, until, urgent = false } of wanted) {
      if (!urgent && (alone || this.loading >= this.atATime)) break;
      if (this.#due(span, until, now)) this.#fetch(span, now);
      alone ||= urgent && this.#held.get(nameOf(span)).state === "loading";
    }
    this.#shrink(names, playhead);
  }

  clear() {
    for (const { abort } of this.#held.values()) abort?.abort();
    this.#held.clear();
    this.bytes = 0;
  }

  #due(span, until, now) {
    const held = this.#held.get(nameOf(span));
    if (!held) return true;
    if (held.state === "failed") return now - held.at >= RETRY_MS;
    return held.state === "ready" && held.end <= until && now - held.at >= AGAIN_MS;
  }

  #fetch(span, now) {
    const name = nameOf(span);
    const before = this.#held.get(name);
    const held = { span, state: "loading", data: null, end: 0, bytes: 0, why: "", ...before, at: now, abort: new AbortController() };
    held.state = "loading";
    this.#held.set(name, held);
    this.load(span, held.abort.signal).then(
      ({ data, end, bytes }) => {
        if (this.#held.get(name) !== held || held.abort.signal.aborted) return;
        this.bytes += bytes - held.bytes;
        Object.assign(held, { state: "ready", data, end, bytes });
      },
      (error) => {
        if (this.#held.get(name) !== held || held.abort.signal.aborted) return;
        Object.assign(held, { state: "failed", why: error.message });
      },
    );
  }

  #shrink(names, playhead) {
    if (this.bytes <= this.most) return;
    const far = ({ span }) => Math.max(span.begin - playhead, playhead - span.end);
    const loose = [...this.#held].filter(([name, { state }]) => state !== "loading" && !names.has(name));
    loose.sort(([, a], [, b]) => far(b) - far(a));
    for (const [name, held] of loose) {
      if (this.bytes <= this.most) break;
      this.bytes -= held.bytes;
      this.#held.delete(name);
    }
  }
}
