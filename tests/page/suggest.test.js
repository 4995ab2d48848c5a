import assert from "node:assert/strict";
import { test } from "node:test";

import "./dom.js";

const { completions, earlier } = await import("../../assets/js/suggest.js");

test("the word that is typed is completed by the model's, the text before it stays", () => {
  const words = ["dog", "duck", "dolphin", "blue"];
  assert.deepEqual(completions("a blue do", words, []), ["a blue dog", "a blue dolphin"]);
  assert.deepEqual(completions("a blue D", words, []), [], "one letter says too little");
  assert.deepEqual(completions("A DU", words, []), ["A duck"]);
  assert.deepEqual(completions("a dog", words, ["a dog in snow"]), [], "it is whole, and words are known");
  assert.deepEqual(completions("a dog ", words, []), []);
});

test("where no words are known, earlier texts go on from what is typed", () => {
  const before = ["in a forest at dawn", "In a meadow", "on the moon"];
  assert.deepEqual(completions("in a f", [], before), [], "a fragment has two letters");
  assert.deepEqual(completions("in a fo", [], before), ["in a forest at dawn"]);
  assert.deepEqual(completions("in", [], before), ["in a forest at dawn", "In a meadow"]);
  assert.deepEqual(completions("on the moon", [], before), []);
});

test("earlier texts are told the newest first, each once", () => {
  const turns = ["", "a dog", "a cat ", "a dog", ""].map((subject) => ({ subject, background: "", negative: "" }));
  assert.deepEqual(earlier({ turns }, "subject"), ["a dog", "a cat"]);
  assert.deepEqual(earlier({ turns }, "background"), []);
});
