import assert from "node:assert/strict";
import { test } from "node:test";

import { document } from "./dom.js";

const { led, roving } = await import("../../assets/js/roving.js");

function row(...names) {
  const group = document.createElement("div");
  group.append(...names.map((name) => Object.assign(document.createElement("button"), { textContent: name })));
  document.body.replaceChildren(group);
  return group;
}

const press = (key, more = {}) => {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more });
  document.activeElement.dispatchEvent(event);
  return event.defaultPrevented;
};
const stops = (group) => [...group.children].filter((node) => node.tabIndex === 0).map((node) => node.textContent);

test("arrows go round, Home and End to the ends, and other keys nowhere", () => {
  assert.deepEqual([led("ArrowRight", 2, 3), led("ArrowLeft", 0, 3), led("ArrowDown", 0, 3), led("ArrowUp", 2, 3)], [0, 2, 1, 1]);
  assert.deepEqual([led("Home", 1, 3), led("End", 1, 3), led("Enter", 1, 3), led("toString", 1, 3), led("ArrowUp", -1, 3)], [0, 2, undefined, undefined, undefined]);
});

test("a row is one stop of the Tab key, which is where one was last", () => {
  const group = row("one", "two", "three"), settle = roving(group, "button");
  settle();
  assert.deepEqual(stops(group), ["one"]);
  group.children[0].focus();
  assert.equal(press("ArrowRight"), true);
  assert.equal(document.activeElement.textContent, "two");
  assert.deepEqual(stops(group), ["two"]);
});

test("what cannot be pressed or seen is passed over, and is no stop", () => {
  const group = row("one", "two", "three", "four"), settle = roving(group, "button");
  settle();
  group.children[1].disabled = group.children[2].hidden = true;
  group.children[0].focus();
  press("ArrowRight");
  assert.equal(document.activeElement.textContent, "four");
  group.children[3].disabled = true;
  settle();
  assert.deepEqual(stops(group), ["one"]);
});

test("what is walked to is chosen where that is wished, and shortcuts are left alone", () => {
  const group = row("one", "two"), chosen = [];
  roving(group, "button", (node) => chosen.push(node.textContent));
  group.children[0].focus();
  assert.equal(press("ArrowRight", { ctrlKey: true }), false);
  assert.equal(press("ArrowRight"), true);
  assert.deepEqual(chosen, ["two"]);
});
