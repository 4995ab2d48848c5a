// What a text may go on with while it is typed: words that the model was taught, where its card names them, else what was
// asked for before in this session. Earlier texts are one key away: Up in front of the text, Down in an empty one.
import { h, targetOf } from "./dom.js";
import { textsThere } from "./fields.js";
import { say } from "./language.js";
import { state } from "./store.js";

/** @typedef {import("./fields.js").Text} Text */
/** @typedef {import("./view.js").SessionView} SessionView */

const MOST = 6, LEAST = 2; // offers at a time, and letters from which a word is completed
const FRAGMENT = /[\p{L}][\p{L}'-]*$/u;

/** What was said of that text in the session, the newest first, each once. @param {SessionView} view @param {Text} text */
export const earlier = (view, text) => [...new Set([...view.turns].reverse().map((t) => t[text].trim()).filter(Boolean))];

/**
 * Texts that `typed` may become.
 * @param {string} typed
 * @param {string[]} words that a model was taught, the fitting ones first; none where nobody knows
 * @param {string[]} before earlier texts
 */
export function completions(typed, words, before) {
  const fragment = (FRAGMENT.exec(typed) || [""])[0].toLowerCase();
  if (fragment.length < LEAST) return [];
  const start = typed.slice(0, typed.length - fragment.length);
  if (words.length) return words.filter((word) => word.startsWith(fragment) && word !== fragment).slice(0, MOST).map((word) => start + word);
  const low = typed.toLowerCase();
  return before.filter((text) => text.toLowerCase().startsWith(low) && text.length > typed.length).slice(0, MOST);
}

/** The words of the draft's model, those of that part first and without the other's. @param {SessionView} view @param {Text} text */
function taught(view, text) {
  const headings = Object.entries(state.about.vocabularies[view.draft.model] || {}), other = text === "subject" ? "background" : text === "background" ? "subject" : "";
  return [...new Set([...headings.filter(([name]) => name === text), ...headings.filter(([name]) => name !== text && name !== other)].flatMap(([, words]) => words))];
}

const list = h("ul", { class: "p-suggest", id: "p-suggest", role: "listbox", "aria-label": say("Suggestions"), hidden: true });
/** @type {{ box: HTMLTextAreaElement, offers: string[], active: number } | null} */
let open = null;
let putting = false;
/** @type {{ box: HTMLTextAreaElement, typed: string, at: number } | null} where one is among earlier texts */
let back = null;

/** @param {HTMLTextAreaElement} box @param {string[]} offers */
function show(box, offers) {
  if (!offers.length) return close();
  open = { box, offers, active: -1 };
  document.getElementById("studio")?.append(list);
  const r = box.getBoundingClientRect(), below = innerHeight - r.bottom > 200;
  Object.assign(list.style, { left: `${r.left}px`, width: `${r.width}px`, top: below ? `${r.bottom + 2}px` : "", bottom: below ? "" : `${innerHeight - r.top + 2}px` });
  list.hidden = false;
  box.setAttribute("aria-controls", list.id);
  draw();
}

function draw() {
  if (!open) return;
  const { offers, active, box } = open;
  list.replaceChildren(...offers.map((text, k) => h("li", { id: `p-suggest-${k}`, role: "option", "aria-selected": String(k === active), text, title: text,
    onpointerdown: (/** @type {Event} */ event) => event.preventDefault(), onclick: () => accept(text) })));
  if (active < 0) box.removeAttribute("aria-activedescendant"); else box.setAttribute("aria-activedescendant", `p-suggest-${active}`);
}

function close() {
  if (!open) return;
  open.box.removeAttribute("aria-activedescendant");
  open = null;
  list.hidden = true;
}

/** @param {HTMLTextAreaElement} box @param {string} text */
function put(box, text) {
  putting = true;
  box.select();
  // As if it were typed, so that the browser's own undo knows it.
  const typed = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
  if (!typed || box.value !== text) {
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
  putting = false;
  box.setSelectionRange(text.length, text.length);
  box.dispatchEvent(new Event("blur")); // Gradio tells of the first change to a text that it filled itself only then
}

/** @param {string} text */
function accept(text) {
  const box = open?.box;
  close();
  if (box) put(box, text);
}

/** @param {Event} event */
const fieldOf = (event) => textsThere().find(({ box }) => box === event.target) || null;

document.addEventListener("input", (event) => {
  const field = fieldOf(event), { view } = state;
  if (!field || !view || putting) return;
  const { box, text } = field, typed = event instanceof InputEvent && event.inputType.startsWith("insert") && !event.isComposing;
  if (typed) back = null;
  if (typed && box.selectionEnd === box.value.length) show(box, completions(box.value, taught(view, text), earlier(view, text)));
  else close();
});
document.addEventListener("focusout", (event) => { if (open && event.target === open.box) close(); });
document.addEventListener("scroll", (event) => { if (open && event.target !== list) close(); }, true);

/** The text before the one that stands, or after it. @param {HTMLTextAreaElement} box @param {string[]} texts @param {1 | -1} by */
function through(box, texts, by) {
  if (!back || back.box !== box) back = { box, typed: box.value, at: -1 };
  const to = Math.max(-1, Math.min(texts.length - 1, back.at + by));
  if (to === back.at) return;
  back.at = to;
  put(box, to < 0 ? back.typed : texts[to]);
  box.setSelectionRange(0, 0); // Up goes on from there
}

document.addEventListener("keydown", (event) => {
  const field = fieldOf(event), { view } = state;
  if (!field || !view || event.isComposing || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const { box, text } = field, way = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (open && open.box === box) {
    if (way) open.active = (open.active + way + open.offers.length + (open.active < 0 && way < 0 ? 1 : 0)) % open.offers.length;
    else if (event.key === "Enter" && open.active >= 0) accept(open.offers[open.active]);
    else if (event.key === "Escape") close();
    else return;
    draw();
  } else {
    const texts = earlier(view, text), first = box.selectionStart === 0 && box.selectionEnd === 0;
    if (!way || !first || !texts.length) return;
    if (way > 0 && !box.value && !back) show(box, texts.slice(0, MOST));
    else if (way < 0 || back) through(box, texts, way < 0 ? 1 : -1);
    else return;
  }
  event.preventDefault();
  event.stopPropagation();
}, true);
document.addEventListener("focusin", (event) => { if (back && targetOf(event) !== back.box) back = null; });
