// What the server answers about one device at one instant, as it is said: in its panel, and in the card under the pointer.

import { ageText } from "./age.mjs";
import { MISSING } from "./bind.mjs";

/** "在线 · 优 · 观测于 12 秒前"; `now`: the instant that is shown, UTC ms. */
export function stateSaid({ observation, state, band }, now, w, language) {
  const heard = observation ? `${w.observed} ${ageText(now - observation.at, language)}` : "";
  return [w[state], band?.label, heard].filter(Boolean).join(" · ");
}

/** One exact value, with as many decimals as its metric is worth. */
export function valueSaid(observation, { name, decimals }) {
  const exact = observation?.values?.[name];
  return Number.isFinite(exact) ? exact.toFixed(decimals) : MISSING;
}
