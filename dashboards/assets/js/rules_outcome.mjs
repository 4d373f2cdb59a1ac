// What a change would have done, as a picture: totals, days, lanes, what is new and gone, and the scenarios played.

import { fill, h } from "./element.mjs";
import { COLOURS } from "./rule.mjs";
import { lasting } from "./rules_form.mjs";
import { axis, days, lanes } from "./stories.mjs";

const RANGES = [1, 7, 14, 30];
const LANES_PX = 330;
const OWN_PX = 640;

export class Outcome {
  last = null;
  by = "subject";

  constructor(words, language, { onDays, onPick, onReplay }) {
    this.words = words;
    this.onPick = onPick;
    const zone = { timeZone: "Asia/Shanghai" };
    const locale = language === "en" ? "en-GB" : "zh-CN";
    const day = new Intl.DateTimeFormat(locale, { month: "2-digit", day: "2-digit", ...zone });
    const moment = new Intl.DateTimeFormat(locale, { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hour12: false, ...zone });
    this.day = (at) => day.format(at);
    this.moment = (at) => moment.format(at);
    this.state = h("span", { class: "rules-asking", role: "status" });
    this.bar = h("progress", { max: 1, value: 0, hidden: true });
    this.ranges = h(
      "span",
      { class: "rules-chips" },
      RANGES.map((n) => h("button", { type: "button", "aria-pressed": String(n === 7), "data-days": n, onclick: () => (this.#range(n), onDays(n)) }, fill(words.daysLong, { n }))),
    );
    this.replay = h("button", { type: "button", class: "rules-button", "data-do": "replay", title: words.replayHint, onclick: onReplay }, words.replay);
    this.body = h("div", { class: "rules-outcome-body" });
    this.element = h("section", { class: "desk-panel rules-outcome", "aria-label": words.back }, h("div", { class: "rules-bar" }, h("h2", {}, words.back), this.state, h("span", { class: "rules-push" }), this.replay, this.ranges), this.bar, this.body);
  }

  #range(n) {
    for (const b of this.ranges.children) b.setAttribute("aria-pressed", String(Number(b.dataset.days) === n));
  }

  clear() {
    this.last = null;
    this.body.replaceChildren();
  }

  busy() {
    this.state.textContent = this.words.asking;
  }

  progress(share) {
    this.bar.hidden = false;
    this.bar.value = share;
    this.state.textContent = fill(this.words.reading, { share: `${Math.round(share * 100)}%` });
  }

  /** What is shown is of another rule than the one in the form. */
  stale(said = "") {
    this.state.textContent = said;
    this.bar.hidden = true;
    this.element.classList.add("rules-stale");
  }

  show(found) {
    this.last = found;
    this.state.textContent = "";
    this.bar.hidden = true;
    this.element.classList.remove("rules-stale");
    this.body.replaceChildren(this.#totals(found), this.#days(found), this.#lanes(found), this.#facts(found), this.#list(found));
  }

  // ---------------------------------------------------------------- parts

  #totals({ old, new: changed, changes, covered, since }) {
    const w = this.words;
    const number = (v, digits = 0) => v.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: 0 });
    const row = (label, a, b, show = number) => {
      const more = b - a;
      return h(
        "div",
        { class: "rules-total", "data-total": label },
        h("span", {}, label),
        h("b", {}, show(a), h("i", {}, "→"), show(b)),
        h("em", { class: more > 0 ? "rules-up" : more < 0 ? "rules-less" : "" }, more ? `${more > 0 ? "+" : "−"}${show(Math.abs(more))}` : "="),
      );
    };
    const level = (i) => h("span", { class: "rules-level-count", "data-level": i + 1 }, h("i", { class: `rules-dot level-${["blue", "yellow", "orange", "red"][i]}` }), `${old.levels[i]} → ${changed.levels[i]}`);
    const said = ["new", "gone", "earlier", "later", "higher", "lower"].filter((k) => changes[k]).map((k) => h("span", { class: `rules-kind rules-kind-${k}` }, `${w.changes[k]} ${changes[k]}`));
    return h(
      "div",
      {},
      h("div", { class: "rules-verdict" }, said.length ? said : h("span", { class: "rules-kind" }, old.alarms || changed.alarms ? w.noChange : w.noAlarms), h("span", { class: "desk-label" }, since ? `${fill(w.since, { time: this.moment(since) })} · ` : "", fill(w.covered, { n: covered }))),
      h(
        "div",
        { class: "rules-totals" },
        row(w.alarms, old.alarms, changed.alarms),
        row(w.perDay, old.perDay, changed.perDay, (v) => number(v, 1)),
        row(w.most, old.most, changed.most),
        row(w.inAlarm, old.minutes, changed.minutes, (v) => lasting(v * 60, w)),
        row(w.flaps, old.flaps, changed.flaps),
        row(w.subjects, old.subjects, changed.subjects),
      ),
      h("div", { class: "rules-levels" }, [0, 1, 2, 3].filter((i) => old.levels[i] || changed.levels[i]).map(level)),
    );
  }

  #days(found) {
    return h("div", {}, h("h3", {}, this.words.day, h("small", {}, h("i", { class: "stories-key-old" }), this.words.oldRule, h("i", { class: "stories-key-new" }), this.words.newRule)), days(found.days, { format: this.day, words: this.words }));
  }

