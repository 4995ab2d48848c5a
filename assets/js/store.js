// The page's memory: the newest message of the server, and who wants to know. Panels draw themselves from it.
import { actions } from "./actions.js";

/** @typedef {import("./view.js").SessionView} SessionView */

/**
 * What does not change for one page while the studio runs.
 * @typedef {object} About
 * @property {{ id: string, title: string, kind: "picture" | "photograph" | "session", subject: string, background: string, method: string }[]} examples
 * @property {Record<string, { title: string, stages: string[], needs_model: boolean, needs_mask: boolean, goes_by_mask: boolean, reads: ("subject" | "background")[], follows: ("subject" | "background")[], learns: boolean, changes: import("./view.js").Draft["scope"] | null, when: string, examples: string[] }>} methods
 * @property {number} upload_limit megabytes
 * @property {number} longest_text letters of one text
 * @property {number} longest_aspect how many times as long as wide a picture may be
 * @property {number} trash_days for which sessions are kept in the trash; 0 for ever
 * @property {boolean} lists_all whether every session is listed, or only those that this browser opened
 * @property {boolean} manages_models
 * @property {string} forgets what a studio that strangers share forgets, and when; empty where nothing is forgotten
 * @property {string} matting what the network that mattes edges is called; empty where there is none
 * @property {boolean} phrases whether a subject can be found by what it is called
 * @property {string[]} loras
 * @property {Record<string, Record<string, string[]>>} vocabularies by model and heading, the words that it was taught
 */

/**
 * What the server sends, each part only where there is something to say: see `studio.ui.payload`.
 * @typedef {object} Message
 * @property {string | null} [sid]
 * @property {ViewSent | null} [view]
 * @property {{ rev: number, job: SessionView["job"] }} [tick]
 * @property {About} [about]
 * @property {number} [echo] the page's own count of the marks that are answered
 * @property {string} [engine]
 * @property {import("./view.js").OrdersView} [orders]
 * @property {boolean} [settling] the mask is about to be made anew for another picture
 * @property {boolean} [settled] it was
 * @property {{ text: string, tone: Tone, lang?: string }} [notice] `lang` where it is in another language than the page
 * @property {Offer} [action] of the notice
 * @property {{ text: string, does: "run" | "run_turns" }} [confirm]
 * @property {Gallery} [gallery]
 * @property {{ count: number, found: import("./view.js").Hint[] }} [hints]
 * @property {{ count: number, job: string }} [splitting]
 * @property {import("./view.js").Split & { count: number }} [split]
 * @property {import("./view.js").ModelsView} [models]
 * @property {boolean} [failed] no handler answered
 */
/** @typedef {"bad" | "good" | "note"} Tone */
/** @typedef {{ text: string, does: "stageAgain" | "jump" | "bringBack", sent: any }} Offer */
/** @typedef {{ again?: boolean, made?: string, place?: string, count?: number, search?: string, trashed?: boolean, more?: boolean, sessions: import("./view.js").Summary[] }} Gallery */

/**
 * A view whose film may have come as what is not as in the one named `since`.
 * @typedef {SessionView & { since?: number, gone?: string[] }} ViewSent
 */

/**
 * @typedef {object} State
 * @property {string | null} sid
 * @property {SessionView | null} view
 * @property {boolean} settling the mask that is shown is of another picture
 * @property {boolean} heard whether the server has said anything yet
 * @property {boolean} away whether it does not answer
 * @property {About} about
 * @property {import("./view.js").OrdersView | null} orders
 * @property {boolean} starting whether the start page is asked for though a session is open
 * @property {number} picked which candidate is looked at
 * @property {{ sid: string, rev: number } | null} ahead what another tab knows and this one does not
 * @property {number | null} [echo]
 * @property {string} [engine]
 * @property {Message} message what is news only once, such as a list that was asked for
 */

/** @type {About} before the server has said anything */
const NOTHING = {
  examples: [], methods: {}, upload_limit: 64, longest_text: 0, longest_aspect: Infinity, trash_days: 0, lists_all: false, manages_models: false,
  matting: "", phrases: false, loras: [], forgets: "", vocabularies: {},
};
/** @type {State} */
export const state = {
  sid: null, view: null, settling: false, heard: false, away: false, about: NOTHING,
  orders: null, starting: false, picked: 0, ahead: null, message: {},
};

/** The view, for what can only be asked of the page while there is one. */
export const theView = () => /** @type {SessionView} */ (state.view);

/** @typedef {(state: State) => void} Listener */
/** @type {Set<Listener>} */
const listeners = new Set();
/** @type {Set<Listener>} */
const last = new Set();

/** Calls `listener` with every change, and at once where there is something to draw. @param {Listener} listener */
export function on(listener) {
  listeners.add(listener);
  if (!state.heard) return;
  listener(state);
  for (const other of last) other(state);
}

/** Calls `listener` whenever others were called, after them. @param {Listener} listener */
export function whenDrawn(listener) {
  last.add(listener);
}

function emit() {
  for (const listener of listeners) listener(state);
  for (const listener of last) listener(state);
}

/** Takes what the server sent. @param {Message | null} message */
export function receive(message) {
  if (!message) return;
  state.heard = true;
  state.message = message;
  if (message.about) state.about = message.about;
  if (message.view !== undefined) adopt(message, message.view);
  else if (message.tick && state.view && message.sid === state.sid) state.view = { ...state.view, job: message.tick.job };
  state.echo = message.echo ?? null;
  state.engine = message.engine ?? state.engine;
  state.orders = message.orders ?? state.orders;
  emit();
  state.message = {};
}

/** Changes what is only the page's own, such as which candidate is looked at. @param {Partial<State>} changes */
export function set(changes) {
  Object.assign(state, changes);
  emit();
}

/**
 * The view with its whole film, where it came as what is not as in the film named `since`; null if another is here.
 * @param {ViewSent | null} next
 * @param {SessionView | null} before
 * @returns {SessionView | null}
 */
export function complete(next, before) {
  if (!next || next.since === undefined) return next;
  if (!before || before.sid !== next.sid || before.film !== next.since) return null;
  const turns = new Map(before.turns.map((t) => [t.id, t])), gone = next.gone || [];
  for (const patch of next.turns) turns.set(patch.id, { ...turns.get(patch.id), ...patch });
  for (const id of gone) turns.delete(id);
  const same = !next.turns.length && !gone.length;
  return { ...next, turns: same ? before.turns : [...turns.values()], branches: next.branches || before.branches };
}

/**
 * Takes a view unless a newer one of the same session is already here; one that adds to a film that is not here is asked
 * for whole.
 * @param {Message} message
 * @param {ViewSent | null} sent
 */
function adopt(message, sent) {
  const before = state.view;
  if (sent && before && sent.sid === before.sid && sent.rev < before.rev) return;
  const next = complete(sent, before);
  if (sent && !next) return void actions.look();
  const other = next && (!before || next.sid !== before.sid);
  if (!next || !before || next.current !== before.current || next.staged.length < before.staged.length) state.picked = 0;
  state.sid = message.sid ?? null;
  state.view = next;
  if (message.settling) state.settling = true;
  else if (message.settled || message.echo !== undefined || other) state.settling = false;
  if (other) {
    state.starting = false;
    state.orders = null;
  }
}
