// What the report does by itself: say whether its data are as they were exported, and hand them out as files.
// SHA-256 (FIPS 180-4) is written out here, as browsers offer crypto.subtle on secure origins only, and a file is none.

const K = new Uint32Array(64);
const START = new Uint32Array(8);
for (let n = 2, i = 0; i < 64; n++) {
  let prime = true;
  for (let d = 2; d * d <= n; d++) if (n % d === 0) prime = false;
  if (!prime) continue;
  if (i < 8) START[i] = fraction(Math.sqrt(n));
  K[i++] = fraction(Math.cbrt(n));
}

function fraction(x) {
  return (x - Math.floor(x)) * 4294967296;
}

const turned = (x, n) => (x >>> n) | (x << (32 - n));

/** @param {Uint8Array} bytes @returns {string} 64 hexadecimal digits */
export function sha256(bytes) {
  const padded = new Uint8Array(((bytes.length + 72) >> 6) << 6);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 0x20000000));
  view.setUint32(padded.length - 4, bytes.length << 3);
  const h = START.slice();
  const w = new Uint32Array(64);
  for (let at = 0; at < padded.length; at += 64) block(h, w, view, at);
  return [...h].map((x) => x.toString(16).padStart(8, "0")).join("");
}

function block(h, w, view, at) {
  for (let i = 0; i < 16; i++) w[i] = view.getUint32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const s0 = turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ (w[i - 15] >>> 3);
    const s1 = turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ (w[i - 2] >>> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, last] = h;
  for (let i = 0; i < 64; i++) {
    const s1 = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25);
    const t1 = (last + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
    const s0 = turned(a, 2) ^ turned(a, 13) ^ turned(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [last, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + t2) | 0];
  }
  for (const [i, x] of [a, b, c, d, e, f, g, last].entries()) h[i] += x;
}

/** The digest of parts in their order, as twin/bundle.py makes it. @param {[string, string][]} parts name, text */
export function digest(parts) {
  const encoder = new TextEncoder();
  const chunks = parts.flatMap(([name, text]) => {
    const bytes = encoder.encode(text);
    return [encoder.encode(`${name} ${bytes.length}\n`), bytes, encoder.encode("\n")];
  });
  const whole = new Uint8Array(chunks.reduce((n, c) => n + c.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return sha256(whole);
}

/** @param {Document} page */
export function verify(page) {
  const parts = [...page.querySelectorAll("[data-part]")].map((e) => [e.dataset.part, e.textContent]);
  const verdict = page.getElementById("verdict");
  const whole = digest(parts) === page.getElementById("digest").textContent;
  verdict.textContent = whole ? verdict.dataset.whole : verdict.dataset.altered;
  verdict.className = whole ? "whole" : "altered";
  return whole;
}

/** @param {Document} page */
export function offer(page) {
  for (const button of page.querySelectorAll("[data-download]")) {
    button.addEventListener("click", () => {
      const text = page.querySelector(`[data-part="${button.dataset.download}"]`).textContent;
      const link = page.createElement("a");
      // With the mark by which a spreadsheet knows UTF-8
      link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
      link.download = button.dataset.file;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    });
  }
}

if (typeof document !== "undefined") {
  verify(document);
  offer(document);
}
