// What the next turn will be called and where it hangs.
import { actions } from "./actions.js";
import { h, targetOf } from "./dom.js";
import { PARTS, areThere, choose, chosenOf, textOf, textsThere } from "./fields.js";
import { many, say } from "./language.js";
import { Panel } from "./panel.js";
import { state, theView } from "./store.js";
import { toast } from "./toasts.js";
import { currentTurn, isLive, turnOf } from "./turns.js";
import { unsent } from "./unsent.js";

/** @typedef {import("./fields.js").Text} Text */
/** @typedef {import("./view.js").Draft} Draft */

export const panel = new Panel();
const title = h("h2", { text: say("Turn") }), from = h("span", { class: "p-hint" });
const cost = h("span", { class: "p-hint" });
const leave = h("button", { type: "button", class: "p-btn", onclick: () => actions.leave() });
const changing = h("div", { class: "p-changing", role: "status" }, cost, leave);
panel.root.append(h("div", { class: "p-heading" }, title, from), changing);

// A text that the turn will not use says so; another one shows what its method takes.
document.addEventListener("change", tellKept);
function tellKept() {
  const chosen = chosenOf("scope"), { view, about } = state;
  if (!chosen || !view || !areThere()) return;
  const method = about.methods[view.draft.method], changes = method.changes ?? chosen.value;
  method.examples.forEach((example, k) => {
    const part = PARTS[k];
    textOf(part).placeholder = changes === "both" || changes === part ? example : say("stays as it is");
  });
}

// Gradio gives each choice of a row its own name. With one name they are what a row is to the browser: one stop of the
// Tab key, and the arrow keys choose.
const side = /** @type {HTMLElement} */ (document.getElementById("side"));
let rows = 0;
function oneStop() {
  for (const row of side.querySelectorAll("fieldset")) {
    row.dataset.row = row.dataset.row || String((rows += 1));
    for (const choice of row.querySelectorAll("input[type=radio]")) choice.setAttribute("name", `row ${row.dataset.row}`);
  }
}
// An edge that a network mattes is there to be chosen where that network is, and says what it is called.
function tellMatting() {
  for (const choice of side.querySelectorAll("input[type=radio]")) {
    const { value, checked } = /** @type {HTMLInputElement} */ (choice), label = choice.closest("label");
    if (value !== "matted by ViTMatte" || !label) continue;
    label.hidden = !state.about.matting && !checked;
    label.title = state.about.matting;
  }
}
new MutationObserver(() => {
  oneStop();
  tellMatting();
}).observe(side, { childList: true, subtree: true });
oneStop();

// A part that is given a text or a picture is meant to change, whatever was chosen before.
side.addEventListener("input", (event) => {
  const part = PARTS.find((one) => textOf(one) === event.target);
  if (part && textOf(part).value.trim()) actions.changes(part);
});
actions.changes = (part) => {
  const other = part === "subject" ? "background" : "subject", { draft } = theView();
  if (chosenOf("scope")?.value !== other) return;
  const said = textOf(other).value.trim() || (other === "subject" ? draft.subject_reference : draft.background_reference);
  choose("scope", said ? "both" : part);
};

// What is kept out is seen: where a text for it was filled in, the part of the panel that it stands in is opened.
let opened = "";
function openKeptOut() {
  const { view } = state, now = view && view.draft.negative ? `${view.sid} ${view.current} ${view.editing?.turn ?? ""}` : "";
  if (now && now !== opened) openAdvanced();
  opened = now;
}
// What a method without a model does is said by its settings alone: they are shown.
let method = "";
function openSettings() {
  const { view, about } = state, now = view ? view.draft.method : "";
  if (now !== method && about.methods[now]?.needs_model === false) openAdvanced();
  method = now;
}
function openAdvanced() {
  const lid = document.querySelector("#advanced > button");
  if (lid instanceof HTMLElement && !lid.classList.contains("open")) lid.click();
}

/** Does it once the field is there. @param {Text} name @param {(box: HTMLTextAreaElement) => void} act @param {number} [tries] */
function into(name, act, tries = 40) {
  const found = textsThere().find(({ text }) => text === name);
  if (found) return void act(found.box);
  openAdvanced();
  if (tries) setTimeout(() => into(name, act, tries - 1), 50);
}

// What stands in the panel and the studio has not heard of: see `unsent`.
const ROWS = /** @type {const} */ (["scope", "quality", "candidates"]);
const seed = () => /** @type {HTMLInputElement} */ (document.querySelector("#seed input"));

