// Charts from specs: the server says what to show, this says how it looks. No animation: a wall repaints for weeks.
//
//   bars     {rows: [{label, value, text, colour}], max}             horizontal, one a row
//   columns  {rows: [{label, value, text?, colour}], max?, unit?}    vertical
//   line     {series: [{name, at: [ms], values, low?, high?, shade?, colour}], unit?, from?, to?, mark?}
//            time in Asia/Shanghai; an upright line at `mark`
//   ring     {value: 0-1 | null, text, colour}
//   spark    {values, colour, at?}                                   a line without axes

import { init } from "../vendor/echarts.mjs";

const SHANGHAI_MS = 8 * 3_600_000; // no daylight saving since 1991
const FONT = '"Noto Sans CJK SC","Source Han Sans SC","Microsoft YaHei",sans-serif';
const INK = "#dbe9f6";
const DIM = "#8ba4bd";
const FAINT = "rgba(125,165,205,0.14)";
const TRACK = "rgba(125,165,205,0.12)";
const PALETTE = ["#35c6f4", "#f5c542", "#58d68d", "#b58cff", "#ffb454"];

// ---------------------------------------------------------------- specs into options: pure

/** The ECharts option of a spec, null where there is nothing to show; `rem` is the root font size in px, which all sizes follow. */
export function option(spec, rem, { width = 0, height = 0 } = {}) {
  if ((spec?.rows ?? spec?.series)?.length === 0) return null;
  const made = Object.hasOwn(KINDS, spec?.kind ?? "") && KINDS[spec.kind](spec, rem, { width, height });
  return made ? { animation: false, textStyle: { fontFamily: FONT, color: INK }, ...made } : null;
}

const KINDS = { bars, columns, line, ring, spark };

const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
const greatest = (rows) => Math.max(0, ...rows.map((r) => finite(r.value) ?? 0)) || 1;

function bars({ rows = [], max }, rem, { width, height }) {
  const size = height && rows.length ? Math.min(rem, (0.8 * height) / rows.length) : rem;
  const labels = rows.map((r) => r.label ?? "");
  const texts = rows.map((r) => r.text ?? "—");
  const left = Math.min(textWidth(labels, size), width ? width * 0.42 : Infinity);
  const right = textWidth(texts, size);
  const axis = (data, colour, extra) => ({
    type: "category",
    inverse: true,
    data,
    axisLine: { show: false },
    axisTick: { show: false },
    axisLabel: { color: colour, fontSize: size, interval: 0, margin: 0.6 * rem, ...extra },
  });
  return {
    grid: { left: left + 0.9 * rem, right: right + 0.9 * rem, top: 0, bottom: 0 },
    xAxis: { type: "value", min: 0, max: max ?? greatest(rows), show: false },
    yAxis: [
      axis(labels, DIM, { width: left, overflow: "truncate" }),
      axis(texts, INK, { fontWeight: 600 }),
    ],
    series: [
      {
        type: "bar",
        barWidth: 0.42 * size,
        showBackground: true,
        backgroundStyle: { color: TRACK, borderRadius: rem },
        data: rows.map((r) => ({ value: finite(r.value), itemStyle: { color: faded(r.colour, 1), borderRadius: rem } })),
        silent: true,
      },
    ],
  };
}

function columns({ rows = [], max, unit = "" }, rem) {
  return {
    grid: { left: 2.6 * rem, right: 0.4 * rem, top: unit ? 1.6 * rem : 0.8 * rem, bottom: 1.6 * rem },
    xAxis: {
      type: "category",
      data: rows.map((r) => r.label ?? ""),
      axisLine: { lineStyle: { color: FAINT } },
      axisTick: { show: false },
      axisLabel: { color: DIM, fontSize: 0.78 * rem },
    },
    yAxis: valueAxis(rem, unit, max === undefined ? {} : { max }),
    series: [
      {
        type: "bar",
        barMaxWidth: 1.1 * rem,
        data: rows.map((r) => ({ value: finite(r.value), itemStyle: { color: r.colour ?? PALETTE[0], borderRadius: [0.15 * rem, 0.15 * rem, 0, 0] } })),
        silent: true,
      },
    ],
  };
}

