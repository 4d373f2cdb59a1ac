// The chart of a device's values with the levels of a rule drawn over it, each a line that can be dragged.
//
// ECharts draws the values; the lines are elements above it, so that a finger, a mouse and the arrow keys can take them, and
// moving one repaints nothing else.

import { init } from "../vendor/echarts.mjs";
import { option } from "./charts.mjs";
import { h } from "./element.mjs";
import { bounds, COLOURS, direction, extent, handles, left, LEVELS, moved, rounded, spread, stepOf } from "./rule.mjs";

const GRID = { left: 58, right: 92, top: 26, bottom: 26 };

export class LevelChart {
  #chart = null;
  #data = null;
  #term = null;
  #was = null;
  #limits = [-Infinity, Infinity];
  #extent = [0, 1];
  #dragged = null;

  /** `onMove(term)` while a line is dragged, `onDone()` when it is let go. */
  constructor(words, { onMove, onDone }) {
    this.words = words;
    this.onMove = onMove;
    this.onDone = onDone;
    this.canvas = h("div", { class: "levels-canvas" });
    this.lines = h("div", { class: "levels-lines" });
    this.empty = h("div", { class: "levels-empty" });
    this.unitLabel = h("span", { class: "levels-unit" });
    this.element = h("div", { class: "levels", "aria-label": words.values }, this.canvas, this.unitLabel, this.lines, this.empty);
    this.observer = new ResizeObserver(() => this.#draw());
    this.observer.observe(this.element);
  }

  destroy() {
    this.observer.disconnect();
    this.#chart?.dispose();
  }

  /** `data`: {at, values, begin, end, name} or null; `unit` as people read it; `limits` of the metric. */
  show(data, term, was, { unit, limits }) {
    this.#data = data;
    this.unitLabel.textContent = unit;
    this.#limits = limits;
    this.#extent = [0, 1];
    this.levels(term, was, true);
    this.#draw();
  }

  /** Other levels on the same values; `was`: the rule's in force, drawn thin where they differ. */
  levels(term, was, fit = false) {
    this.#term = term;
    this.#was = was;
    if (this.#dragged) return this.#place();
    const values = handles(term ?? {}).map((x) => x.value);
    const [low, high] = this.#extent;
    if (fit || values.some((v) => v < low || v > high)) this.#fit();
    this.#place();
  }

  #fit() {
    const thresholds = [this.#term, this.#was].flatMap((t) => (t ? handles(t).flatMap((x) => [x.value, left(t, x)]) : []));
    this.#extent = extent(this.#data?.values ?? [], thresholds, this.#limits);
    this.#draw();
  }

  get #step() {
    return stepOf(this.#extent[1] - this.#extent[0]);
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width || !height) return;
    const has = Boolean(this.#data?.at?.length);
    this.empty.textContent = has || this.#data === null ? "" : this.words.noValues;
    this.#chart ??= init(this.canvas, null, { renderer: "canvas", width, height });
    this.#chart.resize({ width, height });
    const { at = [], values = [], begin, end, name = "" } = this.#data ?? {};
    const made = option({ kind: "line", series: [{ name, at, values, colour: "#9fd8f5" }], from: begin, to: end, legend: false }, 16);
    made.grid = GRID;
    made.yAxis = { ...made.yAxis, scale: false, min: this.#extent[0], max: this.#extent[1] };
    made.yAxis.axisLabel = { ...made.yAxis.axisLabel, showMinLabel: false, showMaxLabel: false, formatter: (v) => String(rounded(v, this.#step / 10)) };
    made.series[0].areaStyle = undefined;
    made.series[0].lineStyle = { width: 1.4, color: "#9fd8f5" };
    this.#chart.setOption(made, { notMerge: true });
    this.#place();
  }

  #y(value) {
    const [low, high] = this.#extent;
    const room = this.element.clientHeight - GRID.top - GRID.bottom;
    return GRID.top + ((high - value) / (high - low)) * room;
  }

  #value(y) {
    const [low, high] = this.#extent;
    const room = this.element.clientHeight - GRID.top - GRID.bottom;
    return high - ((y - GRID.top) / room) * (high - low);
  }

  /** Put the lines where their values are; those that stay are the same elements, so that a drag goes on. */
  #place() {
    const wanted = this.#term ? handles(this.#term) : [];
    const held = new Map([...this.lines.querySelectorAll(".levels-line")].map((e) => [e.dataset.handle, e]));
    const kept = [];
    for (const handle of wanted) {
      const key = `${handle.level}${handle.side ?? ""}`;
      const line = held.get(key) ?? this.#line(handle, key);
      this.#at(line, handle);
      kept.push(line);
    }
    const off = spread(wanted.map((x) => this.#y(x.value)), 25);
    kept.forEach((line, i) => line.style.setProperty("--off", `${off[i]}px`));
    const ghosts = (this.#was ? handles(this.#was) : []).filter((w) => !wanted.some((x) => x.level === w.level && x.side === w.side && x.value === w.value));
    const old = ghosts.map((w) => {
      const ghost = h("div", { class: `levels-was level-${w.level}`, title: `${this.words.oldRule} ${w.value}` });
      ghost.style.top = `${this.#y(w.value)}px`;
      return ghost;
    });
    const same = kept.length === held.size && kept.every((e) => held.has(e.dataset.handle));
    if (same) for (const ghost of this.lines.querySelectorAll(".levels-was")) ghost.remove();
    else this.lines.replaceChildren(...kept);
    this.lines.prepend(...old);
  }

  #line(handle, key) {
    const band = h("div", { class: "levels-band" });
    const label = h("span", { class: "levels-label" });
    const at = LEVELS.indexOf(handle.level);
    const line = h(
      "div",
      {
        class: `levels-line level-${handle.level}`,
        role: "slider",
        tabindex: 0,
        "data-handle": key,
        "aria-label": `${this.words.levels[at]}${handle.side === null ? "" : ` ${handle.side ? this.words.high : this.words.low}`}`,
        "aria-orientation": "vertical",
      },
      band,
      label,
    );
    line.style.setProperty("--level", COLOURS[at]);
    line.addEventListener("pointerdown", (event) => this.#take(event, line, handle));
    line.addEventListener("keydown", (event) => this.#key(event, handle));
    return line;
  }

  #at(line, handle) {
    const y = this.#y(handle.value);
    const edge = this.#y(left(this.#term, handle));
    line.style.top = `${y}px`;
    const band = line.querySelector(".levels-band");
    band.style.top = `${Math.min(edge - y, 0)}px`;
    band.style.height = `${Math.abs(edge - y)}px`;
    line.classList.toggle("levels-down", direction(this.#term, handle.side) < 0);
    line.querySelector(".levels-label").textContent = `${this.words.levels[LEVELS.indexOf(handle.level)]} ${handle.value}`;
    line.setAttribute("aria-valuenow", handle.value);
  }

  #take(event, line, handle) {
    if (event.button) return;
    event.preventDefault();
    line.focus({ preventScroll: true });
    line.setPointerCapture(event.pointerId);
    this.#dragged = handle;
    line.classList.add("levels-held");
    const top = this.element.getBoundingClientRect().top;
    // A page may be zoomed by its style: what is on the screen is not what is in the layout
    const zoom = this.element.getBoundingClientRect().height / this.element.clientHeight || 1;
    const off = (event.clientY - top) / zoom - this.#y(this.#now(handle));
    const move = (e) => this.#drag(handle, this.#value((e.clientY - top) / zoom - off));
    const done = () => {
      line.removeEventListener("pointermove", move);
      line.classList.remove("levels-held");
      this.#dragged = null;
      this.#fit();
      this.onDone();
    };
    line.addEventListener("pointermove", move);
    line.addEventListener("pointerup", done, { once: true });
    line.addEventListener("pointercancel", done, { once: true });
  }

  #now({ level, side }) {
    return side === null ? this.#term[level] : this.#term[level][side];
  }

  #drag(handle, value) {
    const [least, most] = bounds(this.#term, handle, this.#limits, this.#step);
    const [low, high] = this.#extent;
    const wanted = rounded(Math.min(Math.max(value, low), high), this.#step);
    const put = least > most ? this.#now(handle) : Math.min(Math.max(wanted, least), most);
    if (put === this.#now(handle)) return;
    this.#term = moved(this.#term, handle, Number(put.toPrecision(10)));
    this.#place();
    this.onMove(this.#term);
  }

  #key(event, handle) {
    const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!steps) return;
    event.preventDefault();
    this.#drag(handle, this.#now(handle) + steps * this.#step);
    this.onDone();
  }
}