/** @typedef {Text | "seed" | typeof ROWS[number]} Name */
/** Those of its values that are not in the draft. @param {Draft} draft @returns {[Name, string][]} */
const unlike = (draft) => /** @type {[Name, string | undefined][]} */ ([
  ...textsThere().map(({ text, box }) => [text, box.value]), ...ROWS.map((row) => [row, chosenOf(row)?.value]), ["seed", seed().value],
]).flatMap(([name, value]) => (value === undefined || value === String(draft[name]) ? [] : [[name, value]]));

/** @param {HTMLInputElement | HTMLTextAreaElement} field @param {string} value */
function type(field, value) {
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.dispatchEvent(new Event("blur"));
}

/** @param {{ left: [Name, string][], focus?: Text }} typed @param {number} [tries] */
function putBack({ left, focus }, tries = 40) {
  if (unlike(theView().draft).length && tries) return void setTimeout(() => putBack({ left, focus }, tries - 1), 50); // Gradio is still filling them
  for (const [name, value] of left) {
    if (name === "seed") type(seed(), value);
    else if (name === "subject" || name === "background" || name === "negative") into(name, (box) => type(box, value));
    else choose(name, value);
  }
  if (focus) into(focus, (box) => box.focus());
  toast(say("What you had typed before the page was loaded anew is here again."), "note");
}

unsent.push({ name: "panel",
  read: ({ draft }) => (unlike(draft).length ? { left: unlike(draft), focus: textsThere().find(({ box }) => box === document.activeElement)?.text } : null), put: putBack });

// One of Gradio's menus that Tab came to is shut until it is asked for; and keys that are not for it are kept from it, for
// any key opens it, that which leaves it too.
let tabbed = false;
window.addEventListener("pointerdown", () => { tabbed = false; }, true);
window.addEventListener("keydown", (event) => {
  tabbed = event.key === "Tab";
  if (["Tab", "Shift", "Control", "Alt", "Meta"].includes(event.key) && targetOf(event).role === "combobox") event.stopPropagation();
}, true);
side.addEventListener("focus", (event) => { if (tabbed && targetOf(event).role === "combobox") event.stopPropagation(); }, true);
side.addEventListener("pointerdown", (event) => { // it opens when it is given the focus, which it may have by then
  const menu = targetOf(event).role === "combobox" && event.target === document.activeElement && targetOf(event).ariaExpanded === "false";
  if (menu) targetOf(event).dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
});

panel.draws(({ view, about }) => {
  setTimeout(tellKept, 50); // after Gradio has filled the fields
  openKeptOut();
  openSettings();
  tellMatting();
  changing.hidden = !view || !view.editing;
  side.inert = !view;
  const candidates = /** @type {HTMLElement} */ (document.getElementById("candidates"));
  candidates.inert = Boolean(view && view.editing);
  const fixed = (view && about.methods[view.draft.method].changes) || ""; // what is changed, where that is not asked
  /** @type {HTMLElement} */ (document.getElementById("studio")).dataset.changes = fixed;
  candidates.title = candidates.inert ? say("A turn that is changed is run once, as are those after it") : "";
  if (!view) {
    title.textContent = say("Turn 1");
    from.textContent = say("open a picture first");
    return;
  }
  const now = currentTurn(view), branches = view.turns.some((t) => t.parent === now.id);
  const changed = view.editing && turnOf(view, view.editing.turn);
  title.textContent = changed ? say("Changing turn {number}", { number: changed.number }) : say("Turn {number}", { number: now.number + 1 });
  from.textContent = changed ? changed.label : say(now.number ? (branches ? "branches off turn {number}" : "continues from turn {number}") : branches ? "branches off the original" : "continues from the original", { number: now.number });
  from.title = changed ? changed.label : "";
  if (!changed || !view.editing) return;
  leave.textContent = say("Leave turn {number} as it was", { number: changed.number });
  leave.disabled = isLive(view);
  const { stale, seconds } = view.editing, took = seconds >= 1 ? say("about {count} s", { count: Math.round(seconds) }) : say("about a second");
  cost.textContent = stale.length ? many(stale.length, "{count} later turn runs again, {took}; the old ones stay on their branch", "{count} later turns run again, {took}; the old ones stay on their branch", { took }) : say("It runs again, {took}; the old one stays on its branch", { took });
});
