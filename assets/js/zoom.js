// How near the picture is looked at: by wheel, pinch, keys and buttons, always towards what is under the pointer; and
// where, by the middle button, by the space bar and the left one, or by two fingers.
import { actions } from "./actions.js";
import { h, targetOf } from "./dom.js";
import { frame, grid, room, sight, size } from "./frame.js";
import { fitted, kept, nearer } from "./geometry.js";
import { keyOf } from "./keys.js";
import { say } from "./language.js";
import { frameOf, look } from "./looking.js";
import { state } from "./store.js";

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./geometry.js").Point} Point */
/** @typedef {import("./geometry.js").Sight} Sight */

const LARGEST = 32; // screen pixels that a pixel of the picture may become
const SQUARE = 6; // from which they are drawn as squares
const RULED = 12; // and from which there are lines between them
const STEP = Math.SQRT2; // of a button or key
const SETTLE = 90; // milliseconds of rest after which what follows the sight is drawn anew

/** @type {HTMLElement} what the picture is shown in */
let space;
/** @type {() => void} */
let onSettled = () => {};
let settling = 0, margin = 0;

/** Screen pixels to a pixel of the picture, where it fits. @param {SessionView} view */
const fitScale = (view) => fitted(frameOf(view), room, margin).width * devicePixelRatio / frameOf(view).width;

/** The zoom at which one pixel of the picture is one of the screen. @param {SessionView} view */
const whole = (view) => 1 / fitScale(view);

/** @param {SessionView} view @returns {[number, number]} */
const limits = (view) => [Math.min(1, whole(view)), Math.max(1, LARGEST * whole(view))];

/** Where the window's point is, from the middle of the room. @param {{ clientX: number, clientY: number }} at @returns {Point} */
function fromMiddle({ clientX, clientY }) {
  const r = space.getBoundingClientRect();
  return { x: clientX - r.left - r.width / 2, y: clientY - r.top - r.height / 2 };
}

const out = h("button", { type: "button", class: "p-tool", text: "−", "aria-label": say("Zoom out"), onclick: () => step(1 / STEP) });
const into = h("button", { type: "button", class: "p-tool", text: "+", "aria-label": say("Zoom in"), onclick: () => step(STEP) });
const level = h("button", { type: "button", class: "p-tool p-level", onclick: () => (sight.zoom === 1 ? toWhole() : toFit()) });
export const zoomer = h("div", { class: "p-zoom", role: "group", "aria-label": say("Zoom") }, out, level, into);

/** Begins to listen in `within`; `settled` is called when the sight has come to rest. @param {HTMLElement} within @param {() => void} settled */
export function watch(within, settled) {
  space = within;
  onSettled = settled;
  space.addEventListener("wheel", wheel, { passive: false });
  space.addEventListener("pointerdown", press, true);
  for (const end of ["pointerup", "pointercancel"]) space.addEventListener(end, (event) => lift(/** @type {PointerEvent} */ (event)), true);
  space.addEventListener("pointermove", drag, true);
  space.addEventListener("mousedown", (event) => { if (event.button === 1) event.preventDefault(); }); // it would scroll
}

/** Another picture: all of it is seen. */
export const toFit = () => set({ zoom: 1, x: 0, y: 0 });
const toWhole = () => { const { view } = state; if (view) zoomBy(whole(view) / sight.zoom, { x: 0, y: 0 }); };
/** @param {number} factor */
const step = (factor) => zoomBy(factor, { x: 0, y: 0 });

/** @param {number} factor @param {Point} at */
function zoomBy(factor, at) {
  const { view } = state;
  if (!view) return;
  const next = nearer(sight, factor, at, limits(view));
  set(Math.abs(next.zoom - 1) < 0.04 && factor < 1 ? { zoom: 1, x: 0, y: 0 } : next); // on the way out it stops where all is seen
}

/** @param {Sight} next */
function set(next) {
  const { view } = state;
  Object.assign(sight, next);
  if (view) place(view);
}

/**
 * Puts the frame to its place in a room of that size.
 * @param {SessionView} view
 * @param {import("./geometry.js").Extent} inside
 * @param {number} around pixels that stay free, on both sides together
 */
export function fit(view, inside, around) {
  Object.assign(room, { width: inside.width, height: inside.height });
  margin = around;
  place(view);
}

