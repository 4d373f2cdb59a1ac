// The wall: ties the live feed, the map, the bound places and the device panel to the page that Dash has drawn.
//
// `mount(root)` may be called again and again with the same page; another page (or none) takes the old one down first.

import { Ages, span } from "./age.mjs";
import { bind, forget } from "./bind.mjs";
import { dispose, draw } from "./charts.mjs";
import { createDetail } from "./detail.mjs";
import { decode, Zone } from "./frame.mjs";
import { backoff, connect } from "./live.mjs";
import { createMap } from "./map.mjs";
import { words } from "./words.mjs";

const LAYERS = ["boundary", "districts", "landuse", "river", "roads", "bridges", "links", "landmarks", "buildings", "devices"];
const RELOAD_AGAIN_MS = 300_000;

let mounted = null;

export function mount(root) {
  if (mounted && mounted.root === root && root?.isConnected) return;
  unmount();
  if (root) mounted = new Wall(root);
}

export function unmount() {
  mounted?.unmount();
  mounted = null;
}

class Wall {
  state = { link: "connecting", reason: "", age: null };
  zone = null;
  map = null;
  detail = null;
  view = {};
  mismatch = false; // the frames are of another registry than ours
  #feed = null;
  #clean = [];
  #timers = new Set();
  #gone = false;
  #linkText = "";

  constructor(root) {
    this.root = root;
    this.language = root.getAttribute("data-lang") === "en" ? "en" : "zh";
    this.words = words(this.language);
    this.ages = new Ages(root, this.language);
    window.gaoxin = this;
    this.#show(this.state);
    this.#every(1_000, () => this.#second());
    this.#second();
    this.#start();
  }

