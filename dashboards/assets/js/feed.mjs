// The wall's source of the present: the live feed and the zone that it keeps up to date.
//
// A source is what a wall shows. It has the `zone`, the time `now()`, a device's exact values and its history, and `stop`;
// `moving` where its time passes so fast that exact values are not worth asking for;
// what comes it tells through `frame(changed)`, `view(view)` and `state({link, reason, age})`.

import { decode, Zone } from "./frame.mjs";
import { connect } from "./live.mjs";

const RELOAD_AGAIN_MS = 300_000;
const POINTS = 288;
const DRAW_MS = 250; // a map is drawn whole for each change in it: ten times a second is work that nobody sees

export function liveSource({ directory, language, tell }) {
  const zone = new Zone(directory.devices.length, directory.digest);
  let mismatch = false; // the frames are of another registry than ours
  const due = new Set(); // indices that have changed since the map was told
  let drawing = null;
  let drawn = 0;

  function draw() {
    drawing = null;
    drawn = performance.now();
    tell.frame([...due]);
    due.clear();
  }

  function take(data) {
    let frame;
    let changed;
    try {
      frame = decode(data);
      changed = zone.apply(frame);
    } catch (error) {
      console.error("a frame that cannot be used:", error.message);
      return "gap";
    }
    if (changed === "gap") return "gap";
    mismatch = changed === "mismatch" && !reload(frame.digest);
    if (changed === "mismatch") return null;
    for (const index of changed) due.add(index);
    if (due.size) drawing ??= setTimeout(draw, Math.max(drawn + DRAW_MS - performance.now(), 0));
    return frame;
  }

  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const feed = connect(`${scheme}://${location.host}/api/v1/live?lang=${language}`, {
    frame: take,
    text: (message) => message.type === "view" && tell.view(message),
    // a picture of other devices is no live picture, however good the link
    state: (state) => tell.state(mismatch ? { ...state, link: "late", reason: "registry" } : state),
    shutOut: () => location.reload(), // to the sign-in, by the server's word
  });
  return {
    zone,
    now: feed.now,
    stop: () => {
      clearTimeout(drawing);
      feed.stop();
    },
    device: ({ id }, { signal } = {}) => read(`/api/v1/devices/${encodeURIComponent(id)}?lang=${language}`, { signal }),
    history: ({ id }, metric) => read(`/api/v1/history?${new URLSearchParams({ device: id, metric, points: POINTS })}`),
  };
}

/** The engine knows other devices than this page: begin again, once; and then now and then, never in a loop. */
function reload(digest) {
  const last = JSON.parse(sessionStorage.getItem("gaoxin.reloaded") ?? "null");
  if (last?.digest === digest && Date.now() - last.at < RELOAD_AGAIN_MS) return false;
  sessionStorage.setItem("gaoxin.reloaded", JSON.stringify({ digest, at: Date.now() }));
  location.reload();
  return true;
}

/** The JSON at an address of ours. Raises Error saying what the server said. */
export async function read(url, how = {}) {
  const response = await fetch(url, how);
  if (response.ok) return response.json();
  const said = await response.json().catch(() => ({}));
  throw new Error(said.error ?? `${response.status} ${response.statusText}`);
}
