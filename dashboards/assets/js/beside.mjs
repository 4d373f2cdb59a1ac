// Two times side by side: a second map beside the wall's own, on one camera, with the zone of the other time. It is made
// when it is asked for, and taken down with its graphics context when it is no longer wanted.

import { createMap } from "./map.mjs";
import { words } from "./words.mjs";

const LEVELS = ["red", "orange", "yellow", "blue"];

/** One camera for two maps: what moves either moves the other, once. Returns what ends it. */
export function oneCamera(a, b) {
  let led = false;
  const lead = (from, to) => {
    // a map that is just being made follows; and who is led does not lead back
    if (led || !from.ready) return;
    led = true;
    try {
      to.follow(from.camera);
    } finally {
      led = false;
    }
  };
  a.onMove = () => lead(a, b);
  b.onMove = () => lead(b, a);
  return () => (a.onMove = b.onMove = () => {});
}

export class Beside {
  /** `zone`: of the other time; `lens`: how the card under the pointer looks at it (hover.mjs). */
  constructor({ wall, directory, language, zone, lens }) {
    Object.assign(this, { wall, zone, words: words(language) });
    this.place = put("div", "wall-map wall-map-other", wall.map.element);
    this.labels = ["map-when", "map-when map-when-other"].map((name) => put("div", name, this.place));
    this.map = createMap(this.place, {
      layers: wall.map.layers,
      ...directory,
      language,
      onSelect: (index) => wall.select(index),
      lead: () => wall.map.camera,
    });
    this.map.update([], zone);
    this.apart = oneCamera(wall.map, this.map);
    this.unwatch = wall.hover?.watch(this.place, { ...lens, under: (x, y) => this.map.under(x, y) });
    wall.pair(this.map);
  }

  destroy() {
    this.apart();
    this.unwatch?.();
    this.wall.pair(null);
    this.map.destroy();
    for (const made of [this.place, ...this.labels]) made.remove();
  }

  update(changed) {
    this.map.update(changed, this.zone);
  }

  /** The alarms of the other time, as the view has them: on the map, and counted at its label. */
  take({ alarms }) {
    if (!alarms) return;
    this.map.setAlarms(alarms);
    this.counts = LEVELS.map((level) => alarms[level]).filter(Boolean).join("  ") || this.words.noAlarms;
  }

  counts = "";

  /** What each map says of itself; `marked`: that the alarms of the other time are those recorded, where ours are not. */
  label(own, other, marked) {
    const counts = [this.counts, marked && this.words.recorded].filter(Boolean).join(" · ");
    for (const [i, text] of [own, [other, counts].filter(Boolean).join("\n")].entries()) {
      if (this.labels[i].textContent !== text) this.labels[i].textContent = text;
    }
  }
}

function put(tag, className, after) {
  const made = document.createElement(tag);
  made.className = className;
  after.after(made);
  return made;
}
