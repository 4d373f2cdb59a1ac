// The time line of a replay: what happened over the range, and the playhead in it. Drawn on a canvas, only when it changed.
//
//   drag                scrub                     wheel            zoom about the pointer
//   drag an end grip    a shorter range           shift + wheel    earlier, later
//   shift + drag        the range to look at      click a tick     to that change of an alarm
//
// From above: alarms open by level (stacked), changes of alarms as ticks; facts of scenarios as bars, incidents as frames
// about them; readings by domain
// (dark where there are none, hatched where devices were silent); hours and days. Upright and dashed: a new rule version.

import { GREY, LEVEL_COLOURS } from "./appearance.mjs";
import { dayOf, hourOf, midnight, said } from "./moments.mjs";
import { LEAST } from "./player.mjs";
import { words } from "./words.mjs";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const LABELS = [MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY];
const LABEL_REM = 5.5; // room for one label
const GRIP_REM = 0.7;
const TICK_REM = 0.5; // how near a click must be to a tick

export const PLAYHEAD = "#d59bff";
const INK = "#a9c0d6";
const FAINT = "rgba(125,165,205,0.18)";

// ---------------------------------------------------------------- times and places: pure

export const placeOf = (at, { from, to }, width) => ((at - from) / (to - from)) * width;
export const timeOf = (x, { from, to }, width) => from + (x / width) * (to - from);

/** Where labels stand: on whole hours or days of the zone's own time, as close as they can be read. */
export function labels({ from, to }, most) {
  const step = LABELS.find((s) => (to - from) / s <= most) ?? LABELS.at(-1);
  const first = midnight(from);
  const found = [];
  for (let at = first + Math.ceil((from - first) / step) * step; at < to; at += step) {
    const day = midnight(at) === at;
    found.push({ at, day, text: day ? dayOf(at) : hourOf(at) });
  }
  return found;
}

/** A range zoomed about an instant, which keeps its place. */
export function zoomed({ from, to }, about, factor) {
  return [about - (about - from) * factor, about + (to - about) * factor];
}

// ---------------------------------------------------------------- the canvas

export function createTimeline(element, options) {
  return new Timeline(element, options);
}

class Timeline {
  #drawn = "";
  #drag = null; // { what: "scrub" | "from" | "to" | "range", at, resume }
  #clean = [];

