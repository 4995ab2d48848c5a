// Messages that stand for a moment at the edge of the page.
import { actions } from "./actions.js";
import { h } from "./dom.js";
import { say } from "./language.js";
import { on, state } from "./store.js";

/** @typedef {import("./store.js").Tone} Tone */
/** @typedef {import("./store.js").Offer} Offer */

const MOST = 3;
// A modal dialog covers all that is outside it and takes its clicks, so while one is open the messages are in it.
const tray = h("div", { id: "p-toasts", role: "region", "aria-label": say("Messages") });
function placeTray() {
  const home = document.querySelector("dialog:modal") || document.getElementById("studio");
  if (home && tray.parentNode !== home) home.append(tray);
}
document.addEventListener("close", placeTray, true);

/** @type {Map<Element, { sid: string | null, rev: number }>} of what went wrong: where, and at which revision */
const told = new Map();

/** @param {Element} note */
function take(note) {
  note.remove();
  told.delete(note);
}

/** Puts a message among the others, or at their end again. @param {Element} note */
export function tell(note) {
  placeTray();
  tray.append(note);
  while (tray.children.length > MOST) take(/** @type {Element} */ (tray.querySelector(":not(.p-away)")));
}

/**
 * A line for a moment, with a button where something can be done about it.
 * @param {string} text
 * @param {Tone} [tone]
 * @param {Offer | null} [offer]
 * @param {string | null} [lang] the language of the text, where it is not the page's
 */
export function toast(text, tone = "bad", offer = null, lang = null) {
  for (const old of [...tray.children]) if (old.firstChild?.textContent === text) take(old);
  const close = h("button", { type: "button", class: "p-x", "aria-label": say("Dismiss"), text: "×", onclick: () => take(note) });
  const note = h("div", { class: `p-toast p-${tone}`, role: tone === "bad" ? "alert" : "status" }, h("span", { text, lang }),
    offer ? h("button", { type: "button", class: "p-btn", text: offer.text, onclick: () => { take(note); actions[offer.does](offer.sent); } }) : null, close);
  if (tone === "bad") told.set(note, { sid: state.sid, rev: state.view ? state.view.rev : -1 });
  tell(note);
  setTimeout(() => take(note), tone === "bad" || offer ? 15000 : 6000);
}

on(({ message }) => {
  const { view, notice } = message;
  // What went wrong has been seen by whoever goes on with something else, and it went right.
  if (view && !notice && !message.settled) for (const [note, at] of told) if (at.sid !== view.sid || at.rev < view.rev) take(note);
  if (notice && notice.text) toast(notice.text, notice.tone, message.action, notice.lang);
});
