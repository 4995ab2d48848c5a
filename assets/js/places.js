// The browser's Back and Forward: between sessions, the start page and the list of sessions, instead of out of the studio.
import { actions } from "./actions.js";
import { on, set, state } from "./store.js";

const START = "start", SESSIONS = "sessions"; // every other place is the id of a session
/** @type {string | null} */
let going = null; // the place that Back or Forward leads to, until one is there
let closing = false; // Back was called from here, and the browser has not answered yet

const here = () => (actions.isAmongSessions?.() ? SESSIONS : !state.view || state.starting ? START : state.view.sid);

/** The address names the session that is open, so that loading the page anew finds it. */
function address() {
  const url = new URL(window.location.href);
  if (state.view) url.searchParams.set("session", state.view.sid);
  else url.searchParams.delete("session");
  return url;
}

/** Notes where one is by now. What was closed again is not gone through a second time by Back. */
export function note() {
  if (closing) return;
  const place = here(), last = window.history.state || {};
  if (place === going || state.message.notice || state.message.view) {
    const failed = going !== null && place !== going;
    going = null;
    if (failed) window.history.replaceState({ ...last, place }, "", address());
  }
  if (going !== null) return;
  if (last.place === undefined) window.history.replaceState({ place, before: null }, "", address());
  else if (place === last.place) {
    if (address().href !== window.location.href) window.history.replaceState(last, "", address());
  } else if (place === last.before && place !== START) {
    closing = true;
    window.history.back();
  } else window.history.pushState({ place, before: last.place }, "", address());
}

window.addEventListener("popstate", (event) => {
  const place = event.state && event.state.place;
  if (closing) { // answered; one may have gone somewhere else meanwhile, which is noted now
    closing = false;
    return note();
  }
  if (!place || place === here()) return;
  going = place;
  if ((place === SESSIONS) !== actions.isAmongSessions()) actions.sessions();
  if (place === START) set({ starting: true });
  else if (place !== SESSIONS && state.view && state.view.sid === place) set({ starting: false });
  else if (place !== SESSIONS) actions.enter(place);
  note();
});

on(() => note());