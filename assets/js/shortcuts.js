// Listens to the studio's shortcuts; and the sheet that lists them, where each can be given another key.
import { actions } from "./actions.js";
import { h, targetOf, typing } from "./dom.js";
import { ACTIONS, IDS, give, holder, isUsual, keyOf, keysOf, pressed, refusal, reset, resetAll, shown } from "./keys.js";
import { say } from "./language.js";
import { set, state } from "./store.js";
import { toast } from "./toasts.js";

/** @typedef {import("./keys.js").Id} Id */
/** @typedef {import("./keys.js").Group} Group */

const MOD = shown("mod");
/** @type {[Group, string, [string, string][]][]} the groups of the sheet, with what has its fixed keys in each */
const GROUPS = [
  ["picture", say("On the picture"), [[say("Click"), say("Include in the subject")], [say("Right click"), say("Exclude (also Alt click)")], [say("Drag"), say("Box around the subject")],
    [say("Escape"), say("Leave what is being drawn")], [say("Arrows"), say("Move a crosshair")], [say("Enter"), say("Include there")], [say("Shift Enter"), say("Exclude there")]]],
  ["looking", say("Looking"), [[say("Space"), say("Held, and drag: move it (the middle button too)")], [say("Wheel"), say("Nearer, further away")]]],
  ["files", say("Files"), [[`${MOD} V`, say("Open a picture from the clipboard")]]],
  ["sessions", say("Sessions"), [[say("Arrows"), say("Walk along them")], [say("Enter"), say("Open")], ["F2", say("Rename")], [say("Delete"), say("To the trash")]]],
  ["turn", say("The turn"), [["↑  ↓", say("In front of a text: earlier texts")]]],
  ["timeline", say("On the timeline"), [[say("Arrows"), say("Walk along the turns")], [say("Enter"), say("Stand on the turn")], ["F2", say("Rename its branch")]]],
];

// ------------------------------------------------------------------------------------------------------- the sheet

/** @type {Id | null} the one that is to get the key that is pressed next */
let waiting = null;
/** @type {Map<Id, { button: HTMLButtonElement, back: HTMLButtonElement, what: HTMLElement }>} */
const rows = new Map();
const told = h("div", { class: "p-key-told", role: "status" });
const usual = h("button", { type: "button", class: "p-link", text: say("All as usual"), onclick: () => { resetAll(); changed(); close.focus(); } });
const close = h("button", { type: "button", class: "p-x", "aria-label": say("Close"), text: "×", onclick: () => sheet.close() });
export const sheet = h("dialog", { class: "p-sheet p-keys", "aria-labelledby": "p-sheet-title", onclose: () => wait(null), onclick: (event) => { if (event.target === sheet) sheet.close(); } },
  h("div", { class: "p-sheet-head" }, h("h2", { id: "p-sheet-title", text: say("Shortcuts") }), h("span", { class: "p-hint", text: say("Click a key to choose another") }), h("span", { class: "p-space" }), usual, close),
  h("div", { class: "p-sheet-body", tabindex: "-1", autofocus: true }, ...GROUPS.map(([group, title, fixed]) => h("section", {}, h("h3", { text: title }),
    h("dl", {}, ...IDS.filter((id) => ACTIONS[id].group === group).flatMap(row), ...fixed.flatMap(([keys, what]) => [h("dt", {}, ...keys.split("  ").map((key) => h("kbd", { text: key }))), h("dd", { text: what })]))))));

/** @param {Id} id */
function row(id) {
  const button = h("button", { type: "button", class: "p-key", "data-key": id, onclick: () => wait(waiting === id ? null : id), onblur: () => { if (waiting === id) wait(null); } });
  const back = h("button", { type: "button", class: "p-link", text: say("Reset"), "aria-label": say("Reset the key of “{action}”", { action: ACTIONS[id].says }), onclick: () => { reset(id); changed(); button.focus(); } });
  const what = h("dd", {}, ACTIONS[id].says, " ", back);
  rows.set(id, { button, back, what });
  return [h("dt", {}, button), what];
}

function drawKeys() {
  for (const [id, { button, back }] of rows) {
    button.replaceChildren(...(waiting === id ? [say("Press a key")] : keysOf(id).flatMap((key, k) => [...(k ? [" "] : []), h("kbd", { text: shown(key) })])));
    button.setAttribute("aria-label", waiting === id ? say("Press the new key of “{action}”, or Escape", { action: ACTIONS[id].says }) : say("{action}: {keys}. Choose another key", { action: ACTIONS[id].says, keys: keysOf(id).map(shown).join(", ") }));
    back.hidden = isUsual(id);
  }
  usual.hidden = IDS.every(isUsual);
}

