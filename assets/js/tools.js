// The bar of mask tools above the picture.
import { actions } from "./actions.js";
import { eye } from "./attention.js";
import { h } from "./dom.js";
import { frame } from "./frame.js";
import { stepIn } from "./geometry.js";
import { keyOf } from "./keys.js";
import { say } from "./language.js";
import { hand, isPainting, markable, panel, unselected } from "./looking.js";
import { apply, clearMarks, onMarked, standing } from "./marking.js";
import * as marks from "./marks.js";
import { roving } from "./roving.js";
import { openMasks } from "./saved.js";
import { state } from "./store.js";
import { PICTURES, upload } from "./upload.js";
import { percent } from "./words.js";

/** @typedef {import("./looking.js").Tool} Tool */

/** @type {[Tool, string, string][]} */
const TOOLS = [
  ["include", say("Include"), say("Click what belongs to the subject; drag for a box")],
  ["exclude", say("Exclude"), say("Click what does not belong to it (also: right click)")],
  ["box", say("Box"), say("Drag a box around the subject")],
  ["scribble", say("Scribble"), say("Draw a line through what belongs to the subject; with Alt or the right button, through what does not")],
  ["lasso", say("Lasso"), say("Draw around what to add, or click its corners and press Enter; with Alt, what to take away")],
  ["wand", say("Wand"), say("Click a colour to add what has it; with Alt or the right button it is taken away, with Shift only what is in both stays")],
  ["brush", say("Brush"), say("Paint onto the mask")],
  ["erase", say("Erase"), say("Rub out of the mask")],
  ["refine", say("Refine"), say("Brush over an edge, as of hair or fur: the picture says what belongs to the subject there")],
];

/** @param {string} text @param {() => void} onclick @param {Record<string, string>} [more] */
const button = (text, onclick, more = {}) => h("button", { type: "button", class: "p-tool", text, onclick, ...more });
const toolButtons = new Map(TOOLS.map(([id, text, title]) => [id, { node: button(text, () => pick(id), { "aria-pressed": "false" }), title }]));
const size = h("input", { type: "range", min: 1, max: 64, step: 1, "aria-label": say("Brush size in pixels"), oninput: () => { hand.radius = Number(size.value); drawNow(); } });
const sizeText = h("output", { class: "p-hint" });
const sizeBox = h("label", { class: "p-size", title: say("Brush size") }, size, sizeText);
const combine = h("select", { "aria-label": say("What lasso and wand do with what they find"), title: say("What lasso and wand do with what they find (Alt takes away, Shift keeps what is in both)"), onchange: () => { hand.combine = /** @type {import("./looking.js").Combine} */ (combine.value); } },
  h("option", { value: "add", text: say("Add") }), h("option", { value: "erase", text: say("Take away") }), h("option", { value: "keep", text: say("Intersect") }));
const combineBox = h("label", { class: "p-combine" }, combine);
const tolerance = h("input", { type: "range", min: 1, max: 60, step: 1, "aria-label": say("How unlike a colour may be"), oninput: () => { hand.tolerance = Number(tolerance.value); drawNow(); }, onchange: () => rewand() });
const toleranceText = h("output", { class: "p-hint" });
const toleranceBox = h("label", { class: "p-size", title: say("How unlike a colour may be: 2 is just seen") }, tolerance, toleranceText);
const everywhere = button(say("Everywhere"), () => { hand.everywhere = !hand.everywhere; drawNow(); rewand(); }, { title: say("In the whole picture, or only what hangs together with the place"), "aria-pressed": "false" });
const feather = h("input", { type: "number", min: 0, max: 64, step: 1, "aria-label": say("Feather: width of the soft seam in pixels"),
  onchange: () => apply(marks.feathered(standing(), Number(feather.value) || 0)) });
const grow = button(say("Grow"), () => growBy(1), { title: say("Widen the mask") });
const shrink = button(say("Shrink"), () => growBy(-1), { title: say("Narrow the mask") });
const invert = button(say("Invert"), () => apply(marks.inverted(standing())), { title: say("Swap inside and outside"), "aria-pressed": "false" });
const phrase = h("input", { type: "search", maxlength: 100, placeholder: say("Find by phrase: the dog"), "aria-label": say("Select by phrase"),
  title: say("Say what the subject is called, then press Enter"), onchange: () => apply(marks.phrased(standing(), phrase.value.trim())) });
const phraseBox = h("label", { class: "p-phrase", hidden: true }, phrase);
const snap = button(say("Snap"), () => apply(marks.snapped(standing())), { title: say("Draw the edge of what a click or box finds along the edges in the picture"), "aria-pressed": "false" });
const clear = button(say("Clear"), () => clearMarks());
const maskFile = h("input", { type: "file", accept: PICTURES, hidden: true, onchange: () => sendMask() });
const kept = button(say("Masks"), () => openMasks(kept, () => maskFile.click()), { title: say("The last mask, one from a file, and those that were saved by name"), "aria-haspopup": "dialog" });
/** How much is selected; it stands below the picture. */
export const area = h("span", { class: "p-hint p-area" });
/** What stays together where the bar needs another row. @param {...HTMLElement} nodes */
const group = (...nodes) => h("div", { class: "p-group" }, ...nodes);

