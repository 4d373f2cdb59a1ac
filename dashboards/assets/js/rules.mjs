// The thresholds page: the book to the left, one rule with its chart and form in the middle, what it would have done to the
// right. The server validates, compares and saves; here is what is being edited, and what is shown of it.

import { ask, latest } from "./ask.mjs";
import { keep } from "./draft.mjs";
import { fill, h } from "./element.mjs";
import { LevelChart } from "./levels.mjs";
import { addressOf, DAY_MS } from "./moments.mjs";
import { freeId, handles, LEVELS, plain, put, rebased, replaced, same, whole } from "./rule.mjs";
import { askConflict, askImport, askReason, askVersion, dialog } from "./rules_dialogs.mjs";
import { choicesOf, domainsOf, Form } from "./rules_form.mjs";
import { Outcome } from "./rules_outcome.mjs";

const PROGRESS_MS = 300;
const API = "/api/v1/rules";

let page = null;

export function mount(root) {
  if (page?.root === root) return;
  page?.unmount();
  page = new Rules(root);
  page.start();
}

class Rules {
  book = { version: 0, rules: [], texts: {}, alarms: {} };
  rule = null; // as it is edited, with every key
  base = null; // as it is in the book; null: a new one
  term = 0;
  days = 7;
  device = null;
  at = null;
  #clean = [];

