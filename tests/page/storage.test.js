import assert from "node:assert/strict";
import { test } from "node:test";

import "./dom.js";
import { standIn } from "../../assets/js/storage.js";

test("where nothing may be stored, it is kept as long as the page", () => {
  const place = {};
  for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(place, name, { configurable: true, get() { throw new Error("denied"); } });
  standIn(place);
  const store = place.localStorage;
  assert.equal(store.getItem("a"), null);
  store.setItem("a", 1);
  assert.deepEqual([store.getItem("a"), store.length, store.key(0), place.sessionStorage.getItem("a")], ["1", 1, "a", null]);
  store.removeItem("a");
  assert.equal(store.length, 0);
});

test("a storage that answers is left alone", () => {
  const own = { getItem: () => "mine" }, place = { localStorage: own, sessionStorage: own };
  standIn(place);
  assert.equal(place.localStorage, own);
});
