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

/** @param {import("./view.js").SessionView} view */
export function drawCandidates(view) {
  const visible = view.staged.length > 0 && !isBusy();
  staging.hidden = !visible;
  if (!visible) return;
  const at = pickedOf(view), focused = focusIn(staging)?.dataset.id;
  const mixed = new Set(view.staged.map((c) => c.method)).size > 1; // tried by several methods: which one is what tells them apart
  /** @param {import("./view.js").StagedView} c */
  const told = (c) => (mixed ? state.about.methods[c.method]?.title ?? c.method : say("seed {seed}", { seed: c.seed }));
  const thumbs = view.staged.map((c, k) => h("button", {
    type: "button", class: "p-cand", role: "radio", "aria-checked": String(k === at), tabindex: k === at ? "0" : "-1", "data-id": `c${k}`,
    title: told(c), "aria-label": `${say("Candidate {number}, seed {seed}", { number: k + 1, seed: c.seed })}${mixed ? `, ${told(c)}` : ""}${c.flat ? `, ${flatText(c.flat)}` : ""}`, onclick: () => set({ picked: k }),
  }, h("img", { src: urls.picture(c.picture, 160), alt: "" }), h("small", c.flat ? { class: "p-warn", text: flatText(c.flat) } : { text: told(c) })));
  staging.replaceChildren(
    h("div", { class: mixed ? "p-cands p-mixed" : "p-cands", role: "radiogroup", "aria-label": say("Candidates") }, ...thumbs),
    button("keep", say("Keep as turn {number}", { number: currentTurn(view).number + 1 }), () => panel.trigger("keep", { index: at }), "p-go"),
    ...(mixed ? [] : [button("more", say("More seeds"), () => panel.trigger("more_seeds"))]),
    button("discard", many(view.staged.length, "Discard", "Discard all {count}"), () => panel.trigger("discard")));
  if (focused) find(`[data-id="${focused[0] === "c" ? `c${at}` : focused}"]`, staging)?.focus();
}

roving(staging, ".p-cand", (node) => node.click());
actions.keep = () => {
  const button = find(".p-go", staging);
  if (button && !staging.hidden) button.click();
};
