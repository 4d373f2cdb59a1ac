// Moments as text, in the zone's own time (Asia/Shanghai, no daylight saving since 1991), and as the address has them.

export const SHANGHAI_MS = 8 * 3_600_000;
export const DAY_MS = 86_400_000;

const shifted = (at) => new Date(at + SHANGHAI_MS).toISOString();

/** "2026-11-20 17:42:10" */
export const said = (at) => shifted(at).slice(0, 19).replace("T", " ");

/** "2026-11-20T17:42:10", as a field for a date and time has it. */
export const fieldOf = (at) => shifted(at).slice(0, 19);

/** "2026-11-20T17:42:10+08:00" */
export const addressOf = (at) => `${fieldOf(at)}+08:00`;

/** "17:42" or "11-20" */
export const hourOf = (at) => shifted(at).slice(11, 16);
export const dayOf = (at) => shifted(at).slice(5, 10);

/** UTC ms of RFC 3339, of milliseconds, or of a local time without an offset; NaN for anything else. */
export function parse(text) {
  if (!text) return NaN;
  if (/^\d{10,}$/.test(text)) return Number(text);
  const zoned = /(?:[zZ]|[+-]\d\d:?\d\d)$/.test(text);
  // '+' in an address is a space once decoded
  const mended = text.replace(/ (\d\d:\d\d)$/, "+$1");
  return Date.parse(zoned || mended !== text ? mended : `${text.length <= 10 ? `${text}T00:00` : text}+08:00`);
}

/** The local midnight at or before a moment. */
export const midnight = (at) => Math.floor((at + SHANGHAI_MS) / DAY_MS) * DAY_MS - SHANGHAI_MS;
