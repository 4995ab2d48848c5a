// The page without its studio: requests fail, are refused, or are answered again.
import assert from "node:assert/strict";
import { after, beforeEach, mock, test } from "node:test";

import { document } from "./dom.js";

mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
let answer;
window.fetch = async (url) => answer(String(url));
window.gradio_config = { app_id: "7" };
const { actions } = await import("../../assets/js/actions.js");
await import("../../assets/js/connection.js");
const { receive, state } = await import("../../assets/js/store.js");
const { unsent } = await import("../../assets/js/unsent.js");
const { view } = await import("./values.js");

const LOST = () => { throw new TypeError("Failed to fetch"); };
const messages = () => [...document.querySelectorAll("#p-toasts .p-toast")].map((note) => note.firstChild.textContent);
/** Until what was asked for is answered. */
const settled = async () => { for (let k = 0; k < 10; k += 1) await Promise.resolve(); };
const pass = async (milliseconds) => {
  mock.timers.tick(milliseconds);
  await settled();
};

beforeEach(() => {
  actions.look = () => {};
  for (const note of document.querySelectorAll("#p-toasts > *")) note.remove();
  receive({ sid: "s", view: view({ rev: (state.view?.rev ?? 0) + 1 }) });
});
after(() => mock.timers.reset());

test("what no handler answered is told in the studio's words, and a failure of its own in ours", async () => {
  const say = (status, type) => { answer = (url) => Object.defineProperty(new Response("Too much at once.", { status, headers: { "Content-Type": type } }), "url", { value: url }); };
  say(413, "text/plain");
  await window.fetch("http://studio.test/below/gradio_api/run/predict");
  assert.deepEqual(messages(), ["Too much at once."]);
  say(500, "text/plain");
  await window.fetch("http://studio.test/below/gradio_api/queue/join");
  assert.match(messages()[1], /went wrong inside the studio \(500\)/);
  say(404, "text/plain");
  await window.fetch("http://studio.test/below/studio/picture/x.png");
  assert.equal(messages().length, 2);
});

test("a studio that is silent while it runs is asked, told of as lost, and looked at when it answers", async () => {
  let looked = 0;
  actions.look = () => { looked += 1; };
  const run = view({ rev: 90, job: { state: "running" } });
  receive({ sid: "s", view: run });
  const now = performance.now.bind(performance), later = mock.method(performance, "now", () => now() + 60000);
  answer = LOST;
  await pass(1000);
  assert.equal(state.away, true);
  assert.match(messages()[0], /does not answer/);
  answer = () => new Response(JSON.stringify({ app_id: "7" }));
  await pass(1000);
  await settled();
  later.mock.restore();
  assert.deepEqual([state.away, messages(), looked], [false, [], 1]);
});

test("a press that does not arrive is told as that, and is thrown on to who asked", async () => {
  answer = LOST;
  await assert.rejects(window.fetch("http://studio.test/below/gradio_api/run/predict"), /Failed to fetch/);
  assert.equal(state.away, true);
});

test("what was typed and not heard is kept when the page is left, and only that", () => {
  unsent.push({ name: "typed", read: () => "a blue duck", put: () => {} }, { name: "nothing", read: () => null, put: () => {} });
  window.dispatchEvent(new window.Event("pagehide"));
  assert.deepEqual(JSON.parse(window.sessionStorage.getItem("palimpsest-unsent")), { sid: "s", left: [["typed", "a blue duck"]] });
});