/** The next key is for that one, or for none. @param {Id | null} id */
function wait(id) {
  waiting = id;
  tell(id);
  drawKeys();
}

/** Says something under a row, and what can be done about it; nothing without words. @param {Id | null} id @param {string} [words] @param {...HTMLElement} does */
function tell(id, words, ...does) {
  told.replaceChildren(...(words ? [h("p", { text: words }), ...does] : []));
  if (id && words) rows.get(id)?.what.append(told);
}

/** Another key: every panel that names one is drawn again. */
function changed() {
  wait(null);
  set({});
}

/** @param {Id} id @param {string} key */
function choose(id, key) {
  const why = refusal(key), other = holder(key), button = rows.get(id)?.button;
  if (why) return tell(id, why); // another key may be pressed at once
  if (!other || other === id) {
    if (!other || keysOf(id).length > 1) give(id, key);
    return changed();
  }
  wait(null);
  const swap = h("button", { type: "button", class: "p-btn", text: say("Swap"), onclick: () => { give(id, key); changed(); button?.focus(); } });
  const leave = h("button", { type: "button", class: "p-btn", text: say("Leave it"), onclick: () => { tell(null); button?.focus(); } });
  const left = keysOf(other).length > 1;
  tell(id, left ? say("{key} is also a key of “{action}”, which keeps {keys}.", { key: shown(key), action: ACTIONS[other].says, keys: keysOf(other).filter((one) => one !== key).map(shown).join(", ") }) : say("{key} is the key of “{action}”, which would get {other}.", { key: shown(key), action: ACTIONS[other].says, other: keyOf(id) }), swap, leave);
  if (left) swap.textContent = say("Take it");
  swap.focus();
}

sheet.addEventListener("keydown", (event) => {
  if (!waiting || event.key === "Tab") return; // it leads on, and with that ends the waiting
  event.preventDefault();
  event.stopPropagation();
  const key = pressed(event);
  if (event.repeat || !key) return;
  if (key === "escape") wait(null);
  else choose(waiting, key);
}, true);
drawKeys();

// ------------------------------------------------------------------------------------------------------- listening

/** @type {Record<Id, () => void>} */
const does = {
  brush: () => actions.tool("brush"), erase: () => actions.tool("erase"), include: () => actions.tool("include"), exclude: () => actions.tool("exclude"), box: () => actions.tool("box"),
  scribble: () => actions.tool("scribble"), lasso: () => actions.tool("lasso"), wand: () => actions.tool("wand"), refine: () => actions.tool("refine"),
  clear: () => actions.clear(), smaller: () => actions.size(-2), larger: () => actions.size(2), peek: () => actions.peek(true),
  nearer: () => actions.zoom(1), further: () => actions.zoom(-1), fit: () => actions.fit(), whole: () => actions.whole(),
  see: () => actions.tab(0), compare: () => actions.tab(1), difference: () => actions.tab(2), layers: () => actions.tab(3),
  sessions: () => actions.sessions(), help: () => sheet.showModal(),
  run: () => (state.view && state.view.staged.length && !typing(document.activeElement) ? actions.keep() : actions.run()),
  cancel: () => actions.cancel(), undo: () => actions.undo(), redo: () => actions.redo(), copy: () => actions.copy(),
  open: () => { actions.begin(); actions.openFile(); },
  menu: () => {}, // the timeline listens itself
};
/** @type {Id[]} what is not about the session that is open */
const ALWAYS = ["help", "sessions", "open", "run", "cancel"];
/** @type {Id[]} what is asked for in the midst of a text, where its key goes with Ctrl; other keys belong to the text */
const IN_TEXTS = ["run", "cancel", "open"];
let held = ""; // the place of the key that shows the picture before

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented || sheet.open || actions.isAmongSessions?.()) return;
  const key = pressed(event), id = holder(key);
  if (actions.drawing?.()) { // what is under the hand comes first: it can be left undone, and nothing else is done meanwhile
    event.preventDefault();
    if (key === "escape" || id === "undo") actions.undraw();
    else if (key === "enter") actions.closeLine();
  } else if (key === "mod+s") {
    event.preventDefault();
    toast(say("Everything is saved while you work. Export makes files of it."), "note");
  } else if (id && id !== "menu" && (!typing(targetOf(event)) || (key.startsWith("mod+") && IN_TEXTS.includes(id)))) {
    if (id === "copy" && (!state.view || !window.getSelection()?.isCollapsed)) return; // the text that is selected
    event.preventDefault(); // the letter must not fall into a field that this opens
    if (id === "peek") held = event.code;
    if (state.view || ALWAYS.includes(id)) does[id]();
  }
});
document.addEventListener("keyup", (event) => { if (event.code === held) actions.peek?.(false); });
window.addEventListener("blur", () => actions.peek?.(false));
