// The form of a rule: fields made from what it is, each with its unit and range beside it and what is wrong below it.
//
// A field reads and writes one place of the rule ("when.1.yellow"); the page is told with `change(path, value)` and makes the
// form anew only when its fields themselves change.

import { fill, h } from "./element.mjs";
import { LEVELS } from "./rule.mjs";
import { unit as unitOf } from "./words.mjs";

/** What can be chosen, from the device directory: kinds, metrics and attributes as they are in the registry. */
export function choicesOf(directory) {
  const metrics = new Map();
  const kinds = new Map();
  const attributes = new Map();
  for (const device of directory.devices) {
    for (const m of device.metrics) metrics.set(m.name, m);
    const kind = kinds.get(device.kind) ?? { name: device.kind, label: device.kindLabel, domain: device.domain, metrics: new Set(), count: 0 };
    device.metrics.forEach((m) => kind.metrics.add(m.name));
    kind.count++;
    kinds.set(device.kind, kind);
    for (const [name, value] of Object.entries(device.attributes)) {
      const known = attributes.get(name) ?? { numeric: true, values: new Set() };
      if (typeof value !== "number") known.numeric = false;
      if (known.values.size < 40) known.values.add(value);
      attributes.set(name, known);
    }
  }
  return { metrics, kinds, attributes, domains: directory.domains, districts: directory.districts, devices: directory.devices };
}

/** The domains that a rule is about; all of them where it does not say. */
export function domainsOf(rule, { kinds, domains }) {
  const scope = rule.scope ?? {};
  if (scope.domains?.length) return scope.domains;
  if (scope.kinds?.length) return [...new Set(scope.kinds.map((k) => kinds.get(k)?.domain).filter(Boolean))];
  const metrics = rule.when.map((t) => t.metric).filter(Boolean);
  if (!metrics.length) return Object.keys(domains);
  return [...new Set([...kinds.values()].filter((k) => metrics.every((m) => k.metrics.has(m))).map((k) => k.domain))];
}

/** Seconds as people say them. */
export function lasting(seconds, words) {
  const n = (v) => String(Math.round(v * 10) / 10);
  if (seconds >= 172_800) return fill(words.daysLong, { n: n(seconds / 86_400) });
  if (seconds >= 7_200) return fill(words.hours, { n: n(seconds / 3_600) });
  if (seconds >= 60) return fill(words.minutes, { n: n(seconds / 60) });
  return `${n(seconds)} ${words.seconds}`;
}

export class Form {
  constructor({ words, language, choices, limits, change, rebuild }) {
    Object.assign(this, { words, language, choices, limits, change, rebuild });
  }

  /** The unit of what a term compares, and the range its thresholds lie in. */
  about(term) {
    if (term.condition === "absent") return { unit: this.words.seconds, low: 0, high: Infinity, label: this.words.conditions.absent };
    const limits = this.limits[term.metric];
    const metric = this.choices.metrics.get(term.metric);
    const own = term.of ? `× ${this.attribute(term.of)}` : unitOf(limits?.unit ?? "", this.language);
    const unit = term.condition === "rate" ? `${own}/min` : own;
    const free = term.of || term.condition === "rate";
    return {
      unit,
      low: free ? (term.of ? 0 : -Infinity) : (limits?.low ?? -Infinity),
      high: free ? Infinity : (limits?.high ?? Infinity),
      label: metric?.label ?? limits?.label ?? term.metric,
    };
  }

  /** An attribute as people call it. */
  attribute(name) {
    return this.words.attributes[name] ?? name;
  }

