// Marking the subject: the marks as they stand, how they are sent, and how they and the mask they came to are drawn. The
// panel's value is all of them, as JSON: {count, prompts}; `count` tells answers of older marks apart.
import { actions } from "./actions.js";
import { coarse, h } from "./dom.js";
import { dots, live, overlay, room, sight, size } from "./frame.js";
import { seen } from "./geometry.js";
import { number, say } from "./language.js";
import { hand, look, markable, panel } from "./looking.js";
import * as marks from "./marks.js";
import * as masks from "./overlay.js";
import { roving } from "./roving.js";
import { state } from "./store.js";
import { unsent } from "./unsent.js";
import { urls } from "./urls.js";

/** @typedef {import("./view.js").SessionView} SessionView */

export const chips = h("div", { class: "p-chips", role: "radiogroup", "aria-label": say("What the click means") });
export const advice = h("div", { class: "p-advice" });

/** @type {Record<string, string>} */
const SIZES = { small: say("small"), medium: say("medium"), large: say("large"), part: say("part"), subject: say("subject"), "with shadow": say("with shadow") };
let prompts = marks.empty(), count = 0;
/** @type {number | null} the marks whose answer is waited for */
let waiting = null;
/** @type {string | null} */
let shownSid = null;
/** @type {string | null} */
let drawnMask = null;
let maskToken = 0;
/** @type {(() => void)[]} what waits for the answer to the marks */
const afterMark = [];
/** @type {((view: SessionView) => void)[]} */
const listeners = [];

/** The marks as they stand, answered or not. */
export const standing = () => prompts;

/** Calls `listener` when the page itself changed the marks. @param {(view: SessionView) => void} listener */
export const onMarked = (listener) => void listeners.push(listener);

/** Takes these marks and sends them. @param {marks.Marks} next */
export function apply(next) {
  const view = markable();
  if (!view || marks.same(next, prompts)) return;
  prompts = next;
  count += 1;
  waiting = count;
  panel.hold(JSON.stringify({ count, prompts }));
  panel.trigger("mark");
  for (const listener of listeners) listener(view);
}

export const clearMarks = () => {
  hand.corners = [];
  apply(marks.empty(prompts.feather, prompts.snap));
};

/**
 * The server's marks replace ours unless ours are newer: an answer to older marks must not undo a later click. Says
 * whether this is another picture.
 * @param {SessionView} view
 */
export function adoptMarks(view) {
  const answered = state.message.failed || (state.echo !== null && state.echo === waiting), other = shownSid !== view.sid;
  if (answered) waiting = null;
  if (other) {
    shownSid = view.sid;
    waiting = drawnMask = null;
    afterMark.length = 0;
  }
  if (waiting === null) for (const act of afterMark.splice(0)) setTimeout(act);
  if (waiting === null) prompts = marks.plain(view.draft.prompts);
  return other;
}

/** @param {SessionView} view */
export async function drawMarks(view) {
  const visible = Boolean(markable()) && !look.peeking;
  panel.root.dataset.waiting = waiting === null && !state.settling ? "no" : "yes";
  overlay.hidden = !visible || state.settling;
  dots.hidden = !visible;
  live.toggleAttribute("hidden", !visible);
  live.setAttribute("viewBox", `0 0 ${view.width} ${view.height}`);
  dots.replaceChildren(...prompts.clicks.map((c, k) => h("button", {
    type: "button", class: c.include ? "p-dot" : "p-dot p-neg", title: say("Remove this click"), "data-click": k,
    "aria-label": say(c.include ? "Included at {x}, {y}. Remove." : "Excluded at {x}, {y}. Remove.", { x: Math.round(c.x), y: Math.round(c.y) }),
    style: `left:${(c.x / view.width) * 100}%;top:${(c.y / view.height) * 100}%`,
    onclick: (event) => { if (!event.detail) apply(marks.unclicked(prompts, k)); }, // by the keyboard; a pointer is the frame's
  })));
  if (!markable()) hand.corners = [];
  if (!hand.gesture) drawLive(view);
  if (waiting !== null || state.settling) return; // a newer mask is on its way
  // Of a picture that is looked at from near, only what is in sight is drawn.
  const part = seen(sight, size, room), whole = size;
  // A large mask that is shown small comes smaller too, in steps: it is unpacked and shrunk quickly then.
  const side = 2 ** Math.ceil(Math.log2(Math.max(whole.width, whole.height, 1) * (window.devicePixelRatio || 1)));
  const wanted = view.mask.mask && part.right > part.left ? `${view.mask.mask} ${Object.values(part)} ${whole.width}` : "none";
  if (wanted === drawnMask) return;
  const token = ++maskToken;
  if (wanted === "none") overlay.getContext("2d")?.clearRect(0, 0, overlay.width, overlay.height);
  else {
    let image;
    const { mask } = view.mask;
    try { image = await masks.load(side < Math.max(view.width, view.height) ? urls.mask(mask, side) : urls.picture(mask)); } catch { return; }
    if (token !== maskToken) return;
    masks.draw(overlay, image, part, { ...whole }, window.devicePixelRatio || 1);
    Object.assign(overlay.style, sight.zoom <= 1 ? { left: "", top: "", width: "", height: "" } : {
      left: `${(part.left / size.width) * 100}%`, top: `${(part.top / size.height) * 100}%`,
      width: `${((part.right - part.left) / size.width) * 100}%`, height: `${((part.bottom - part.top) / size.height) * 100}%` });
  }
  drawnMask = wanted;
  panel.root.dataset.mask = view.mask.mask || "none";
  if (!hand.gesture) drawLive(view);
}

