import assert from "node:assert/strict";
import { test } from "node:test";

import "./dom.js";
import * as film from "../../assets/js/film.js";
import * as turnMenu from "../../assets/js/turn_menu.js";
import { turn, view } from "./values.js";

// a - b - c, and d beside b
const forked = () => view({ current: "c", turns: [turn("a", null, 0), turn("b", "a", 1), turn("d", "a", 1, { lane: 1 }), turn("c", "b", 2)] });

test("a turn stands in the column of its depth, and a side branch below", () => {
  const { places, width, height } = film.index(forked());
  assert.ok(places.get("a").x < places.get("b").x && places.get("b").x < places.get("c").x);
  assert.equal(places.get("a").y, places.get("c").y);
  assert.ok(places.get("d").y > places.get("b").y + places.get("b").height);
  for (const q of places.values()) assert.ok(q.x + q.width <= width && q.y + q.height <= height);
});

test("two hundred short branches from different turns share rows", () => {
  const trunk = Array.from({ length: 200 }, (_, k) => turn(`t${k}`, k ? `t${k - 1}` : null, k));
  const sides = trunk.slice(0, -1).map((t, k) => turn(`s${k}`, t.id, k + 1, { lane: k + 1 }));
  const { places } = film.index(view({ current: "t199", turns: [...trunk, ...sides] }));
  const rows = new Set(sides.map(({ id }) => places.get(id).y));
  assert.ok(rows.size > 1 && rows.size < 10, `${rows.size} rows`);
  const spots = sides.map(({ id }) => `${places.get(id).x} ${places.get(id).y}`);
  assert.equal(new Set(spots).size, sides.length, "no two stand on each other");
});

test("the same turns are laid out once, and others anew", () => {
  const now = forked();
  assert.equal(film.index(now), film.index({ ...now, rev: 2 }));
  assert.notEqual(film.index(now), film.index(forked()));
});

test("the way to a turn, and how many come after it", () => {
  const now = forked();
  assert.deepEqual(film.path(now, "c").map(({ id }) => id), ["a", "b", "c"]);
  assert.deepEqual(film.path(now, "d").map(({ id }) => id), ["a", "d"]);
  assert.deepEqual(["a", "b", "c", "d"].map((id) => film.after(now, id)), [3, 1, 0, 0]);
});

test("a turn's menu has what makes sense for it, and waits for a run", () => {
  const now = forked(), sent = [];
  const send = new Proxy({}, { get: (_, name) => (data) => sent.push([name, data]) });
  const texts = (id) => turnMenu.items(now, film.index(now).byId.get(id), send).map(({ text }) => text);
  assert.ok(texts("b").includes("Swap with turn 2") && texts("b").includes("Merge turns 1 to 2 into one"));
  assert.ok(texts("b").includes("Compare with the turn shown") && !texts("c").includes("Compare with the turn before"));
  assert.ok(turnMenu.items(now, film.index(now).byId.get("c"), send, true).some(({ text }) => text === "Compare with the turn before"));
  assert.ok(!texts("a").some((text) => /Change|trash|Merge/.test(text)));
  assert.ok(!texts("c").includes("Do this on the turn shown") && texts("d").includes("Do this on the turn shown"));
  turnMenu.items(now, film.index(now).byId.get("b"), send).find(({ text }) => text === "Swap with turn 2").run();
  assert.deepEqual(sent, [["swap", { first: "b", second: "c" }]]);
  const live = { ...now, job: { state: "running" } };
  assert.ok(turnMenu.items(live, film.index(live).byId.get("b"), send).every(({ reason }) => reason));
});