  constructor(root) {
    this.root = root;
    this.words = JSON.parse(root.dataset.words);
    this.language = root.dataset.lang === "en" ? "en" : "zh";
    this.may = root.dataset.maySave === "yes";
    this.test = latest(
      (question) => ask("POST", this.#path("/backtest"), question),
      (answer, question) => this.#tested(answer, question),
      { again: (answer) => (answer.status === 202 ? PROGRESS_MS : 0) },
    );
    this.look = latest(
      (question) => ask("POST", this.#path("/values"), question),
      (answer, question, stale) => stale || this.#seen(answer, question),
      { again: (answer) => (answer.status === 202 ? PROGRESS_MS : 0) },
    );
  }

  #path(path, query = {}) {
    return `${API}${path}?${new URLSearchParams({ ...query, lang: this.language })}`;
  }

  async start() {
    const [directory, book] = await Promise.all([ask("GET", `/api/v1/devices?lang=${this.language}`), ask("GET", this.#path(""))]);
    if (directory.status !== 200 || book.status !== 200) {
      this.root.replaceChildren(h("p", { class: "desk-none" }, this.words.lost));
      setTimeout(() => page === this && this.root.isConnected && this.start(), 3_000);
      return;
    }
    this.book = book.body;
    this.choices = choicesOf(directory.body);
    this.form = new Form({
      words: this.words,
      language: this.language,
      choices: this.choices,
      limits: this.words.limits,
      change: (path, value) => this.change(path, value),
      rebuild: () => this.#editor(),
    });
    this.chart = new LevelChart(this.words, { onMove: (term) => this.#dragged(term), onDone: () => this.#values() });
    this.outcome = new Outcome(this.words, this.language, {
      onDays: (days) => ((this.days = days), (this.at = null), this.#ask(), this.#values()),
      onPick: (device, at) => this.#show(device, at),
      onReplay: () => this.replay(),
    });
    this.#frame();
    this.#list();
    const wanted = this.root.dataset.rule;
    const first = this.book.rules.find((r) => r.id === wanted) ?? this.book.rules[0];
    if (first) this.#open(first);
    const leave = (event) => this.dirty && event.preventDefault();
    window.addEventListener("beforeunload", leave);
    this.#clean.push(() => window.removeEventListener("beforeunload", leave));
  }

  unmount() {
    for (const undo of this.#clean) undo();
    this.chart?.destroy();
  }

  get dirty() {
    return this.rule !== null && (this.base === null || !same(plain(this.rule), plain(this.base)));
  }

  said = (text) => this.book.texts[text] ?? text;
  #ids = (text) => Object.entries(this.book.texts).find(([, said]) => said === text)?.[0] ?? text;

  // ---------------------------------------------------------------- the frame and the list

  #frame() {
    const w = this.words;
    const button = (label, act, more = {}) => h("button", { type: "button", class: "rules-button", onclick: act, ...more }, label);
    this.search = h("input", { type: "search", placeholder: w.search, "aria-label": w.search, oninput: () => this.#list() });
    this.domain = h("select", { "aria-label": w.keys.domains, onchange: () => this.#list() }, h("option", { value: "" }, w.every), Object.entries(this.choices.domains).map(([id, d]) => h("option", { value: id }, d.label)));
    this.list = h("div", { class: "rules-list", role: "listbox", "aria-label": w.historyTitle });
    this.title = h("h2", {});
    this.state = h("span", { class: "rules-state" });
    this.enabled = h("input", { type: "checkbox", onchange: (e) => this.change("enabled", e.target.checked) });
    this.saveButton = button(w.save, () => this.save(), { class: "rules-button rules-primary", "data-do": "save" });
    this.undoButton = button(w.undo, () => this.#open(this.base ?? this.book.rules[0]), { "data-do": "undo" });
    this.copyButton = button(w.copy, () => this.copy());
    this.removeButton = button(w.remove, () => this.remove(), { "data-do": "remove", disabled: !this.may });
    this.devices = h("select", { class: "rules-device", "aria-label": w.device, onchange: (e) => this.#show(e.target.value, null) });
    this.terms = h("select", { "aria-label": w.keys.when, onchange: (e) => ((this.term = Number(e.target.value)), this.#editor(), this.#values()) });
    this.own = h("div", { class: "rules-own" });
    this.body = h("div", { class: "rules-body" });
    this.note = h("div", { class: "rules-note", role: "status" });
    this.root.replaceChildren(
      h(
        "section",
        { class: "desk-panel rules-book" },
        h("div", { class: "rules-bar" }, this.search, this.domain),
        this.list,
        h("div", { class: "rules-bar" }, button(w.create, () => this.create()), button(w.history, () => this.history(), { "data-do": "history" }), button(w.importRules, () => this.bring()), h("a", { class: "rules-button", href: `${API}/export`, download: true }, w.exportRules)),
      ),
      h(
        "section",
        { class: "desk-panel rules-editor" },
        h("div", { class: "rules-head" }, this.title, this.state, h("label", { class: "rules-enabled" }, this.enabled, w.keys.enabled), h("span", { class: "rules-push" }), this.undoButton, this.copyButton, this.removeButton, this.saveButton),
        this.note,
        h("div", { class: "rules-bar" }, h("span", { class: "desk-label" }, w.device), this.devices, this.terms),
        this.chart.element,
        this.own,
        this.body,
      ),
      this.outcome.element,
    );
    if (!this.may) this.saveButton.title = w.mayNot;
  }

  #list() {
    const wanted = this.search.value.trim().toLowerCase();
    const domain = this.domain.value;
    const groups = new Map();
    for (const rule of this.book.rules) {
      const name = this.said(rule.name);
      const domains = domainsOf(rule, this.choices);
      if (domain && !domains.includes(domain)) continue;
      if (wanted && !`${rule.id} ${name} ${rule.group ?? ""}`.toLowerCase().includes(wanted)) continue;
      const group = domains.length === 1 ? this.choices.domains[domains[0]].label : this.words.every;
      groups.set(group, [...(groups.get(group) ?? []), rule]);
    }
    this.list.replaceChildren(...[...groups].flatMap(([label, rules]) => [h("h3", {}, label), ...rules.map((r) => this.#item(r))]));
    if (!groups.size) this.list.replaceChildren(h("p", { class: "desk-none" }, this.words.empty));
  }

  #item(rule) {
    const count = this.book.alarms[rule.id];
    const term = rule.when[0] ?? {};
    const levels = LEVELS.filter((l) => term[l] !== undefined && term[l] !== null).map((l) => h("b", { class: `level-${l}` }, Array.isArray(term[l]) ? term[l].join("–") : String(term[l])));
    return h(
      "button",
      {
        type: "button",
        role: "option",
        class: `rules-item${rule.enabled === false ? " rules-off" : ""}`,
        "data-rule": rule.id,
        "aria-selected": String(rule.id === this.base?.id),
        onclick: () => this.choose(rule.id),
      },
      h("span", { class: "rules-item-name" }, this.said(rule.name), rule.enabled === false ? h("em", {}, this.words.off) : null),
      count ? h("span", { class: "rules-item-count", title: this.words.alarms7 }, String(count)) : null,
      h("span", { class: "rules-item-levels" }, levels),
    );
  }

  // ---------------------------------------------------------------- one rule

  async choose(id) {
    if (!(await this.#mayLeave())) return;
    this.#open(this.book.rules.find((r) => r.id === id));
  }

  async #mayLeave() {
    if (!this.dirty) return true;
    const w = this.words;
    return (await dialog(w.leaveTitle, w.leaveText, [[w.stay, null], [w.goOn, "go", "rules-primary"]])) === "go";
  }

  #open(rule, { fresh = false } = {}) {
    this.rule = whole(rule);
    this.base = fresh ? null : rule;
    this.term = 0;
    this.device = this.at = null;
    this.problems = [];
    this.#note("");
    if (!fresh) history.replaceState(null, "", `?${new URLSearchParams({ ...Object.fromEntries(new URLSearchParams(location.search)), rule: rule.id })}`);
    for (const item of this.list.querySelectorAll(".rules-item")) item.setAttribute("aria-selected", String(item.dataset.rule === this.base?.id));
    this.chart.show(null, this.rule.when[0], this.base?.when[0] ?? null, this.#about());
    this.outcome.clear();
    this.#editor();
    this.#ask();
    this.#values();
  }

  #about() {
    const { unit, low, high } = this.form.about(this.rule.when[this.term]);
    return { unit, limits: [low, high] };
  }

  /** The form anew: its fields have changed. */
  #editor() {
    const rule = this.rule;
    this.term = Math.min(this.term, rule.when.length - 1);
    const open = [...this.body.querySelectorAll("details")].map((d) => d.open);
    const section = (title, inside, n, shown) => h("details", { open: open[n] ?? shown }, h("summary", {}, title), inside);
    const w = this.words;
    const id = this.base === null ? h("label", { class: "rules-field", "data-key": "id" }, h("span", { class: "rules-name" }, w.id), h("input", { type: "text", value: rule.id, "data-path": "id", oninput: (e) => this.change("id", e.target.value) }), h("span", { class: "rules-wrong" })) : null;
    this.body.replaceChildren(
      ...[
        id,
        this.form.thresholds(rule, this.term),
        this.form.timing(rule),
        section(w.keys.when, this.form.conditions(rule), 0, false),
        section(w.keys.scope, this.form.scope(rule), 1, false),
        section(w.keys.schedule, this.form.hours(rule), 2, rule.schedule.length > 0),
        section(w.notices, this.form.notices(rule, this.said, this.#ids), 3, this.base === null),
      ].filter(Boolean),
    );
    this.terms.replaceChildren(...rule.when.map((t, n) => h("option", { value: n, selected: n === this.term }, `${fill(w.term, { n: n + 1 })} · ${this.form.about(t).label} ${w.conditions[t.condition]}`)));
    this.terms.hidden = rule.when.length < 2;
    this.chart.levels(rule.when[this.term], this.#was());
    this.#marks();
  }

  /** The condition in force that stands in the same place, for the thin lines. */
  #was() {
    const was = this.base?.when[this.term];
    return was && was.condition === this.rule.when[this.term].condition && was.metric === this.rule.when[this.term].metric ? { band: 0, ...was } : null;
  }

  /** Title, state and problems: what changes with every keystroke. */
  #marks() {
    const w = this.words;
    this.title.textContent = this.said(this.rule.name) || this.rule.id;
    this.enabled.checked = this.rule.enabled;
    this.state.textContent = this.base === null ? w.brandNew : this.dirty ? w.unsaved : "";
    this.saveButton.disabled = !this.may || !this.dirty || this.problems.length > 0;
    this.undoButton.disabled = !this.dirty;
    this.removeButton.disabled = !this.may || this.base === null;
    this.outcome.replay.disabled = this.problems.length > 0;
    for (const place of this.body.querySelectorAll(".rules-wrong")) place.textContent = "";
    const left = [];
    for (const p of this.problems) {
      const place = this.body.querySelector(`[data-key="${CSS.escape(p.key)}"] .rules-wrong:last-child, .rules-wrong[data-key="${CSS.escape(p.key)}"]`);
      const own = this.body.querySelector(`[data-key="${CSS.escape(p.key)}"]`);
      const target = own?.matches(".rules-wrong") ? own : (own && [...own.children].find((c) => c.matches(".rules-wrong"))) ?? place;
      if (target) {
        target.textContent = p.short || p.text;
        const details = target.closest("details");
        if (details) details.open = true;
      } else left.push(p.text);
    }
    if (left.length || this.problems.length) this.#note(left.join(" "), true);
    else if (this.note.classList.contains("rules-bad")) this.#note("");
  }

  #note(text, bad = false) {
    this.note.textContent = text;
    this.note.classList.toggle("rules-bad", bad);
  }

  change(path, value) {
    put(this.rule, path, value);
    const [top, n, key] = path.split(".");
    if (top === "when" && LEVELS.includes(key ?? "") && Number(n) === this.term + 1) this.chart.levels(this.rule.when[this.term], this.#was());
    if (top === "when" && key === "band") this.chart.levels(this.rule.when[this.term], this.#was());
    this.#marks();
    this.#ask();
    if (top === "scope" || (top === "when" && !LEVELS.includes(key ?? "") && key !== "band")) this.#values();
  }

  #dragged(term) {
    this.rule.when[this.term] = term;
    for (const { level, side, value } of handles(term)) {
      const field = this.body.querySelector(`[data-path="when.${this.term + 1}.${level}${side === null ? "" : `.${side}`}"]`);
      if (field && Number(field.value) !== value) field.value = value;
    }
    this.#marks();
    this.#ask();
  }

  // ---------------------------------------------------------------- what it would have done

  #question(more = {}) {
    return { rule: plain(this.rule), of: this.base?.id ?? this.rule.id, days: this.days, wait: 0.3, ...more };
  }

  #ask() {
    this.outcome.busy();
    this.test(this.#question(this.device ? { device: this.device } : {}));
  }

  #values() {
    this.look(this.#question({ term: this.term, ...(this.device ? { device: this.device } : {}), ...(this.at ? { at: Math.round(this.at) } : {}) }));
  }

  #show(device, at) {
    if (device) this.device = device; // or a district: the server takes a device of it
    this.at = at;
    this.#values();
    this.#ask();
  }

  #tested({ status, body }, question) {
    if (question.rule.id !== plain(this.rule).id) return;
    if (status === 202) return this.outcome.progress(body.progress);
    if (status === 422 && body.problems) {
      this.problems = body.problems;
      this.outcome.stale();
    } else if (status !== 200) {
      this.outcome.stale(body.error ?? this.words.lost);
      return;
    } else {
      this.problems = [];
      this.outcome.show(body);
      this.outcome.strip(this.own, body.own, this.window);
    }
    this.#marks();
  }

  #seen({ status, body }, question) {
    if (status !== 200 || question.rule.id !== plain(this.rule).id) return;
    if (body.device !== this.device && body.device) {
      this.device = body.device;
      this.#ask();
    }
    this.window = body.device ? { begin: body.begin, end: body.end } : null;
    const label = ({ id, name, alarms }) => h("option", { value: id, selected: id === body.device }, `${name}　${id}${alarms ? `　${fill(this.words.times, { n: alarms })}` : ""}`);
    this.devices.replaceChildren(...body.devices.map(label));
    const data = body.device ? { ...body } : { at: [], values: [] };
    this.chart.show(data, this.rule.when[this.term], this.#was(), this.#about());
    this.outcome.strip(this.own, this.outcome.last?.own, this.window);
  }

  /** The day in the chart, replayed with the alarms of this draft, in a tab of its own: here nothing is lost. */
  replay() {
    const { begin, end } = this.window ?? { begin: Date.now() - DAY_MS, end: Date.now() };
    const at = Math.min(Math.max(Math.round(this.at ?? begin), begin), end - 1);
    const query = new URLSearchParams({ from: addressOf(begin), to: addressOf(end), at: addressOf(at), lang: this.language });
    query.set("rerun", this.dirty ? "draft" : "now");
    const rules = replaced(this.book.rules, this.base?.id ?? this.rule.id, plain(this.rule));
    if (this.dirty) keep({ name: this.said(this.rule.name) || this.rule.id, base: this.book.version, rules });
    window.open(`/replay?${query}`);
  }

  // ---------------------------------------------------------------- save, and what else changes the book

  async save() {
    const w = this.words;
    const mine = plain(this.rule);
    const reason = await askReason(w.saveTitle, w, w.save, h("p", {}, this.said(mine.name)));
    if (reason !== null) await this.#commit(this.base?.id ?? mine.id, mine, reason, this.base);
  }

  async remove() {
    const w = this.words;
    const reason = await askReason(w.removeTitle, w, w.remove, h("p", {}, this.said(this.rule.name)));
    if (reason !== null) await this.#commit(this.base.id, null, reason, this.base);
  }

  /** Save one rule in the book; where another version was saved meanwhile, its author decides. */
  async #commit(id, mine, reason, base) {
    const rules = replaced(this.book.rules, id, mine);
    const { status, body } = await ask("PUT", this.#path(""), { rules, base: this.book.version, reason });
    if (status === 200) return this.#reload(mine?.id ?? null, fill(this.words.saved, body));
    if (status !== 409 || !body.changes) return this.#failed(body);
    const now = (await ask("GET", this.#path(""))).body;
    const theirs = now.rules.find((r) => r.id === id) ?? null;
    const found = rebased(base === null ? null : plain(base), mine, theirs === null ? null : plain(theirs));
    const mark = (c) => c.rule === id && (found.both.includes("*") || found.both.includes(c.key.split(".")[0]));
    const answer = await askConflict(body, this.words, mark);
    if (answer === null) return;
    this.book = now;
    if (answer === "drop") return this.#reload(id, "");
    await this.#commit(id, found.rule, reason, theirs);
  }

  #failed(body) {
    if (body.problems) {
      this.problems = body.problems.filter((p) => p.rule === this.rule.id);
      this.#marks();
    }
    this.#note(fill(this.words.failed, { reason: body.error ?? this.words.lost }), true);
  }

  async #reload(id, said) {
    const { status, body } = await ask("GET", this.#path(""));
    if (status !== 200) return this.#failed(body);
    this.book = body;
    this.#list();
    const rule = body.rules.find((r) => r.id === id) ?? body.rules[0];
    if (rule) this.#open(rule);
    this.#list();
    this.#note(said);
  }

  async create() {
    const w = this.words;
    if (!(await this.#mayLeave())) return;
    const from = h("select", { class: "rules-wide" }, this.book.rules.map((r) => h("option", { value: r.id }, this.said(r.name))));
    if ((await dialog(w.create, h("label", {}, w.template, from), [[w.cancel, null], [w.create, "yes", "rules-primary"]])) !== "yes") return;
    this.#begin(this.book.rules.find((r) => r.id === from.value));
  }

  copy() {
    this.#begin(plain(this.rule));
  }

  #begin(rule) {
    const id = freeId(this.book.rules, rule.id);
    this.#open({ ...rule, id, name: `${this.said(rule.name)} 2`, message: this.said(rule.message ?? "") }, { fresh: true });
  }

  async history() {
    const w = this.words;
    if (!(await this.#mayLeave())) return;
    const { status, body } = await ask("GET", this.#path("/versions"));
    if (status !== 200) return this.#failed(body);
    const when = (at) => new Intl.DateTimeFormat(this.language === "en" ? "en-GB" : "zh-CN", { dateStyle: "short", timeStyle: "short", timeZone: "Asia/Shanghai" }).format(at);
    const diff = async (from, to) => (await ask("GET", this.#path("/diff", { from, to }))).body.changes ?? [];
    const version = await askVersion(body.versions, w, { diff, when, may: this.may });
    if (version === null) return;
    const reason = await askReason(`${w.rollback}：${version}`, w, w.rollback);
    if (reason === null) return;
    const done = await ask("POST", this.#path("/rollback"), { version, base: body.versions[0].version, reason });
    if (done.status === 200) await this.#reload(this.base?.id, fill(w.saved, done.body));
    else this.#failed(done.body);
  }

  async bring() {
    if (!(await this.#mayLeave())) return;
    const found = await askImport(this.words, (toml) => ask("POST", this.#path("/validate"), { toml }), this.may);
    if (found === null) return;
    const done = await ask("PUT", this.#path(""), found);
    if (done.status === 200) await this.#reload(this.base?.id, fill(this.words.saved, done.body));
    else this.#failed(done.body);
  }
}
