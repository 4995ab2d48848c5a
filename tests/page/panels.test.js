// Panels as Gradio mounts them, with what the studio tells them first.
import assert from "node:assert/strict";
import { test } from "node:test";

import { document } from "./dom.js";

const { receive } = await import("../../assets/js/store.js");
const { panel } = await import("../../assets/js/loras.js");
const { view } = await import("./values.js");

const about = { examples: [], methods: {}, loras: ["pencil", "ink"], manages_models: true };
const place = (events, sent) => ({ element: document.createElement("div"), props: { value: null }, events, trigger: (event, data) => sent.push([event, data]) });

test("the LoRA files that the studio has are listed, and one that is ticked is sent with its scale", () => {
  const sent = [], where = place(["put_loras"], sent);
  document.body.append(where.element);
  panel.mount(where);
  receive({ about, sid: "s", view: view({ draft: { loras: { gone: 0.5 } } }) });
  assert.deepEqual([...where.element.querySelectorAll(".p-lora")].map((row) => row.textContent), ["pencil", "ink", "gone (not here)"]);
  where.element.querySelector("[data-lora=pencil] input[type=checkbox]").click();
  assert.deepEqual(sent, [["put_loras", { loras: { gone: 0.5, pencil: 1 } }]]);
});

test("an event that no handler is bound to is a fault that is seen", () => {
  assert.throws(() => panel.trigger("put_lora", {}), /no handler is bound to the event put_lora/);
});
