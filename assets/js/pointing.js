// Pointing at the picture, with the pointer, a finger or the keyboard: what becomes a click, a box or a stroke.
import { actions } from "./actions.js";
import { crosshair, frame, ring } from "./frame.js";
import { boxBetween, inPicture, rounded, roundedBox, stepIn, within } from "./geometry.js";
import { combined, hand, isPainting, markable } from "./looking.js";
import { apply, drawLive, standing } from "./marking.js";
import * as marks from "./marks.js";
import { state } from "./store.js";

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./geometry.js").Point} Point */

const DRAG = 8; // pixels on the screen from which a click is a box
const CLOSE = 12; // pixels on the screen within which a corner is the first one
/** @type {Point | null} where the crosshair of the keyboard is */
let cross = null;

/** Another picture: nothing is being drawn in it. */
export function beginPointing() {
  cross = hand.gesture = null;
  hand.corners = [];
}

/** @param {MouseEvent} event @param {SessionView} view */
const position = (event, view) => inPicture({ x: event.clientX, y: event.clientY }, frame.getBoundingClientRect(), view);

/** How much of the brush a pen paints with, in quarters, by how hard it is pressed; all of it otherwise. @param {PointerEvent} event */
const pressed = (event) => (event.pointerType === "pen" && event.pressure ? Math.ceil(4 * event.pressure) / 4 : 1);

/** Leaves undone what is being drawn. */
function dropGesture() {
  hand.gesture = null;
  if (state.view) drawLive(state.view);
}

frame.addEventListener("contextmenu", (event) => { if (markable()) event.preventDefault(); });
frame.addEventListener("pointerdown", (event) => {
  if (!event.isPrimary) return dropGesture(); // a second finger: they zoom
  const view = markable(), dot = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest(".p-dot"));
  // A press that closes a menu does nothing else.
  if (!view || event.button > 2 || (dot && event.button) || document.querySelector(":popover-open")) return;
  frame.setPointerCapture(event.pointerId);
  const at = position(event, view), include = !(hand.tool === "exclude" || event.button === 2 || event.altKey);
  // A click is removed where it was pressed: the click that a tap ends in meets the mark which the same tap has set.
  /** @param {number} radius @param {import("./looking.js").Combine} how @param {boolean} [fill] */
  const begun = (radius, how, fill = false) => marks.line([[rounded(at.x), rounded(at.y)]], radius, how, fill);
  const paints = (isPainting() || hand.tool === "lasso") && event.button === 0;
  if (hand.tool === "wand") {
    if (dot) return apply(marks.unclicked(standing(), Number(dot.dataset.click)));
    return apply(marks.stroked(standing(), marks.wand(rounded(at.x), rounded(at.y), combined(event), hand.tolerance, hand.everywhere)));
  }
  hand.gesture = { id: event.pointerId, at, screen: { x: event.clientX, y: event.clientY }, moved: false, include, dot: dot && !paints ? Number(dot.dataset.click) : null, box: null, painted: [],
    stroke: !paints ? null : hand.tool === "lasso" ? begun(1, combined(event), true) : hand.tool === "refine" ? { ...begun(hand.radius, "add"), refine: true } : begun(hand.radius * pressed(event), hand.tool === "erase" || event.altKey ? "erase" : "add"),
    scribble: hand.tool === "scribble" && !dot ? begun(Math.max(1, DRAG / 4 / scale(view)), include ? "add" : "erase") : null };
  if (hand.gesture.stroke) drawLive(view);
});
frame.addEventListener("pointermove", (event) => {
  const { view } = state, { gesture } = hand;
  moveRing(event);
  if (!gesture || !view || event.pointerId !== gesture.id) return;
  const apart = isPainting() ? hand.radius / 6 : 2 / scale(view);
  // A page that is slow is told once of where the pointer was on its way.
  for (const seen of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) {
    gesture.moved ||= Math.hypot(seen.clientX - gesture.screen.x, seen.clientY - gesture.screen.y) > DRAG;
    const width = hand.radius * pressed(seen);
    if (gesture.stroke && isPainting() && hand.tool !== "refine" && width !== gesture.stroke.radius) {
      gesture.painted.push(gesture.stroke);
      gesture.stroke = { ...gesture.stroke, points: gesture.stroke.points.slice(-1), radius: width };
    }
    const line = gesture.stroke || gesture.scribble;
    if (!line) continue;
    const last = line.points[line.points.length - 1], at = gesture.scribble ? within(position(seen, view), view) : position(seen, view);
    if (Math.hypot(at.x - last[0], at.y - last[1]) >= Math.max(0.5, apart)) line.points.push([rounded(at.x), rounded(at.y)]);
  }
  if (!gesture.stroke && !gesture.scribble && gesture.include && Math.hypot(event.clientX - gesture.screen.x, event.clientY - gesture.screen.y) > DRAG) gesture.box = boxBetween(position(event, view), gesture.at);
  drawLive(view);
});
frame.addEventListener("pointerup", (event) => {
  const { view } = state, { gesture } = hand;
  if (!gesture || !view || event.pointerId !== gesture.id) return;
  const { stroke, painted, scribble, box, at, include, dot, moved } = gesture, prompts = standing();
  hand.gesture = null;
  if (stroke?.fill && (hand.corners.length || !moved)) return setCorner(view, at, stroke.erase ? "erase" : stroke.keep ? "keep" : "add");
  if (dot !== null && !box) apply(marks.unclicked(prompts, dot));
  else if (stroke) apply([...painted, stroke].reduce(marks.stroked, prompts));
  else if (scribble && moved) apply(marks.scribbled(prompts, scribble));
  else if (box && box.right - box.left >= 1 && box.bottom - box.top >= 1) apply(marks.boxed(prompts, roundedBox(box)));
  else if (hand.tool !== "box") apply(marks.clicked(prompts, rounded(at.x), rounded(at.y), include));
  else drawLive(view);
});
/** Pixels of the screen for one of the picture. @param {SessionView} view */
const scale = (view) => frame.getBoundingClientRect().width / view.width;

