// A rule as plain data: what its handles are, how far each may be dragged, and how two people's changes come together.
// Nothing here decides what is right: the server does.

export const LEVELS = ["blue", "yellow", "orange", "red"];
export const COLOURS = ["#4aa3ff", "#ffd60a", "#ff8c1a", "#ff4d4f"];

const DEFAULTS = {
  match: "all",
  over: "device",
  need: 1,
  scope: {},
  raise_after_s: 0,
  clear_after_s: 0,
  grace_s: 0,
  schedule: [],
  message: "",
  group: "",
  channels: [],
  repeat_min: 0,
  runbook: "",
  enabled: true,
  flap_count: 5,
  flap_window_s: 3600,
};
const TERM_DEFAULTS = { metric: "", band: 0, of: "", window_s: 0 };

/** With every key, so that a form can be made of it. */
export function whole(rule) {
  const made = structuredClone({ ...DEFAULTS, ...rule });
  made.when = made.when.map((term) => ({ ...TERM_DEFAULTS, ...term }));
  return made;
}

/** Without what has its default, as the server writes it: two rules are equal when these are. */
export function plain(rule) {
  const without = (of, defaults) => Object.fromEntries(Object.entries(of).filter(([k, v]) => v !== null && v !== undefined && !same(v, defaults[k])));
  const made = without({ ...rule, when: rule.when.map((term) => without(term, TERM_DEFAULTS)) }, DEFAULTS);
  if (made.scope) made.scope = without(made.scope, { domains: [], kinds: [], districts: [], devices: [], where: {} });
  if (made.scope && !Object.keys(made.scope).length) delete made.scope;
  return made;
}

export const same = (a, b) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

const sorted = (v) =>
  Array.isArray(v) ? v.map(sorted) : v && typeof v === "object" ? Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])])) : v;

/** Every threshold of a term that has one line: [{level, side, value}], side 0 low and 1 high of a pair, else null. */
export function handles(term) {
  return LEVELS.flatMap((level) => {
    const value = term[level];
    if (Array.isArray(value)) return value.map((v, side) => ({ level, side, value: v }));
    return typeof value === "number" ? [{ level, side: null, value }] : [];
  });
}

/** Which way is worse: +1 up, -1 down. */
export function direction(term, side) {
  if (side !== null) return side === 0 ? -1 : 1;
  if (term.condition === "below") return -1;
  if (term.condition === "rate") return LEVELS.some((l) => typeof term[l] === "number" && term[l] < 0) ? -1 : 1;
  return 1;
}

/** Where a value is left again: the other edge of its dead band. */
export const left = (term, { side, value }) => value - direction(term, side) * (term.band || 0);

/** [least, most] that a handle may be dragged to: between its neighbours, `step` from them, within the metric's range. */
export function bounds(term, { level, side }, [low, high], step) {
  const way = direction(term, side);
  const at = LEVELS.indexOf(level);
  const of = (l) => (side === null ? term[l] : term[l]?.[side]);
  const lower = LEVELS.slice(0, at).reverse().map(of).find((v) => typeof v === "number");
  const upper = LEVELS.slice(at + 1).map(of).find((v) => typeof v === "number");
  let least = low;
  let most = high;
  const above = (v) => v !== undefined && (least = Math.max(least, v + step));
  const below = (v) => v !== undefined && (most = Math.min(most, v - step));
  (way > 0 ? above : below)(lower);
  (way > 0 ? below : above)(upper);
  if (side === 0) below(term[level][1]);
  if (side === 1) above(term[level][0]);
  return [least, most];
}

/** A step of 1, 2 or 5 times a power of ten, some two hundred of which make the span. */
export function stepOf(span) {
  const rough = span / 200;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((m) => m * power >= rough * 0.999) ?? 10);
}

/** To a whole number of steps, without the dust of binary fractions. */
export const rounded = (value, step) => Number((Math.round(value / step) * step).toPrecision(10));

/** A copy of the term with this handle elsewhere. */
export function moved(term, { level, side }, value) {
  const made = structuredClone(term);
  if (side === null) made[level] = value;
  else made[level][side] = value;
  return made;
}

/** [low, high] of a chart that shows these values and thresholds with some air. */
export function extent(values, thresholds, [least, most]) {
  const all = [...values, ...thresholds].filter((v) => Number.isFinite(v));
  if (!all.length) return [0, 1];
  let low = all.reduce((a, b) => Math.min(a, b));
  let high = all.reduce((a, b) => Math.max(a, b));
  const air = (high - low) * 0.1 || Math.abs(high) * 0.1 || 1;
  low = low >= 0 && least >= 0 ? Math.max(low - air, 0) : low - air;
  high = Math.min(high + air, Math.max(most, high));
  return [low, high > low ? high : low + 1];
}

/**
 * My change of a rule on top of theirs: what I changed since `base` is mine, all else is theirs, key by key. `both`: keys that
 * both changed, and differently. `theirs` null: they removed it; mine null: I did.
 */
export function rebased(base, mine, theirs) {
  if (mine === null || theirs === null || base === null) return { rule: mine, both: base !== null && theirs === null ? ["*"] : [] };
  const made = {};
  const both = [];
  for (const key of new Set([...Object.keys(base), ...Object.keys(mine), ...Object.keys(theirs)])) {
    const I = !same(base[key], mine[key]);
    const they = !same(base[key], theirs[key]);
    if (I && they && !same(mine[key], theirs[key])) both.push(key);
    const taken = I ? mine[key] : theirs[key];
    if (taken !== undefined) made[key] = taken;
  }
  return { rule: made, both };
}

/** The book with this rule in it: in its place, or at the end; `rule` null: without it. */
export function replaced(rules, id, rule) {
  const there = rules.some((r) => r.id === id);
  if (rule === null) return rules.filter((r) => r.id !== id);
  return there ? rules.map((r) => (r.id === id ? rule : r)) : [...rules, rule];
}

/** An id that no rule has: name, name-2, name-3 … */
export function freeId(rules, name) {
  const taken = new Set(rules.map((r) => r.id));
  const stem = name.replace(/-\d+$/, "");
  for (let n = 2; ; n++) if (!taken.has(`${stem}-${n}`)) return `${stem}-${n}`;
}

/** Write one place of a rule: "when.1.yellow" counts conditions from 1; null takes it away. */
export function put(rule, path, value) {
  const parts = path.split(".");
  let at = rule;
  for (const part of parts.slice(0, -1)) {
    const key = Array.isArray(at) ? Number(part) - 1 : part;
    at[key] ??= {};
    at = at[key];
  }
  const last = Array.isArray(at) ? Number(parts.at(-1)) - 1 : parts.at(-1);
  if (value === null) delete at[last];
  else at[last] = value;
}

/** How far each label is moved so that none covers another: positions in px, at least `room` apart, as near as can be. */
export function spread(positions, room) {
  const order = positions.map((y, i) => [y, i]).sort((a, b) => a[0] - b[0]);
  const put = order.map(([y]) => y);
  for (let i = 1; i < put.length; i++) put[i] = Math.max(put[i], put[i - 1] + room);
  // What was pushed down goes half the way back up, all that touch together
  for (let i = put.length - 1, end = i; i >= 0; i--) {
    if (i > 0 && put[i] - put[i - 1] <= room) continue;
    const over = (put[end] - order[end][0]) / 2;
    const least = i > 0 ? put[i - 1] + room : -Infinity;
    const back = Math.min(over, put[i] - least);
    for (let k = i; k <= end; k++) put[k] -= back;
    end = i - 1;
  }
  const moved = [];
  order.forEach(([y, i], n) => (moved[i] = put[n] - y));
  return moved;
}
