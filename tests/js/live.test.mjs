import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { backoff, connect, Link, ServerClock, TIMES } from "../../dashboards/assets/js/live.mjs";

const T = 1_000_000;
const half = () => 0.5;

function open(now = T) {
  const link = new Link({ random: half });
  link.start(now);
  link.opened(now);
  return link;
}

describe("back-off", () => {
  it("is anywhere up to a step that doubles, and no more than the cap", () => {
    const longest = (attempt) => backoff(attempt, () => 1);
    assert.deepEqual([0, 1, 2, 3, 4, 5, 30].map(longest), [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    assert.equal(backoff(9, () => 0), 0);
  });
});

describe("the link", () => {
  it("connects, goes live and says how old the data is", () => {
    const link = new Link({ random: half });
    assert.equal(link.state(T).link, "connecting");
    assert.equal(link.start(T), "connect");
    link.opened(T + 50);
    assert.equal(link.state(T + 60).link, "connecting");
    link.heard(T + 100, { serverNow: T + 100, frameAt: T + 90 });
    assert.deepEqual(link.state(T + 300), { link: "live", reason: "", age: 210 });
  });

  it("is late when open and silent, then gives the socket up", () => {
    const link = open();
    link.heard(T, { serverNow: T, frameAt: T });
    assert.equal(link.state(T + TIMES.late).link, "late");
    assert.equal(link.tick(T + TIMES.dead - 1), undefined);
    assert.equal(link.tick(T + TIMES.dead), "close");
    assert.equal(link.state(T + TIMES.dead).link, "lost");
  });

  it("is late when messages come and data does not", () => {
    const link = open();
    link.heard(T, { serverNow: T, frameAt: T });
    for (let t = T; t <= T + 60_000; t += 2_000) {
      link.heard(t, { serverNow: t, frameAt: T });
      assert.equal(link.tick(t), undefined);
    }
    assert.deepEqual(link.state(T + 60_000), { link: "late", reason: "old", age: 60_000 });
  });

  it("is late when no data has ever come", () => {
    const link = open();
    link.heard(T + 6_000, { serverNow: T + 6_000, frameAt: 0 });
    assert.deepEqual(link.state(T + 6_000), { link: "late", reason: "nothing", age: null });
  });

  it("measures age by the server's clock, however wrong ours is", () => {
    const link = open();
    const ahead = 3_600_000;
    link.heard(T, { serverNow: T + ahead, frameAt: T + ahead - 400 });
    assert.deepEqual(link.state(T + 100), { link: "live", reason: "", age: 500 });
  });

  it("gives up a connection that is never made", () => {
    const link = new Link({ random: half });
    link.start(T);
    assert.equal(link.tick(T + TIMES.dead), "close");
    assert.equal(link.phase, "waiting");
  });

  it("comes back, ever more slowly, until a message has come", () => {
    const link = open();
    link.heard(T, { serverNow: T, frameAt: T });
    let now = T;
    for (const wait of [250, 500, 1_000, 2_000, 4_000, 7_500, 7_500]) {
      link.closed(now);
      assert.equal(link.state(now).link, "lost");
      assert.equal(link.tick(now + wait - 1), undefined);
      assert.equal(link.tick(now + wait), "connect");
      now += wait;
      link.opened(now); // accepted and dropped at once: not a success
    }
    link.heard(now, {});
    link.closed(now);
    assert.equal(link.tick(now + 250), "connect");
  });

  it("counts one close once", () => {
    const link = open();
    link.closed(T);
    link.closed(T + 10);
    assert.equal(link.attempt, 1);
  });

  it("asks for a key frame, not more than every two seconds", () => {
    const link = open();
    assert.deepEqual([T, T + 200, T + 1_999, T + 2_000].map((t) => link.gap(t)), ["key", undefined, undefined, "key"]);
  });
});

describe("the server's clock", () => {
  it("is told best by the fastest message, and follows a step", () => {
    const clock = new ServerClock();
    for (const delay of [80, 5, 300]) clock.take(T - delay, T);
    assert.equal(clock.offset, -5);
    for (let i = 0; i < 20; i++) clock.take(T - 60_000, T);
    assert.equal(clock.offset, -60_000);
  });
});

describe("the socket", () => {
  class Socket {
    static made = [];
    readyState = 0;
    sent = [];
    closed = false;
    constructor(url) {
      this.url = url;
      Socket.made.push(this);
    }
    send(text) {
      this.sent.push(text);
    }
    close() {
      this.closed = true;
    }
    accept() {
      this.readyState = 1;
      this.onopen({});
    }
    say(data) {
      this.onmessage({ data });
    }
  }

  function feed(context, frame) {
    context.mock.timers.enable({ apis: ["setInterval", "Date"], now: T });
    Socket.made = [];
    const seen = { views: [], states: [] };
    const made = connect(
      "ws://x/live",
      { frame, text: (m) => seen.views.push(m), state: (s) => seen.states.push(s.link) },
      { now: Date.now, Socket, link: new Link({ random: half }) },
    );
    return { made, seen, tick: (ms) => context.mock.timers.tick(ms) };
  }

  it("relays frames and views, asks for a key frame at a gap, and comes back after a cut", (context) => {
    let answer = { at: T };
    const { made, seen, tick } = feed(context, () => answer);
    const [first] = Socket.made;
    first.accept();
    first.say(JSON.stringify({ type: "beat", now: T, frameAt: T }));
    first.say(new ArrayBuffer(28));
    first.say('{"type":"view","now":1000000}');
    first.say("not JSON");
    assert.deepEqual(seen.views.map((m) => m.type), ["beat", "view"]);
    assert.equal(seen.states.at(-1), "live");
    answer = "gap";
    first.say(new ArrayBuffer(28));
    first.say(new ArrayBuffer(28));
    assert.deepEqual(first.sent, ["key"]);
    first.onclose({});
    assert.equal(seen.states.at(-1), "lost");
    tick(250);
    assert.equal(Socket.made.length, 2);
    made.stop();
    tick(60_000);
    assert.equal(Socket.made.length, 2);
  });

  it("says that it was shut out only when it had been let in", (context) => {
    Socket.made = [];
    context.mock.timers.enable({ apis: ["setInterval", "Date"], now: T });
    let out = 0;
    const handlers = { frame: () => ({ at: T }), text: () => {}, state: () => {}, shutOut: () => out++ };
    const made = connect("ws://x/live", handlers, { now: Date.now, Socket, link: new Link({ random: half }) });
    const [first] = Socket.made;
    first.accept();
    first.onclose({ code: 1008 });
    assert.equal(out, 0);
    context.mock.timers.tick(1_000);
    const again = Socket.made[1];
    again.accept();
    again.say(JSON.stringify({ type: "beat", now: T, frameAt: T }));
    again.onclose({ code: 1008 });
    assert.equal(out, 1);
    made.stop();
  });

  it("closes a dead socket itself and ignores what that one still says", (context) => {
    const { made, seen, tick } = feed(context, () => ({ at: T }));
    const [first] = Socket.made;
    first.accept();
    tick(TIMES.dead);
    assert.ok(first.closed);
    const states = seen.states.length;
    first.onclose({});
    assert.equal(seen.states.length, states);
    tick(500);
    assert.equal(Socket.made.length, 2);
    made.stop();
  });
});
