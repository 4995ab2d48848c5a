// Where two pictures differ, in the frame, with what that comes to in figures below it.
import * as compare from "./compare.js";
import { h } from "./dom.js";
import { difference } from "./frame.js";
import { number, say } from "./language.js";
import { alike } from "./placed.js";
import { keptPart } from "./turns.js";
import { urls } from "./urls.js";
import { percent } from "./words.js";

export const legend = h("div", { class: "p-legend" });
const PARTS = /** @type {const} */ (["subject", "background"]);
const SAID = { subject: { kept: say("subject kept"), changed: (/** @type {string} */ share) => say("subject {share} changed", { share }) }, background: { kept: say("background kept"), changed: (/** @type {string} */ share) => say("background {share} changed", { share }) } };
let drawn = "";

/** @param {ReturnType<typeof import("./looking.js").shown>} looked @param {string} url of the picture before, in the frame of the other */
export async function drawDifference({ before, after, beforeFrame, afterFrame, mask: own, facts }, url) {
  const mask = alike(beforeFrame, afterFrame) ? own : null, wanted = `${before} ${after} ${mask} ${url}`;
  if (wanted === drawn) return;
  drawn = wanted;
  // Of a part that was kept only the seam is drawn anew, so what differs of it is told as that (`outside_changed` counts
  // what differs beyond the seam).
  const kept = facts && facts.outside_changed === 0 ? keptPart(facts.scope) : null;
  const count = await compare.difference(difference, url, urls.picture(after), mask ? urls.picture(mask) : null, kept);
  if (wanted !== drawn) return;
  /** @param {string} name @param {string} words */
  const key = (name, words) => h("span", { class: `p-key p-${name}` }, h("i"), words);
  const parts = !mask ? [key("background", say("{share} differs", { share: percent(count.background.changed / count.background.all) }))] : PARTS.filter((part) => count[part].all).map((part) => key(part, part === kept ? SAID[part].kept : SAID[part].changed(percent(count[part].changed / count[part].all))));
  const seam = kept && count[kept].changed ? [key("seam", say("seam {count} pixels", { count: number(count[kept].changed) }))] : [];
  legend.replaceChildren(...parts, ...seam, h("span", { class: "p-hint", text: say("brighter is more") }));
  difference.dataset.ready = wanted;
}
