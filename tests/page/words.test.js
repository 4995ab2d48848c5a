import assert from "node:assert/strict";
import { test } from "node:test";

import "./dom.js";
import { keptPart } from "../../assets/js/turns.js";
import { ago, changedText, percent } from "../../assets/js/words.js";

test("a share that is not nothing or not all is not told as if it were", () => {
  assert.deepEqual([0, 0.004, 0.5, 0.997, 1].map(percent), ["0 %", "under 1 %", "50 %", "over 99 %", "100 %"]);
});

test("how long ago, in the largest unit that fits", () => {
  const now = Date.now() / 1000;
  assert.deepEqual([-60, 0, 10, 90, 7300, 200000].map((seconds) => ago(now - seconds)), ["just now", "just now", "10 s ago", "1 min ago", "2 h ago", "2 d ago"]);
});

test("pixels that changed although they were to be kept", () => {
  assert.equal(changedText(0, 0), "0 pixels changed");
  assert.equal(changedText(1, 3), "1 pixel changed, by 3 at most");
  assert.equal(changedText(12345, 3), "12,345 pixels changed, by 3 at most");
});

test("what an edit was to keep is what it did not change", () => {
  assert.deepEqual(["subject", "background", "both", null].map(keptPart), ["background", "subject", null, null]);
});
