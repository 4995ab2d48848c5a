// What can be done with one turn of the timeline, in a designer's words: the items of its menu.
import { actions } from "./actions.js";
import * as film from "./film.js";
import { currentTurn, isLive } from "./turns.js";

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./view.js").TurnView} TurnView */
/** @typedef {import("./send.js").Send} Send */

/** @param {number} n */
const turns = (n) => `${n} later turn${n === 1 ? "" : "s"}`;
/** @param {TurnView} t */
export const named = (t) => (t.number ? `turn ${t.number}` : "the original");

/** Items for the turn `t`; `send` has the film's events, and `chosen` says whether the turn shown is compared with another one than that before it. What makes no sense is left out.
 *  @param {SessionView} view @param {TurnView} t @param {Send} send @param {boolean} [chosen] */
export function items(view, t, send, chosen = false) {
  const here = currentTurn(view), { byId, lane } = film.index(view), line = film.path(view, here.id);
  const busy = isLive(view) ? "wait for the run, or cancel it" : null;
  /** @param {string} text @param {() => void} run */
  const item = (text, run, more = /** @type {{ hint?: string | null, reason?: string | null, danger?: boolean }} */ ({})) => ({ text, run, ...more, reason: busy || more.reason });
  const list = [], edits = line.slice(1), onLane = t.lane === 0 ? lane.slice(t.number + 1) : null;
  const stands = t.id === here.id, before = line.includes(t) && !stands;
  const next = t.number && onLane ? onLane[0] : null;

  if (t.number) list.push(item("Change this turn", () => send.edit({ turn: t.id }), { hint: onLane && onLane.length ? `${turns(onLane.length)} ${onLane.length === 1 ? "runs" : "run"} again` : null }));
  if (next) list.push(item(`Swap with turn ${next.number}`, () => send.swap({ first: t.id, second: next.id }), { hint: "does the order matter?" }));
  if (!stands) list.push(item("Compare with the turn shown", () => actions.compare(t.id), { hint: `${named(here)} beside it` }));
  else if (chosen) list.push(item("Compare with the turn before", () => actions.compare(null)));
  if (t.number && !stands) list.push(item("Do this on the turn shown", () => send.cherry_pick({ turn: t.id, onto: here.id }), { hint: t.parent === here.id ? null : `after ${named(here)}`, reason: t.parent === here.id ? "it comes right after it already" : null }));
  if (t.number && before) list.push(item(`Merge turns ${t.number} to ${here.number} into one`, () => send.squash({ first: t.id, last: here.id })));
  if (!stands) {
    const anew = { hint: "on a new branch" };
    list.push(item(`Subject of ${named(t)}, background of ${named(here)}`, () => send.combine({ subject_of: t.id, background_of: here.id }), anew));
    list.push(item(`Background of ${named(t)}, subject of ${named(here)}`, () => send.combine({ subject_of: here.id, background_of: t.id }), anew));
  }
  if (stands && edits.length) {
    for (const part of ["subject", "background"]) {
      if (edits.some((e) => e.scope === part || e.scope === "both")) list.push(item(`Take back what was done to the ${part}`, () => send.revert({ track: part })));
    }
    if (edits.length > 1) list.push(item("Redo from the original in one turn", () => send.redo_from_original()));
  }
  list.push(item("Branch here", () => send.branch({ turn: t.id }), { hint: "try something else from here" }));
  const after = film.after(view, t.id);
  if (t.number && byId.has(t.parent)) list.push(item("Move to trash", () => send.trash({ turn: t.id }), { danger: true, hint: after ? `with ${turns(after)}` : null }));
  return list;
}
