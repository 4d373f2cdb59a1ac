// A draft of the rules, handed from the thresholds page to the replay: kept for the tab and what is opened from it, never
// in an address and never on the server.

const NAME = "gaoxin.draft";

/** @param {{name: string, base: number, rules: object[]}} draft the whole book with the change in it; `base`: its version */
export function keep(draft, storage = sessionStorage) {
  storage.setItem(NAME, JSON.stringify(draft));
}

/** The draft of this tab; null where there is none. */
export function kept(storage = sessionStorage) {
  try {
    const found = JSON.parse(storage.getItem(NAME));
    return Array.isArray(found?.rules) ? found : null;
  } catch {
    return null;
  }
}