  #lanes(found) {
    const w = this.words;
    const shown = found.lanes[this.by];
    if (!shown.length) return h("div", {});
    const { begin, end } = found;
    const row = (lane) =>
      h(
        "div",
        { class: "stories-row", "data-key": lane.key },
        h("span", { class: "stories-name", title: lane.key }, lane.name),
        lanes(lane, { begin, end, width: LANES_PX, onPick: (at) => this.onPick(lane.key, at) }),
        h("span", { class: "stories-count" }, `${lane.alarms[0]}→${lane.alarms[1]}`),
      );
    const choose = (by, label) => h("button", { type: "button", "aria-pressed": String(by === this.by), onclick: () => ((this.by = by), this.show(this.last)) }, label);
    return h(
      "div",
      {},
      h("h3", {}, h("span", { class: "rules-chips" }, choose("subject", w.bySubject), choose("district", w.byDistrict)), h("small", {}, w.oldNew)),
      h("div", { class: "stories-head" }, h("span"), axis(begin, end, LANES_PX, this.day), h("span")),
      shown.map(row),
      found.more[this.by] ? h("p", { class: "desk-label" }, fill(w.moreLanes, { n: found.more[this.by] })) : null,
    );
  }

  #facts({ facts, beside }) {
    const w = this.words;
    if (!facts.length) return h("div", {});
    const delay = (ms) => (ms === null ? h("b", { class: "rules-missed" }, w.missed) : h("b", { class: "rules-caught" }, ms === 0 ? w.atOnce : fill(w.caught, { after: lasting(ms / 1000, w) })));
    return h(
      "div",
      {},
      h("h3", {}, w.truth),
      facts.map((f) =>
        h("button", { type: "button", class: "rules-fact", onclick: () => this.onPick(f.device, f.began) }, dot(f.level), h("span", {}, `${f.scenario} ${f.what}`, h("small", {}, `${this.moment(f.began)} · ${f.where}`)), delay(f.old), h("i", {}, "→"), delay(f.new)),
      ),
      beside ? h("p", { class: "desk-label" }, `${w.beside}：${beside[0]} → ${beside[1]}`) : null,
    );
  }

  #list({ list, unlisted }) {
    const w = this.words;
    if (!list.length) return h("div", {});
    return h(
      "div",
      {},
      h("h3", {}, w.changed),
      list.map((p) => {
        const e = p.new ?? p.old;
        return h("button", { type: "button", class: "rules-pair", "data-change": p.changes[0], onclick: () => this.onPick(p.subject, e.begin) }, dot(e.level), h("span", {}, p.name), h("span", { class: `rules-kind rules-kind-${p.changes[0]}` }, p.said), h("small", {}, `${this.moment(e.begin)} · ${lasting((e.end - e.begin) / 1000, w)}`));
      }),
      unlisted ? h("p", { class: "desk-label" }, fill(w.moreLanes, { n: unlisted })) : null,
    );
  }

  /** The device's own two lanes, right below its chart and on the same time. */
  strip(place, own, window) {
    if (!window) return place.replaceChildren();
    place.replaceChildren(lanes(own ?? { old: [], new: [] }, { ...window, width: OWN_PX, each: 6 }));
  }
}

const dot = (level) => {
  const made = h("i", { class: "rules-dot" });
  made.style.background = COLOURS[level - 1] ?? "#6b7684";
  return made;
};
