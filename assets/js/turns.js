// What can be said of a view without drawing it: which turn, whether something runs, what is to be kept.

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./view.js").TurnView} TurnView */

/** Whether a job waits or runs. @param {SessionView | null | undefined} view */
export const isLive = (view) => Boolean(view && view.job && ["queued", "running"].includes(view.job.state));

/** @param {SessionView} view @param {string | null} id */
export const turnOf = (view, id) => view.turns.find((t) => t.id === id);

/** The turn one stands on. @param {SessionView} view */
export const currentTurn = (view) => /** @type {TurnView} */ (turnOf(view, view.current));

/**
 * Which part a turn of that scope was to keep; null for none.
 * @param {string | null} scope
 * @returns {"subject" | "background" | null}
 */
export const keptPart = (scope) => (scope === "subject" ? "background" : scope === "background" ? "subject" : null);
