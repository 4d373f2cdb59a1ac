// The wall: ties its source, the map, the bound places and the device panel to the page that Dash has drawn. The source is
// the live feed, or on the replay's page its player: the wall is the same.
//
// `mount(root)` may be called again and again with the same page; another page (or none) takes the old one down first.

import { Ages, span } from "./age.mjs";
import { bind, forget } from "./bind.mjs";
import { dispose, draw } from "./charts.mjs";
import { createDetail } from "./detail.mjs";
import { liveSource } from "./feed.mjs";
import { backoff } from "./live.mjs";
import { createHover } from "./hover.mjs";
import { createMap } from "./map.mjs";
import { replaySource } from "./replay.mjs";
import { words } from "./words.mjs";

const SOURCES = { live: liveSource, replay: replaySource };

const LAYERS = ["boundary", "districts", "landuse", "river", "roads", "bridges", "links", "landmarks", "buildings", "devices"];

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
  hover = null;
  beside = null; // a second map, where two times are compared
  painted = null; // the zone as the map shows it
  view = {};
  source = null;
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
    this.source?.stop();
    for (const timer of this.#timers) clearTimeout(timer);
    for (const undo of this.#clean) undo();
    this.map?.destroy();
    this.detail?.destroy();
    this.hover?.destroy();
    for (const element of this.root.querySelectorAll("[data-chart]")) {
      dispose(element);
      forget(element);
    }
    if (window.gaoxin === this) delete window.gaoxin;
  }

  /** The time that is shown, UTC ms; our own until the source has one. */
  now() {
    return this.source ? this.source.now() : Date.now();
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
    const select = (index) => this.select(index);
    const panel = this.#part("wall-detail");
    if (panel) {
      this.detail = createDetail(panel, {
        ...directory,
        language: this.language,
        ask: { device: (device) => this.source.device(device), history: (...what) => this.source.history(...what) },
        onClose: () => this.#maps((map) => map.select(null)),
      });
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
    const card = this.#part("wall-hover");
    if (card && this.map) {
      this.hover = createHover(card, { ...directory, language: this.language, chosen: () => this.detail?.index ?? null });
      this.hover.watch(place, {
        under: (x, y) => this.map.under(x, y),
        look: (index) => ({ known: this.zone.known(index), band: this.zone.band(index), level: this.painted?.level(index) ?? 0 }),
        moving: () => this.source.moving === true,
        now: () => this.now(),
        ask: (device, signal) => this.source.device(device, { signal }),
      });
    }
    this.#toggles();
    this.#on(this.root, "click", (event) => {
      const row = event.target.closest("[data-device]");
      if (row) select(directory.devices.findIndex(({ id }) => id === row.getAttribute("data-device")));
    });
    this.source = SOURCES[this.root.getAttribute("data-source")]({
      root: this.root,
      directory,
      language: this.language,
      wall: this,
      tell: {
        frame: (changed, zone = this.source.zone) => {
          this.painted = zone;
          this.map?.update(changed, zone);
          this.hover?.changed(changed);
        },
        view: (view) => this.#view(view),
        state: (state) => this.#show(state),
        clock: () => this.#second(),
      },
    });
    this.zone = this.source.zone;
    const wanted = new URLSearchParams(location.search).get("device");
    if (wanted) select(directory.devices.findIndex(({ id }) => id === wanted));
  }

  /** Open the panel of the device at this index; -1 or null closes it. */
  select(index) {
    const device = index === null || index < 0 ? null : this.directory.devices[index];
    this.#maps((map) => map.select(device ? index : null));
    if (!device) return void this.detail?.close();
    // beside the device, not over it
    this.#part("wall-detail")?.setAttribute("data-side", this.map?.isRight(index) ? "left" : "right");
    this.detail?.open(index);
  }

  /** From now on this map shows and hides and marks what the wall's own does; null: none. */
  pair(map) {
    this.beside = map;
    map?.select(this.detail?.index ?? null);
    for (const button of this.root.querySelectorAll('#wall-layers [aria-pressed="false"]')) {
      map?.setDomainVisible(button.getAttribute("data-domain"), false);
    }
  }

  #maps(act) {
    for (const map of [this.map, this.beside]) if (map) act(map);
  }

  #view(view) {
    this.view = view;
    bind(this.root, view, draw);
    if (view.alarms) this.map?.setAlarms(view.alarms);
    this.ages.take(view);
    this.ages.tick(this.now());
  }

  // ---------------------------------------------------------------- the small parts

  #show(state) {
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
    this.hover?.tick();
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
        this.#maps((map) => map.setDomainVisible(button.getAttribute("data-domain"), visible));
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
