// The panel of one device: what it is, its exact last values, and a day of one metric.

import { MISSING } from "./bind.mjs";
import { dispose, draw } from "./charts.mjs";
import { stateSaid, valueSaid } from "./exact.mjs";
import { unit, words } from "./words.mjs";

const REFRESH_MS = 10_000;
const DAY_MS = 86_400_000;

/**
 * @param {HTMLElement} element the panel, hidden while no device is chosen
 * @param {{language: string, devices: object[], kinds: object, onClose?: () => void,
 *   ask: {device: (device: object) => Promise<object>, history: (device: object, metric: string) => Promise<object>}}} options
 */
export function createDetail(element, options) {
  return new Detail(element, options);
}

class Detail {
  index = null;
  #metric = null;
  #timer = null;
  #asked = 0; // numbers the requests: an answer for a device that is no longer shown is dropped

  constructor(element, { language, devices, kinds, ask, onClose = () => {} }) {
    Object.assign(this, { element, language, devices, kinds, ask, onClose });
    this.words = words(language);
    this.keydown = (event) => {
      if (event.key !== "Escape" || this.index === null || event.defaultPrevented) return;
      event.preventDefault(); // it was for this panel
      this.close();
    };
    document.addEventListener("keydown", this.keydown);
  }

  open(index) {
    if (this.index === index) return;
    this.index = index;
    const device = this.devices[index];
    this.#metric = device.headline;
    this.#frame(device);
    this.element.hidden = false;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.refresh(), REFRESH_MS);
    this.refresh();
  }

  close() {
    if (this.index === null) return;
    this.index = null;
    clearInterval(this.#timer);
    this.#asked++;
    this.#clear();
    this.element.hidden = true;
    this.onClose();
  }

  destroy() {
    this.close();
    document.removeEventListener("keydown", this.keydown);
  }

  // ---------------------------------------------------------------- the panel's own elements

  #frame(device) {
    this.#clear();
    const head = add(this.element, "header", "detail-head");
    const names = add(head, "div", "detail-names");
    add(names, "h2", "detail-name", device.name);
    const kind = this.kinds[device.kind]?.label ?? device.kind;
    add(names, "p", "detail-kind", [kind, device.districtName].filter(Boolean).join(" · "));
    const close = add(head, "button", "detail-close", "✕");
    close.type = "button";
    close.setAttribute("aria-label", this.words.close);
    close.addEventListener("click", () => this.close());

    this.state = add(this.element, "div", "detail-state", this.words.loading);
    this.values = add(this.element, "div", "detail-values");
    this.cells = new Map();
    for (const metric of device.metrics) {
      const button = add(this.values, "button", "detail-metric");
      button.type = "button";
      add(button, "span", "detail-label", metric.label);
      this.cells.set(metric.name, { button, metric, value: add(button, "span", "detail-value", MISSING) });
      add(button, "span", "detail-unit", unit(metric.unit, this.language));
      button.addEventListener("click", () => this.#choose(metric.name));
    }
    this.#mark();
    this.title = add(this.element, "div", "detail-title");
    this.chart = add(this.element, "div", "detail-chart chart");
    add(this.element, "footer", "detail-foot", [device.id, this.words.period.replace("{n}", device.periodS)].join(" · "));
  }

  #clear() {
    if (this.chart) dispose(this.chart);
    this.chart = null;
    this.element.replaceChildren();
  }

  #choose(name) {
    this.#metric = name;
    this.#mark();
    this.#history(++this.#asked);
  }

  #mark() {
    for (const [name, { button }] of this.cells) button.setAttribute("aria-pressed", String(name === this.#metric));
  }

  // ---------------------------------------------------------------- what the server knows

  /** Ask again, if a device is shown. */
  refresh() {
    if (this.index === null) return;
    const asked = ++this.#asked;
    this.#now(asked);
    this.#history(asked);
  }

  async #now(asked) {
    try {
      const found = await this.ask.device(this.devices[this.index]);
      if (asked === this.#asked || this.#same(found.device?.id)) this.#showValues(found);
    } catch (error) {
      if (asked === this.#asked) this.#say(`${this.words.failed}: ${error.message}`, "bad");
    }
  }

  #same(id) {
    return this.index !== null && this.devices[this.index].id === id;
  }

  #showValues(found) {
    const { observation, state, band } = found;
    this.#say(stateSaid(found, found.now ?? Date.now(), this.words, this.language), state === "known" ? "" : "none", band?.colour);
    for (const { value, metric } of this.cells.values()) value.textContent = valueSaid(observation, metric);
    this.element.toggleAttribute("data-unknown", state !== "known");
  }

  async #history(asked) {
    const metric = this.#metric;
    const device = this.devices[this.index];
    const { label, unit: code } = device.metrics.find((m) => m.name === metric);
    let title = `${label} · ${this.words.last24}`;
    try {
      const found = await this.ask.history(device, metric);
      if (found.mark) title = `${label} · ${this.words.around24}`;
      if (asked !== this.#asked || !this.chart) return;
      const empty = !found.mean.some(Number.isFinite);
      this.title.textContent = empty ? `${title} · ${this.words.noHistory}` : title;
      const to = found.to ?? Date.now();
      draw(this.chart, {
        kind: "line",
        unit: unit(code, this.language),
        from: found.from ?? to - DAY_MS,
        to,
        mark: found.mark,
        legend: false,
        series: [{ name: label, at: found.at, values: found.mean, low: found.low, high: found.high, colour: "#35c6f4" }],
      });
    } catch (error) {
      if (asked === this.#asked && this.chart) this.title.textContent = `${title} · ${this.words.failed}: ${error.message}`;
    }
  }

  #say(text, tone, colour = "") {
    if (!this.state) return;
    this.state.textContent = text;
    this.state.setAttribute("data-tone-now", tone);
    this.state.style.setProperty("--band", colour || "transparent");
  }
}

function add(parent, tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  parent.append(made);
  return made;
}
