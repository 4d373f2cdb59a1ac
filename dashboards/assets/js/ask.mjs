// Questions to the server: one at a time, and the last one wins.

/** {status, body}; status 0 where the server does not answer. */
export async function ask(method, path, body) {
  const given = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  try {
    const response = await fetch(path, { method, ...given });
    return { status: response.status, body: await response.json().catch(() => ({})) };
  } catch {
    return { status: 0, body: {} };
  }
}

/**
 * A question that changes faster than it is answered. `send(question)` is asked with the newest one; while it is under way,
 * newer ones replace each other, so that there is never more than one waiting. `take(answer, question)` gets every answer:
 * an older one is better than none while somebody drags. `again(answer)` ms: ask the same again (0: no).
 */
export function latest(send, take, { again = () => 0, later = setTimeout } = {}) {
  let waiting = null;
  let busy = false;
  async function run() {
    busy = true;
    while (waiting !== null) {
      const question = waiting;
      waiting = null;
      const answer = await send(question);
      take(answer, question, waiting !== null);
      const pause = again(answer);
      if (pause && waiting === null) {
        await new Promise((done) => later(done, pause));
        waiting ??= question;
      }
    }
    busy = false;
  }
  return (question) => {
    waiting = question;
    if (!busy) run();
  };
}