/** @param {marks.Stroke} s */
const ends = (s) => s.points.map((q) => `${q[0]},${q[1]}`).join(" ");

/** The box and the scribbles that stand, strokes whose mask has not arrived yet, and what is being drawn. @param {SessionView} view */
export function drawLive(view) {
  const parts = [], unit = view.width / Math.max(1, size.width), { gesture } = hand, last = prompts.strokes.at(-1);
  /** @param {import("./view.js").Box} b */
  const box = (b) => h("rect", { x: b.left, y: b.top, width: b.right - b.left, height: b.bottom - b.top, fill: "none",
    stroke: "#fff", "stroke-width": 1.5 * unit, "stroke-dasharray": `${5 * unit} ${4 * unit}` });
  /** Through what belongs to the subject, or does not: light on dark, so that it is seen on anything. @param {marks.Stroke} s */
  const scribble = (s) => [["#0d0e10", 5], [s.erase ? "#ff6b6b" : "#5fd08a", 2.5]].map(([colour, width]) => h("polyline", {
    points: ends(s), fill: "none", stroke: colour, "stroke-width": Number(width) * unit, "stroke-linecap": "round", "stroke-linejoin": "round" }));
  /** Whose colour a wand went by. @param {marks.Stroke} s */
  const place = (s) => [["#0d0e10", 3.5], [s.erase ? "#ff6b6b" : s.keep ? "#fff" : "#5fd08a", 1.5]].map(([colour, width]) => h("path", { "stroke-linecap": "round",
    d: `M${s.points[0][0] - 5 * unit} ${s.points[0][1]}h${10 * unit}M${s.points[0][0]} ${s.points[0][1] - 5 * unit}v${10 * unit}`, fill: "none", stroke: colour, "stroke-width": Number(width) * unit }));
  /** @param {marks.Stroke} s */
  const around = (s) => h("polyline", { points: ends({ ...s, points: [...s.points, s.points[0]] }), fill: s.erase ? "#0d0e10" : "#ff9d5c", "fill-opacity": 0.35,
    "fill-rule": "evenodd", stroke: "#fff", "stroke-width": 1.5 * unit, "stroke-dasharray": `${5 * unit} ${4 * unit}` });
  /** @param {marks.Stroke} s */
  const stroke = (s) => s.fill ? around(s) : h("polyline", { points: ends(s), fill: "none", "stroke-width": 2 * s.radius,
    "stroke-linecap": "round", "stroke-linejoin": "round", stroke: s.refine ? "#50c9c0" : s.erase ? "#0d0e10" : "#ff9d5c", opacity: 0.55 });
  if (view.sees) parts.push(h("rect", { class: "p-sees", x: view.sees.left, y: view.sees.top, width: view.sees.right - view.sees.left,
    height: view.sees.bottom - view.sees.top, fill: "none", stroke: "#50c9c0", "stroke-width": 1.5 * unit }),
  h("text", { x: view.sees.left + 6 * unit, y: view.sees.top + 16 * unit, "font-size": 12 * unit, fill: "#fff", stroke: "#0d0e10", "stroke-width": 2.5 * unit,
    "paint-order": "stroke", text: say("what the model sees") }));
  if (prompts.box) parts.push(box(prompts.box));
  if (waiting !== null && last && last.wand === null) parts.push(stroke(last));
  for (const s of prompts.strokes) if (s.wand !== null) parts.push(...place(s));
  if (gesture && gesture.box) parts.push(box(gesture.box));
  if (gesture && gesture.stroke) parts.push(...[...gesture.painted, gesture.stroke].map(stroke));
  for (const s of prompts.scribbles) parts.push(...scribble(s));
  if (gesture && gesture.scribble) parts.push(...scribble(gesture.scribble));
  if (hand.corners.length) {
    parts.push(around(marks.line(hand.corners, 1, hand.away, true)));
    for (const [x, y] of hand.corners) parts.push(h("circle", { cx: x, cy: y, r: 3.5 * unit, fill: "#fff", stroke: "#0d0e10", "stroke-width": unit }));
  }
  live.replaceChildren(...parts);
}

/** @param {SessionView} view */
export function drawChips(view) {
  const can = Boolean(markable()), visible = can && view.mask.choices.length > 1 && (prompts.clicks.length > 0 || prompts.phrase !== "");
  chips.hidden = !visible;
  advice.hidden = !can || Boolean(view.mask.mask) || waiting !== null;
  advice.textContent = coarse ? say("Tap the subject, or drag a box around it") : say("Click the subject. Right click excludes, drag for a box.");
  if (!visible) return;
  const chosen = prompts.choice ?? view.mask.chosen, had = chips.contains(document.activeElement);
  chips.replaceChildren(...view.mask.choices.map((c, k) => h("button", {
    type: "button", class: "p-chip", role: "radio", "aria-checked": String(k === chosen), tabindex: k === chosen ? "0" : "-1",
    title: say("How sure the segmenter is of this outline"), onclick: () => apply(marks.chosen(prompts, k)),
  }, h("span", { text: SIZES[c.label] ?? c.label }), h("small", { text: number(c.score, 2) }))));
  if (had) /** @type {HTMLElement} */ (chips.children[chosen]).focus();
}

roving(chips, ".p-chip", (node) => node.click());
onMarked(drawMarks);
onMarked(drawChips);
unsent.push({ name: "marks", read: () => (waiting === null ? null : prompts), put: apply });
Object.assign(actions, {
  clear: () => { if (markable()) clearMarks(); },
  /** What came after the marks must not overtake them. @param {() => void} act */
  whenMarked: (act) => { if (waiting === null) act(); else afterMark.push(act); },
  marking: () => waiting !== null,
});