function line({ series = [], unit = "", from, to, mark, legend = series.length > 1 }, rem) {
  const colours = series.map((s, i) => s.colour ?? PALETTE[i % PALETTE.length]);
  return {
    useUTC: true,
    color: colours,
    legend: {
      show: legend,
      right: 0,
      top: 0,
      itemWidth: 0.9 * rem,
      itemHeight: 0.25 * rem,
      icon: "roundRect",
      textStyle: { color: DIM, fontSize: 0.8 * rem },
      data: series.map((s) => s.name),
    },
    grid: { left: 3.1 * rem, right: 0.9 * rem, top: 1.7 * rem, bottom: 1.5 * rem },
    tooltip: tooltip(rem, unit),
    xAxis: {
      type: "time",
      ...(from === undefined ? {} : { min: from + SHANGHAI_MS }),
      ...(to === undefined ? {} : { max: to + SHANGHAI_MS }),
      splitNumber: 4,
      axisLine: { lineStyle: { color: FAINT } },
      axisTick: { show: false },
      axisLabel: { color: DIM, fontSize: 0.78 * rem, hideOverlap: true, formatter: { day: "{MM}-{dd}", hour: "{HH}:{mm}", minute: "{HH}:{mm}" } },
    },
    yAxis: valueAxis(rem, unit, { scale: true }),
    series: series.flatMap((s, i) => [
      ...band(s, colours[i], i),
      {
        name: s.name,
        type: "line",
        data: withGaps(s.at, s.values),
        showSymbol: false,
        connectNulls: false,
        lineStyle: { width: 0.13 * rem, color: colours[i] },
        emphasis: { disabled: true },
        ...(s.low || s.shade === false
          ? {}
          : {
              areaStyle: {
                color: { type: "linear", x: 0, y: 0, x2: 0, y2: 1, colorStops: [{ offset: 0, color: faded(colours[i], 0.24) }, { offset: 1, color: faded(colours[i], 0) }] },
              },
            }),
      },
    ]).concat(markLine(series, mark, rem)),
  };
}

/** An upright line at a time, as high as what is shown. */
function markLine(series, mark, rem) {
  const heights = series.flatMap((s) => [s.values, s.low ?? [], s.high ?? []]).flat().filter(Number.isFinite);
  if (!Number.isFinite(mark) || heights.length === 0) return [];
  const ends = [heights.reduce((a, b) => Math.min(a, b)), heights.reduce((a, b) => Math.max(a, b))];
  return [
    {
      name: "mark",
      type: "line",
      data: ends.map((height) => [mark + SHANGHAI_MS, height]),
      symbol: "none",
      silent: true,
      tooltip: { show: false },
      lineStyle: { width: 0.16 * rem, color: "#d59bff" },
    },
  ];
}

/** Low and high as a shade: an invisible line at the low, and the difference stacked upon it. */
function band({ name, at, low, high }, colour, i) {
  if (!low || !high) return [];
  const part = (values, style) => ({
    name: `${name} band`,
    type: "line",
    stack: `band${i}`,
    stackStrategy: "all",
    data: withGaps(at, values),
    symbol: "none",
    lineStyle: { opacity: 0 },
    silent: true,
    tooltip: { show: false },
    ...style,
  });
  const height = high.map((h, k) => (finite(h) === null || finite(low[k]) === null ? null : h - low[k]));
  return [part(low, {}), part(height, { areaStyle: { color: colour, opacity: 0.16 } })];
}

function ring({ value, text = "—", colour = "#6b7684", label }, rem) {
  const share = finite(value);
  return {
    series: [
      {
        type: "gauge",
        startAngle: 220,
        endAngle: -40,
        min: 0,
        max: 1,
        radius: "100%",
        center: ["50%", "56%"],
        // Shown even when there is nothing to show: ECharts fails on a gauge whose progress appears later
        progress: { show: true, width: 0.62 * rem, roundCap: true, itemStyle: { color: share === null ? "transparent" : colour } },
        axisLine: { roundCap: true, lineStyle: { width: 0.62 * rem, color: [[1, "rgba(125,165,205,0.16)"]] } },
        pointer: { show: false },
        axisTick: { show: false },
        splitLine: { show: false },
        axisLabel: { show: false },
        title: label ? { offsetCenter: [0, "38%"], color: DIM, fontSize: 0.85 * rem } : { show: false },
        detail: { offsetCenter: [0, 0], color: INK, fontSize: 1.9 * rem, fontWeight: 600, fontFamily: FONT, formatter: () => text },
        data: [{ value: share ?? 0, name: label ?? "" }],
        silent: true,
      },
    ],
  };
}

