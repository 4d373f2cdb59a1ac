// Two stories of the same weeks as a picture: for each place a pair of lanes, the rule in force above, the changed one below.

import { h, svg } from "./element.mjs";
import { COLOURS } from "./rule.mjs";

const SHANGHAI_MS = 8 * 3_600_000;
const DAY = 86_400_000;

/** The path of all stretches of one level: boxes of [x0, x1) across `width`, at least one pixel wide. */
export function boxes(stretches, level, { begin, end, width, top, height }) {
  const x = (at) => Math.min(Math.max(((at - begin) / (end - begin)) * width, 0), width);
  return stretches
    .filter(([, , l]) => l === level)
    .map(([a, b]) => {
      const from = x(a);
      const wide = Math.max(x(b) - from, 1);
      return `M${from.toFixed(1)} ${top}h${wide.toFixed(1)}v${height}h${(-wide).toFixed(1)}z`;
    })
    .join("");
}

/** Local midnights within [begin, end). */
export function midnights(begin, end) {
  const first = Math.ceil((begin + SHANGHAI_MS) / DAY) * DAY - SHANGHAI_MS;
  return Array.from({ length: Math.max(0, Math.ceil((end - first) / DAY)) }, (_, i) => first + i * DAY);
}

/** A pair of lanes as one small drawing; `onPick(at)` when a place in time is clicked. */
export function lanes({ old, new: changed }, { begin, end, width, onPick, each = 7 }) {
  const drawing = svg("svg", { class: "stories-lanes", viewBox: `0 0 ${width} ${2 * each + 3}`, preserveAspectRatio: "none", height: 2 * each + 3 });
  for (const at of midnights(begin, end)) {
    const x = ((at - begin) / (end - begin)) * width;
    drawing.append(svg("path", { class: "stories-night", d: `M${x.toFixed(1)} 0v${2 * each + 3}` }));
  }
  for (const [name, stretches, top] of [["old", old, 0], ["new", changed, each + 2]]) {
    drawing.append(svg("rect", { class: "stories-track", x: 0, y: top, width, height: each }));
    for (let level = 1; level <= 4; level++) {
      const d = boxes(stretches, level, { begin, end, width, top, height: each });
      if (d) drawing.append(svg("path", { class: `stories-${name}`, "data-level": level, fill: COLOURS[level - 1], d }));
    }
  }
  if (onPick) {
    drawing.classList.add("stories-pick");
    drawing.addEventListener("click", (event) => {
      const { left, width: wide } = drawing.getBoundingClientRect();
      onPick(begin + ((event.clientX - left) / wide) * (end - begin));
    });
  }
  return drawing;
}

/** The days along the top of the picture: as many as there is room for. */
export function axis(begin, end, width, format) {
  const nights = midnights(begin, end);
  const every = Math.ceil(nights.length / Math.max(1, Math.floor(width / 64)));
  const shown = nights.filter((_, i) => i % every === 0);
  return h(
    "div",
    { class: "stories-axis" },
    shown.map((at) => {
      const label = h("span", {}, format(at));
      label.style.left = `${((at - begin) / (end - begin)) * 100}%`;
      return label;
    }),
  );
}

/** Alarms a day, two bars each. */
export function days(counts, { format, words }) {
  const most = Math.max(1, ...counts.flatMap(([, a, b]) => [a, b]));
  return h(
    "div",
    { class: "stories-days" },
    counts.map(([at, old, changed]) => {
      const bar = (n, name) => {
        const made = h("i", { class: `stories-day-${name}` });
        made.style.height = `${(n / most) * 100}%`;
        return made;
      };
      return h("div", { title: `${format(at)}  ${words.oldRule} ${old}, ${words.newRule} ${changed}` }, bar(old, "old"), bar(changed, "new"));
    }),
  );
}
