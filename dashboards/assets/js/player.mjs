// The replay's clock: where it stands, how fast it goes, and what it needs to show that. No page and no timer of its own.
//
// It shows one instant, `at`, on every track; a track is a zone that is played `offset` ms beside the clock, so that two
// days can be seen on one clock. The clock never runs ahead of what it can show: where a chunk is missing it waits at the
// last step before it, or, after a jump, says that its picture is not that of its time (`shown` is false).

export const SPEEDS = [0.5, 1, 2, 5, 10, 60, 120, 300, 600];
const OVERVIEW_SPEEDS = [3_600, 14_400];

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

// How finely a range is played: a month is an overview, to be zoomed into. Chunks begin at whole multiples of their length, and
// are so short that the server makes one for 10,000 devices too.
const LEVELS = [
  { upto: 26 * HOUR, step: SECOND, chunk: HOUR, views: MINUTE },
  { upto: 4 * DAY, step: MINUTE, chunk: 2 * HOUR, views: 10 * MINUTE },
  { upto: 10 * DAY, step: 10 * MINUTE, chunk: 8 * HOUR, views: HOUR },
  { upto: Infinity, step: HOUR, chunk: 12 * HOUR, views: 3 * HOUR },
];

export const LEAST = MINUTE; // the shortest range
export const MOST = 31 * DAY;

const GAP_MS = 1_000; // a page that was not drawn for longer does not leap
const AHEAD_MS = 12_000; // of real time, to be there before it is needed
const FARTHEST = 4; // chunks ahead
const STANDING_MS = 80; // a clock that is being dragged stands nowhere for so long

export const levelOf = (length) => LEVELS.find(({ upto }) => length <= upto);

export class Player {
  playing = false;
  loop = false;
  speed = 60;
  shown = false; // whether the picture is that of `at`
  waiting = ""; // "", "loading", or why a chunk cannot be read
  transitions = []; // times at which an alarm changed, ascending
  #last = null;
  #views = []; // what each track last told
  #jumped = true;
  #stands = { at: NaN, since: -Infinity, came: true }; // where the clock is, since when, and whether in one jump

  /**
   * @param {{chunks: object, tracks: {offset: number, zone: object}[], view: "then" | "now", from: number, to: number,
   *   at?: number, speed?: number, frame: (changed: number[], track: number) => void,
   *   told: (view: object | null, track: number) => void}} options
   */
  constructor({ chunks, tracks, view = "then", from, to, at = from, speed = 60, frame, told }) {
    Object.assign(this, { chunks, tracks, view, speed, frame, told });
    this.setRange(from, to);
    this.seek(at);
  }

  // ---------------------------------------------------------------- what a person does

  setRange(from, to) {
    this.from = from;
    this.to = Math.max(to, from + LEAST);
    this.level = levelOf(this.to - this.from);
    this.seek(this.at ?? from);
  }

  /** The nearest instant of the range that can be shown. */
  seek(at) {
    this.at = Math.min(Math.max(at, this.from), this.to - 1);
    this.shown = false;
    this.#jumped = true;
  }

  setView(view) {
    this.view = view;
    this.seek(this.at);
  }

  setTracks(tracks) {
    this.tracks = tracks;
    this.#views = [];
    this.seek(this.at);
  }

  play() {
    if (this.at >= this.to - this.level.step) this.seek(this.from);
    this.playing = true;
    this.#last = null;
  }

  pause() {
    this.playing = false;
  }

  /** The speeds that make sense for this range. */
  get speeds() {
    return this.level.step > SECOND ? [...SPEEDS, ...OVERVIEW_SPEEDS] : SPEEDS;
  }

  faster(steps) {
    const { speeds } = this;
    const here = speeds.findIndex((s) => s >= this.speed);
    this.speed = speeds[Math.min(Math.max((here < 0 ? speeds.length : here) + steps, 0), speeds.length - 1)];
  }

  /** To the next step (or the one before), on the steps themselves. */
  step(count) {
    const { step } = this.level;
    this.pause();
    this.seek((count > 0 ? Math.floor(this.at / step) : Math.ceil(this.at / step)) * step + count * step);
  }

  /** To the next change of an alarm, or the one before; false when there is none. */
  stepTransition(direction) {
    const found = direction > 0 ? this.transitions.find((t) => t > this.at) : this.transitions.findLast((t) => t < this.at);
    if (found === undefined || found < this.from || found >= this.to) return false;
    this.pause();
    this.seek(found);
    return true;
  }

  // ---------------------------------------------------------------- the clock

