// Settings that change nothing with what is asked and with the others as they are say so where they stand.
import { targetOf, h } from "./dom.js";
import { say } from "./language.js";
import { on, state } from "./store.js";

/** Writes the reason under every setting of the method that has none to be turned for, and takes it from the others. */
function mark() {
  const { view } = state;
  if (!view) return;
  const { method } = view.draft;
  for (const knob of document.querySelectorAll(`[id^="knob-${CSS.escape(method)}-"]`)) {
    const why = view.idle[knob.id.slice(`knob-${method}-`.length)], line = knob.querySelector(".p-no-effect");
    const words = why ? say("No effect now: {why}", { why }) : "";
    if (line && !why) line.remove();
    else if (line && line.textContent !== words) line.textContent = words;
    else if (!line && why) knob.append(h("p", { class: "p-no-effect", role: "note", text: words }));
  }
}

on(() => setTimeout(mark, 80)); // after Gradio has filled the fields
document.addEventListener("click", (event) => { if (targetOf(event).closest("#advanced > button")) setTimeout(mark, 80); }); // it makes them anew