/** @param {SessionView} view */
function place(view) {
  const extent = frameOf(view), all = fitted(extent, room, margin);
  sight.zoom = Math.max(limits(view)[0], Math.min(limits(view)[1], sight.zoom));
  Object.assign(size, sight.zoom === 1 ? all : { width: all.width * sight.zoom, height: (all.width * sight.zoom * extent.height) / extent.width });
  Object.assign(sight, kept(sight, size, room, margin));
  Object.assign(frame.style, { width: `${size.width}px`, height: `${size.height}px`, translate: sight.x || sight.y ? `${sight.x}px ${sight.y}px` : "" });
  const scale = size.width * devicePixelRatio / extent.width;
  frame.dataset.near = sight.zoom > 1 && scale >= SQUARE ? "yes" : "no";
  space.dataset.zoomed = sight.zoom > 1 ? "yes" : "no";
  grid.hidden = sight.zoom === 1 || scale < RULED;
  grid.style.backgroundSize = `${100 / extent.width}% ${100 / extent.height}%`;
  level.textContent = `${Math.round(scale * 100)} %`;
  level.title = sight.zoom === 1 ? say("All of the picture is seen. Show one pixel as one ({key})", { key: keyOf("whole") }) : say("Show all of the picture ({key})", { key: keyOf("fit") });
  out.title = say("Further away ({key})", { key: keyOf("further") });
  into.title = say("Nearer ({key})", { key: keyOf("nearer") });
  level.setAttribute("aria-label", say(sight.zoom === 1 ? "{count} percent. Show one pixel as one" : "{count} percent. Show all", { count: Math.round(scale * 100) }));
  out.disabled = sight.zoom <= limits(view)[0];
  into.disabled = sight.zoom >= limits(view)[1];
  zoomer.hidden = look.tab === "layers";
  clearTimeout(settling);
  settling = setTimeout(onSettled, SETTLE);
}

/** Whether the window has something to scroll: then the plain wheel is for that. */
const scrolls = () => document.documentElement.scrollHeight > innerHeight + 1;

/** @param {WheelEvent} event */
function wheel(event) {
  if (!state.view || look.tab === "layers" || (!event.ctrlKey && !event.metaKey && scrolls())) return;
  event.preventDefault();
  const pixels = [1, 16, room.height][event.deltaMode], along = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
  if (!event.ctrlKey && Math.abs(along) > (event.shiftKey ? 0 : Math.abs(event.deltaY))) set({ ...sight, x: sight.x - along * pixels });
  else zoomBy(Math.exp(-event.deltaY * pixels * (event.ctrlKey && !event.deltaMode ? 0.01 : 0.002)), fromMiddle(event));
}

// ------------------------------------------------------------------------------------------------ moving it by hand

/** @type {Map<number, Point>} the pointers that move it, and where they are from the middle */
const holding = new Map();
/** @type {Map<number, Point>} the fingers there are */
const fingers = new Map();
let spaceBar = false;

/** @param {PointerEvent} event */
function press(event) {
  if (!state.view || look.tab === "layers") return;
  if (event.pointerType === "touch") {
    if (targetOf(event).closest("button:not(.p-dot)")) return;
    fingers.set(event.pointerId, fromMiddle(event));
    if (fingers.size < 2) return;
    actions.lift(); // one finger marks, two look
    for (const [id, at] of fingers) holding.set(id, at);
  } else if (event.button === 1 || (spaceBar && event.button === 0)) {
    space.setPointerCapture(event.pointerId);
    holding.set(event.pointerId, fromMiddle(event));
    space.dataset.held = "yes";
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

/** @param {PointerEvent} event */
function drag(event) {
  if (!holding.has(event.pointerId)) return void (fingers.has(event.pointerId) && fingers.set(event.pointerId, fromMiddle(event)));
  event.preventDefault();
  event.stopPropagation();
  const before = middleOf(holding);
  holding.set(event.pointerId, fromMiddle(event));
  const now = middleOf(holding);
  if (now.apart && before.apart) zoomBy(now.apart / before.apart, before);
  set({ ...sight, x: sight.x + now.x - before.x, y: sight.y + now.y - before.y });
}

/** @param {PointerEvent} event */
function lift(event) {
  fingers.delete(event.pointerId);
  if (!holding.has(event.pointerId)) return;
  event.stopPropagation();
  holding.delete(event.pointerId);
  if (!holding.size) delete space.dataset.held;
}

/** The middle of some pointers, and how far apart they are: 0 of one alone. @param {Map<number, Point>} pointers */
function middleOf(pointers) {
  const [a, b = a] = [...pointers.values()];
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
}

/** @param {boolean} held */
function bar(held) {
  spaceBar = held;
  if (space) space.dataset.grip = held ? "yes" : "no";
}

document.addEventListener("keydown", (event) => {
  const where = targetOf(event);
  if (event.key !== " " || event.defaultPrevented || !state.view || where.closest("input, textarea, select, button, a, [contenteditable], [role=option], [role=menuitem], dialog[open]")) return;
  event.preventDefault(); // it would scroll the page
  bar(true);
});
document.addEventListener("keyup", (event) => { if (event.key === " ") bar(false); });
addEventListener("blur", () => bar(false));

Object.assign(actions, {
  /** @param {1 | -1} way */
  zoom: (way) => step(way > 0 ? STEP : 1 / STEP),
  fit: toFit,
  whole: toWhole,
  /** Moves the sight where a place of the picture would be out of it. @param {Point} at */
  reveal: ({ x, y }) => {
    const { view } = state;
    if (!view || sight.zoom <= 1) return;
    const there = { x: (x / view.width - 0.5) * size.width + sight.x, y: (y / view.height - 0.5) * size.height + sight.y };
    const far = { x: room.width / 2 - 24, y: room.height / 2 - 24 };
    set({ ...sight, x: sight.x - there.x + Math.max(-far.x, Math.min(far.x, there.x)), y: sight.y - there.y + Math.max(-far.y, Math.min(far.y, there.y)) });
  },
});
