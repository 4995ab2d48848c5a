import assert from "node:assert/strict";
import { test } from "node:test";

import { STRAIGHT, added, curveAt, moved, pointsOf, textOf, widest } from "../../assets/js/tone.js";

test("a text says points from left to right, and nothing else is a curve", () => {
  assert.deepEqual(pointsOf(" 0,0  96,60 255,255 "), [[0, 0], [96, 60], [255, 255]]);
  assert.equal(textOf(pointsOf("0,0 96,60 255,255")), "0,0 96,60 255,255");
  for (const text of ["", "0,0", "0,0 0,9", "9,9 3,3", "0,0 300,9", "0,0 a,9", "0,0 9,9,9", Array.from({ length: 17 }, (_, k) => `${k},0`).join(" ")]) assert.equal(pointsOf(text), null, text);
});

test("the curve is the one that the turn is made with", () => { // tests/pipelines/test_curves.py has the same numbers
  const points = pointsOf("0,0 64,20 128,160 200,150 255,255");
  assert.deepEqual([0, 32, 64, 100, 128, 160, 200, 230, 255].map((level) => Math.round(1000 * curveAt(points, level)) / 1000), [0, 8.125, 20, 106.825, 160, 155.83, 150, 195.44, 255]);
  for (let level = 0; level < 256; level += 1) assert.ok(Math.abs(curveAt(pointsOf(STRAIGHT), level) - level) < 1e-9);
});

test("a point stays between its neighbours and within the square", () => {
  const points = pointsOf("0,0 96,60 255,255");
  assert.deepEqual(moved(points, 1, 400, -20), [[0, 0], [254, 0], [255, 255]]);
  assert.deepEqual(moved(points, 0, -9, 300), [[0, 255], [96, 60], [255, 255]]);
  assert.deepEqual(moved(points, 2, 20, 99.6)[2], [97, 100]);
});

test("a point is added on the curve or where one presses, and the widest gap is found", () => {
  assert.deepEqual(added(pointsOf(STRAIGHT), 128), [[[0, 0], [128, 128], [255, 255]], 1]);
  assert.deepEqual(added(pointsOf("10,10 20,30"), 200, 7), [[[10, 10], [20, 30], [200, 7]], 2]);
  assert.equal(added(pointsOf(STRAIGHT), 0), null);
  assert.equal(added(Array.from({ length: 16 }, (_, k) => [k, k]), 99), null);
  assert.equal(widest(pointsOf("0,0 96,60 255,255")), 176);
});
