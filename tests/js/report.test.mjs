import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { digest, sha256, verify } from "../../dashboards/report/report.mjs";

const bytes = (n) => Uint8Array.from({ length: n }, (_, i) => (i * 31 + n) % 256);

test("SHA-256 is that of the standard, at every length about a block", () => {
  for (const n of [...Array(130).keys(), 1_000, 70_001])
    assert.equal(sha256(bytes(n)), createHash("sha256").update(bytes(n)).digest("hex"), `${n} bytes`);
});

test("a digest counts bytes, not letters, and tells where a part ends", () => {
  const expected = createHash("sha256").update("record 6\n冷机\nalarms 1\nx\n").digest("hex");
  assert.equal(digest([["record", "冷机"], ["alarms", "x"]]), expected);
  assert.notEqual(digest([["a", "xy"], ["b", ""]]), digest([["a", "x"], ["b", "y"]]));
});

test("the verdict says whole or altered", () => {
  const part = { dataset: { part: "record" }, textContent: "{}" };
  const verdict = { dataset: { whole: "good", altered: "bad" } };
  const printed = { textContent: digest([["record", "{}"]]) };
  const page = { querySelectorAll: () => [part], getElementById: (id) => (id === "verdict" ? verdict : printed) };
  assert.equal(verify(page), true);
  assert.deepEqual([verdict.textContent, verdict.className], ["good", "whole"]);
  part.textContent = "{ }";
  assert.equal(verify(page), false);
  assert.deepEqual([verdict.textContent, verdict.className], ["bad", "altered"]);
});
