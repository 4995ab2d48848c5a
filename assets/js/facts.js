// The facts of the turn that is shown: what was asked, what it took, and what was kept.
import { h } from "./dom.js";
import { number, say } from "./language.js";
import { alike } from "./placed.js";
import { currentTurn, keptPart, turnOf } from "./turns.js";
import { changedText, flatText, sized } from "./words.js";

/** @typedef {import("./view.js").SessionView} SessionView */

/** @type {Record<string, string>} */
const QUALITIES = { draft: say("draft"), standard: say("standard"), exact: say("exact") };
export const facts = h("section", { class: "p-facts", tabindex: "0", "aria-label": say("The turn that is shown") });

/** @param {import("./view.js").SessionView} view @param {import("./store.js").About} about */
export function drawFacts(view, about) {
  const now = currentTurn(view), before = turnOf(view, now.parent), method = about.methods[now.method], kept = keptPart(now.scope);
  /** @param {string} name @param {string} value */
  const row = (name, value, kind = "") => [h("dt", { text: name }), h("dd", { class: kind, text: value })];
  const damage = view.damage ? [h("p", { class: "p-hint", text: view.damage, lang: "en" })] : [];
  if (now.number === 0) {
    facts.replaceChildren(h("div", { class: "p-facts-head" }, h("b", { text: say("Original") }), h("span", { class: "p-hint", text: sized(now.frame) })),
      ...damage, ...view.notes.map((note) => h("p", { class: "p-hint", text: note, lang: "en" })));
    return;
  }
  facts.replaceChildren(
    h("div", { class: "p-facts-head" }, h("b", { text: say("Turn {number}", { number: now.number }) }), h("span", { class: "p-hint", text: `${method ? method.title : now.method}, ${QUALITIES[now.quality] ?? now.quality}` })), ...damage,
    h("dl", {}, ...(before && !alike(before.frame, now.frame) ? row(say("Size"), say("{size}, from {before}", { size: sized(now.frame), before: sized(before.frame) })) : []), ...(now.subject && now.scope !== "background" ? row(say("Subject"), now.subject, "p-subject") : []),
      ...(now.background && now.scope !== "subject" ? row(say("Background"), now.background, "p-background") : []),
      ...(now.negative ? row(say("Kept out"), now.negative) : []),
      ...row(say("Seed"), String(now.seed)), ...row(say("Took"), `${number(now.seconds, now.seconds < 10 ? 1 : 0)} s`), ...(now.begun_warm ? row(say("Fit"), say("goes on from the turn before")) : []),
      ...(now.flat ? row(say("Result"), flatText(now.flat), "p-warn") : []), ...(now.in_float32 ? row(say("Run"), say("again in float32, after an overflow")) : []), ...(kept ? row(say("Kept"), `${kept === "subject" ? say("subject") : say("background")}, ${changedText(now.outside_changed, now.outside_largest)}`) : [])));
}
