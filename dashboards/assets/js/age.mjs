// How old a value is, in words, and marked when it is older than it should be.
//
// An element with `data-age="path"` shows the age of the UTC milliseconds at that path of the view. When they are more than
// `data-age-limit` seconds ago, or missing, the element gets `data-stale`.

import { at as valueAt, MISSING } from "./bind.mjs";

const STEPS = [
  [60, 1, "秒", "s"],
  [3_600, 60, "分钟", "min"],
  [86_400, 3_600, "小时", "h"],
  [Infinity, 86_400, "天", "d"],
];

/** "12 秒" or "12 s": a length of time in its largest whole unit. */
export function span(ms, language) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [, size, zh, en] = STEPS.find(([below]) => seconds < below);
  return `${Math.floor(seconds / size)} ${language === "en" ? en : zh}`;
}

/** "12 秒前" or "12 s ago"; an em dash when `ms` is no number. A time just ahead of our clock counts as now. */
export function ageText(ms, language) {
  if (!Number.isFinite(ms)) return MISSING;
  return language === "en" ? `${span(ms, language)} ago` : `${span(ms, language)}前`;
}

export class Ages {
  #view = {};

  constructor(root, language) {
    this.root = root;
    this.language = language;
  }

  take(view) {
    this.#view = view;
  }

  /** `now`: the server's time, UTC ms. */
  tick(now) {
    for (const element of this.root.querySelectorAll("[data-age]")) {
      const moment = valueAt(this.#view, element.getAttribute("data-age"));
      const age = Number.isFinite(moment) && moment > 0 ? now - moment : NaN;
      const text = ageText(age, this.language);
      if (element.textContent !== text) element.textContent = text;
      const limit = Number(element.getAttribute("data-age-limit") ?? Infinity);
      const stale = !(age <= limit * 1000);
      if (stale !== element.hasAttribute("data-stale")) element.toggleAttribute("data-stale", stale);
    }
  }
}