function spark({ values = [], at, colour = PALETTE[0] }, rem) {
  return {
    grid: { left: 0, right: 0, top: 0.1 * rem, bottom: 0.1 * rem },
    xAxis: { type: "value", show: false, min: "dataMin", max: "dataMax" },
    yAxis: { type: "value", show: false, scale: true },
    series: [
      {
        type: "line",
        data: at ? withGaps(at, values) : values.map((v, i) => [i, finite(v)]),
        showSymbol: false,
        silent: true,
        lineStyle: { width: 0.12 * rem, color: colour },
        areaStyle: { color: faded(colour, 0.15) },
      },
    ],
  };
}

function valueAxis(rem, unit, more) {
  return {
    type: "value",
    name: unit,
    nameTextStyle: { color: DIM, fontSize: 0.78 * rem, align: "right", padding: [0, 0.4 * rem, 0, 0] },
    nameGap: 0.7 * rem,
    splitNumber: 3,
    axisLabel: { color: DIM, fontSize: 0.78 * rem, margin: 0.5 * rem },
    splitLine: { lineStyle: { color: FAINT } },
    ...more,
  };
}

function tooltip(rem, unit) {
  return {
    trigger: "axis",
    confine: true,
    transitionDuration: 0,
    backgroundColor: "rgba(9,20,36,0.96)",
    borderColor: "rgba(53,198,244,0.4)",
    padding: 0.6 * rem,
    textStyle: { color: INK, fontSize: 0.85 * rem },
    axisPointer: { lineStyle: { color: "rgba(143,227,255,0.5)" } },
    valueFormatter: (value) => (finite(value) === null ? "—" : `${Math.round(value * 1000) / 1000} ${unit}`),
  };
}

/**
 * [time, value] pairs on Shanghai's clock face, with a null where values are missing for more than about two steps: a line
 * across silence would be a claim.
 */
export function withGaps(at = [], values = []) {
  const steps = at.slice(1).map((t, i) => t - at[i]);
  const usual = [...steps].sort((a, b) => a - b)[Math.floor(steps.length / 2)] ?? Infinity;
  const points = [];
  at.forEach((t, i) => {
    if (i > 0 && t - at[i - 1] > 2.5 * usual) points.push([at[i - 1] + usual + SHANGHAI_MS, null]);
    points.push([t + SHANGHAI_MS, finite(values[i])]);
  });
  return points;
}

/** About how wide the widest of these is, a little generously: a Chinese character is as wide as it is high. */
export function textWidth(texts, size) {
  const ems = texts.map((t) => [...String(t)].reduce((sum, c) => sum + (c > "\u2e80" ? 1 : /[A-Z%]/.test(c) ? 0.72 : /[.,: ]/.test(c) ? 0.32 : 0.58), 0));
  return (Math.max(0, ...ems) + 0.1) * size;
}

function faded(colour = "#6b7684", opacity) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  return Number.isNaN(r + g + b) ? colour : `rgba(${r},${g},${b},${opacity})`;
}

// ---------------------------------------------------------------- options onto the page

const drawn = new WeakMap(); // element → {chart, spec, observer}

/** Draw `spec` into `element`; null clears it. Follows the element's size. */
export function draw(element, spec) {
  const held = drawn.get(element) ?? attach(element);
  held.spec = spec;
  render(held, element);
}

export function dispose(element) {
  const held = drawn.get(element);
  if (!held) return;
  held.observer.disconnect();
  held.chart?.dispose();
  drawn.delete(element);
}

function attach(element) {
  const held = { chart: null, spec: null, observer: new ResizeObserver(() => render(held, element, true)) };
  held.observer.observe(element);
  drawn.set(element, held);
  return held;
}

function render(held, element, resized = false) {
  if (!element.isConnected) return dispose(element); // Dash took the page away
  const { clientWidth: width, clientHeight: height } = element;
  if (!width || !height) return;
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
  const wanted = option(held.spec, rem, { width, height });
  element.toggleAttribute("data-empty", wanted === null);
  if (wanted === null) {
    held.chart?.clear();
    return;
  }
  held.chart ??= init(element, null, { renderer: "canvas", width, height });
  if (resized) held.chart.resize({ width, height });
  held.chart.setOption(wanted, { notMerge: true, lazyUpdate: true });
}