export const tools = h("div", { class: "p-tools", role: "toolbar", "aria-label": say("Mask tools") },
  group(...[...toolButtons.values()].map(({ node }) => node)), group(sizeBox, combineBox, toleranceBox, everywhere, phraseBox),
  group(snap, grow, shrink, h("label", { class: "p-feather" }, h("span", { text: say("Feather") }), feather), invert, clear, kept, maskFile, eye));
const settle = roving(tools, "button");

/** @param {Tool} id */
function pick(id) {
  if (id !== hand.tool) actions.undraw();
  hand.tool = id;
  drawNow();
}

/** @param {1 | -1} steps */
function growBy(steps) {
  const view = markable();
  if (view) apply(marks.grown(standing(), steps * stepIn(view)));
}

/** The wand that was used last goes by what is set now. */
function rewand() {
  if (markable()) apply(marks.rewanded(standing(), hand.tolerance, hand.everywhere));
}

async function sendMask() {
  const file = maskFile.files?.[0];
  setTimeout(() => { maskFile.value = ""; });
  const ticket = file && await upload(file);
  if (ticket) panel.trigger("upload_mask", { ticket, name: file.name });
}

function drawNow() {
  if (state.view) drawTools(state.view);
}

/** What is in the hand for another picture. @param {import("./view.js").SessionView} view */
export function beginTools(view) {
  hand.tool = "include";
  hand.radius = Math.max(2, Math.round(view.width / 32));
  size.max = String(Math.max(16, Math.round(view.width / 4)));
}

/** @param {import("./view.js").SessionView} view */
export function drawTools(view) {
  const usable = Boolean(markable()), idle = unselected(view), prompts = standing(), has = !marks.isEmpty(prompts), { mask } = view;
  clear.title = say("Remove every mark ({key})", { key: keyOf("clear") });
  for (const [id, { node, title }] of toolButtons) {
    node.title = idle || `${title} (${keyOf(id)})`;
    node.setAttribute("aria-pressed", String(id === hand.tool));
    node.disabled = !usable;
  }
  sizeBox.hidden = !isPainting();
  snap.hidden = isPainting() || hand.tool === "wand" || hand.tool === "lasso"; // it is about what a click or box finds
  combineBox.hidden = hand.tool !== "wand" && hand.tool !== "lasso";
  toleranceBox.hidden = everywhere.hidden = hand.tool !== "wand";
  combine.value = hand.combine;
  tolerance.value = String(hand.tolerance);
  toleranceText.textContent = `± ${hand.tolerance}`;
  everywhere.setAttribute("aria-pressed", String(hand.everywhere));
  combine.disabled = tolerance.disabled = everywhere.disabled = !usable;
  size.value = String(hand.radius);
  sizeText.textContent = say("{radius} px", { radius: hand.radius });
  feather.value = String(prompts.feather);
  phraseBox.hidden = !state.about.phrases;
  if (document.activeElement !== phrase) phrase.value = prompts.phrase;
  for (const node of [grow, shrink, invert]) node.disabled = !usable || !has;
  clear.disabled = !usable || (!has && !prompts.invert && !prompts.grow);
  feather.disabled = snap.disabled = phrase.disabled = !usable;
  snap.setAttribute("aria-pressed", String(prompts.snap));
  invert.setAttribute("aria-pressed", String(prompts.invert));
  grow.dataset.on = prompts.grow > 0 ? "yes" : "no";
  shrink.dataset.on = prompts.grow < 0 ? "yes" : "no";
  grow.textContent = prompts.grow > 0 ? say("Grow {steps}", { steps: prompts.grow }) : say("Grow");
  shrink.textContent = prompts.grow < 0 ? say("Shrink {steps}", { steps: -prompts.grow }) : say("Shrink");
  area.textContent = idle ? say("all of it changes") : !mask.mask ? say("nothing selected") : mask.stale ? say("carried over: check it") : say("subject {percent}", { percent: percent(mask.area) });
  area.classList.toggle("p-warn", mask.stale && !idle);
  area.title = idle || (mask.stale ? say("The marks were made on another turn's picture. Look whether the outline still fits.") : say("Of the picture"));
  kept.disabled = !usable;
  frame.dataset.tool = usable ? hand.tool : "none";
  settle();
}

onMarked(drawTools);
Object.assign(actions, {
  /** @param {Tool} id */
  tool: (id) => { if (markable()) pick(id); },
  /** @param {number} by */
  size: (by) => {
    hand.radius = Math.max(1, Math.min(Number(size.max), hand.radius + by));
    drawNow();
  },
});
