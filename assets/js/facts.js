// The facts of the turn that is shown: what was asked, what it took, and what was kept.
import { h } from "./dom.js";
import { alike } from "./placed.js";
import { currentTurn, keptPart, turnOf } from "./turns.js";
import { changedText, flatText, sized } from "./words.js";

/** @typedef {import("./view.js").SessionView} SessionView */

export const facts = h("section", { class: "p-facts", "aria-label": "The turn that is shown" });

/** @param {import("./view.js").SessionView} view @param {import("./store.js").About} about */
export function drawFacts(view, about) {
  const now = currentTurn(view), before = turnOf(view, now.parent), method = about.methods[now.method], kept = keptPart(now.scope);
  /** @param {string} name @param {string} value */
  const row = (name, value, kind = "") => [h("dt", { text: name }), h("dd", { class: kind, text: value })];
  const damage = view.damage ? [h("p", { class: "p-hint", text: view.damage })] : [];
  if (now.number === 0) {
    facts.replaceChildren(h("div", { class: "p-facts-head" }, h("b", { text: "Original" }), h("span", { class: "p-hint", text: sized(now.frame) })),
      ...damage, ...view.notes.map((note) => h("p", { class: "p-hint", text: note })));
    return;
  }
  facts.replaceChildren(
    h("div", { class: "p-facts-head" }, h("b", { text: `Turn ${now.number}` }), h("span", { class: "p-hint", text: `${method ? method.title : now.method}, ${now.quality}` })), ...damage,
    h("dl", {}, ...(before && !alike(before.frame, now.frame) ? row("Size", `${sized(now.frame)}, from ${sized(before.frame)}`) : []), ...(now.subject && now.scope !== "background" ? row("Subject", now.subject, "p-subject") : []),
      ...(now.background && now.scope !== "subject" ? row("Background", now.background, "p-background") : []),
      ...(now.negative ? row("Kept out", now.negative) : []),
      ...row("Seed", String(now.seed)), ...row("Took", now.seconds < 10 ? `${now.seconds.toFixed(1)} s` : `${Math.round(now.seconds)} s`), ...(now.begun_warm ? row("Fit", "goes on from the turn before") : []),
      ...(now.flat ? row("Result", flatText(now.flat), "p-warn") : []), ...(now.in_float32 ? row("Run", "again in float32, after an overflow") : []), ...(kept ? row("Kept", `${kept}, ${changedText(now.outside_changed, now.outside_largest)}`) : [])));
}
