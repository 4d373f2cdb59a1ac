// The live feed: one WebSocket that comes back by itself, and an honest word on how fresh the picture is.
//
// `Link` is the state machine: events and a time go in, what to do comes out; it owns no socket and no timer.
// `connect` is the socket and the timer around it.
//
//   waiting --retry due--> connecting --opened--> open --closed, or silent for 15 s--> waiting
//
// Its state is what a viewer must know:
//   connecting  nothing was ever shown
//   live        the newest frame is fresh
//   late        the link is open, but nothing is heard, or what is heard is old
//   lost        the link is cut; it is being tried again

export const TIMES = {
  late: 5_000, // ms without a message, or of data age, until the picture counts as late
  dead: 15_000, // ms without a message until the socket is given up
  first: 500, // ms, the first back-off
  cap: 15_000, // ms, the longest
  key: 2_000, // ms between two requests for a key frame
};

const POLICY = 1008; // the WebSocket's close code for one that may not, or may no longer

/** Full jitter: anywhere between 0 and the exponential step, so that many screens do not come back in one moment. */
export function backoff(attempt, random = Math.random, { first, cap } = TIMES) {
  return random() * Math.min(cap, first * 2 ** attempt);
}

/** Server time minus ours. The message that travelled fastest tells best, so the greatest of the last few. */
export class ServerClock {
  #samples = [];

  take(serverNow, now) {
    this.#samples.push(serverNow - now);
    if (this.#samples.length > 20) this.#samples.shift();
  }

  get offset() {
    return this.#samples.length ? Math.max(...this.#samples) : 0;
  }

  get known() {
    return this.#samples.length > 0;
  }
}

export class Link {
  phase = "waiting";
  attempt = 0;
  frameAt = 0; // of the newest frame, server time, UTC ms
  clock = new ServerClock();
  #since = 0; // when this phase began
  #heard = 0; // when the last message came
  #retryAt = 0;
  #asked = -Infinity; // when a key frame was last asked for
  #spoke = false; // whether this connection has said anything

  constructor({ random = Math.random, times = TIMES } = {}) {
    this.random = random;
    this.times = times;
  }

  /** Each event returns what to do: "connect", "close", "key" or nothing. */
  start(now) {
    return this.#enter("connecting", now, "connect");
  }

  opened(now) {
    this.#heard = now;
    this.#spoke = false;
    return this.#enter("open", now);
  }

  /** Any message at all. `serverNow` and `frameAt` when it carries them. */
  heard(now, { serverNow, frameAt } = {}) {
    this.#heard = now;
    // Only now: a server that accepts and hangs up must not be called again at once
    if (!this.#spoke) [this.#spoke, this.attempt] = [true, 0];
    if (Number.isFinite(serverNow)) this.clock.take(serverNow, now);
    if (Number.isFinite(frameAt) && frameAt > 0) this.frameAt = frameAt;
    return undefined;
  }

  gap(now) {
    if (now - this.#asked < this.times.key) return undefined;
    this.#asked = now;
    return "key";
  }

  closed(now) {
    if (this.phase === "waiting") return undefined;
    this.#retryAt = now + backoff(this.attempt++, this.random, this.times);
    return this.#enter("waiting", now);
  }

  tick(now) {
    const { dead } = this.times;
    if (this.phase === "waiting" && now >= this.#retryAt) return this.#enter("connecting", now, "connect");
    if (this.phase === "connecting" && now - this.#since >= dead) return this.#giveUp(now);
    if (this.phase === "open" && now - this.#heard >= dead) return this.#giveUp(now);
    return undefined;
  }

  serverNow(now) {
    return now + this.clock.offset;
  }

  /** @returns {{link: "live" | "late" | "lost" | "connecting", reason: string, age: number | null}} `age` of the data, ms */
  state(now) {
    const age = this.frameAt ? Math.max(0, this.serverNow(now) - this.frameAt) : null;
    if (this.phase !== "open") {
      const never = this.frameAt === 0 && this.attempt < 2;
      return { link: never ? "connecting" : "lost", reason: "cut", age };
    }
    if (now - this.#heard >= this.times.late) return { link: "late", reason: "silent", age };
    if (age === null) return { link: now - this.#since < this.times.late ? "connecting" : "late", reason: "nothing", age };
    return age >= this.times.late ? { link: "late", reason: "old", age } : { link: "live", reason: "", age };
  }

  #giveUp(now) {
    this.closed(now);
    return "close";
  }

  #enter(phase, now, action) {
    this.phase = phase;
    this.#since = now;
    return action;
  }
}

/** Monotonic milliseconds since the epoch: a stepped clock on the screen's machine must not look like a late feed. */
export const steadyNow = () => performance.timeOrigin + performance.now();

/**
 * @param {string} url ws:// or wss://
 * @param {{frame: (data: ArrayBuffer) => {at: number} | "gap", text: (message: object) => void,
 *   state: (state: object) => void, shutOut?: () => void}} handlers `frame` decodes and applies a binary message and
 *   returns it, or "gap"; `shutOut`: the session that this page was opened with has ended
 * @returns {{link: Link, now: () => number, stop: () => void}} `now`: the server's time, UTC ms
 */
export function connect(url, handlers, { link = new Link(), now = steadyNow, Socket = WebSocket, tickMs = 250 } = {}) {
  let socket = null;
  let letIn = false;

  function run(action) {
    if (action === "connect") open();
    else if (action === "close") drop();
    else if (action === "key" && socket?.readyState === 1) socket.send("key");
    handlers.state(link.state(now()));
  }

  function open() {
    const opened = new Socket(url);
    opened.binaryType = "arraybuffer";
    const mine = (handler) => (event) => {
      if (socket === opened) run(handler(event));
    };
    opened.onopen = mine(() => link.opened(now()));
    opened.onmessage = mine((event) => take(event.data));
    opened.onclose = mine((event) => {
      socket = null;
      // Only one that was let in before can be shut out: a page that never was must not reload for ever
      if (event.code === POLICY && letIn) handlers.shutOut?.();
      return link.closed(now());
    });
    socket = opened;
  }

  function drop() {
    const dropped = socket;
    socket = null;
    dropped?.close();
  }

  function take(data) {
    letIn = true;
    if (typeof data !== "string") {
      const frame = handlers.frame(data);
      link.heard(now(), frame === "gap" ? {} : { frameAt: frame?.at });
      return frame === "gap" ? link.gap(now()) : undefined;
    }
    const message = parse(data);
    link.heard(now(), { serverNow: message?.now, frameAt: message?.frameAt });
    if (message) handlers.text(message);
    return undefined;
  }

  run(link.start(now()));
  const timer = setInterval(() => run(link.tick(now())), tickMs);
  return {
    link,
    now: () => link.serverNow(now()),
    stop() {
      clearInterval(timer);
      drop();
    },
  };
}

function parse(text) {
  try {
    const message = JSON.parse(text);
    return message !== null && typeof message === "object" ? message : null;
  } catch {
    console.error("the live feed sent text that is no JSON");
    return null;
  }
}
