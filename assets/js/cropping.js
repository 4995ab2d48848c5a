// The frame of a crop, drawn on the picture: taken hold of at its edges and corners, or moved, by pointer and by keys; and
// the row of proportions below it. What it comes to is told as shares that are cut off at each side.
import { h } from "./dom.js";
import { frame } from "./frame.js";
import { say } from "./language.js";
import { atRest, panel } from "./looking.js";
import { roving } from "./roving.js";
import { state } from "./store.js";
import { sized } from "./words.js";

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./view.js").Box} Box */
/** @typedef {import("./geometry.js").Extent} Extent */
/** @typedef {"left" | "top" | "right" | "bottom"} Side */

const LEAST = 16; // pixels a side of any picture
const SIDES = /** @type {const} */ (["left", "top", "right", "bottom"]);
/** @type {[string, Side[]][]} what is taken hold of, and the sides that move then */
const HOLDS = [[say("Upper left corner"), ["left", "top"]], [say("Top"), ["top"]], [say("Upper right corner"), ["top", "right"]], [say("Right side"), ["right"]],
  [say("Lower right corner"), ["right", "bottom"]], [say("Bottom"), ["bottom"]], [say("Lower left corner"), ["left", "bottom"]], [say("Left side"), ["left"]]];
/** @type {[string, string, (of: Extent) => number | null][]} */
const RATIOS = [["free", say("Free"), () => null], ["own", say("As it is"), ({ width, height }) => width / height], ["1:1", "1:1", () => 1], ["4:5", "4:5", () => 4 / 5], ["5:4", "5:4", () => 5 / 4],
  ["3:2", "3:2", () => 3 / 2], ["2:3", "2:3", () => 2 / 3], ["16:9", "16:9", () => 16 / 9], ["9:16", "9:16", () => 9 / 16]];

/** The frame as it is drawn, in whole pixels of the picture. @type {Box} */
let box = { left: 0, top: 0, right: 0, bottom: 0 };
let ratio = "free", told = "";
/** @type {{ id: number, sides: Side[], x: number, y: number, from: Box } | null} */
let held = null;

const size = h("output", { class: "p-hint" });
const holds = HOLDS.map(([name, sides]) => h("button", { type: "button", class: "p-hold", "aria-label": name, "data-sides": sides.join(" "), title: say("{name}: drag it, or use the arrow keys", { name }),
  onkeydown: (/** @type {KeyboardEvent} */ event) => byKey(event, sides) }));
const inner = h("div", { class: "p-crop-box", tabindex: "0", role: "group", "aria-label": say("What is left of the picture. Arrow keys move it."), onkeydown: (/** @type {KeyboardEvent} */ event) => byKey(event, []) }, h("i"), ...holds);
const shade = h("i", { class: "p-shade" });
const layer = h("div", { class: "p-cropping", hidden: true }, h("div", { class: "p-shades" }, shade), inner);
const buttons = RATIOS.map(([id, text]) => h("button", { type: "button", class: "p-chip", role: "radio", text, "data-ratio": id, title: id === "free" ? say("Any proportions") : say("Keeps the proportions {text}", { text }), onclick: () => pick(id) }));
const proportions = h("div", { role: "radiogroup", "aria-label": say("Proportions"), class: "p-ratios" }, ...buttons);
export const bar = h("div", { class: "p-crop-bar", hidden: true }, proportions, size, h("button", { type: "button", class: "p-btn", text: say("Whole"), title: say("Nothing is cut off"), onclick: () => { ratio = "free"; put(whole()); send(); } }));
frame.append(layer);
roving(proportions, ".p-chip", (node) => node.click());

/** Whether the frame of a crop is drawn now. @returns {SessionView | null} */
export function cropping() {
  const view = atRest();
  return view && view.draft.method === "crop" ? view : null;
}

/** @returns {Box} */
const whole = () => ({ left: 0, top: 0, right: state.view?.width ?? 0, bottom: state.view?.height ?? 0 });

/** The frame that the shares stand for. @param {SessionView} view @returns {Box} */
function asked({ width, height, draft }) {
  const cut = (/** @type {Side} */ side) => Number(draft.changes[side] ?? 0);
  return { left: Math.round(cut("left") * width), top: Math.round(cut("top") * height), right: width - Math.round(cut("right") * width), bottom: height - Math.round(cut("bottom") * height) };
}

export function drawCropping() {
  const view = cropping();
  layer.hidden = bar.hidden = !view;
  frame.dataset.cropping = view ? "yes" : "no";
  if (!view || held) return;
  const now = `${view.sid} ${view.current} ${JSON.stringify(SIDES.map((side) => view.draft.changes[side] ?? 0))}`;
  if (now !== told) {
    told = now;
    box = asked(view);
  }
  paint(view);
}

/** @param {SessionView} view */
function paint(view) {
  const { width, height } = view;
  for (const node of [inner, shade]) Object.assign(node.style, { left: `${(100 * box.left) / width}%`, top: `${(100 * box.top) / height}%`, width: `${(100 * (box.right - box.left)) / width}%`, height: `${(100 * (box.bottom - box.top)) / height}%` });
  size.textContent = sized({ width: box.right - box.left, height: box.bottom - box.top });
  for (const node of buttons) {
    const on = node.dataset.ratio === ratio;
    node.setAttribute("aria-checked", String(on));
    node.tabIndex = on ? 0 : -1;
  }
}

/** @param {Box} next */
function put(next) {
  box = next;
  const view = cropping();
  if (view) paint(view);
}

