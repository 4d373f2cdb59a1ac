// The wall's source of the past: the player with what it fetches, its controls, its time line and its address.
//
// While it plays nothing is asked of the page's server but chunks; when it stands still, the exact view of its instant.

import { Chunks } from "./chunks.mjs";
import { createControls } from "./controls.mjs";
import { read } from "./feed.mjs";
import { addressOf, DAY_MS, parse } from "./moments.mjs";
import { LEAST, MOST, Player } from "./player.mjs";
import { decodeChunk, PlayedZone } from "./replay-frames.mjs";
import { createTimeline } from "./timeline.mjs";

const SETTLE_MS = 250; // standing still for so long, the exact view is asked for
const RANGE_MS = 350; // a range that is being dragged or zoomed is asked for when it rests
const TELL_MS = 250; // between two views that are drawn while playing
const POINTS = 288;

export function replaySource(options) {
  return new Replay(options);
}

class Replay {
  timeline = null; // as the server told it
  applied = []; // ms that the last frames took to apply, for the measurements
  #view = null;
  #viewDue = 0;
  #exact = "";
  #stillSince = 0;
  #rangeAt = 0;
  #abort = new AbortController();
  #frame = 0;
  #address = "";
  #was = ""; // the instant that was last seen standing still
  #told = 0; // numbers the time lines

  constructor({ root, directory, language, wall, tell }) {
    Object.assign(this, { root, directory, language, wall, tell });
    this.zone = new PlayedZone(directory.devices.length, directory.digest);
    this.chunks = new Chunks((span, signal) => this.#load(span, signal));
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
      frame: (changed) => this.tell.frame(changed),
      told: (view) => {
        this.#view = view;
      },
    });
    this.line = createTimeline(root.querySelector("#replay-line"), { language, replay: this });
    this.controls = createControls(root, { language, replay: this });
    this.#askTimeline();
    this.#next();
  }

  now() {
    return this.player.at;
  }

  stop() {
    cancelAnimationFrame(this.#frame);
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

  leave() {
    location.assign(`/?lang=${this.language}`);
  }

  /** A device as it was at the instant shown. */
  async device({ id }) {
    const { at, view } = this.player;
    const at_ = Math.floor(at);
    const query = new URLSearchParams({ at: at_, view, devices: id, lang: this.language });
    const found = await read(`/api/v1/replay/values?${query}`);
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
    this.applied.push(performance.now() - began);
    if (this.applied.length > 10_000) this.applied.splice(0, 5_000);
    this.#tellView(now);
    this.tell.state({ link: player.waiting ? "waiting" : "replay", reason: "", age: null });
    this.tell.clock();
    this.line.draw();
    this.controls.show();
    if (this.#rangeAt && now - this.#rangeAt > RANGE_MS) {
      this.#rangeAt = 0;
      this.#askTimeline();
    }
    this.#still(now);
  }

  #tellView(now) {
    if (!this.#view || (this.player.playing && now < this.#viewDue)) return;
    this.tell.view(this.#view);
    this.#view = null;
    this.#viewDue = now + TELL_MS;
  }

  /** Standing still: the address, the exact view, and the device that is looked at. */
  #still(now) {
    const { at, view, playing, shown } = this.player;
    const here = `${at} ${view}`;
    if (playing || here !== this.#exact) this.#stillSince ||= now;
    if (playing) {
      this.#exact = "";
      if (now - this.#stillSince > 2_000) this.#keepAddress(now);
      return;
    }
    if (here === this.#exact) return;
    if (this.#was !== here) [this.#was, this.#stillSince] = [here, now];
    if (!shown || now - this.#stillSince < SETTLE_MS) return;
    this.#exact = here;
    this.#keepAddress(now);
    this.wall.detail?.refresh();
    this.#askExact(Math.floor(at), view, here);
  }

  async #askExact(at, view, here) {
    try {
      const query = new URLSearchParams({ from: at, to: at + 1, step: 1, view, lang: this.language });
      const found = await read(`/api/v1/replay/views?${query}`, this.#abort.signal);
      if (this.#exact === here) this.#view = found[0].view;
    } catch (error) {
      if (error.name !== "AbortError") console.warn("no exact view:", error.message);
    }
  }

  // ---------------------------------------------------------------- what is fetched

  async #load({ kind, view, begin, end, step }, signal) {
    const query = new URLSearchParams({ from: begin, to: end, step: step / 1000, view, lang: this.language });
    if (kind === "frames") query.delete("lang");
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
    try {
      const found = await read(`/api/v1/replay/timeline?${new URLSearchParams({ from, to, view })}`, this.#abort.signal);
      // the range may have moved on meanwhile
      if (from !== this.player.from || to !== this.player.to || view !== this.player.view) return;
      if (found.end < to) this.player.setRange(from, found.end);
      this.timeline = { ...found, version: ++this.#told };
      this.player.transitions = found.transitions.map(([at]) => at);
    } catch (error) {
      if (error.name !== "AbortError") console.warn("no time line:", error.message);
    }
  }

  #keepAddress(now) {
    const { from, to, at, speed, view } = this.player;
    const query = new URLSearchParams({ from: addressOf(from), to: addressOf(to), at: addressOf(at), speed, view, lang: this.language });
    const address = `${location.pathname}?${query}`;
    this.#stillSince = now;
    if (address === this.#address) return;
    this.#address = address;
    history.replaceState(history.state, "", address);
  }
}

/** A range that can be: in order, not too short, not too long, not in the future; the last day where none is given. */
export function rangeOf(from, to, now) {
  const end = Math.min(Number.isFinite(to) ? to : Number.isFinite(from) ? from + DAY_MS : now, now);
  const begin = Number.isFinite(from) && from < end ? from : end - DAY_MS;
  return [Math.max(Math.min(begin, end - LEAST), end - MOST), end];
}
