// The page's beginning: what is there whichever panels are, and the one handle that the console and the tests have.
import { actions } from "./actions.js";
import "./connection.js";
import "./curve.js";
import "./idle.js";
import "./places.js";
import { on, receive, set, state, whenDrawn } from "./store.js";
import "./suggest.js";
import "./tabs.js";
import { toast } from "./toasts.js";

export { receive };

/** @type {string | null} */
let shown = null;
on(({ view }) => {
  if (view && view.sid !== shown) window.scrollTo(0, 0);
  shown = view && view.sid;
});

// Says that all panels are there and have drawn, for whoever looks from outside.
whenDrawn(({ view }) => {
  const studio = document.getElementById("studio");
  if (studio && !studio.querySelector(".p-place")) Object.assign(studio.dataset, { session: view ? "open" : "none", rev: view ? view.rev : "none" });
});

// For the console and the tests only: no script of the page finds another through it.
Object.assign(window, { palimpsest: { state, actions, on, set, receive, toast } });