/** One corner more of what the lasso goes around; the first one again closes it. @param {SessionView} view @param {Point} at @param {import("./looking.js").Combine} how */
function setCorner(view, at, how) {
  const first = hand.corners[0];
  if (!first) hand.away = how;
  const last = hand.corners.at(-1), again = last && last[0] === rounded(at.x) && last[1] === rounded(at.y);
  if (first && hand.corners.length > 2 && (again || Math.hypot(at.x - first[0], at.y - first[1]) * scale(view) <= CLOSE)) return closeCorners();
  if (again) return;
  hand.corners.push([rounded(at.x), rounded(at.y)]);
  drawLive(view);
}

function closeCorners() {
  const points = hand.corners;
  hand.corners = [];
  if (points.length > 2) apply(marks.stroked(standing(), marks.line(points, 1, hand.away, true)));
  else if (state.view) drawLive(state.view);
}

frame.addEventListener("pointercancel", () => dropGesture());
frame.addEventListener("pointerleave", () => { ring.hidden = true; });
ring.hidden = crosshair.hidden = true;

/** The brush's outline goes with the pointer. @param {PointerEvent} event */
function moveRing(event) {
  const view = event.pointerType !== "touch" && isPainting() ? markable() : null;
  ring.hidden = !view;
  if (!view) return;
  const r = frame.getBoundingClientRect(), d = (2 * hand.radius * pressed(event) * r.width) / view.width;
  Object.assign(ring.style, { left: `${event.clientX - r.left}px`, top: `${event.clientY - r.top}px`, width: `${d}px`, height: `${d}px` });
}

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
frame.addEventListener("keydown", (event) => {
  const view = markable(), by = ARROWS[event.key];
  if (event.target !== frame || !view || event.ctrlKey || event.metaKey || (!by && event.key !== "Enter")) return;
  event.preventDefault();
  cross = cross || { x: view.width / 2, y: view.height / 2 };
  if (by) {
    const far = event.shiftKey ? stepIn(view) * 8 : stepIn(view);
    cross = within({ x: cross.x + by[0] * far, y: cross.y + by[1] * far }, view);
  } else if (hand.tool === "lasso") {
    if (hand.corners.length > 2 && !event.shiftKey && crosshair.hidden) return closeCorners();
    setCorner(view, cross, combined(event));
  } else if (hand.tool === "wand") {
    apply(marks.stroked(standing(), marks.wand(rounded(cross.x), rounded(cross.y), combined(event), hand.tolerance, hand.everywhere)));
  } else apply(marks.clicked(standing(), rounded(cross.x), rounded(cross.y), !event.shiftKey && hand.tool !== "exclude"));
  actions.reveal(cross);
  crosshair.hidden = false;
  Object.assign(crosshair.style, { left: `${(cross.x / view.width) * 100}%`, top: `${(cross.y / view.height) * 100}%` });
});
frame.addEventListener("blur", () => { crosshair.hidden = true; });

Object.assign(actions, { drawing: () => hand.gesture !== null || hand.corners.length > 0, lift: dropGesture, closeLine: closeCorners, undraw: () => {
  hand.corners = [];
  dropGesture();
} });
