// The wall's source of the past: the player with what it fetches, its controls, its time line and its address.
//
// While it plays nothing is asked of the page's server but chunks; when it stands still, the exact view of its instant.

import { at as valueAt, text } from "./bind.mjs";
import { Beside } from "./beside.mjs";
import { Chunks } from "./chunks.mjs";
import { createControls } from "./controls.mjs";
import { painted, recoloured } from "./difference.mjs";
import { kept } from "./draft.mjs";
import { read } from "./feed.mjs";
import { addressOf, DAY_MS, parse, said } from "./moments.mjs";
import { LEAST, MOST, Player } from "./player.mjs";
import { decodeChunk, PlayedZone } from "./replay-frames.mjs";
import { choiceOf, questionOf, Rerun } from "./rerun.mjs";
import { createTimeline } from "./timeline.mjs";
import { Trend } from "./trend.mjs";
import { words } from "./words.mjs";

const KEEP_MS = 2_000; // between two addresses while playing
const TROUBLE_MS = 8_000; // how long a refusal is shown
const RERUN_MOST = 2 * DAY_MS; // as the server has it
const SETTLE_MS = 250; // standing still for so long, the exact view is asked for
const RANGE_MS = 350; // a range that is being dragged or zoomed is asked for when it rests
const TELL_MS = 250; // between two views that are drawn while playing
const POINTS = 288;

export function replaySource(options) {
  return new Replay(options);
}

class Replay {
  timeline = null; // what the time line draws
  choice = null; // the rules that alarms are re-run under: null for as recorded, "now", "draft" or a version's number
  rerun = null; // the alarms re-run, once they are there
  wrong = ""; // why they are not
  versions = []; // of the rules, the newest first
  differences = null; // what is known now and was not then, at the instant where it stands still
  untold = true; // whether the tiles are not those of the clock
  #trouble = { why: "", at: 0 }; // what could not be had
  against = 0; // ms before, when the day is compared with another
  other = null; // the zone of that time
  compare = "difference"; // how: one map with the difference, or both "side" by side
  #beside = null; // the map of that time
  #otherView = null; // the view of that time
  #otherChanged = []; // devices to be painted there
  applied = []; // ms that the last frames took to apply, for the measurements
  #view = null; // the newest view, until it is drawn
  #told = null; // the view that is drawn
  #changed = []; // devices to be painted
  #viewDue = 0;
  #held = null; // the last that the player told
  #exact = ""; // the instant whose exact view was asked for
  #movedAt = 0;
  #rangeAt = 0;
  #abort = new AbortController();
  #frame = 0;
  #address = "";
  #was = ""; // the instant that was last seen standing still
  #lines = 0; // numbers the time lines
  #reruns = 0; // numbers the re-runs: an answer to an older choice is dropped