  /** Once for each picture of the screen; `now`: ms of a steady clock. */
  tick(now) {
    const passed = this.#last === null ? 0 : Math.min(now - this.#last, GAP_MS);
    this.#last = now;
    this.chunks.want(this.#needs(this.#standing(now)), this.at, now);
    if (this.playing && this.shown) this.#advance(passed * this.speed);
    this.#show();
  }

  /** Whether a person wants to see this very instant, and is not on the way to another. */
  #standing(now) {
    const rested = now - this.#stands.since >= STANDING_MS;
    if (this.at !== this.#stands.at) this.#stands = { at: this.at, since: now, came: rested };
    return rested || this.#stands.came;
  }

  #advance(by) {
    let at = this.at + by;
    if (at >= this.to) {
      if (!this.loop) {
        this.playing = false;
        at = this.to - 1;
      } else {
        return this.seek(this.from + ((at - this.from) % (this.to - this.from)));
      }
    }
    // To where all tracks have something to show, and no further
    for (const { offset } of this.tracks) {
      if (this.#frames(at, offset)) continue;
      at = Math.max(this.at, Math.min(at, this.#span("frames", at + offset).begin - offset - 1));
    }
    this.at = at;
    return undefined;
  }

  #show() {
    const found = this.tracks.map(({ offset }) => this.#frames(this.at, offset));
    this.waiting = this.#waiting(found);
    if (found.some((chunk) => chunk === null)) {
      this.shown = false;
      return;
    }
    found.forEach((chunk, i) => {
      const changed = this.tracks[i].zone.show(chunk, this.at + this.tracks[i].offset);
      if (changed === "mismatch") this.waiting = "registry";
      else if (changed.length || this.#jumped) this.frame(changed, i);
    });
    this.shown = this.waiting !== "registry";
    this.#jumped = false;
    this.tracks.forEach(({ offset }, i) => this.#tell(offset, i));
  }

  /** The last view at or before the clock; null where it is not there yet, which is not what was there before. */
  #tell(offset, i) {
    const instant = this.at + offset;
    const held = this.chunks.at(this.#span("views", instant), instant);
    const view = held?.findLast(({ at }) => at <= instant)?.view ?? null;
    if (this.#views[i] === view) return;
    this.#views[i] = view;
    this.told(view, i);
  }

  #waiting(found) {
    const ahead = this.at + (this.playing ? this.level.step : 0);
    for (const [i, { offset }] of this.tracks.entries()) {
      if (found[i] !== null && (ahead >= this.to || this.#frames(ahead, offset))) continue;
      return this.chunks.why(this.#span("frames", (found[i] ? ahead : this.at) + offset)) ?? "loading";
    }
    return "";
  }

  #frames(at, offset) {
    const instant = at + offset;
    return this.#chunk(at, offset) ?? this.chunks.at(this.#moment(instant), instant);
  }

  #chunk(at, offset) {
    return this.chunks.at(this.#span("frames", at + offset), at + offset);
  }

  /** One step alone: it is there sooner than the whole chunk around it. */
  #moment(instant) {
    const { step } = this.level;
    const begin = Math.floor(instant / step) * step;
    return { kind: "frames", view: this.view, begin, end: begin + step, step };
  }

  #span(kind, instant) {
    const { chunk, step, views } = this.level;
    const begin = Math.floor(instant / chunk) * chunk;
    return { kind, view: this.view, begin, end: begin + chunk, step: kind === "views" ? views : step };
  }

  /** The chunks to have, the most urgent first: the moment where it stands in the dark, here, where it goes, behind. */
  #needs(stands) {
    const { chunk } = this.level;
    const forward = this.playing ? Math.min(FARTHEST, Math.ceil((this.speed * AHEAD_MS) / chunk)) : 1;
    const steps = [0, ...Array.from({ length: forward }, (_, k) => k + 1), -1];
    const dark = stands ? this.tracks.filter(({ offset }) => !this.#chunk(this.at, offset)) : [];
    const wanted = dark.map(({ offset }) => ({ span: this.#moment(this.at + offset), until: this.at + offset, urgent: true }));
    for (const k of steps) {
      let at = this.at + k * chunk;
      if (at >= Math.ceil(this.to / chunk) * chunk) {
        if (!this.loop || !this.playing) continue;
        at = this.from + (at - this.to); // round to the beginning
      }
      if (at < Math.floor(this.from / chunk) * chunk) continue;
      for (const { offset } of this.tracks) {
        for (const kind of ["frames", "views"]) {
          const span = this.#span(kind, at + offset);
          wanted.push({ span, until: k ? span.begin : at + offset });
        }
      }
    }
    return wanted;
  }
}
