// The card under the pointer: what a device on the map is, and its exact values at the instant shown.
//
// It comes when a mouse has rested, and asks the server once; while time passes in a replay it shows what the frames know
// and asks nothing. Without a moving mouse there is no timer and no request: a display on a wall has nobody at it.

import { SHAPES } from "./appearance.mjs";
import { h } from "./element.mjs";
import { stateSaid, valueSaid } from "./exact.mjs";
import { NO_BAND } from "./frame.mjs";
import { unit, words } from "./words.mjs";

const REST_MS = 150;
const NEAR_PX = 18; // as far as a hand trembles: within it the card stays
const AGAIN_MS = 5_000; // between two questions about a device that goes on changing
const LEFT_MS = 60_000; // a mouse left lying on the map
const AWAY_REM = 1.1; // between the pointer and the card
const MANY = 6; // values in one column

/**
 * @param {HTMLElement} element the card
 * @param {{language: string, devices: object[], kinds: object, chosen?: () => number | null}} options `chosen`: the device whose
 *   panel is open, which needs no card
 */
export function createHover(element, options) {
  return new Hover(element, options);
}

/** Where a card of this size goes beside a pointer, so that it is all on the screen. */
export function besides({ x, y }, { width, height }, screen, away) {
  const beside = (at, size, room) => (at + away + size <= room ? at + away : Math.max(0, at - away - size));
  return [beside(x, width, screen.width), beside(y, height, screen.height)];
}

class Hover {
  index = null;
  #lens = null; // the map that the card is over, and how to look through it
  #at = { x: 0, y: 0 };
  #found = null; // the answer
  #asked = 0; // when
  #abort = null;
  #rest = 0;
  #left = 0;
  #clean = [];

  constructor(element, { language, devices, kinds, chosen = () => null }) {
    Object.assign(this, { element, language, devices, kinds, chosen });
    this.words = words(language);
  }

  /**
   * Show cards over a map from now on; returns what ends it.
   *
   * @param {HTMLElement} place
   * @param {{under: (x: number, y: number) => number | null, look: (index: number) => {known: boolean, band: number, level: number},
   *   moving: () => boolean, now: () => number, ask: (device: object, signal: AbortSignal) => Promise<object>}} lens
   */
  watch(place, lens) {
    const on = {
      pointermove: (event) => this.#move(event, lens),
      pointerleave: () => this.close(),
      pointerdown: () => this.close(),
      wheel: () => this.close(),
    };
    for (const [name, act] of Object.entries(on)) place.addEventListener(name, act, { passive: true });
    const undo = () => {
      for (const [name, act] of Object.entries(on)) place.removeEventListener(name, act);
      if (this.#lens === lens) this.close();
    };
    this.#clean.push(undo);
    return undo;
  }

  close() {
    clearTimeout(this.#rest);
    clearTimeout(this.#left);
    this.#abort?.abort();
    this.#abort = null;
    if (this.index === null) return;
    this.index = this.#lens = this.#found = null;
    this.element.hidden = true;
    this.element.replaceChildren();
  }

  destroy() {
    for (const undo of this.#clean) undo();
    this.close();
  }

  // ---------------------------------------------------------------- what the page tells

  /** Devices look otherwise now. */
  changed(indexes) {
    if (this.index === null || !indexes.includes(this.index)) return;
    this.#draw();
    if (!this.#lens.moving() && performance.now() - this.#asked >= AGAIN_MS) this.#ask();
  }

  /** Another instant is shown: the values are no longer of it. */
  stir() {
    if (this.index === null || (!this.#found && !this.#abort)) return;
    this.#abort?.abort();
    this.#abort = this.#found = null;
    this.#draw();
  }

  /** The instant shown stays. */
  settle() {
    if (this.index !== null) this.#ask();
  }

  /** A second has passed. */
  tick() {
    if (this.#found) this.state.textContent = this.#said();
  }

  // ---------------------------------------------------------------- the pointer

  #move({ pointerType, buttons, clientX: x, clientY: y, target }, lens) {
    if (pointerType !== "mouse" || buttons || !target.closest(".map-canvas")) return this.close();
    if (lens !== this.#lens || Math.hypot(x - this.#at.x, y - this.#at.y) > NEAR_PX) this.close();
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.#rested({ x, y }, lens), REST_MS);
    return undefined;
  }

  #rested(at, lens) {
    const index = lens.under(at.x, at.y);
    if (index === null || index === this.chosen()) return this.close();
    clearTimeout(this.#left);
    this.#left = setTimeout(() => this.close(), LEFT_MS);
    this.#at = at;
    if (index === this.index && lens === this.#lens) return this.#place();
    this.#abort?.abort();
    this.#abort = this.#found = null;
    this.index = index;
    this.#lens = lens;
    if (lens.moving()) this.#draw();
    else this.#ask();
    return undefined;
  }

  // ---------------------------------------------------------------- what the server knows

  async #ask() {
    this.#abort?.abort();
    const { signal } = (this.#abort = new AbortController());
    this.#asked = performance.now();
    if (!this.#found) this.#draw();
    try {
      const found = await this.#lens.ask(this.devices[this.index], signal);
      if (signal.aborted) return;
      this.#found = found;
    } catch (error) {
      if (signal.aborted) return;
      this.#found = { wrong: `${this.words.failed}: ${error.message}` };
    }
    this.#draw();
  }

  // ---------------------------------------------------------------- the card

  #draw() {
    const { words: w, devices, kinds, language } = this;
    const device = devices[this.index];
    const kind = kinds[device.kind];
    const { known, band, level } = this.#lens.look(this.index);
    const class_ = known && band !== NO_BAND ? kind?.bands?.[band] : undefined;
    this.band = class_;
    const alarm = h("span", { class: "hover-alarm", "data-tone-now": ["", "blue", "yellow", "orange", "red"][level] }, `${SHAPES[level]} ${w.alarmOf[level]}`);
    this.state = h("div", { class: "hover-state" }, this.#said());
    this.state.style.setProperty("--band", class_?.colour ?? "transparent");
    const value = (metric) => [
      h("span", { class: "hover-label" }, metric.label),
      h("b", {}, this.#found ? valueSaid(this.#found.observation, metric) : "…", h("small", {}, unit(metric.unit, language))),
    ];
    this.element.replaceChildren(
      h("div", { class: "hover-head" }, h("b", {}, device.name), level ? alarm : null),
      h("div", { class: "hover-kind" }, [kind?.label ?? device.kind, device.districtName].filter(Boolean).join(" · ")),
      this.state,
      this.#lens.moving() ? h("div", { class: "hover-hint" }, w.whenStill) : h("div", { class: `hover-values${device.metrics.length > MANY ? " hover-two" : ""}` }, device.metrics.map((m) => h("div", {}, value(m)))),
    );
    this.element.toggleAttribute("data-unknown", !known);
    this.element.hidden = false;
    this.#place();
  }

  #said() {
    const { words: w, language, band } = this;
    const found = this.#found;
    if (found?.wrong) return found.wrong;
    if (found) return stateSaid({ ...found, band: found.state === "known" ? band : undefined }, this.#lens.now(), w, language);
    return [this.#lens.look(this.index).known ? w.known : w.unknown, band?.label].filter(Boolean).join(" · ");
  }

  #place() {
    const { element } = this;
    const away = AWAY_REM * (parseFloat(getComputedStyle(document.documentElement).fontSize) || 16);
    const [left, top] = besides(this.#at, { width: element.offsetWidth, height: element.offsetHeight }, { width: innerWidth, height: innerHeight }, away);
    Object.assign(element.style, { left: `${left}px`, top: `${top}px` });
  }
}