  constructor({ root, directory, language, wall, tell }) {
    Object.assign(this, { root, directory, language, wall, tell });
    this.zone = this.#painted = new PlayedZone(directory.devices.length, directory.digest);
    this.chunks = new Chunks((span, signal) => this.#load(span, signal));
    this.trend = new Trend(directory, (query) => read(`/api/v1/history?${query}`, { signal: this.#abort.signal }));
    const asked = new URLSearchParams(location.search);
    const [from, to] = rangeOf(parse(asked.get("from")), parse(asked.get("to")), Date.now());
    const at = parse(asked.get("at"));
    this.player = new Player({
      chunks: this.chunks,
      tracks: [{ offset: 0, zone: this.zone }],
      view: asked.get("view") === "now" ? "now" : "then",
      from,
      to,
      at: Number.isFinite(at) ? at : from,
      speed: Number(asked.get("speed")) || 60,
      frame: (changed, track) => {
        if (!track || this.compare === "difference") this.#changed.push(...changed);
        else this.#otherChanged.push(...changed);
      },
      told: (view, track) => {
        if (track > 0) return this.#takeOther(view);
        this.untold = view === null;
        this.#held = this.#view = view;
        return undefined;
      },
    });
    this.compare = asked.get("compare") === "side" ? "side" : "difference";
    this.setAgainst((Number(asked.get("against")) || 0) * 1000);
    this.line = createTimeline(root.querySelector("#replay-line"), { language, replay: this });
    this.controls = createControls(root, { language, replay: this });
    this.#askTimeline();
    this.setRerun(choiceOf(asked.get("rerun")));
    this.#askTrend();
    this.#next();
  }

  now() {
    return this.player.at;
  }

  get trouble() {
    return performance.now() - this.#trouble.at < TROUBLE_MS ? this.#trouble.why : "";
  }

  #refused(why) {
    this.#trouble = { why, at: performance.now() };
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    this.#beside?.destroy();
    this.#abort.abort();
    this.chunks.clear();
    this.controls.destroy();
    this.line.destroy();
  }

  // ---------------------------------------------------------------- what a person does

  setRange(from, to, { at } = {}) {
    this.player.setRange(...rangeOf(from, to, Date.now()));
    if (at !== undefined) this.player.seek(at);
    this.#rangeAt = performance.now();
  }

  setView(view) {
    this.player.setView(view);
    this.#askTimeline();
  }

  /** The draft of the thresholds page, where this tab was opened from it. */
  get draft() {
    return kept();
  }

  /** The alarms as the rules of a choice would have made them; null: as they were recorded. */
  async setRerun(choice) {
    const asked = ++this.#reruns;
    this.rerun = null;
    this.choice = choice;
    this.wrong = this.#mayNot(choice);
    if (this.wrong) this.choice = null;
    this.#repaint();
    if (this.choice !== null) await this.#askRerun(asked);
    if (asked !== this.#reruns) return;
    this.#exact = ""; // the address is to say it
    this.#repaint();
    this.#layLine();
  }

  #mayNot(choice) {
    const w = words(this.language);
    if (Number.isNaN(choice)) return w.rerunWrong;
    if (choice === "draft" && !this.draft) return w.rerunNoDraft;
    return choice !== null && this.player.to - this.player.from > RERUN_MOST ? w.rerunMost : "";
  }

  /** Every version of the rules, for a choice among them. */
  async askVersions() {
    try {
      this.versions = (await read(`/api/v1/rules/versions?lang=${this.language}`, { signal: this.#abort.signal })).versions;
    } catch (error) {
      if (error.name !== "AbortError") this.#refused(error.message);
    }
  }

  /** Compare with the same time so many ms before; 0 ends it. */
  setAgainst(ms) {
    this.against = ms;
    const { devices, digest, kinds } = this.directory;
    this.other = ms ? new PlayedZone(devices.length, digest) : null;
    this.player.setTracks([{ offset: 0, zone: this.zone }, ...(ms ? [{ offset: -ms, zone: this.other }] : [])]);
    this.root.toggleAttribute("data-against", ms > 0);
    this.#otherView = null;
    this.#beside?.destroy();
    this.#beside = null;
    this.#lay();
  }

  /** "difference" or "side". */
  setCompare(how) {
    this.compare = how;
    this.#exact = ""; // the address is to say it
    this.#lay();
  }

  /** The maps as the comparison wants them. */
  #lay() {
    const { kinds } = this.directory;
    const { wall, other } = this;
    const how = other ? this.compare : "";
    const side = how === "side" && wall.map;
    if (how) this.root.setAttribute("data-compare", how);
    else this.root.removeAttribute("data-compare");
    if (!side) {
      this.#beside?.destroy();
      this.#beside = null;
    } else if (!this.#beside) {
      const lens = {
        look: (i) => ({ known: other.known(i), band: other.band(i), level: other.level(i) }),
        moving: () => this.moving,
        now: () => Math.floor(this.player.at) - this.against,
        ask: (device, signal) => this.device(device, { signal, before: this.against }),
      };
      this.#beside = new Beside({ wall, directory: this.directory, language: this.language, zone: other, lens });
      if (this.#otherView) this.#beside.take(this.#otherView);
    }
    wall.map?.recolour(how === "difference" ? recoloured(kinds) : kinds);
    this.#repaint();
  }

  leave() {
    location.assign(`/?lang=${this.language}`);
  }

  /** Whether the instant shown may be another one at the next picture. */
  get moving() {
    return this.player.playing || this.#exact === "";
  }

  /** A device as it was at the instant shown, or so many ms before it. */
  async device({ id }, { signal, before = 0 } = {}) {
    const { at, view } = this.player;
    const at_ = Math.floor(at) - before;
    const query = new URLSearchParams({ at: at_, view, devices: id, lang: this.language });
    const found = await read(`/api/v1/replay/values?${query}`, { signal });
    return { ...found.devices[0], device: { id }, now: at_ };
  }

  /** A day around the instant shown. */
  async history({ id }, metric) {
    const at = Math.floor(this.player.at);
    const to = Math.min(at + DAY_MS / 2, Date.now());
    const query = new URLSearchParams({ device: id, metric, points: POINTS, from: to - DAY_MS, to });
    return { ...(await read(`/api/v1/history?${query}`)), mark: at };
  }

  // ---------------------------------------------------------------- each picture of the screen

  #next() {
    this.#frame = requestAnimationFrame((now) => {
      if (this.#abort.signal.aborted) return;
      this.#tick(now);
      this.#next();
    });
  }

  #tick(now) {
    const { player } = this;
    const began = performance.now();
    player.tick(now);
    this.#paint();
    this.applied.push(performance.now() - began);
    if (this.applied.length > 10_000) this.applied.splice(0, 5_000);
    this.#tellView(now);
    this.tell.state({ link: player.waiting ? "waiting" : "replay", reason: "", age: null });
    this.tell.clock();
    this.line.draw();
    this.controls.show();
    if (this.#rangeAt && now - this.#rangeAt > RANGE_MS) {
      this.#rangeAt = 0;
      this.#askTrend();
      if (this.choice !== null) this.setRerun(this.choice);
      this.#askTimeline();
    }
    this.#still(now);
  }

  #painted = null; // the zone as the map shows it: its own alarms, or those re-run; its own colours, or a difference

  #repaint() {
    const n = this.zone.values.length;
    const own = !this.rerun && !this.#mixed;
    this.#painted = own ? this.zone : { values: new Uint8Array(n), status: new Uint8Array(n), level: (i) => this.#painted.status[i] & 15 };
    this.#changed.push(...this.zone.values.keys());
    this.#view ??= this.#told;
  }

  #paint() {
    if (!this.player.shown) return;
    const changed = this.#changed;
    if (this.rerun) {
      changed.push(...this.rerun.seek(this.player.at));
      if (this.rerun.changed) this.#view ??= this.#told;
    }
    if (this.#painted !== this.zone) for (const i of changed) this.#compose(i);
    if (changed.length) this.tell.frame(changed, this.#painted);
    this.#changed = [];
    if (this.#beside) {
      if (this.#otherChanged.length) this.#beside.update(this.#otherChanged);
      this.#beside.label(said(this.player.at), said(this.player.at - this.against), this.rerun !== null);
    }
    this.#otherChanged = [];
  }

  /** Whether the map shows the difference of two times. */
  get #mixed() {
    return this.other !== null && this.compare === "difference";
  }

  #compose(i) {
    const { values, status } = this.zone;
    const level = this.rerun ? this.rerun.level(i) : this.zone.level(i);
    const [value, look] = this.#mixed ? painted(values[i], this.other.values[i], level) : [values[i], (status[i] & 0xf0) | level];
    this.#painted.values[i] = value;
    this.#painted.status[i] = look;
  }

  /** The other time's value beside each tile's own. */
  #takeOther(view) {
    this.#otherView = view;
    if (view) this.#beside?.take(view);
    for (const element of this.root.querySelectorAll(".tile-value[data-bind]")) {
      element.setAttribute("data-other", text(valueAt(view, element.getAttribute("data-bind"))));
    }
  }

  #tellView(now) {
    if (!this.#view || !this.player.shown || (this.player.playing && now < this.#viewDue)) return;
    this.#told = this.#view;
    this.#view = null;
    const compute = { ...this.#told.compute, trend: this.trend.at(this.#told.at) };
    this.tell.view({ ...this.#told, compute, ...(this.rerun ? { alarms: this.rerun.panel() } : {}) });
    this.#viewDue = now + TELL_MS;
  }

  /** Standing still: the address, the exact view, and the device that is looked at. While playing, the address alone. */
  #still(now) {
    const { at, view, playing, shown } = this.player;
    const here = `${at} ${view}`;
    if (here !== this.#was) {
      this.#was = here;
      this.#exact = "";
      this.differences = null;
      this.wall.hover?.stir();
      // an exact view of a later instant does not stand for an earlier one
      if (this.#told?.at > at) this.#view ??= this.#held;
      if (!playing) this.#movedAt = now;
    }
    if (playing) {
      if (now - this.#movedAt < KEEP_MS) return;
      this.#movedAt = now;
      this.#keepAddress();
    } else if (shown && here !== this.#exact && now - this.#movedAt >= SETTLE_MS) {
      this.#exact = here;
      this.#keepAddress();
      this.wall.detail?.refresh();
      this.wall.hover?.settle();
      this.#askExact(Math.floor(at), view, here);
    }
  }

  async #askExact(at, view, here) {
    const query = new URLSearchParams({ from: at, to: at + 1, step: 1, view, lang: this.language });
    await this.#ask(`views?${query}`, ([found]) => {
      if (this.#exact !== here) return;
      this.untold = false;
      this.#view = found.view;
    });
    if (this.against) {
      const before = new URLSearchParams({ ...Object.fromEntries(query), from: at - this.against, to: at - this.against + 1 });
      await this.#ask(`views?${before}`, ([found]) => this.#exact === here && this.#takeOther(found.view));
    }
    await this.#ask(`differences?at=${at}`, ({ devices }) => {
      if (this.#exact === here) this.differences = devices;
    });
  }

  // ---------------------------------------------------------------- what is fetched

  async #load({ kind, view, begin, end, step }, signal) {
    const query = new URLSearchParams({ from: begin, to: end, step: step / 1000, view, lang: this.language });
    if (kind === "frames") query.delete("lang");
    await between(); // to start a request takes milliseconds, which a picture does not have
    const response = await fetch(`/api/v1/replay/${kind}?${query}`, { signal });
    if (!response.ok) {
      const said = await response.json().catch(() => ({}));
      throw new Error(said.error ?? `${response.status} ${response.statusText}`);
    }
    if (kind === "frames") {
      const data = decodeChunk(await response.arrayBuffer());
      return { data, end: data.end, bytes: data.bytes };
    }
    const text = await response.text();
    const data = JSON.parse(text);
    return { data, end: Math.min(end, (data.at(-1)?.at ?? begin) + step), bytes: 2 * text.length };
  }

  async #askTimeline() {
    const { from, to, view } = this.player;
    await this.#ask(`timeline?${new URLSearchParams({ from: Math.floor(from), to: Math.floor(to), view, lang: this.language })}`, (found) => {
      // the range may have moved on meanwhile
      if (from !== this.player.from || to !== this.player.to || view !== this.player.view) return;
      if (found.end < to - 1) this.player.setRange(from, found.end);
      this.#recorded = found;
      this.#layLine();
    });
  }

  #recorded = null; // the time line as the server tells it

  /** The time line with the alarms that are shown: those recorded, or those re-run. */
  #layLine() {
    if (!this.#recorded) return;
    this.timeline = { ...(this.rerun ? this.rerun.over(this.#recorded) : this.#recorded), version: ++this.#lines };
    this.player.transitions = this.timeline.transitions.map(([at]) => at);
  }

  async #askTrend() {
    try {
      await this.trend.read(this.player.from, this.player.to);
      this.#view ??= this.#told;
    } catch (error) {
      if (error.name !== "AbortError") this.#refused(error.message);
    }
  }

  async #askRerun(asked) {
    const body = JSON.stringify(questionOf(this.choice, this.draft, this.player.from, this.player.to));
    const how = { method: "POST", body, headers: { "Content-Type": "application/json" }, signal: this.#abort.signal };
    try {
      const [found] = await Promise.all([read(`/api/v1/replay/rerun?lang=${this.language}`, how), this.askVersions()]);
      if (asked === this.#reruns) this.rerun = new Rerun(found, this.directory, this.language);
    } catch (error) {
      if (asked !== this.#reruns || error.name === "AbortError") return;
      this.choice = null;
      this.wrong = error.message;
    }
  }

  /** What the server says at an address of the replay, to `take`; what it refuses is kept to be shown. */
  async #ask(what, take) {
    try {
      take(await read(`/api/v1/replay/${what}`, { signal: this.#abort.signal }));
    } catch (error) {
      if (error.name !== "AbortError") this.#refused(error.message);
    }
  }

  #keepAddress() {
    const { from, to, at, speed, view } = this.player;
    const query = new URLSearchParams({ from: addressOf(from), to: addressOf(to), at: addressOf(at), speed, view, lang: this.language });
    if (this.against) query.set("against", this.against / 1000);
    if (this.against && this.compare === "side") query.set("compare", "side");
    if (this.choice !== null) query.set("rerun", this.choice);
    const address = `${location.pathname}?${query}`;
    if (address === this.#address) return;
    this.#address = address;
    history.replaceState(history.state, "", address);
    const other = this.root.querySelector('.wall-language[href^="?"]');
    query.set("lang", this.language === "zh" ? "en" : "zh");
    other?.setAttribute("href", `?${query}`);
  }
}

/** After the picture that is being made. */
const between = () => new Promise((resolve) => setTimeout(resolve));

/** A range that can be: in order, not too short, not too long, not in the future; the last day where none is given. */
export function rangeOf(from, to, now) {
  const end = Math.min(Number.isFinite(to) ? to : Number.isFinite(from) ? from + DAY_MS : now, now);
  const begin = Number.isFinite(from) && from < end ? from : end - DAY_MS;
  return [Math.max(Math.min(begin, end - LEAST), end - MOST), end];
}
