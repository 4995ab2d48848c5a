// The bar on top, the keyboard's shortcuts, and the sheet that lists them.
import { actions } from "./actions.js";
import { h, icon, targetOf, typing } from "./dom.js";
import * as exports from "./export.js";
import { Panel } from "./panel.js";
import { set, state, theView } from "./store.js";
import { theme, turnTheme } from "./theme.js";
import { toast } from "./toasts.js";
import { isLive } from "./turns.js";
import { ago } from "./words.js";

export const panel = new Panel();
const { root } = panel;
const mac = /Mac|iPhone|iPad/.test(navigator.platform);
const MOD = mac ? "⌘" : "Ctrl";
/** @type {[string, [string, string][]][]} */
const SHORTCUTS = [
  ["On the picture", [["Click", "include in the subject"], ["Right click", "exclude (also Alt click)"], ["Drag", "box around the subject"],
    ["C  N  R", "tools: include, exclude, box"], ["S  L  W", "tools: scribble, lasso, wand"], ["B  E  F", "tools: brush, erase, refine an edge"], ["[  ]", "smaller, larger brush"], ["X", "clear the marks"], ["Escape", "leave what is being drawn"],
    ["Arrows", "move a crosshair"], ["Enter", "include there"], ["Shift Enter", "exclude there"]]],
  ["Looking", [["1  2", "picture, before / after"], ["3  4", "difference, layers"], ["Hold \\", "the picture before"], ["+  −", "nearer, further away (the wheel too)"], ["0  9", "all of it, one pixel as one"], ["Space", "and drag: move it (the middle button too)"]]],
  ["Files", [[`${MOD} O`, "to where files are opened"], [`${MOD} V`, "open a picture from the clipboard"], [`${MOD} C`, "copy the picture"]]],
  ["Sessions", [["G", "all sessions"], ["Arrows", "walk along them"], ["Enter", "open"], ["F2", "rename"], ["Delete", "to the trash"]]],
  ["The turn", [["↑  ↓", "in front of a text: earlier texts"], [`${MOD} Enter`, "run, or keep the candidate"], [`${MOD} .`, "cancel the run"], [`${MOD} Z`, "undo a mark or a turn"], [mac ? `${MOD} Shift Z` : `${MOD} Y`, "redo"]]],
  ["On the timeline", [["Arrows", "walk along the turns"], ["Enter", "stand on the turn"], ["M", "what can be done with it"], ["F2", "rename its branch"]]],
];

