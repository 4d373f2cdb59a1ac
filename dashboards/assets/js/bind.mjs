// Puts a view into the marked places of a page, touching only what changed.
//
//   data-bind="a.b"   the element's text            data-chart="a.b"  a chart spec, drawn by charts.mjs
//   data-tone="a.b"   sets data-tone-now for css    data-list="a.b"   rows [{cells: [text], tone, device?}]
//   data-colour="a.b" a standard's own colour, instead of the tone's; "" leaves the tone's

export const MISSING = "—";

/** The value at a dotted path, or undefined. */
export function at(view, path) {
  let found = view;
  for (const part of (path ?? "").split(".")) {
    if (found === null || typeof found !== "object" || !Object.hasOwn(found, part)) return undefined;
    found = found[part];
  }
  return found;
}

/** What a value reads like: an em dash for what is missing or no text. */
export function text(value) {
  if (typeof value === "string") return value;
  if (typeof value === "number" && Number.isFinite(value)) return String(value);
  return MISSING;
}

/** `draw(element, spec)` draws a chart; called only when the spec changed. */
export function bind(root, view, draw = () => {}) {
  for (const element of root.querySelectorAll("[data-bind]")) {
    put(element, text(at(view, element.getAttribute("data-bind"))));
  }
  for (const element of root.querySelectorAll("[data-tone]")) {
    mark(element, "data-tone-now", tone(at(view, element.getAttribute("data-tone"))));
  }
  for (const element of root.querySelectorAll("[data-colour]")) {
    const colour = at(view, element.getAttribute("data-colour"));
    paint(element, typeof colour === "string" ? colour : "");
  }
  for (const element of root.querySelectorAll("[data-list]")) {
    list(element, at(view, element.getAttribute("data-list")));
  }
  for (const element of root.querySelectorAll("[data-chart]")) {
    const spec = at(view, element.getAttribute("data-chart")) ?? null;
    const drawn = JSON.stringify(spec);
    if (charts.get(element) === drawn) continue;
    charts.set(element, drawn);
    draw(element, spec);
  }
}

const charts = new WeakMap(); // element → the spec it was last drawn from

/** Draw this element's chart again next time, whatever it shows now. */
export function forget(element) {
  charts.delete(element);
}

/** Rows are kept and refilled: a list that is the same is not touched. */
function list(element, rows) {
  const wanted = Array.isArray(rows) ? rows : [{ cells: [MISSING], tone: "none" }];
  while (element.children.length > wanted.length) element.lastElementChild.remove();
  wanted.forEach((row, i) => {
    const line = element.children[i] ?? append(element, "div", "row");
    const cells = Array.isArray(row?.cells) ? row.cells : [];
    while (line.children.length > cells.length) line.lastElementChild.remove();
    cells.forEach((cell, k) => put(line.children[k] ?? append(line, "span", "cell"), text(cell)));
    mark(line, "data-tone-now", tone(row?.tone));
    mark(line, "data-device", row?.device ?? null);
  });
}

const tone = (value) => (typeof value === "string" && value ? value : "none");

function append(parent, tag, className) {
  const made = parent.ownerDocument.createElement(tag);
  made.className = className;
  parent.append(made);
  return made;
}

function put(element, wanted) {
  if (element.textContent !== wanted) element.textContent = wanted;
}

function mark(element, name, wanted) {
  if (wanted === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== wanted) element.setAttribute(name, wanted);
}

function paint(element, colour) {
  if (element.style.getPropertyValue("--tone") !== colour) element.style.setProperty("--tone", colour);
}
