// The replay's buttons, fields, keys and banner: they read the player and tell it; none keeps a state of its own.

import { span } from "./age.mjs";
import { fill, h } from "./element.mjs";
import { DAY_MS, fieldOf, midnight, parse, said } from "./moments.mjs";
import { choiceOf, madeUnder } from "./rerun.mjs";
import { words } from "./words.mjs";

const HOUR_MS = 3_600_000;
const LISTED = 12;
const AGAINST = [0, 1, 7]; // days before

export function createControls(root, options) {
  return new Controls(root, options);
}

class Controls {
  #clean = [];
  #speeds = "";
  #shown = new Map();

  constructor(root, { language, replay }) {
    Object.assign(this, { root, replay, language, player: replay.player, words: words(language) });
    this.speed = root.querySelector("#replay-speed");
    this.keys = root.querySelector("#replay-keys");
    this.against = root.querySelector("#replay-against");
    this.against.replaceChildren(...AGAINST.map((days) => new Option(this.words.against[days], days * DAY_MS)));
    this.#on(this.against, "change", () => {
      replay.setAgainst(Number(this.against.value));
      this.against.blur();
    });
    this.list = root.querySelector("#replay-differences");
    this.rules = root.querySelector("#replay-rules");
    this.fields = Object.fromEntries(["from", "at", "to"].map((name) => [name, this.#field(name)]));
    this.#on(root, "click", (event) => {
      const button = event.target.closest("[data-do]");
      const rules = event.target.closest("[data-rerun]");
      if (button?.getAttribute("data-do") !== "rerun") this.rules.hidden = true;
      if (button) this.act(button.getAttribute("data-do"));
      else if (rules) replay.setRerun(choiceOf(rules.getAttribute("data-rerun")));
      else if (event.target === this.keys) this.keys.hidden = true;
    });
    const range = root.querySelector("#replay-range");
    this.#on(range, "change", () => {
      if (range.value) this.#range(range.value);
      range.value = ""; // it asks; what the range is, the fields say
      range.blur();
    });
    this.#on(this.speed, "change", () => {
      this.player.speed = Number(this.speed.value);
      this.speed.blur();
    });
    this.#on(document, "keydown", (event) => this.#key(event));
  }

  destroy() {
    for (const undo of this.#clean) undo();
  }

  act(what) {
    const { player, replay } = this;
    if (what.startsWith("view-")) return replay.setView(what.slice(5));
    if (what.startsWith("compare-")) return replay.setCompare(what.slice(8));
    const acts = {
      play: () => (player.playing ? player.pause() : player.play()),
      back: () => player.step(-1),
      on: () => player.step(1),
      before: () => player.stepTransition(-1) || this.#say(this.words.noneBefore),
      next: () => player.stepTransition(1) || this.#say(this.words.noneNext),
      loop: () => (player.loop = !player.loop),
      rerun: () => this.#offerRules(),
      differences: () => (this.list.hidden = !this.list.hidden),
      incident: () => location.assign(`/incidents?lang=${this.language}&from=${player.from}&to=${player.to}`),
      keys: () => (this.keys.hidden = !this.keys.hidden),
    };
    return acts[what]?.();
  }

  /** What the player says now, into the page: only what changed is touched. */
  show() {
    const { player, words: w } = this;
    this.#put("#replay-at", said(player.at));
    this.#put("#replay-speed-said", `${player.playing ? "▶" : "❚❚"} ${player.speed}×`);
    this.#put("#replay-view-said", w[player.view]);
    this.#put("#replay-waiting", this.#note || this.replay.trouble || (player.waiting === "loading" ? w.loading : this.#why(player.waiting)));
    this.#press("play", player.playing);
    this.#press("loop", player.loop);
    this.#press("view-then", player.view === "then");
    this.#press("view-now", player.view === "now");
    this.#press("compare-difference", this.replay.compare === "difference");
    this.#press("compare-side", this.replay.compare === "side");
    this.#press("rerun", this.replay.choice !== null);
    this.#put("#replay-rerun-said", this.#rerunSaid());
    const { against } = this.replay;
    this.#put("#replay-against-said", against ? w.comparedWith.replace("{at}", said(player.at - against)) : "");
    if (this.against.value !== String(against)) {
      // an address may name any other time before
      if (![...this.against.options].some(({ value }) => value === String(against))) {
        this.against.append(new Option(`−${span(against, this.language)}`, against));
      }
      this.against.value = String(against);
    }
    this.#differences();
    this.root.toggleAttribute("data-veiled", !player.shown);
    this.root.toggleAttribute("data-untold", this.replay.untold);
    const speeds = player.speeds.join();
    if (speeds !== this.#speeds) {
      this.#speeds = speeds;
      this.speed.replaceChildren(...player.speeds.map((s) => new Option(`${s}×`, s)));
    }
    if (this.speed.value !== String(player.speed)) this.speed.value = String(player.speed);
    for (const [name, field] of Object.entries(this.fields)) {
      const value = fieldOf(player[name]);
      if (document.activeElement !== field && field.value !== value) field.value = value;
    }
  }

  #rerunSaid() {
    const { replay, words: w } = this;
    const { rerun, choice, wrong } = replay;
    if (!rerun) return choice === null ? wrong : w.rerunAsked;
    const cut = rerun.told > rerun.transitions.length ? ` · ${fill(w.rerunCut, { n: rerun.transitions.length })}` : "";
    return madeUnder(choice, rerun.version, replay, w) + cut;
  }

  /** The rules that alarms can be made under: as recorded, those in force, a draft, and every version. */
  async #offerRules() {
    this.rules.hidden = !this.rules.hidden;
    if (this.rules.hidden) return;
    const { replay, words: w } = this;
    this.rules.replaceChildren(h("div", { class: "row" }, w.loading));
    await replay.askVersions();
    const { draft, versions } = replay;
    const offer = (choice, name, ...cells) =>
      h(
        "button",
        { type: "button", class: "replay-rules-row", "data-rerun": choice ?? "", "aria-pressed": String(choice === replay.choice) },
        h("b", {}, name),
        cells.map((cell) => h("span", { title: cell }, cell)),
      );
    const version = (n) => fill(w.version, { n });
    this.rules.replaceChildren(
      offer(null, w.recorded, w.recordedWhy),
      offer("now", w.inForce, versions.length ? version(versions[0].version) : ""),
      ...(draft ? [offer("draft", w.draft, fill(w.draftOf, { name: draft.name, n: draft.base }))] : []),
      h("h3", {}, w.versions),
      ...versions.map((v) => offer(v.version, version(v.version), said(v.at).slice(0, 16), v.author, v.reason)),
    );
  }

  /** What is known now of this instant and was not then: how many, and a list of them. */
  #differences() {
    const found = this.replay.differences;
    this.#put('[data-do="differences"]', this.words.differences.replace("{n}", found ? found.length : "…"));
    if (this.#listed === found) return;
    this.#listed = found;
    const rows = (found ?? []).slice(0, LISTED).map(({ device, why }) => {
      const row = made("div", "row", "");
      row.setAttribute("data-device", device);
      const { name } = this.replay.directory.devices.find(({ id }) => id === device);
      row.append(made("span", "cell", name), made("span", "cell", why.map((w) => this.words.why[w]).join("、")));
      return row;
    });
    if (found && !found.length) rows.push(made("div", "row", this.words.noDifference));
    if (found?.length > LISTED) rows.push(made("div", "row", this.words.more.replace("{n}", found.length - LISTED)));
    this.list.replaceChildren(...rows);
  }

  #listed = undefined;

  #why = (waiting) => (waiting === "registry" ? this.words.otherRegistryThen : waiting && `${this.words.failed}: ${waiting}`);
  #note = "";

  #say(text) {
    this.#note = text;
    setTimeout(() => (this.#note = ""), 2_500);
  }

  #range(name) {
    const now = Date.now();
    const today = midnight(now);
    const [from, to] = {
      hour: [now - HOUR_MS, now],
      today: [today, now],
      yesterday: [today - DAY_MS, today],
      day: [now - DAY_MS, now],
      week: [now - 7 * DAY_MS, now],
    }[name];
    this.replay.setRange(from, to, { at: from });
  }

  #field(name) {
    const field = document.createElement("input");
    Object.assign(field, { type: "datetime-local", step: 1, className: "replay-field" });
    this.root.querySelector(`[data-moment="${name}"]`).replaceChildren(field);
    const take = () => {
      const at = parse(field.value);
      if (!Number.isFinite(at)) return;
      const { from, to } = this.player;
      if (name === "from") this.replay.setRange(at, Math.max(to, at + HOUR_MS));
      else if (name === "to") this.replay.setRange(Math.min(from, at - HOUR_MS), at);
      else if (at >= from && at < to) this.player.seek(at);
      else this.replay.setRange(at - 12 * HOUR_MS, at + 12 * HOUR_MS, { at });
    };
    this.#on(field, "change", take);
    this.#on(field, "keydown", (event) => event.key === "Enter" && field.blur());
    return field;
  }

  #key(event) {
    if (event.defaultPrevented || event.target.matches?.("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const { player } = this;
    const arrow = (way) => (event.shiftKey ? player.seek(player.at + way * 60_000) : player.step(way));
    const acts = {
      " ": () => this.act("play"),
      ArrowLeft: () => arrow(-1),
      ArrowRight: () => arrow(1),
      ",": () => this.act("before"),
      ".": () => this.act("next"),
      "[": () => player.faster(-1),
      "]": () => player.faster(1),
      Home: () => player.seek(player.from),
      End: () => player.seek(player.to - 1),
      l: () => this.act("loop"),
      r: () => this.act("rerun"),
      t: () => this.replay.setView(player.view === "then" ? "now" : "then"),
      "?": () => this.act("keys"),
      Escape: () => this.#escape(),
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    // a button that has the focus would take the space for itself
    if (document.activeElement?.closest("[data-do]")) document.activeElement.blur();
    act();
  }

  /** What lies on top goes first. */
  #escape() {
    const open = [this.keys, this.rules].find(({ hidden }) => !hidden);
    if (open) open.hidden = true;
    else this.replay.leave();
  }

  #put(selector, text) {
    if (this.#shown.get(selector) === text) return;
    this.#shown.set(selector, text);
    this.root.querySelector(selector).textContent = text;
  }

  #press(what, on) {
    if (this.#shown.get(what) === on) return;
    this.#shown.set(what, on);
    this.root.querySelector(`[data-do="${what}"]`).setAttribute("aria-pressed", String(on));
  }

  #on(target, event, handler) {
    target.addEventListener(event, handler);
    this.#clean.push(() => target.removeEventListener(event, handler));
  }
}

function made(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
