// The layers of the picture that is looked at, side by side: subject, background, mask, and the reference it followed.
import * as compare from "./compare.js";
import { h } from "./dom.js";
import { columnsFor } from "./geometry.js";
import { say } from "./language.js";
import { frameOf, shown } from "./looking.js";
import { urls } from "./urls.js";

/** @typedef {import("./view.js").SessionView} SessionView */

const CAPTION = 26, GAP = 14;
export const layers = h("div", { class: "p-layers" });
let drawn = "";

/** @param {SessionView} view */
export function drawLayers(view) {
  const s = shown(view), mask = s.cut || view.mask.mask, wanted = `${s.after} ${mask}`;
  if (wanted === drawn) return fitLayers(view);
  drawn = wanted;
  /** @param {string} name @param {Element} node @param {string} text */
  const figure = (name, node, text) => h("figure", { class: `p-layer p-${name}` }, h("figcaption", {}, h("i"), text), h("div", {}, node));
  const subject = h("canvas"), rest = h("canvas");
  compare.cut(subject, urls.picture(s.after), urls.picture(mask), true).catch(() => {});
  compare.cut(rest, urls.picture(s.after), urls.picture(mask), false).catch(() => {});
  const reference = s.now && s.now.reference;
  layers.replaceChildren(figure("subject", subject, say("Subject")), figure("background", rest, say("Background")),
    figure("mask", h("img", { src: urls.picture(mask), alt: say("mask") }), say("Mask")),
    ...(reference ? [figure("reference", h("img", { src: urls.picture(reference), alt: say("background reference") }), say("Background it followed"))] : []));
  fitLayers(view);
}

/** Makes the layers as large as the room allows, in one row or two. @param {SessionView} view */
export function fitLayers(view) {
  const { columns, scale } = columnsFor(layers.childElementCount, frameOf(view), layers.getBoundingClientRect(), CAPTION, GAP);
  layers.style.gridTemplateColumns = `repeat(${columns}, max-content)`;
  for (const box of layers.querySelectorAll("div")) Object.assign(box.style, { width: `${Math.floor(frameOf(view).width * scale)}px`, height: `${Math.floor(frameOf(view).height * scale)}px` });
}
