// What was typed is not written over: the answer to what was asked for before it would fill the field when it comes.
import { targetOf, typing } from "./dom.js";

/**
 * What a person does after which the panel is filled anew, with what was typed by then used up or left behind. What is
 * kept was asked for by "run": what was typed since is of the next turn.
 */
const FILLING = new Set(["run", "run_turns", "use_turn", "undo", "redo", "jump", "edit", "leave", "branch", "adopt", "trash", "frame", "crop_here",
  "open_file", "open_example", "enter_session", "bring_back_session"]);
let asked = -1;
/** @type {WeakMap<Element, number>} when a field was typed into */
const typed = new WeakMap();

/** Notes that an event is sent. @param {string} event */
export function noteSent(event) {
  if (FILLING.has(event)) asked = performance.now();
}

/** A field of the panel that is typed into: where Gradio fills it with what is older, the text stays, and Gradio is told of it. @param {HTMLInputElement | HTMLTextAreaElement} field */
function guard(field) {
  const own = /** @type {Required<PropertyDescriptor>} */ (Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value"));
  Object.defineProperty(field, "value", { configurable: true, get: () => own.get.call(field), set: (value) => {
    if ((typed.get(field) ?? -1) <= asked || value === field.value) own.set.call(field, value);
    else setTimeout(() => field.dispatchEvent(new Event("input", { bubbles: true })));
  } });
}

document.addEventListener("input", (event) => { // what our scripts tell Gradio by are plain events
  const field = targetOf(event);
  if (!(event instanceof InputEvent) || !typing(field) || !field.closest("#side") || field.role === "combobox") return;
  if (!typed.has(field)) guard(/** @type {HTMLInputElement} */ (field));
  typed.set(field, performance.now());
}, true);