  constructor(element, { language, replay }) {
    Object.assign(this, { element, replay, player: replay.player, words: words(language), language });
    this.canvas = element.appendChild(document.createElement("canvas"));
    this.tip = element.appendChild(document.createElement("div"));
    this.tip.className = "replay-tip";
    this.tip.hidden = true;
    this.#on("pointerdown", (event) => this.#down(event));
    this.#on("pointermove", (event) => this.#move(event));
    this.#on("pointerup", (event) => this.#up(event));
    this.#on("pointercancel", (event) => this.#up(event));
    this.#on("pointerleave", () => (this.tip.hidden = true));
    this.#on("wheel", (event) => this.#wheel(event), { passive: false });
    this.observer = new ResizeObserver(() => (this.#drawn = ""));
    this.observer.observe(element);
  }

  destroy() {
    this.observer.disconnect();
    for (const undo of this.#clean) undo();
    this.element.replaceChildren();
  }

  get #rem() {
    return parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
  }

  /** Once for each picture of the screen; nothing is done while nothing changed. */
  draw() {
    const { player, replay } = this;
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height) return;
    const x = Math.round(placeOf(player.at, player, width) * 2);
    const marked = this.#drag && this.#drag.what !== "scrub" ? this.#drag.at : 0;
    const wanted = [x, marked, player.from, player.to, player.shown, width, height, replay.timeline?.version].join();
    if (wanted === this.#drawn) return;
    this.#drawn = wanted;
    const ratio = devicePixelRatio;
    const ground = this.#ground(width, height, ratio);
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    const pen = this.canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, w, h);
    pen.drawImage(ground, 0, 0);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#playhead(pen, width, height);
  }

  #painted = { name: "", canvas: null };

  /** All but the playhead, which alone moves while playing. */
  #ground(width, height, ratio) {
    const { player, replay } = this;
    const name = [width, height, ratio, player.from, player.to, replay.timeline?.version].join();
    if (this.#painted.name === name) return this.#painted.canvas;
    const canvas = this.#painted.canvas ?? document.createElement("canvas");
    Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    new Ground(pen, width, height, this.#rem, player, replay.timeline, replay.directory.domains, this.words).draw();
    this.#painted = { name, canvas };
    return canvas;
  }

  #playhead(pen, width, height) {
    const rem = this.#rem;
    const { player } = this;
    const x = placeOf(player.at, player, width);
    if (this.#drag && ["from", "to", "range"].includes(this.#drag.what)) {
      const [a, b] = this.#chosen().map((at) => placeOf(at, player, width));
      pen.fillStyle = "rgba(213,155,255,0.18)";
      pen.fillRect(a, 0, b - a, height);
    }
    pen.fillStyle = PLAYHEAD;
    pen.fillRect(x - 0.07 * rem, 0, 0.14 * rem, height);
    pen.beginPath();
    pen.moveTo(x - 0.5 * rem, 0);
    pen.lineTo(x + 0.5 * rem, 0);
    pen.lineTo(x, 0.7 * rem);
    pen.fill();
  }

  // ---------------------------------------------------------------- the pointer

  #down(event) {
    if (event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    const { x, at } = this.#where(event);
    const grip = GRIP_REM * this.#rem;
    const what = event.shiftKey ? "range" : x < grip ? "from" : x > this.element.clientWidth - grip ? "to" : "scrub";
    const tick = what === "scrub" ? this.#tickAt(x) : undefined;
    this.#drag = { what, began: at, at, resume: this.player.playing, tick };
    if (what === "scrub") {
      this.player.pause();
      this.player.seek(tick ?? at);
    }
  }

  #move(event) {
    const { x, at } = this.#where(event);
    this.#hint(x, at);
    if (!this.#drag) return;
    this.#drag.at = at;
    // a hand that only trembles on a tick stays on it
    const still = this.#drag.tick !== undefined && Math.abs(placeOf(this.#drag.began, this.player, this.element.clientWidth) - x) < 4;
    if (this.#drag.what === "scrub" && !still) this.player.seek(at);
  }

  #up() {
    const drag = this.#drag;
    if (!drag) return;
    const [from, to] = drag.what === "scrub" ? [0, 0] : this.#chosen();
    this.#drag = null;
    this.#drawn = "";
    if (drag.what === "scrub") {
      if (drag.resume) this.player.play();
    } else if (to - from >= LEAST) this.replay.setRange(from, to);
  }

  #chosen() {
    const { what, began, at } = this.#drag;
    const { from, to } = this.player;
    if (what === "from") return [at, to];
    if (what === "to") return [from, at];
    return [Math.min(began, at), Math.max(began, at)];
  }

  #wheel(event) {
    event.preventDefault();
    const { from, to } = this.player;
    const { at } = this.#where(event);
    const turn = event.deltaY || event.deltaX;
    if (event.shiftKey || !event.deltaY) {
      const by = Math.sign(turn) * (to - from) * 0.1;
      return this.replay.setRange(from + by, to + by);
    }
    return this.replay.setRange(...zoomed(this.player, at, turn > 0 ? 1.25 : 0.8));
  }

  #where(event) {
    const x = event.clientX - this.element.getBoundingClientRect().left;
    const { from, to } = this.player;
    return { x, at: Math.min(Math.max(timeOf(x, this.player, this.element.clientWidth), from), to - 1) };
  }

  #tickAt(x) {
    const near = TICK_REM * this.#rem;
    const width = this.element.clientWidth;
    const found = this.player.transitions.map((at) => ({ at, far: Math.abs(placeOf(at, this.player, width) - x) }));
    return found.filter(({ far }) => far <= near).sort((a, b) => a.far - b.far)[0]?.at;
  }

  #hint(x, at) {
    const fact = this.replay.timeline?.facts.find(({ began, ended }) => began <= at && at < ended);
    const named = this.replay.timeline?.incidents.find(({ begin, end }) => begin <= at && at < end);
    this.tip.textContent = [said(at), fact && `${fact.scenario} ${fact.what}`, named?.title].filter(Boolean).join("  ·  ");
    this.tip.hidden = false;
    const width = this.element.clientWidth;
    const room = this.tip.offsetWidth / 2;
    this.tip.style.left = `${Math.min(Math.max(x, room), width - room)}px`;
  }

  #on(event, handler, options) {
    this.element.addEventListener(event, handler, options);
    this.#clean.push(() => this.element.removeEventListener(event, handler, options));
  }
}

