// Masks that can be selected again: the one that the turn left of its subject, one from a file, and those
// that were saved by name.
import { h } from "./dom.js";
import { say } from "./language.js";
import { markable, panel } from "./looking.js";
import { apply, standing } from "./marking.js";
import * as marks from "./marks.js";
import * as popover from "./popover.js";
import { on, state } from "./store.js";
import { currentTurn } from "./turns.js";
import { percent } from "./words.js";

/** @typedef {"replace" | import("./looking.js").Combine} How */

/** @type {[How, string, string][]} */
const HOWS = [["replace", say("Use"), say("Select it in place of what is selected")], ["add", "+", say("Add it to what is selected")], ["erase", "−", say("Take it away from what is selected")], ["keep", "∩", say("Keep what is selected and lies in it")]];
/** @type {Record<How, (name: string) => string>} */
const SPOKEN = { replace: (name) => say("Use {name}", { name }), add: (name) => say("Add {name}", { name }), erase: (name) => say("Take {name} away", { name }), keep: (name) => say("Intersect with {name}", { name }) };
/** @type {{ node: HTMLElement, body: HTMLElement } | null} */
let open = null;
let typed = "", fromFile = () => {};

/** @param {HTMLElement} body */
function fill(body) {
  const view = markable();
  if (!view) return body.replaceChildren(h("p", { class: "p-hint", text: say("There is nothing to select in just now.") }));
  const left = currentTurn(view).mask_after, had = document.activeElement === body.querySelector("input");
  const name = h("input", { type: "text", maxlength: 60, placeholder: say("Name of this mask"), "aria-label": say("Name to save the mask under"), value: typed, oninput: () => { typed = name.value; save.disabled = !can(); } });
  const can = () => Boolean(view.mask.mask) && name.value.trim() !== "";
  const save = h("button", { type: "submit", class: "p-btn p-go", text: say("Save"), disabled: !can() });
  const form = h("form", { class: "p-save-mask", onsubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!can()) return;
    panel.trigger("save_mask", { name: name.value });
    typed = "";
  } }, name, save);
  const rows = view.masks.map((one) => h("li", {}, h("b", { text: one.name, title: one.name }), h("small", { class: "p-hint", text: percent(one.area) }),
    ...HOWS.map(([how, text, title]) => h("button", { type: "button", class: "p-btn", text, title, disabled: how !== "replace" && !view.mask.mask, "aria-label": SPOKEN[how](one.name),
      onclick: () => panel.trigger("use_mask", { name: one.name, how }) })),
    h("button", { type: "button", class: "p-x", text: "×", title: say("Forget this mask"), "aria-label": say("Forget {name}", { name: one.name }), onclick: () => panel.trigger("forget_mask", { name: one.name }) })));
  body.replaceChildren(
    h("div", { class: "p-masks-top" }, h("button", { type: "button", class: "p-btn", text: say("Last mask"), title: say("Select what the turn left of its subject"), disabled: !left || left === view.mask.mask, onclick: () => { if (left) apply(marks.taken(standing(), left)); } }),
      h("button", { type: "button", class: "p-btn", text: say("Upload mask"), title: say("A black and white picture; white is the subject"), onclick: () => fromFile() })),
    form, rows.length ? h("ul", { class: "p-saved-masks", "aria-label": say("Saved masks") }, ...rows) : h("p", { class: "p-hint", text: say("Masks saved here are there for every turn of this session.") }));
  if (had) name.focus();
}

/** @param {HTMLElement} from the button that it opens at @param {() => void} choose a file with a mask */
export function openMasks(from, choose) {
  fromFile = choose;
  open = popover.panel(panel.root, from.getBoundingClientRect(), say("Masks"), fill);
}

on(() => {
  if (open && open.node.isConnected && state.view) fill(open.body);
});
