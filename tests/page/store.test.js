import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { actions } from "../../assets/js/actions.js";
import { complete, on, receive, set, state, whenDrawn } from "../../assets/js/store.js";
import { turn, view } from "./values.js";

beforeEach(() => {
  actions.look = () => assert.fail("nothing was to be asked for anew");
  receive({ sid: null, view: null });
});

test("a listener is told of every message and of what is only the page's own, and the last ones after all others", () => {
  const told = [];
  whenDrawn(() => told.push("drawn"));
  on(({ picked }) => told.push(picked));
  told.length = 0;
  receive({ sid: "s", view: view() });
  set({ picked: 2 });
  assert.deepEqual(told, [0, "drawn", 2, "drawn"]);
});

test("what is news once is there while it is told, and no longer", () => {
  let heard;
  on(({ message }) => { heard = message.hints; });
  receive({ hints: { count: 3, found: [] } });
  assert.deepEqual(heard, { count: 3, found: [] });
  assert.deepEqual(state.message, {});
});

test("an older view of the same session does not replace a newer one; another session's does", () => {
  receive({ sid: "s", view: view({ rev: 5 }) });
  receive({ sid: "s", view: view({ rev: 4 }) });
  assert.equal(state.view.rev, 5);
  receive({ sid: "t", view: view({ sid: "t", rev: 1 }) });
  assert.equal(state.view.sid, "t");
});

test("a tick moves the job of its own session only", () => {
  receive({ sid: "s", view: view() });
  receive({ sid: "t", tick: { rev: 2, job: { state: "running" } } });
  assert.equal(state.view.job, null);
  receive({ sid: "s", tick: { rev: 2, job: { state: "running" } } });
  assert.equal(state.view.job.state, "running");
});

test("the part of a film that changed is put into the one that is here", () => {
  const before = view();
  const sent = view({ rev: 2, film: 2, since: 1, turns: [{ id: "b", label: "new" }, turn("c", "b", 2)], gone: ["a"], branches: undefined });
  const now = complete(sent, before);
  assert.deepEqual(now.turns.map(({ id, label }) => [id, label]), [["b", "new"], ["c", "c"]]);
  assert.deepEqual(now.branches, before.branches);
  assert.equal(before.turns[1].label, "b", "the film before is left alone");
});

test("a film in which nothing changed stays the same list, so that nothing is laid out anew", () => {
  const before = view();
  assert.equal(complete(view({ since: 1, turns: [], gone: [] }), before).turns, before.turns);
});

test("a part of a film that is not here is asked for whole, and changes nothing", () => {
  receive({ sid: "s", view: view({ film: 7 }) });
  let asked = 0;
  actions.look = () => { asked += 1; };
  receive({ sid: "s", view: view({ rev: 2, film: 9, since: 8, turns: [], gone: [] }) });
  assert.equal(asked, 1);
  assert.equal(state.view.film, 7);
});

test("the mask waits from the message that says so to the one that brings it", () => {
  receive({ sid: "s", view: view(), settling: true });
  assert.equal(state.settling, true);
  receive({ sid: "s", view: view({ rev: 2 }) });
  assert.equal(state.settling, true);
  receive({ sid: "s", view: view({ rev: 3 }), settled: true });
  assert.equal(state.settling, false);
});

test("the first candidate is looked at where another turn is shown", () => {
  receive({ sid: "s", view: view() });
  set({ picked: 3 });
  receive({ sid: "s", view: view({ rev: 2 }) });
  assert.equal(state.picked, 3);
  receive({ sid: "s", view: view({ rev: 3, current: "a" }) });
  assert.equal(state.picked, 0);
});
