// The finished candidates of a turn: looked at, kept, tried with other seeds, or put away.
import { actions } from "./actions.js";
import { find, focusIn, h } from "./dom.js";
import { many, say } from "./language.js";
import { isBusy, panel, pickedOf } from "./looking.js";
import { roving } from "./roving.js";
import { set, state } from "./store.js";
import { currentTurn } from "./turns.js";
import { urls } from "./urls.js";
import { flatText } from "./words.js";

export const staging = h("div", { class: "p-staging", role: "group", "aria-label": say("Finished candidates") });

/** @param {string} id @param {string} text @param {() => void} onclick @param {string} [kind] */
const button = (id, text, onclick, kind = "") => h("button", { type: "button", class: `p-btn ${kind}`, "data-id": id, text, onclick });

/**
 * All of them large, beside the picture that they came from; the one that is pressed is looked at.
 * @param {import("./view.js").SessionView} view @param {(c: import("./view.js").StagedView) => string} told @param {(c: import("./view.js").StagedView, k: number) => string} named
 */
function sideBySide(view, told, named) {
  const at = pickedOf(view);
  /** @param {string} picture @param {string} text */
  const large = (picture, text) => [h("img", { src: urls.picture(picture, 512), alt: "" }), h("span", { text })];
  const cells = view.staged.map((c, k) => h("button", {
    type: "button", class: "p-large", "aria-current": String(k === at), "aria-label": named(c, k), onclick: () => { sheet.close(); set({ picked: k }); },
  }, ...large(c.picture, c.flat ? flatText(c.flat) : told(c))));
  const sheet = h("dialog", { class: "p-sheet p-lineup", "aria-labelledby": "p-lineup-title", onclose: () => sheet.remove(), onclick: (event) => { if (event.target === sheet) sheet.close(); } },
    h("div", { class: "p-sheet-head" }, h("h2", { id: "p-lineup-title", text: say("Candidates side by side") }), h("button", { type: "button", class: "p-x", "aria-label": say("Close"), text: "×", onclick: () => sheet.close() })),
    h("div", { class: "p-lineup-body" }, h("div", { class: "p-large" }, ...large(currentTurn(view).picture, say("before"))), ...cells));
  document.getElementById("studio")?.append(sheet);
  sheet.showModal();
  cells[at].focus();
}

/** @param {import("./view.js").SessionView} view */
export function drawCandidates(view) {
  const visible = view.staged.length > 0 && !isBusy();
  staging.hidden = !visible;
  if (!visible) return;
  const at = pickedOf(view), focused = focusIn(staging)?.dataset.id;
  const mixed = new Set(view.staged.map((c) => c.method)).size > 1; // tried by several methods: which one is what tells them apart
  /** @param {import("./view.js").StagedView} c */
  const told = (c) => (mixed ? state.about.methods[c.method]?.title ?? c.method : say("seed {seed}", { seed: c.seed }));
  /** @param {import("./view.js").StagedView} c @param {number} k */
  const named = (c, k) => `${say("Candidate {number}, seed {seed}", { number: k + 1, seed: c.seed })}${mixed ? `, ${told(c)}` : ""}${c.flat ? `, ${flatText(c.flat)}` : ""}`;
  const thumbs = view.staged.map((c, k) => h("button", {
    type: "button", class: "p-cand", role: "radio", "aria-checked": String(k === at), tabindex: k === at ? "0" : "-1", "data-id": `c${k}`,
    title: told(c), "aria-label": named(c, k), onclick: () => set({ picked: k }),
  }, h("img", { src: urls.picture(c.picture, 160), alt: "" }), h("small", c.flat ? { class: "p-warn", text: flatText(c.flat) } : { text: told(c) })));
  staging.replaceChildren(
    h("div", { class: mixed ? "p-cands p-mixed" : "p-cands", role: "radiogroup", "aria-label": say("Candidates") }, ...thumbs),
    button("keep", say("Keep as turn {number}", { number: currentTurn(view).number + 1 }), () => panel.trigger("keep", { index: at }), "p-go"),
    ...(view.staged.length > 1 ? [button("grid", say("Side by side"), () => sideBySide(view, told, named))] : []),
    ...(mixed ? [] : [button("more", say("More seeds"), () => panel.trigger("more_seeds"))]),
    button("discard", many(view.staged.length, "Discard", "Discard all {count}"), () => panel.trigger("discard")));
  if (focused) find(`[data-id="${focused[0] === "c" ? `c${at}` : focused}"]`, staging)?.focus();
}

roving(staging, ".p-cand", (node) => node.click());
actions.keep = () => {
  const button = find(".p-go", staging);
  if (button && !staging.hidden) button.click();
};