  #field(path, label, ...inside) {
    return h("label", { class: "rules-field", "data-key": path }, h("span", { class: "rules-name" }, label), h("span", { class: "rules-inside" }, inside), h("span", { class: "rules-wrong" }));
  }

  #number(path, value, { step = "any", placeholder = "", on = (v) => this.change(path, v) } = {}) {
    return h("input", {
      type: "number",
      step,
      placeholder,
      value: value ?? "",
      "data-path": path,
      oninput: (e) => on(e.target.value === "" ? null : Number(e.target.value)),
    });
  }

  #select(path, value, options, on = (v) => (this.change(path, v), this.rebuild())) {
    const made = h("select", { "data-path": path, onchange: (e) => on(e.target.value) }, options.map(([v, text]) => h("option", { value: v, selected: v === value }, text)));
    made.value = value;
    return made;
  }

  #text(path, value, more = {}) {
    return h("input", { type: "text", value, "data-path": path, oninput: (e) => this.change(path, e.target.value), ...more });
  }

  /** Chips of which any number may be on. */
  #chips(path, chosen, options) {
    return h(
      "span",
      { class: "rules-chips", "data-path": path },
      options.map(([value, text]) =>
        h(
          "button",
          {
            type: "button",
            "aria-pressed": String(chosen.includes(value)),
            onclick: (e) => {
              const on = e.currentTarget.getAttribute("aria-pressed") !== "true";
              e.currentTarget.setAttribute("aria-pressed", String(on));
              chosen = on ? [...chosen, value] : chosen.filter((v) => v !== value);
              this.change(path, chosen);
            },
          },
          text,
        ),
      ),
    );
  }

  #seconds(path, value, key, hint = "") {
    const said = h("span", { class: "rules-unit" });
    const say = (v) => (said.textContent = `${this.words.seconds}${v >= 60 ? ` = ${lasting(v, this.words)}` : ""}${hint && !v ? `（${hint}）` : ""}`);
    say(value);
    const input = this.#number(path, value, { step: 1, on: (v) => (say(v ?? 0), this.change(path, Math.round(v ?? 0))) });
    input.min = 0;
    return this.#field(path, this.words.keys[key], input, said);
  }

  /** The thresholds of one condition, in a row below the chart. */
  thresholds(rule, n) {
    const term = rule.when[n];
    const at = `when.${n + 1}`;
    const { unit, low, high } = this.about(term);
    const pair = term.condition === "outside";
    const cell = (level, i) => {
      const value = term[level];
      const path = `${at}.${level}`;
      const inputs = pair
        ? [0, 1].map((side) =>
            this.#number(`${path}.${side}`, value?.[side], {
              placeholder: side ? this.words.high : this.words.low,
              on: (v) => this.change(path, v === null ? null : this.#both(rule.when[n][level], side, v)),
            }),
          )
        : this.#number(path, typeof value === "number" ? value : null, { placeholder: "—" });
      return h("label", { class: `rules-level level-${level}`, "data-key": path }, h("span", {}, this.words.levels[i]), inputs, h("span", { class: "rules-wrong" }));
    };
    const bounded = Number.isFinite(low) && Number.isFinite(high);
    return h(
      "div",
      { class: "rules-thresholds", "data-key": at },
      LEVELS.map(cell),
      h("label", { class: "rules-level", "data-key": `${at}.band` }, h("span", {}, this.words.keys.band), this.#number(`${at}.band`, term.band, { on: (v) => this.change(`${at}.band`, v ?? 0) }), h("span", { class: "rules-wrong" })),
      h("span", { class: "rules-unit" }, bounded ? fill(this.words.range, { low, high, unit }) : unit),
      h("span", { class: "rules-wrong" }),
    );
  }

  #both(pair, side, value) {
    const made = Array.isArray(pair) ? [...pair] : [value, value];
    made[side] = value;
    return made;
  }

  timing(rule) {
    const w = this.words;
    return h(
      "div",
      { class: "rules-fields" },
      this.#seconds("raise_after_s", rule.raise_after_s, "raise_after_s"),
      this.#seconds("clear_after_s", rule.clear_after_s, "clear_after_s"),
      this.#seconds("grace_s", rule.grace_s, "grace_s", w.threePeriods),
      this.#field("over", w.keys.over, this.#select("over", rule.over, Object.entries(w.overs))),
      rule.over === "device" ? null : this.#field("need", w.keys.need, this.#number("need", rule.need, { step: 1, on: (v) => this.change("need", Math.round(v ?? 0)) }), h("span", { class: "rules-unit" }, w.needHint)),
    );
  }

  conditions(rule) {
    const w = this.words;
    return h(
      "div",
      {},
      rule.when.length > 1 ? this.#field("match", w.keys.match, this.#select("match", rule.match, Object.entries(w.matches))) : null,
      rule.when.map((term, n) => this.#condition(rule, term, n)),
      h("span", { class: "rules-wrong", "data-key": "when" }),
      h("button", { type: "button", class: "rules-small", onclick: () => this.#setTerms([...rule.when, { metric: rule.when[0]?.metric ?? "", condition: "above", band: 0, of: "", window_s: 0 }]) }, `＋ ${w.addTerm}`),
    );
  }

  #setTerms(terms) {
    this.change("when", terms);
    this.rebuild();
  }

  #condition(rule, term, n) {
    const w = this.words;
    const at = `when.${n + 1}`;
    const kinds = rule.scope.kinds?.length ? rule.scope.kinds : [...this.choices.kinds.keys()];
    const there = new Set(kinds.flatMap((k) => [...(this.choices.kinds.get(k)?.metrics ?? [])]));
    if (term.metric) there.add(term.metric);
    const metrics = [...there].map((m) => [m, this.choices.metrics.get(m)?.label ?? m]);
    if (term.condition === "absent") metrics.unshift(["", w.anything]);
    const shares = [...this.choices.attributes].filter(([, a]) => a.numeric).map(([name]) => [name, this.attribute(name)]);
    const { unit } = this.about(term);
    return h(
      "div",
      { class: "rules-fields rules-term" },
      h("b", {}, fill(w.term, { n: n + 1 })),
      this.#field(`${at}.metric`, w.keys.metric, this.#select(`${at}.metric`, term.metric, metrics)),
      this.#field(`${at}.condition`, w.keys.condition, this.#select(`${at}.condition`, term.condition, Object.entries(w.conditions), (v) => this.#setCondition(rule, n, v))),
      term.condition === "absent" ? null : this.#field(`${at}.of`, w.keys.of, this.#select(`${at}.of`, term.of, [["", w.whole], ...shares])),
      term.condition === "rate" ? this.#seconds(`${at}.window_s`, term.window_s, "window_s") : null,
      h("span", { class: "rules-unit" }, unit),
      rule.when.length > 1 ? h("button", { type: "button", class: "rules-small", title: w.remove, onclick: () => this.#setTerms(rule.when.filter((_, i) => i !== n)) }, "✕") : null,
    );
  }

  /** Thresholds take the form that the condition wants; what it does not have is left out. */
  #setCondition(rule, n, condition) {
    const term = { ...rule.when[n], condition };
    for (const level of LEVELS) {
      const v = term[level];
      if (v === null || v === undefined) continue;
      if (condition === "outside" && !Array.isArray(v)) term[level] = [v, v];
      if (condition !== "outside" && Array.isArray(v)) term[level] = condition === "below" ? v[0] : v[1];
    }
    term.window_s = condition === "rate" ? term.window_s || 300 : 0;
    if (condition === "absent") term.of = "";
    if (condition !== "absent" && !term.metric) term.metric = this.choices.metrics.keys().next().value;
    this.#setTerms(rule.when.map((t, i) => (i === n ? term : t)));
  }

  scope(rule) {
    const w = this.words;
    const { scope } = rule;
    const chips = (key, options) => this.#field(`scope.${key}`, w.keys[key], this.#chips(`scope.${key}`, scope[key] ?? [], options));
    const kinds = [...this.choices.kinds.values()].filter((k) => rule.when.every((t) => !t.metric || k.metrics.has(t.metric)) || scope.kinds?.includes(k.name));
    const names = h("datalist", { id: "rules-devices" }, this.choices.devices.slice(0, 3000).map((d) => h("option", { value: d.id }, d.name)));
    return h(
      "div",
      { class: "rules-fields rules-scope", "data-key": "scope" },
      chips("domains", Object.entries(this.choices.domains).map(([id, d]) => [id, d.label])),
      chips("kinds", kinds.map((k) => [k.name, `${k.label} ${k.count}`])),
      chips("districts", Object.entries(this.choices.districts)),
      this.#field(
        "scope.devices",
        w.keys.devices,
        h("input", {
          type: "text",
          list: "rules-devices",
          value: (scope.devices ?? []).join(", "),
          placeholder: w.all,
          "data-path": "scope.devices",
          oninput: (e) => this.change("scope.devices", e.target.value.split(/[\s,，、]+/).filter(Boolean)),
        }),
        names,
      ),
      this.#where(rule),
      h("span", { class: "rules-wrong" }),
    );
  }

  #where(rule) {
    const w = this.words;
    const where = rule.scope.where ?? {};
    const set = (made) => {
      this.change("scope.where", made);
      this.rebuild();
    };
    const attributes = [...this.choices.attributes].filter(([name, a]) => !(name in where) && !a.numeric && a.values.size < 24).map(([name]) => [name, this.attribute(name)]);
    const rows = Object.entries(where).map(([name, values]) =>
      h("span", { class: "rules-where" }, h("span", {}, this.attribute(name)), this.#chips(`scope.where.${name}`, values, [...(this.choices.attributes.get(name)?.values ?? values)].map((v) => [v, String(v)])), h("button", { type: "button", class: "rules-small", onclick: () => set(Object.fromEntries(Object.entries(where).filter(([k]) => k !== name))) }, "✕")),
    );
    const add = this.#select("scope.where", "", [["", w.addAttribute], ...attributes], (v) => v && set({ ...where, [v]: [] }));
    return this.#field("scope.where", w.keys.where, rows, add);
  }

  hours(rule) {
    const w = this.words;
    const set = (spans) => {
      this.change("schedule", spans);
      this.rebuild();
    };
    const rows = rule.schedule.map((span, n) => {
      const at = `schedule.${n + 1}`;
      const time = (name) => h("label", { "data-key": `${at}.${name}` }, h("input", { type: "text", class: "rules-time", value: span[name] ?? (name === "start" ? "00:00" : "24:00"), "data-path": `${at}.${name}`, oninput: (e) => this.change(`${at}.${name}`, e.target.value) }), h("span", { class: "rules-wrong" }));
      return h("div", { class: "rules-span" }, this.#chips(`${at}.days`, span.days ?? [], Object.entries(w.days)), time("start"), "–", time("end"), h("button", { type: "button", class: "rules-small", onclick: () => set(rule.schedule.filter((_, i) => i !== n)) }, "✕"));
    });
    return h("div", { class: "rules-fields" }, rows.length ? rows : h("span", { class: "rules-unit" }, w.always), h("button", { type: "button", class: "rules-small", onclick: () => set([...rule.schedule, { days: [], start: "08:00", end: "20:00" }]) }, `＋ ${w.addSpan}`));
  }

  /** `said`: the text behind a message id, which stays an id while it is not changed. */
  notices(rule, said, ids) {
    const w = this.words;
    const text = (path) => this.#text(path, said(rule[path]), { oninput: (e) => this.change(path, ids(e.target.value)), class: "rules-wide" });
    const list = h("input", { type: "text", value: rule.channels.join(", "), placeholder: w.all, "data-path": "channels", oninput: (e) => this.change("channels", e.target.value.split(/[\s,，、]+/).filter(Boolean)) });
    const whole = (path) => this.#number(path, rule[path], { step: 1, on: (v) => this.change(path, Math.round(v ?? 0)) });
    return h(
      "div",
      { class: "rules-fields" },
      this.#field("name", w.keys.name, text("name")),
      this.#field("message", w.keys.message, text("message")),
      this.#field("group", w.keys.group, this.#text("group", rule.group)),
      this.#field("channels", w.keys.channels, list),
      this.#field("runbook", w.keys.runbook, this.#text("runbook", rule.runbook, { class: "rules-wide" })),
      this.#field("repeat_min", w.keys.repeat_min, whole("repeat_min"), h("span", { class: "rules-unit" }, "min")),
      this.#field("flap_count", w.keys.flap_count, whole("flap_count")),
      this.#seconds("flap_window_s", rule.flap_window_s, "flap_window_s"),
    );
  }
}
