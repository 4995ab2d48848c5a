// What is looked at on the stage, and what is in the hand. The panel's own; the rest of the page asks through its actions.
import { say } from "./language.js";
import { Panel } from "./panel.js";
import { state } from "./store.js";
import * as swap from "./swap.js";
import { currentTurn, isLive, turnOf } from "./turns.js";

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {"include" | "exclude" | "box" | "scribble" | "lasso" | "wand" | "brush" | "erase" | "refine"} Tool */
/** @typedef {"add" | "erase" | "keep"} Combine */

/**
 * What is being drawn with the pointer just now.
 * @typedef {object} Gesture
 * @property {number} id of the pointer
 * @property {import("./geometry.js").Point} at where it began, in the picture
 * @property {import("./geometry.js").Point} screen and on the window
 * @property {boolean} moved whether it went further than a click does
 * @property {boolean} include
 * @property {number | null} dot the click that it began on
 * @property {import("./marks.js").Stroke | null} stroke painted, or a line around what is selected
 * @property {import("./marks.js").Stroke[]} painted before it in the same movement, by a pen that was pressed harder or less
 * @property {import("./marks.js").Stroke | null} scribble followed, not painted
 * @property {import("./view.js").Box | null} box
 */

export const panel = new Panel();

/**
 * Which view is shown, whether the picture before is looked at for a moment, and which turn is looked at in its place
 * (`against`), for as long as one stands `here`.
 */
export const look = { tab: /** @type {"picture" | "compare" | "difference" | "layers"} */ ("picture"), peeking: false,
  against: /** @type {{ turn: string, here: string } | null} */ (null) };

/**
 * `radius` is that of the brush, in pixels of the picture; `corners` are those of a lasso that is set corner by corner, and
 * `away` what becomes of what it goes around. `combine` is what lasso and wand do unless a key says otherwise; `tolerance`
 * and `everywhere` are the wand's.
 */
export const hand = { tool: /** @type {Tool} */ ("include"), radius: 8, gesture: /** @type {Gesture | null} */ (null),
  corners: /** @type {[number, number][]} */ ([]), away: /** @type {Combine} */ ("add"),
  combine: /** @type {Combine} */ ("add"), tolerance: 12, everywhere: false };

/** What a press adds up to: with Alt, or the right button, it takes away; with Shift only what lies in both stays. @param {{ altKey: boolean, shiftKey: boolean, button?: number }} event @returns {Combine} */
export const combined = (event) => (event.altKey || event.button === 2 ? "erase" : event.shiftKey ? "keep" : hand.combine);

export const isPainting = () => hand.tool === "brush" || hand.tool === "erase" || hand.tool === "refine";

/** Whether a job runs, of which the stage shows the preview. */
export const isBusy = () => isLive(state.view);

/** Which candidate is looked at, of those there are. @param {SessionView} view */
export const pickedOf = (view) => Math.min(state.picked, view.staged.length - 1);

/** The candidate that is looked at, if there are any. @param {SessionView} view */
export const candidateOf = (view) => (view.staged.length ? view.staged[pickedOf(view)] : null);

/** The frame of the picture that is looked at. @param {SessionView} view */
export const frameOf = (view) => (candidateOf(view) || currentTurn(view)).frame;

/** The view, where its picture is looked at and nothing runs or waits to be chosen; else null. */
export function atRest() {
  const { view, away } = state;
  return view && !away && !swap.shows(state) && !isBusy() && !candidateOf(view) && look.tab === "picture" ? view : null;
}

/** Why nothing has to be selected; empty where the method goes by what is. @param {SessionView} view */
export function unselected({ draft }) {
  const method = state.about.methods[draft.method];
  return method.goes_by_mask ? "" : say("{method} changes the whole picture: nothing has to be selected", { method: method.title });
}

/** The view, where the picture can be marked now; else null. */
export function markable() {
  const view = atRest();
  return view && !unselected(view) ? view : null;
}

/** The turn that the one shown is compared with in place of the one before it, if one was chosen. @param {SessionView} view */
export function against(view) {
  const chosen = look.against && look.against.here === view.current ? turnOf(view, look.against.turn) : null;
  return chosen || null;
}

/** @param {import("./view.js").TurnView | null | undefined} turn */
const named = (turn) => (turn && turn.number ? say("turn {number}", { number: turn.number }) : say("original"));

/** The picture that is looked at, what came before it, and the mask of the edit between the two. @param {SessionView} view */
export function shown(view) {
  const now = currentTurn(view), candidate = candidateOf(view);
  if (candidate) return { after: candidate.picture, before: now.picture, beforeFrame: now.frame, afterFrame: candidate.frame, mask: view.mask.mask, cut: candidate.mask_after, now: null, beforeName: say("before"), afterName: say("candidate {number}", { number: state.picked + 1 }), facts: candidate };
  const chosen = against(view), parent = now.parent ? turnOf(view, now.parent) : null, before = chosen || parent;
  return { after: now.picture, before: before ? before.picture : null, beforeFrame: before ? before.frame : now.frame, afterFrame: now.frame, mask: chosen ? null : now.mask, cut: now.mask_after, now,
    beforeName: named(before), afterName: named(now), facts: parent && !chosen ? now : null };
}
