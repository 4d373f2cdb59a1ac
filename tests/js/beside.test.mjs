// Two maps with one camera.

import assert from "node:assert/strict";
import test from "node:test";

import { oneCamera } from "../../dashboards/assets/js/beside.mjs";

/** As map.mjs's: it tells of every move, also of one that it was made to. */
class Seen {
  moves = 0;
  ready = true;
  onMove = () => {};
  camera = { zoom: 11 };
  follow(camera) {
    this.camera = { ...camera };
    this.moves++;
    this.onMove();
  }
}

test("what moves either moves the other, once", () => {
  const [a, b] = [new Seen(), new Seen()];
  const apart = oneCamera(a, b);
  a.follow({ zoom: 12 });
  assert.deepEqual([b.camera, a.moves, b.moves], [{ zoom: 12 }, 1, 1]);
  b.follow({ zoom: 13 });
  assert.deepEqual([a.camera, a.moves, b.moves], [{ zoom: 13 }, 2, 2]);
  apart();
  a.follow({ zoom: 14 });
  assert.deepEqual(b.camera, { zoom: 13 });
});

test("a map that is being made leads nobody, and one that fails to follow does not stop the leading", () => {
  const [a, b] = [new Seen(), new Seen()];
  oneCamera(a, b);
  b.ready = false;
  b.follow({ zoom: 9 });
  assert.deepEqual(a.camera, { zoom: 11 });
  const follow = b.follow;
  b.follow = () => {
    throw new Error("context lost");
  };
  assert.throws(() => a.follow({ zoom: 12 }));
  b.follow = follow;
  a.follow({ zoom: 13 });
  assert.deepEqual(b.camera, { zoom: 13 });
});
