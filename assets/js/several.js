// The same turn by several methods at once: which ones is chosen here, and each leaves a candidate.
import { h } from "./dom.js";
import { many, say } from "./language.js";
import { panel as popover } from "./popover.js";
import { state } from "./store.js";

/** How many are chosen to begin with: the panel's own and the ones after it. */
const USUAL = 3;
/** The most candidates that a turn may have on this page. */
const most = () => document.querySelectorAll("#candidates input").length;

/** Names of the methods that take the words of the panel, its own first. */
export const alike = () => state.view?.alike ?? [];

/** Asks which, at `at`; `run` is told their names. @param {HTMLElement} host @param {DOMRect} at @param {(methods: string[]) => void} run */
export function choose(host, at, run) {
  const methods = state.about.methods, chosen = new Set(alike().slice(0, Math.min(USUAL, most())));
  const go = h("button", { type: "button", class: "p-btn p-go", onclick: () => { node.hidePopover(); run(alike().filter((name) => chosen.has(name))); } });
  const tell = () => {
    go.textContent = many(chosen.size, "Try it", "Try {count} methods");
    go.disabled = !chosen.size;
    for (const box of boxes) box.disabled = !box.checked && chosen.size >= most();
  };
  const boxes = alike().map((name) => /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", checked: chosen.has(name) ? "" : null, value: name, onchange: (/** @type {any} */ event) => {
    if (event.target.checked) chosen.add(name); else chosen.delete(name);
    tell();
  } })));
  const { node } = popover(host, at, say("Try several methods"), (body) => {
    body.append(
      h("p", { class: "p-hint", text: say("The same words, mask and seed by each; every one leaves a candidate.") }),
      h("div", { class: "p-several" }, ...alike().map((name, k) => h("label", { title: methods[name].when }, boxes[k], h("span", { text: methods[name].title }), h("small", { text: methods[name].when })))),
      go);
  });
  tell();
  boxes[0]?.focus();
}
