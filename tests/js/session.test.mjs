import assert from "node:assert/strict";
import { it } from "node:test";
import { watch } from "../../dashboards/assets/js/session.mjs";

it("leaves when a request is no longer answered, and hands every answer on", async () => {
  const answers = [200, 403, 503, 401];
  let left = 0;
  const scope = { fetch: async () => ({ status: answers.shift() }) };
  watch(scope, () => left++);
  for (const [status, times] of [[200, 0], [403, 0], [503, 0], [401, 1]]) {
    assert.equal((await scope.fetch("/x")).status, status);
    assert.equal(left, times);
  }
});
