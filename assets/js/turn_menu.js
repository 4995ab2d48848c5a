// What can be done with one turn of the timeline, in a designer's words: the items of its menu.
import { actions } from "./actions.js";
import * as film from "./film.js";
import { many, say } from "./language.js";
import { currentTurn, isLive } from "./turns.js";

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./view.js").TurnView} TurnView */
/** @typedef {import("./send.js").Send} Send */

/** @param {TurnView} t */
export const named = (t) => (t.number ? say("turn {number}", { number: t.number }) : say("the original"));

/** Items for the turn `t`; `send` has the film's events, and `chosen` says whether the turn shown is compared with another one than that before it. What makes no sense is left out.
 *  @param {SessionView} view @param {TurnView} t @param {Send} send @param {boolean} [chosen] */
export function items(view, t, send, chosen = false) {
  const here = currentTurn(view), { byId, lane } = film.index(view), line = film.path(view, here.id);
  const busy = isLive(view) ? say("wait for the run, or cancel it") : null;
  /** @param {string} text @param {() => void} run */
  const item = (text, run, more = /** @type {{ hint?: string | null, reason?: string | null, danger?: boolean }} */ ({})) => ({ text, run, ...more, reason: busy || more.reason });
  const list = [], edits = line.slice(1), onLane = t.lane === 0 ? lane.slice(t.number + 1) : null;
  const stands = t.id === here.id, before = line.includes(t) && !stands;
  const next = t.number && onLane ? onLane[0] : null;

  if (t.number) list.push(item(say("Change this turn"), () => send.edit({ turn: t.id }), { hint: onLane && onLane.length ? many(onLane.length, "{count} later turn runs again", "{count} later turns run again") : null }));
  if (next) list.push(item(say("Swap with turn {number}", { number: next.number }), () => send.swap({ first: t.id, second: next.id }), { hint: say("does the order matter?") }));
  if (!stands) list.push(item(say("Compare with the turn shown"), () => actions.compare(t.id), { hint: say("{turn} beside it", { turn: named(here) }) }));
  else if (chosen) list.push(item(say("Compare with the turn before"), () => actions.compare(null)));
  if (t.number && !stands) list.push(item(say("Do this on the turn shown"), () => send.cherry_pick({ turn: t.id, onto: here.id }), { hint: t.parent === here.id ? null : say("after {turn}", { turn: named(here) }), reason: t.parent === here.id ? say("it comes right after it already") : null }));
  if (t.number && before) list.push(item(say("Merge turns {first} to {last} into one", { first: t.number, last: here.number }), () => send.squash({ first: t.id, last: here.id })));
  if (!stands) {
    const anew = { hint: say("on a new branch") };
    list.push(item(say("Subject of {a}, background of {b}", { a: named(t), b: named(here) }), () => send.combine({ subject_of: t.id, background_of: here.id }), anew));
    list.push(item(say("Background of {a}, subject of {b}", { a: named(t), b: named(here) }), () => send.combine({ subject_of: here.id, background_of: t.id }), anew));
  }
  if (stands && edits.length) {
    for (const [part, text] of [["subject", say("Take back what was done to the subject")], ["background", say("Take back what was done to the background")]]) {
      if (edits.some((e) => e.scope === part || e.scope === "both")) list.push(item(text, () => send.revert({ track: part })));
    }
    if (edits.length > 1) list.push(item(say("Redo from the original in one turn"), () => send.redo_from_original()));
  }
  list.push(item(say("Branch here"), () => send.branch({ turn: t.id }), { hint: say("try something else from here") }));
  const after = film.after(view, t.id);
  if (t.number && byId.has(t.parent)) list.push(item(say("Move to trash"), () => send.trash({ turn: t.id }), { danger: true, hint: after ? many(after, "with {count} later turn", "with {count} later turns") : null }));
  return list;
}
