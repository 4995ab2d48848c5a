// The table of shortcuts: which key does what, and how another one is given to it.
import assert from "node:assert/strict";
import { test } from "node:test";

import { document } from "./dom.js";

const keys = await import("../../assets/js/keys.js");
const { sheet } = await import("../../assets/js/shortcuts.js");
const { actions } = await import("../../assets/js/actions.js");
const { state } = await import("../../assets/js/store.js");

const KEPT = "palimpsest.keys";
const event = (key, more = {}) => new KeyboardEvent("keydown", { key, code: /^[a-z]$/i.test(key) ? `Key${key.toUpperCase()}` : "", bubbles: true, cancelable: true, ...more });
const button = (id) => sheet.querySelector(`[data-key=${id}]`);
const press = (key, more) => document.activeElement.dispatchEvent(event(key, more));
const said = () => sheet.querySelector(".p-key-told").textContent;

test("what was pressed: letters without their case, signs as they are typed, and Ctrl before them", () => {
  const seen = [event("B"), event("?", { shiftKey: true }), event("z", { ctrlKey: true }), event("Z", { ctrlKey: true, shiftKey: true }), event("Enter", { ctrlKey: true }), event("Shift", { shiftKey: true })].map(keys.pressed);
  assert.deepEqual(seen, ["b", "?", "mod+z", "mod+shift+z", "mod+enter", ""]);
  assert.equal(keys.pressed(event("и", { code: "KeyB" })), "b", "on a keyboard for other letters the place counts");
  assert.equal(keys.pressed(event("[", { ctrlKey: true, altKey: true, modifierAltGraph: true })), "[", "a sign of the third level");
  assert.equal(keys.pressed(event("b", { altKey: true })), "other+b");
});

test("no two shortcuts have the same key, and none a key that is refused", () => {
  const all = keys.IDS.flatMap(keys.keysOf);
  assert.equal(new Set(all).size, all.length);
  assert.deepEqual(all.filter(keys.refusal), []);
  for (const key of ["mod+t", "mod+w", "mod+shift+n", "enter", "tab", "escape", "space", "arrowup", "f5", "other+b", "mod+0"]) assert.match(keys.refusal(key), /\. Press /, key);
});

test("who loses its key gets the other's, one of two is only lost, and Reset takes back what others have", () => {
  keys.give("brush", "e");
  assert.deepEqual([keys.keysOf("brush"), keys.keysOf("erase")], [["e"], ["b"]]);
  keys.give("nearer", "b");
  assert.deepEqual([keys.keysOf("erase"), keys.keysOf("nearer")], [["+", "="], ["b"]]);
  keys.give("redo", "q");
  assert.deepEqual(JSON.parse(localStorage.getItem(KEPT)), { brush: ["e"], erase: ["+", "="], nearer: ["b"], redo: ["q"] });
  assert.deepEqual(keys.read(localStorage.getItem(KEPT)).brush, ["e"]);
  keys.reset("brush");
  assert.deepEqual(["brush", "erase", "nearer", "redo"].map((id) => keys.isUsual(id)), [true, true, true, false]);
  keys.resetAll();
  assert.equal(localStorage.getItem(KEPT), null);
});

test("what a browser kept and makes no sense is not gone by", () => {
  for (const text of ["", "no", "[]", '{"brush": "e"}', '{"brush": ["e"]}', '{"brush": []}', '{"brush": ["enter"]}', '{"nothing": ["q"]}', '{"brush": [7]}']) assert.deepEqual(keys.read(text).brush, ["b"], text);
});

test("the sheet gives another key, refuses one in a sentence, and says who has one already", () => {
  document.body.append(sheet);
  button("brush").click();
  button("brush").focus();
  assert.equal(button("brush").textContent, "Press a key");
  press("t", { ctrlKey: true });
  assert.match(said(), /Ctrl T belongs to the browser/);
  press("q");
  assert.deepEqual([keys.keysOf("brush"), button("brush").textContent, said()], [["q"], "Q", ""]);
  button("brush").click();
  press("e");
  assert.match(said(), /E is the key of “Erase”, which would get Q/);
  [...sheet.querySelectorAll(".p-key-told button")].at(-1).click();
  assert.deepEqual(keys.keysOf("brush"), ["q"]);
  button("brush").click();
  press("Escape");
  assert.deepEqual([button("brush").textContent, keys.keysOf("brush")], ["Q", ["q"]]);
  keys.resetAll();
});

test("a shortcut does what its key says, and nothing while somebody types but what goes with Ctrl there", () => {
  const done = [];
  Object.assign(actions, { tool: (id) => done.push(id), run: () => done.push("run"), undo: () => done.push("undo") });
  state.view = { staged: [] };
  const field = document.createElement("input");
  document.body.append(field);
  document.body.dispatchEvent(event("b"));
  keys.give("brush", "q");
  document.body.dispatchEvent(event("b"));
  document.body.dispatchEvent(event("q"));
  field.focus();
  for (const [key, more] of [["q", {}], ["z", { ctrlKey: true }], ["Enter", { ctrlKey: true }]]) press(key, more);
  assert.deepEqual(done, ["brush", "brush", "run"]);
  keys.give("run", "k");
  press("k");
  assert.deepEqual(done.length, 3);
  keys.resetAll();
  state.view = null;
});
