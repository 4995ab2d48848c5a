import assert from "node:assert/strict";
import { test } from "node:test";

import { boxBetween, columnsFor, fitted, inPicture, kept, nearer, roundedBox, seen, stepIn, within } from "../../assets/js/geometry.js";
import * as marks from "../../assets/js/marks.js";

test("each change gives new marks and leaves the old ones alone", () => {
  const none = marks.empty(), frozen = JSON.stringify(none);
  const one = marks.clicked(none, 3, 4, true), two = marks.clicked(one, 5, 6, false);
  assert.equal(JSON.stringify(none), frozen);
  assert.deepEqual(two.clicks, [{ x: 3, y: 4, include: true }, { x: 5, y: 6, include: false }]);
  assert.ok(marks.isEmpty(none) && !marks.isEmpty(one) && !marks.same(one, two));
});

test("marks that are taken back one after another lead to where they began", () => {
  const steps = [marks.empty()];
  for (const [x, y] of [[1, 1], [2, 2], [3, 3]]) steps.push(marks.clicked(steps.at(-1), x, y, true));
  let now = steps.at(-1);
  for (const before of steps.slice(0, -1).reverse()) {
    now = marks.unclicked(now, now.clicks.length - 1);
    assert.ok(marks.same(now, before));
  }
});

test("the alternative that was chosen goes with the last click", () => {
  const chosen = marks.chosen(marks.clicked(marks.clicked(marks.empty(), 1, 1, true), 2, 2, true), 2);
  assert.equal(marks.unclicked(chosen, 0).choice, 2);
  assert.equal(marks.unclicked(marks.unclicked(chosen, 0), 0).choice, null);
});

test("pointing takes the place of a mask that was sent, and painting is laid over it", () => {
  const sent = { ...marks.empty(), uploaded: "digest" };
  assert.equal(marks.clicked(sent, 1, 1, true).uploaded, null);
  assert.equal(marks.boxed(sent, { left: 0, top: 0, right: 2, bottom: 2 }).uploaded, null);
  assert.equal(marks.phrased(sent, "the dog").uploaded, null);
  assert.equal(marks.scribbled(sent, marks.line([[1, 1], [2, 2]], 3, "erase")).uploaded, null);
  assert.equal(marks.stroked(sent, marks.line([[1, 1]], 3, "add", true)).uploaded, "digest");
});

test("the wand that was used last goes by another tolerance, and nothing else does", () => {
  const used = marks.stroked(marks.empty(), marks.wand(3, 4, "keep", 12, false)), other = marks.rewanded(used, 20, true);
  assert.deepEqual(other.strokes, [{ points: [[3, 4]], radius: 1, erase: false, fill: false, wand: 20, everywhere: true, keep: true, refine: false }]);
  const painted = marks.stroked(used, marks.line([[1, 1]], 3));
  assert.equal(marks.rewanded(painted, 20, true), painted);
});

test("growing and the seam stay within what the studio takes", () => {
  assert.equal(marks.grown(marks.grown(marks.empty(), 150), 150).grow, 200);
  assert.equal(marks.grown(marks.empty(), -999).grow, -200);
  assert.equal(marks.feathered(marks.empty(), 1000).feather, 64);
  assert.equal(marks.feathered(marks.empty(), -1).feather, 0);
});

test("strokes from the server and from the page are the same marks", () => {
  const drawn = marks.stroked(marks.empty(), marks.line([[1, 2], [3, 4]], 5, "erase", true));
  const stored = { ...drawn, strokes: [{ points: [{ x: 1, y: 2 }, { x: 3, y: 4 }], radius: 5, erase: true, fill: true, wand: null, everywhere: false, keep: false, refine: false }] };
  assert.ok(marks.same(marks.plain(stored), drawn));
});

test("a point of the window is one of the picture, and never outside of it", () => {
  const rect = { left: 100, top: 50, width: 200, height: 100 }, picture = { width: 800, height: 400 };
  assert.deepEqual(inPicture({ x: 200, y: 100 }, rect, picture), { x: 400, y: 200 });
  assert.deepEqual(inPicture({ x: 0, y: 999 }, rect, picture), { x: 0, y: 400 });
  assert.deepEqual(within({ x: -1, y: 401 }, picture), { x: 0, y: 400 });
});

test("a box is the same whichever corner it was drawn from", () => {
  const a = { x: 9.119, y: 2 }, b = { x: 1, y: 8.555 }, box = { left: 1, top: 2, right: 9.12, bottom: 8.56 };
  assert.deepEqual(roundedBox(boxBetween(a, b)), box);
  assert.deepEqual(roundedBox(boxBetween(b, a)), box);
});

test("steps of the keyboard grow with the picture", () => {
  assert.equal(stepIn({ width: 60, height: 20 }), 1);
  assert.equal(stepIn({ width: 512, height: 1280 }), 10);
});

test("a picture is shown as large as the room allows, with its own sides", () => {
  assert.deepEqual(fitted({ width: 256, height: 128 }, { width: 540, height: 540 }, 28), { width: 512, height: 256 });
  assert.deepEqual(fitted({ width: 1, height: 1000 }, { width: 50, height: 50 }, 8), { width: 1, height: 42 });
});

test("layers stand in as many columns as make them the largest", () => {
  const square = { width: 100, height: 100 };
  assert.equal(columnsFor(4, square, { width: 2000, height: 400 }, 26, 14).columns, 4);
  assert.equal(columnsFor(4, square, { width: 600, height: 600 }, 26, 14).columns, 2);
  assert.equal(columnsFor(3, square, { width: 200, height: 2000 }, 26, 14).columns, 1);
  assert.ok(columnsFor(3, square, { width: 1, height: 1 }, 26, 14).scale > 0);
});

test("what lies under the pointer stays there while it is looked at from nearer", () => {
  const at = { x: 120, y: -40 }, shown = { width: 400, height: 200 };
  /** Where the pointer is in the picture, from 0 to 1. @param {import("../../assets/js/geometry.js").Sight} s */
  const under = (s) => [(at.x - s.x) / (shown.width * s.zoom), (at.y - s.y) / (shown.height * s.zoom)];
  const first = { zoom: 1, x: 0, y: 0 }, near = nearer(first, 3, at, [1, 8]);
  assert.equal(near.zoom, 3);
  for (const k of [0, 1]) assert.ok(Math.abs(under(near)[k] - under(first)[k]) < 1e-9);
  assert.deepEqual(nearer(near, 100, at, [1, 8]).zoom, 8);
  const back = nearer(near, 1 / 3, at, [1, 8]);
  assert.ok(Math.hypot(back.x, back.y) < 1e-9 && Math.abs(back.zoom - 1) < 1e-9);
});

test("a picture is never moved out of the room", () => {
  const room = { width: 500, height: 300 }, shown = { width: 900, height: 200 };
  assert.deepEqual(kept({ zoom: 2, x: 999, y: 50 }, shown, room, 0), { zoom: 2, x: 200, y: 0 });
  assert.deepEqual(kept({ zoom: 2, x: -999, y: 1 }, shown, room, 20), { zoom: 2, x: -210, y: 0 });
  assert.deepEqual(seen({ zoom: 2, x: 200, y: 0 }, shown, room), { left: 0, top: 0, right: 500, bottom: 200 });
  assert.deepEqual(seen({ zoom: 2, x: -200, y: 0 }, shown, room), { left: 400, top: 0, right: 900, bottom: 200 });
});