// ---------------------------------------------------------------- what stands still

class Ground {
  constructor(pen, width, height, rem, range, told, domains, w) {
    Object.assign(this, { pen, width, height, rem, range, told, domains, words: w });
    const label = 1.3 * rem;
    const strip = 0.46 * rem;
    this.bottom = height - label;
    this.strips = this.bottom - Object.keys(domains).length * strip;
    this.strip = strip;
    this.bars = this.strips - 1.15 * rem;
  }

  draw() {
    this.#scale();
    if (this.told) {
      this.#density();
      this.#alarms();
      this.#gateways();
      this.#facts();
      this.#incidents();
      this.#versions();
      this.#ticks();
    }
    this.#grips();
  }

  x(at) {
    return placeOf(at, this.range, this.width);
  }

  /** A stretch of time as [x, width], within the canvas. */
  #stretch(from, to) {
    const a = Math.max(this.x(from), 0);
    return [a, Math.max(Math.min(this.x(to), this.width) - a, 0)];
  }

  #scale() {
    const { pen, rem, width, height } = this;
    pen.font = `${0.85 * rem}px "Noto Sans CJK SC","Source Han Sans SC",sans-serif`;
    pen.textBaseline = "alphabetic";
    for (const { at, day, text } of labels(this.range, width / (LABEL_REM * rem))) {
      const x = this.x(at);
      pen.fillStyle = day ? "rgba(169,192,214,0.5)" : FAINT;
      pen.fillRect(x, 0, 1, this.bottom);
      pen.fillStyle = INK;
      pen.font = pen.font.replace(/^(?:bold )?/, day ? "bold " : "");
      pen.fillText(text, Math.min(x + 0.25 * rem, width - 3 * rem), height - 0.3 * rem);
    }
  }

  /** As bright as there are readings against the fullest bucket; a dark bucket is a gap. Hatched: silent devices. */
  #density() {
    const { pen, told } = this;
    Object.entries(this.domains).forEach(([domain, { colour }], row) => {
      const counts = told.density[domain] ?? [];
      const silent = told.unknown[domain] ?? [];
      const most = Math.max(...counts, 1);
      const fewest = Math.min(...silent);
      const worst = Math.max(...silent, 1);
      const y = this.strips + row * this.strip;
      counts.forEach((count, k) => {
        const [x, w] = this.#stretch(told.at[k], told.at[k] + told.width);
        pen.fillStyle = count ? colour : "#02050a";
        pen.globalAlpha = count ? 0.15 + 0.6 * (count / most) : 1;
        pen.fillRect(x, y, w + 0.5, this.strip - 1);
        if (silent[k] > fewest) {
          pen.fillStyle = GREY;
          pen.globalAlpha = 0.85;
          const share = Math.max(0.15, (silent[k] - fewest) / worst);
          pen.fillRect(x, y, w + 0.5, (this.strip - 1) * share);
        }
        pen.globalAlpha = 1;
      });
    });
  }

  #alarms() {
    const { pen, told } = this;
    const totals = told.alarms.map((levels) => levels.reduce((a, b) => a + b, 0));
    // by the root, so that an hour of fifty does not flatten the hours of three
    const most = Math.sqrt(Math.max(...totals, 4));
    const room = this.bars - 0.9 * this.rem;
    told.alarms.forEach((levels, k) => {
      const [x, w] = this.#stretch(told.at[k], told.at[k] + told.width);
      let y = this.bars;
      // the worst at the bottom, where heights can be compared
      for (const level of [4, 3, 2, 1]) {
        const high = totals[k] ? (levels[level - 1] / totals[k]) * (Math.sqrt(totals[k]) / most) * room : 0;
        pen.fillStyle = LEVEL_COLOURS[level];
        pen.globalAlpha = 0.6;
        pen.fillRect(x, y - high, w + 0.5, high);
        y -= high;
      }
    });
    pen.globalAlpha = 1;
  }

  #gateways() {
    const { pen, told } = this;
    for (const { begin, end } of told.gateways) {
      const [x, w] = this.#stretch(begin, end ?? told.end);
      pen.fillStyle = "rgba(133,146,161,0.35)";
      pen.fillRect(x, this.strips - 0.2 * this.rem, w, 0.2 * this.rem);
    }
  }

  /** A run of a scenario as one bar, its facts within it; its name where there is room after the one before. */
  #facts() {
    const { pen, told, rem } = this;
    const [y, high] = [this.bars + 0.1 * rem, 0.95 * rem];
    let taken = 0;
    for (const facts of Map.groupBy(told.facts, ({ run }) => run).values()) {
      const began = Math.min(...facts.map((f) => f.began));
      const [x, w] = this.#stretch(began, Math.max(...facts.map((f) => f.ended)));
      pen.fillStyle = "rgba(255,255,255,0.12)";
      pen.fillRect(x, y, w, high);
      for (const fact of facts) {
        const [from, long] = this.#stretch(fact.began, fact.ended);
        pen.fillStyle = LEVEL_COLOURS[fact.level] ?? GREY;
        pen.globalAlpha = 0.4;
        pen.fillRect(from, y, long, high);
      }
      pen.globalAlpha = 1;
      if (x < taken) continue;
      pen.fillStyle = "#fff";
      pen.fillText(facts[0].scenario, x + 0.25 * rem, y + 0.78 * rem);
      taken = x + 2.4 * rem;
    }
  }

  #incidents() {
    const { pen, told, rem } = this;
    for (const { begin, end, level, title } of told.incidents) {
      const [x, w] = this.#stretch(begin, end);
      pen.strokeStyle = LEVEL_COLOURS[level] ?? GREY;
      pen.lineWidth = 0.12 * rem;
      pen.strokeRect(x, this.bars + 0.06 * rem, w, 1.03 * rem);
      pen.lineWidth = 1;
      if (w < 9 * rem) continue;
      pen.fillStyle = "#fff";
      pen.textAlign = "right";
      pen.fillText(title, x + w - 0.4 * rem, this.bars + 0.88 * rem, w - 4 * rem);
      pen.textAlign = "left";
    }
  }

  #versions() {
    const { pen, told, rem } = this;
    pen.strokeStyle = "#8fe3ff";
    pen.setLineDash([0.25 * rem, 0.2 * rem]);
    for (const { at, version } of told.versions) {
      if (at < this.range.from || at >= this.range.to) continue;
      const x = this.x(at);
      pen.beginPath();
      pen.moveTo(x, 0.9 * rem);
      pen.lineTo(x, this.bottom);
      pen.stroke();
      pen.fillStyle = "#8fe3ff";
      pen.fillText(`${this.words.rules} ${version}`, Math.min(x + 0.3 * rem, this.width - 4 * rem), 1.5 * rem);
    }
    pen.setLineDash([]);
  }

  #ticks() {
    const { pen, told, rem } = this;
    for (const [at, { level, was, kind }] of told.transitions) {
      const x = this.x(at);
      pen.fillStyle = kind === "cleared" ? "#35d39a" : (LEVEL_COLOURS[Math.max(level, was)] ?? GREY);
      pen.fillRect(x - 0.06 * rem, this.bars - 0.55 * rem, 0.12 * rem, 0.55 * rem);
    }
  }

  #grips() {
    const { pen, rem, width } = this;
    pen.fillStyle = "rgba(213,155,255,0.5)";
    for (const x of [0, width - 0.28 * rem]) pen.fillRect(x, 0, 0.28 * rem, this.bottom);
  }
}
