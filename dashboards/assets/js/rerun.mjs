// Alarms that were re-run: what the rules in force, of a saved version or of a draft make of the past, laid over what was
// recorded, and marked as such.
//
// From the transitions (twin.alerts, in the order of time) to the alarms open at an instant: forward it applies what came
// since, back it begins again.

import { ageText } from "./age.mjs";
import { SHAPES } from "./appearance.mjs";
import { fill } from "./element.mjs";
import { said } from "./moments.mjs";
import { words } from "./words.mjs";

const SHOWN = 6; // as many as the wall's list has room for
const NAMES = ["", "blue", "yellow", "orange", "red"];

/** The rules that an address asks for: null for none, "now" for those in force, "draft", a version's number; else NaN. */
export function choiceOf(text) {
  if (!text) return null;
  if (text === "now" || text === "draft") return text;
  return /^[1-9]\d{0,8}$/.test(text) ? Number(text) : NaN;
}

/** What the server is to be asked for a choice. */
export function questionOf(choice, draft, from, to) {
  const range = { from: String(Math.floor(from)), to: String(Math.floor(to)) };
  if (choice === "draft") return { ...range, rules: draft.rules };
  return choice === "now" ? range : { ...range, version: choice };
}

/** Under which rules the alarms shown were made, with who saved them and when, as far as that is known. */
export function madeUnder(choice, version, { draft, versions }, w) {
  if (choice === "draft") return fill(w.rerunDraft, { name: draft.name });
  const saved = versions.find((v) => v.version === version);
  const by = saved ? `${saved.author} ${said(saved.at).slice(0, 10)}` : "";
  return fill(choice === "now" ? w.rerunNow : w.rerunVersion, { n: version }) + (by && ` · ${by}`);
}

export class Rerun {
  open = new Map(); // "rule subject" → { rule, subject, level, opened, unknown }
  #next = 0;
  #levels; // by device, the worst of its alarms

  /** @param {{transitions: object[], names: Record<string, string>}} found as /api/v1/replay/rerun tells */
  constructor({ transitions, names, version, told = transitions.length }, { devices, districts = {} }, language) {
    Object.assign(this, { transitions, names, version, told, devices, districts, language, words: words(language) });
    this.index = new Map(devices.map(({ id }, i) => [id, i]));
    this.#levels = new Uint8Array(devices.length);
    this.at = -Infinity;
  }

  /** Go to an instant. @returns {number[]} the devices whose level changed; `changed` says whether any alarm did */
  seek(at) {
    this.changed = at < this.at;
    if (at < this.at) {
      this.open.clear();
      this.#next = 0;
    }
    for (this.at = at; this.#next < this.transitions.length && this.transitions[this.#next].at <= at; this.#next++) {
      this.#apply(this.transitions[this.#next]);
      this.changed = true;
    }
    return this.changed ? this.#worst() : [];
  }

  level(index) {
    return this.#levels[index];
  }

  #apply({ rule, subject, at, kind, level }) {
    const name = `${rule} ${subject}`;
    if (kind === "cleared" || level === 0) return void this.open.delete(name);
    const before = this.open.get(name);
    this.open.set(name, { rule, subject, level, opened: before?.opened ?? at, unknown: kind === "unknown" });
  }

  #worst() {
    const levels = new Uint8Array(this.#levels.length);
    for (const { subject, level } of this.open.values()) {
      const i = this.index.get(subject);
      if (i !== undefined) levels[i] = Math.max(levels[i], level);
    }
    const before = this.#levels;
    this.#levels = levels;
    return [...levels.keys()].filter((i) => levels[i] !== before[i]);
  }

  /** What a subject is called: a device, a district or a gateway. */
  #place(subject) {
    const own = subject.replace(/^(district|gateway):/, "");
    return this.devices[this.index.get(subject)]?.name ?? this.districts[own] ?? own;
  }

  /** The wall's list of alarms, in the form that views/wall.py gives it. */
  panel() {
    const w = this.words;
    const open = [...this.open.values()].sort((a, b) => b.level - a.level || b.opened - a.opened);
    const count = (level) => open.filter((a) => a.level === level).length;
    const rows = open.slice(0, SHOWN).map(({ rule, subject, level, opened, unknown }) => ({
      cells: [
        `${SHAPES[level]} ${this.names[rule] ?? rule}`,
        this.#place(subject) + (unknown ? ` · ${w.unknown}` : ""),
        ageText(this.at - opened, this.language),
      ],
      tone: NAMES[level],
      device: this.index.has(subject) ? subject : null,
    }));
    return {
      state: w.rerun,
      tone: "warn",
      rows: rows.length ? rows : [{ cells: [w.noAlarms, "", ""], tone: "good" }],
      more: open.length > SHOWN ? w.more.replace("{n}", open.length - SHOWN) : "",
      // nobody has acknowledged what was never told: all of them pulse
      waiting: [...new Set(open.map(({ subject }) => subject))].filter((subject) => this.index.has(subject)),
      districts: [],
      byDistrict: {},
      ...Object.fromEntries([1, 2, 3, 4].map((l) => [NAMES[l], count(l) ? `${SHAPES[l]} ${w.levels[l]} ${count(l)}` : ""])),
    };
  }

  /** A time line with these alarms instead of those recorded. */
  over(line) {
    const folded = new Rerun(this, this, this.language);
    const alarms = line.at.map((at) => {
      folded.seek(at);
      const counts = [0, 0, 0, 0];
      for (const { level } of folded.open.values()) counts[level - 1]++;
      return counts;
    });
    const within = this.transitions.filter(({ at }) => at > line.begin);
    return { ...line, alarms, transitions: within.map((t) => [t.at, t]) };
  }
}