const name = h("button", { type: "button", class: "p-session", title: "Rename this session", onclick: () => startNaming() });
const naming = h("input", { type: "text", class: "p-naming", "aria-label": "Name of this session", maxlength: 120, hidden: true,
  onblur: () => endNaming(true), onkeydown: (event) => {
    if (event.key === "Enter") endNaming(true, true);
    else if (event.key === "Escape") endNaming(false, true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  } });
const saved = h("span", { class: "p-saved" });
const model = h("button", { type: "button", class: "p-hint p-model", onclick: () => actions.models() });
/** @param {Element} sign @param {string} label @param {() => void} fire @param {string} [hint] */
const tool = (sign, label, fire, hint) => h("button", { type: "button", class: "p-btn p-ico", "aria-label": label, title: hint ? `${label} (${hint})` : label, onclick: fire }, sign);
const undo = tool(icon("undo"), "Undo", () => actions.whenMarked(() => panel.trigger("undo", {})), `${MOD} Z`);
undo.append(h("kbd", { text: `${MOD} Z` }));
const redo = tool(icon("redo"), "Redo", () => actions.whenMarked(() => panel.trigger("redo", {})), mac ? `${MOD} Shift Z` : `${MOD} Y`);
const take = h("button", { type: "button", class: "p-btn p-export", title: "Save the picture, its layers or the whole session", "aria-haspopup": "menu", onclick: () => exports.open(take, root) }, h("span", { text: "Export" }), icon("down"));
const open = h("button", { type: "button", class: "p-btn", text: "New", title: "Open another picture or a session file", onclick: () => begin() });
const rooms = h("button", { type: "button", class: "p-btn", id: "p-rooms", text: "Sessions", title: "All sessions (G)", "aria-expanded": "false", onclick: () => actions.sessions() });
const lights = tool(icon("light"), "Light theme", () => {
  turnTheme();
  tellTheme();
});
const help = tool(h("span", { "aria-hidden": "true", text: "?" }), "Shortcuts", () => sheet.showModal());
const sheet = h("dialog", { class: "p-sheet", "aria-labelledby": "p-sheet-title", onclick: (e) => { if (e.target === sheet) sheet.close(); } },
  h("div", { class: "p-sheet-head" }, h("h2", { id: "p-sheet-title", text: "Shortcuts" }), h("button", { type: "button", class: "p-x", "aria-label": "Close", text: "×", onclick: () => sheet.close() })),
  h("div", { class: "p-sheet-body", tabindex: "-1", autofocus: true }, ...SHORTCUTS.map(([title, rows]) => h("section", {}, h("h3", { text: title }),
    h("dl", {}, ...rows.flatMap(([keys, what]) => [h("dt", {}, ...keys.split("  ").map((key) => h("kbd", { text: key }))), h("dd", { text: what })]))))));
const keep = h("button", { type: "button", class: "p-link", text: "Export what you want to keep", onclick: () => exports.open(take, root) });
const forgets = h("p", { class: "p-forgets", hidden: true }, h("span"), keep);
root.append(h("header", { class: "p-top" },
  h("h1", { class: "p-brand" }, h("i", { "aria-hidden": "true" }), "Palimpsest"), name, naming, saved, h("span", { class: "p-space" }), model, undo, redo, take, open, rooms, lights, help), forgets, sheet);

/** The button says and shows what it leads to. */
function tellTheme() {
  const next = theme() === "light" ? "dark" : "light";
  lights.replaceChildren(icon(next));
  lights.title = `${next === "light" ? "Light" : "Dark"} theme`;
  lights.setAttribute("aria-label", lights.title);
}
tellTheme();

/** To the start page, from wherever one is. */
function begin() {
  if (actions.isAmongSessions()) actions.sessions();
  set({ starting: true });
}

// Another tab changed the session: said quietly, and nothing happens to what stands here until it is asked for.
const newest = h("button", { type: "button", class: "p-link", text: "Show the newest", onclick: () => {
  newest.disabled = true;
  actions.look();
} });
actions.look = () => {
  const { subject, background } = state.view ? state.view.draft : {};
  panel.trigger("look", { subject, background });
};
const banner = h("div", { class: "p-banner", role: "status", hidden: true });
saved.after(banner);
let soon = 0;

/** @param {import("./store.js").State} state */
function tellOthers({ view, ahead }) {
  const behind = view && ahead && ahead.sid === view.sid && ahead.rev > view.rev;
  if (!behind) {
    clearTimeout(soon);
    soon = 0;
    banner.hidden = true;
    newest.disabled = false;
  } else if (!soon) soon = setTimeout(() => { // what both tabs follow arrives here a moment later by itself
    banner.replaceChildren(h("span", { text: "Changed in another tab" }), newest); // put there anew, so that it is read out
    banner.hidden = false;
  }, 600);
}

function startNaming() {
  naming.value = theView().name;
  naming.hidden = false;
  name.hidden = true;
  naming.focus();
  naming.select();
}

/** @param {boolean} keep */
function endNaming(keep, back = false) {
  if (naming.hidden) return;
  const wanted = naming.value.trim();
  naming.hidden = true;
  name.hidden = false;
  if (back) name.focus();
  if (!keep || !wanted || !state.view || wanted === state.view.name) return;
  name.textContent = wanted;
  panel.trigger("rename_here", { name: wanted });
}

function tellSaved() {
  saved.textContent = state.view ? `saved ${ago(state.view.saved_at)}` : "";
}
setInterval(tellSaved, 1000);

panel.draws((state) => {
  const { view, engine } = state;
  if (!view) endNaming(false);
  name.textContent = view ? view.name : "";
  model.textContent = view && engine ? engine : "";
  model.hidden = !model.textContent;
  model.disabled = !state.about.manages_models;
  model.title = model.disabled ? "" : "Models of this machine";
  undo.disabled = !view || !view.can_undo || isLive(view) || state.away;
  redo.disabled = !view || !view.can_redo || isLive(view) || state.away;
  name.hidden = !view || !naming.hidden;
  take.hidden = open.hidden = undo.hidden = redo.hidden = !view;
  forgets.hidden = !state.about.forgets;
  if (forgets.firstChild) forgets.firstChild.textContent = state.about.forgets;
  keep.hidden = !view;
  tellOthers(state);
  tellSaved();
});

// -------------------------------------------------------------------------------------------------------- shortcuts

/** The letter of a key; on a keyboard for other letters, the one that its place has on a Latin one. @param {KeyboardEvent} event */
function letter(event) {
  const key = event.key.toLowerCase(), placed = /^Key([A-Z])$/.exec(event.code);
  return key.length === 1 && key > "~" && placed ? placed[1].toLowerCase() : key;
}

/** Undo or redo, if that is what was pressed. @param {KeyboardEvent} event */
function backOrForth(event) {
  const key = letter(event);
  if (!(mac ? event.metaKey : event.ctrlKey)) return null;
  return key === "z" ? (event.shiftKey ? redo : undo) : key === "y" && !mac ? redo : null;
}

/** @type {Record<string, () => void>} */
const plainKeys = {
  b: () => actions.tool("brush"), e: () => actions.tool("erase"), c: () => actions.tool("include"), n: () => actions.tool("exclude"), r: () => actions.tool("box"),
  s: () => actions.tool("scribble"), l: () => actions.tool("lasso"), w: () => actions.tool("wand"), f: () => actions.tool("refine"),
  x: () => actions.clear(), "[": () => actions.size(-2), "]": () => actions.size(2), "\\": () => actions.peek(true), "?": () => sheet.showModal(),
  "+": () => actions.zoom(1), "=": () => actions.zoom(1), "-": () => actions.zoom(-1), 0: () => actions.fit(), 9: () => actions.whole(),
  g: () => actions.sessions(), 1: () => actions.tab(0), 2: () => actions.tab(1), 3: () => actions.tab(2), 4: () => actions.tab(3),
};
document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented || sheet.open || actions.isAmongSessions?.()) return;
  const mod = mac ? event.metaKey : event.ctrlKey, key = letter(event), step = backOrForth(event);
  if (actions.drawing?.()) { // what is under the hand comes first: it can be left undone, and nothing else is done meanwhile
    event.preventDefault();
    if (key === "escape" || step === undo) actions.undraw();
    else if (key === "enter") actions.closeLine();
  } else if (mod && key === "enter") {
    event.preventDefault();
    if (state.view && state.view.staged.length && !typing(targetOf(event))) actions.keep();
    else actions.run();
  } else if (mod && key === ".") {
    event.preventDefault();
    actions.cancel();
  } else if (mod && key === "s") {
    event.preventDefault();
    toast("Everything is saved while you work. Export makes files of it.", "note");
  } else if (mod && key === "o" && !event.shiftKey) {
    event.preventDefault();
    begin();
    actions.openFile();
  } else if (typing(targetOf(event))) {
    return; // letters and undo belong to the text
  } else if (step) {
    event.preventDefault();
    if (!step.hidden && (!step.disabled || (step === undo && actions.marking()))) actions.whenMarked(() => panel.trigger(step === undo ? "undo" : "redo", {}));
  } else if (mod && key === "c" && state.view && window.getSelection()?.isCollapsed) {
    event.preventDefault();
    actions.copy();
  } else if (!mod && !event.altKey && plainKeys[key]) {
    event.preventDefault(); // the letter must not fall into a field that this opens
    if (state.view || ["?", "g"].includes(key)) plainKeys[key]();
  }
});
document.addEventListener("keyup", (event) => { if (event.key === "\\") actions.peek(false); });
window.addEventListener("blur", () => actions.peek && actions.peek(false));
