// What a person typed and the studio has not heard of yet: it outlives the loading of the page anew. Each panel says how
// its own part of it is read and put back.
import { on, state } from "./store.js";

/**
 * @typedef {object} Unsent
 * @property {string} name
 * @property {(view: import("./view.js").SessionView) => any} read what the view does not have of it yet, or null
 * @property {(left: any) => void} put puts back what `read` gave
 */

const KEY = "palimpsest-unsent";
/** @type {Unsent[]} */
export const unsent = [];

window.addEventListener("pagehide", () => {
  const { view } = state;
  const left = view ? unsent.map(({ name, read }) => [name, read(view)]).filter(([, value]) => value !== null) : [];
  try {
    if (left.length) window.sessionStorage.setItem(KEY, JSON.stringify({ sid: state.sid, left }));
  } catch { /* a page in a frame may have no storage */ }
});

/** @type {{ sid: string, left: [string, any][] } | null} */
let kept = null;
try {
  kept = JSON.parse(window.sessionStorage.getItem(KEY) || "null");
  window.sessionStorage.removeItem(KEY);
} catch { /* nothing was kept */ }

on(({ view }) => {
  if (kept && view) setTimeout(() => putBack(view.sid), 0);
});

/** @param {string} sid */
function putBack(sid) {
  const was = kept;
  kept = null;
  if (was && was.sid === sid) for (const [name, value] of was.left) unsent.find((one) => one.name === name)?.put(value);
}