/** Tells what is cut off, once somebody let go. */
function send() {
  const view = cropping();
  if (!view) return;
  const share = (/** @type {number} */ pixels, /** @type {number} */ of) => Math.round((pixels / of) * 1e6) / 1e6;
  panel.trigger("frame", { left: share(box.left, view.width), top: share(box.top, view.height), right: share(view.width - box.right, view.width), bottom: share(view.height - box.bottom, view.height) });
}

const wanted = () => (state.view ? /** @type {[string, string, (of: Extent) => number | null]} */ (RATIOS.find(([id]) => id === ratio))[2](state.view) : null);

/** Another proportion: the largest frame of it in the picture, about the middle of the one there was. @param {string} id */
function pick(id) {
  ratio = id;
  const view = cropping(), aspect = wanted();
  if (!view) return;
  if (aspect === null) return paint(view);
  const width = Math.min(view.width, Math.round(view.height * aspect)), height = Math.min(view.height, Math.round(width / aspect));
  const x = Math.round((box.left + box.right - width) / 2), y = Math.round((box.top + box.bottom - height) / 2);
  put(shifted({ left: x, top: y, right: x + width, bottom: y + height }, 0, 0, view));
  send();
}

/** @param {Box} from @param {number} x @param {number} y @param {Extent} extent @returns {Box} */
export function shifted({ left, top, right, bottom }, x, y, { width, height }) {
  const by = Math.max(-left, Math.min(width - right, Math.round(x))), down = Math.max(-top, Math.min(height - bottom, Math.round(y)));
  return { left: left + by, top: top + down, right: right + by, bottom: bottom + down };
}

/**
 * The frame with those sides moved by so many pixels, inside of the picture and never smaller than a picture can be; with
 * an aspect, the others follow.
 * @param {Box} from @param {Side[]} sides @param {number} x @param {number} y @param {Extent} extent @param {number | null} aspect
 * @returns {Box}
 */
export function stretched(from, sides, x, y, { width, height }, aspect) {
  const next = { ...from };
  if (sides.includes("left")) next.left = Math.max(0, Math.min(from.right - LEAST, Math.round(from.left + x)));
  if (sides.includes("right")) next.right = Math.min(width, Math.max(from.left + LEAST, Math.round(from.right + x)));
  if (sides.includes("top")) next.top = Math.max(0, Math.min(from.bottom - LEAST, Math.round(from.top + y)));
  if (sides.includes("bottom")) next.bottom = Math.min(height, Math.max(from.top + LEAST, Math.round(from.bottom + y)));
  if (aspect === null) return next;
  // A side that is not held stays where it is, and the picture ends what would go beyond it.
  const across = sides.some((side) => side === "left" || side === "right");
  const most = { width: sides.includes("left") ? from.right : width - from.left, height: sides.includes("top") ? from.bottom : height - from.top };
  let wide = across ? next.right - next.left : (next.bottom - next.top) * aspect;
  wide = Math.max(LEAST, LEAST * aspect, Math.min(wide, most.width, most.height * aspect));
  const high = Math.round(wide / aspect), broad = Math.round(wide);
  if (sides.includes("left")) next.left = next.right - broad; else next.right = next.left + broad;
  if (sides.includes("top")) next.top = next.bottom - high; else next.bottom = next.top + high;
  return next;
}

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
/** @param {KeyboardEvent} event @param {Side[]} sides */
function byKey(event, sides) {
  const view = cropping(), by = ARROWS[event.key];
  if (!view || !by || event.ctrlKey || event.metaKey || (!sides.length && event.target !== inner)) return;
  event.preventDefault();
  event.stopPropagation();
  const step = event.shiftKey ? 10 : 1;
  put(sides.length ? stretched(box, sides, by[0] * step, by[1] * step, view, wanted()) : shifted(box, by[0] * step, by[1] * step, view));
  send();
}

layer.addEventListener("pointerdown", (event) => {
  const view = cropping();
  if (!view || event.button) return;
  if (!event.isPrimary) { held = null; return drawCropping(); } // a second finger: they zoom
  event.stopPropagation();
  const at = /** @type {HTMLElement} */ (event.target), sides = /** @type {Side[]} */ ((at.dataset.sides || "").split(" ").filter(Boolean));
  layer.setPointerCapture(event.pointerId);
  held = { id: event.pointerId, sides, x: event.clientX, y: event.clientY, from: box };
  if (at !== inner && !sides.length) held.sides = anew(event, view);
});
/** A press beside the frame begins another one there. @param {PointerEvent} event @param {SessionView} view @returns {Side[]} */
function anew(event, view) {
  const r = frame.getBoundingClientRect();
  const x = Math.round(((event.clientX - r.left) / r.width) * view.width), y = Math.round(((event.clientY - r.top) / r.height) * view.height);
  const left = Math.max(0, Math.min(view.width - LEAST, x)), top = Math.max(0, Math.min(view.height - LEAST, y));
  if (held) held.from = { left, top, right: left + LEAST, bottom: top + LEAST };
  return ["right", "bottom"];
}
layer.addEventListener("pointermove", (event) => {
  const view = cropping();
  if (!held || !view || event.pointerId !== held.id) return;
  event.stopPropagation();
  const scale = view.width / frame.getBoundingClientRect().width, x = (event.clientX - held.x) * scale, y = (event.clientY - held.y) * scale;
  if (held.from !== box && !x && !y) return;
  put(held.sides.length ? stretched(held.from, held.sides, x, y, view, wanted()) : shifted(held.from, x, y, view));
});
for (const end of ["pointerup", "pointercancel"]) layer.addEventListener(end, (event) => {
  if (!held || /** @type {PointerEvent} */ (event).pointerId !== held.id) return;
  event.stopPropagation();
  held = null;
  if (end === "pointerup") send(); else drawCropping();
});
