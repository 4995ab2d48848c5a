// What is typed while an answer is on its way stays; what was typed before it was asked for is filled over.
import assert from "node:assert/strict";
import { test } from "node:test";

import { document } from "./dom.js";

const { noteSent } = await import("../../assets/js/typed.js");
const wait = (milliseconds = 2) => new Promise((resolve) => setTimeout(resolve, milliseconds));

document.body.append(Object.assign(document.createElement("div"), { id: "side" }));
document.getElementById("side").append(document.createElement("textarea"));
const field = document.querySelector("textarea");
let told = 0;
field.addEventListener("input", (event) => { if (!(event instanceof InputEvent)) told += 1; });

async function type(text) {
  await wait();
  field.value = text;
  field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  await wait();
}

test("an answer to what was asked for before does not write over what was typed since, and Gradio is told of that", async () => {
  noteSent("edit");
  await type("a blue turtle");
  field.value = "a red turtle";
  assert.equal(field.value, "a blue turtle");
  await wait();
  assert.equal(told, 1);
});

test("what was typed before is used up: the answer to what was asked for since fills the field", async () => {
  noteSent("ask_hints");
  field.value = "a red turtle";
  assert.equal(field.value, "a blue turtle", "a question about the text fills nothing");
  await wait();
  noteSent("run");
  await type("a green turtle");
  noteSent("keep");
  field.value = "";
  assert.equal(field.value, "a green turtle", "what is kept was asked for before that was typed");
  await wait();
  noteSent("run");
  noteSent("keep");
  field.value = "";
  assert.equal(field.value, "");
});