  unmount() {
    this.#gone = true;
    this.#feed?.stop();
    for (const timer of this.#timers) clearTimeout(timer);
    for (const undo of this.#clean) undo();
    this.map?.destroy();
    this.detail?.destroy();
    for (const element of this.root.querySelectorAll("[data-chart]")) {
      dispose(element);
      forget(element);
    }
    if (window.gaoxin === this) delete window.gaoxin;
  }

  /** The server's time, UTC ms; our own until it has told. */
  now() {
    return this.#feed ? this.#feed.now() : Date.now();
  }

  async #start(attempt = 0) {
    let directory;
    try {
      const response = await fetch(`/api/v1/devices?lang=${this.language}`);
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
      directory = await response.json();
    } catch (error) {
      console.warn("no device directory:", error.message);
      this.#show({ link: "connecting", reason: "directory", age: null });
      this.#after(500 + backoff(attempt), () => this.#start(attempt + 1));
      return;
    }
    if (this.#gone) return;
    this.#open(directory);
  }

  #open(directory) {
    this.directory = directory;
    this.zone = new Zone(directory.devices.length, directory.digest);
    const select = (index) => this.select(index);
    const panel = this.#part("wall-detail");
    if (panel) {
      this.detail = createDetail(panel, { ...directory, language: this.language, onClose: () => this.map?.select(null) });
    }
    const place = this.#part("wall-map");
    if (place) {
      this.map = createMap(place, {
        layers: Object.fromEntries(LAYERS.map((name) => [name, `/api/v1/layers/${name}`])),
        ...directory,
        language: this.language,
        onSelect: select,
      });
    }
    this.#toggles();
    this.#on(this.root, "click", (event) => {
      const row = event.target.closest("[data-device]");
      if (row) select(directory.devices.findIndex(({ id }) => id === row.getAttribute("data-device")));
    });
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.#feed = connect(`${scheme}://${location.host}/api/v1/live?lang=${this.language}`, {
      frame: (data) => this.#frame(data),
      text: (message) => this.#text(message),
      state: (state) => this.#show(state),
      shutOut: () => location.reload(), // to the sign-in, by the server's word
    });
  }

  /** Open the panel of the device at this index; -1 or null closes it. */
  select(index) {
    const device = index === null || index < 0 ? null : this.directory.devices[index];
    this.map?.select(device ? index : null);
    if (!device) return void this.detail?.close();
    // beside the device, not over it
    this.#part("wall-detail")?.setAttribute("data-side", this.map?.isRight(index) ? "left" : "right");
    this.detail?.open(index);
  }

  // ---------------------------------------------------------------- what the feed brings

  #frame(data) {
    let frame;
    let changed;
    try {
      frame = decode(data);
      changed = this.zone.apply(frame);
    } catch (error) {
      console.error("a frame that cannot be used:", error.message);
      return "gap";
    }
    if (changed === "gap") return "gap";
    if (changed === "mismatch") {
      this.#otherRegistry(frame.digest);
      return null;
    }
    this.mismatch = false;
    this.map?.update(changed, this.zone);
    return frame;
  }

  #text(message) {
    if (message.type !== "view") return;
    this.view = message;
    bind(this.root, message, draw);
    this.ages.take(message);
    this.ages.tick(this.now());
  }

  /** The engine knows other devices than this page: begin again, once; and then now and then, never in a loop. */
  #otherRegistry(digest) {
    const last = JSON.parse(sessionStorage.getItem("gaoxin.reloaded") ?? "null");
    if (last?.digest === digest && Date.now() - last.at < RELOAD_AGAIN_MS) {
      this.mismatch = true;
      return;
    }
    sessionStorage.setItem("gaoxin.reloaded", JSON.stringify({ digest, at: Date.now() }));
    location.reload();
  }

  // ---------------------------------------------------------------- the small parts

  #show(told) {
    // a picture of other devices is no live picture, however good the link
    const state = this.mismatch ? { ...told, link: "late", reason: "registry" } : told;
    this.state = state;
    const place = this.#part("wall-link");
    const said = this.#linkWords(state);
    if (place && said !== this.#linkText) {
      this.#linkText = said;
      place.textContent = said;
    }
    for (const element of [this.root, place]) {
      if (element && element.getAttribute("data-link") !== state.link) element.setAttribute("data-link", state.link);
    }
  }

  #linkWords({ link, reason, age }) {
    const w = this.words;
    if (reason === "registry") return w.otherRegistry;
    if (reason === "directory") return w.noDevices;
    return w[link].replace("{age}", age === null ? "" : ` ${span(age, this.language)}`);
  }

  #second() {
    const now = new Date(this.now());
    this.ages.tick(now.getTime());
    const place = this.#part("wall-clock");
    if (!place) return;
    const [date, time] = clock(now, this.language);
    if (place.children.length !== 2) {
      place.replaceChildren(made("span", "clock-time"), made("span", "clock-date"));
    }
    const [first, second] = place.children;
    if (first.textContent !== time) first.textContent = time;
    if (second.textContent !== date) second.textContent = date;
  }

  #toggles() {
    for (const button of this.root.querySelectorAll("#wall-layers [data-domain]")) {
      this.#on(button, "click", () => {
        const visible = button.getAttribute("aria-pressed") === "false";
        button.setAttribute("aria-pressed", String(visible));
        this.map?.setDomainVisible(button.getAttribute("data-domain"), visible);
      });
    }
  }

  #part(id) {
    return this.root.querySelector(`#${id}`);
  }

  #on(target, event, handler) {
    target.addEventListener(event, handler);
    this.#clean.push(() => target.removeEventListener(event, handler));
  }

  #after(ms, act) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#gone) act();
    }, ms);
    this.#timers.add(timer);
  }

  #every(ms, act) {
    const timer = setInterval(act, ms);
    this.#clean.push(() => clearInterval(timer));
  }
}

const CLOCKS = new Map();

/** [date, time] in the zone's own time, whatever the screen's machine is set to. */
export function clock(moment, language) {
  if (!CLOCKS.has(language)) {
    const locale = language === "en" ? "en-GB" : "zh-CN";
    const zone = { timeZone: "Asia/Shanghai" };
    const part = (shown) => new Intl.DateTimeFormat(locale, { ...zone, ...shown });
    CLOCKS.set(language, {
      day: part({ year: "numeric", month: language === "en" ? "short" : "long", day: "numeric" }),
      weekday: part({ weekday: "short" }),
      time: part({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }),
    });
  }
  const { day, weekday, time } = CLOCKS.get(language);
  return [`${day.format(moment)} ${weekday.format(moment)}`, time.format(moment)];
}

function made(tag, className) {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}
