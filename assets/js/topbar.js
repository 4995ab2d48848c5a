// The bar on top.
import { actions } from "./actions.js";
import { h, icon } from "./dom.js";
import * as exports from "./export.js";
import { keyOf } from "./keys.js";
import { LANGUAGES, choose, chosen, language, say } from "./language.js";
import { Panel } from "./panel.js";
import * as popover from "./popover.js";
import { sheet } from "./shortcuts.js";
import { set, state, theView } from "./store.js";
import { theme, turnTheme } from "./theme.js";
import { toast } from "./toasts.js";
import { isLive } from "./turns.js";
import { ago } from "./words.js";

export const panel = new Panel();
const { root } = panel;
const name = h("button", { type: "button", class: "p-session", title: say("Rename this session"), onclick: () => startNaming() });
const naming = h("input", { type: "text", class: "p-naming", "aria-label": say("Name of this session"), maxlength: 120, hidden: true,
  onblur: () => endNaming(true), onkeydown: (event) => {
    if (event.key === "Enter") endNaming(true, true);
    else if (event.key === "Escape") endNaming(false, true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  } });
const saved = h("span", { class: "p-saved" });
const model = h("button", { type: "button", class: "p-hint p-model", onclick: () => actions.models() });
/** @param {Element} sign @param {string} label @param {() => void} fire */
const tool = (sign, label, fire) => h("button", { type: "button", class: "p-btn p-ico", "aria-label": label, title: label, onclick: fire }, sign);
const undoKey = h("kbd");
const undo = tool(icon("undo"), say("Undo"), () => actions.whenMarked(() => panel.trigger("undo", {})));
undo.append(undoKey);
const redo = tool(icon("redo"), say("Redo"), () => actions.whenMarked(() => panel.trigger("redo", {})));
const take = h("button", { type: "button", class: "p-btn p-export", title: say("Save the picture, its layers or the whole session"), "aria-haspopup": "menu", onclick: () => exports.open(take, root) }, h("span", { text: say("Export") }), icon("down"));
const open = h("button", { type: "button", class: "p-btn", text: say("New"), title: say("Open another picture or a session file"), onclick: () => begin() });
const rooms = h("button", { type: "button", class: "p-btn", id: "p-rooms", text: say("Sessions"), "aria-expanded": "false", onclick: () => actions.sessions() });
const lights = tool(icon("light"), say("Light theme"), () => {
  turnTheme();
  tellTheme();
});
const tongue = h("button", { type: "button", class: "p-btn p-ico p-tongue", text: language.toUpperCase(), title: say("Language"), "aria-label": `${language.toUpperCase()}, ${say("Language")}`, "aria-haspopup": "menu", onclick: () => {
  const now = chosen(), items = [...LANGUAGES, [null, say("As the browser")]];
  popover.menu(root, tongue.getBoundingClientRect(), say("Language"), items.map(([id, text]) => ({ text: String(text), hint: id === now ? say("chosen") : null, run: () => speak(id) })));
} });
const help = tool(h("span", { "aria-hidden": "true", text: "?" }), say("Shortcuts"), () => sheet.showModal());
const keep = h("button", { type: "button", class: "p-link", text: say("Export what you want to keep"), onclick: () => exports.open(take, root) });
const forgets = h("p", { class: "p-forgets", hidden: true }, h("span"), keep);
help.classList.add("p-help");
root.append(h("header", { class: "p-top" },
  h("h1", { class: "p-brand" }, h("i", { "aria-hidden": "true" }), "Palimpsest"), name, naming, saved, h("span", { class: "p-space" }), model, undo, redo, take, open, rooms, tongue, lights, help), forgets, sheet);

/** The button says and shows what it leads to. */
function tellTheme() {
  const next = theme() === "light" ? "dark" : "light";
  lights.replaceChildren(icon(next));
  lights.title = next === "light" ? say("Light theme") : say("Dark theme");
  lights.setAttribute("aria-label", lights.title);
}
tellTheme();

/** By a key: pressed buttons send the same. @param {HTMLButtonElement} step */
function press(step) {
  if (!step.hidden && (!step.disabled || (step === undo && actions.marking()))) actions.whenMarked(() => panel.trigger(step === undo ? "undo" : "redo", {}));
}
Object.assign(actions, { begin, undo: () => press(undo), redo: () => press(redo) });

/** The page speaks that language from now on, or the browser's own. @param {string | null} id */
function speak(id) {
  if (id === chosen()) return;
  if (choose(id)) window.location.reload();
  else toast(say("This browser keeps no choice for this page, which goes by the browser's own language."));
}

/** To the start page, from wherever one is. */
function begin() {
  if (actions.isAmongSessions()) actions.sessions();
  set({ starting: true });
}

// Another tab changed the session: said quietly, and nothing happens to what stands here until it is asked for.
const newest = h("button", { type: "button", class: "p-link", text: say("Show the newest"), onclick: () => {
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
    banner.replaceChildren(h("span", { text: say("Changed in another tab") }), newest); // put there anew, so that it is read out
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
  saved.textContent = state.view ? say("saved {ago}", { ago: ago(state.view.saved_at) }) : "";
}
setInterval(tellSaved, 1000);

panel.draws((state) => {
  const { view, engine } = state;
  if (!view) endNaming(false);
  name.textContent = view ? view.name : "";
  model.textContent = view && engine ? engine : "";
  model.hidden = !model.textContent;
  model.disabled = !state.about.manages_models;
  model.title = model.disabled ? "" : say("Models of this machine");
  undo.disabled = !view || !view.can_undo || isLive(view) || state.away;
  redo.disabled = !view || !view.can_redo || isLive(view) || state.away;
  undoKey.textContent = keyOf("undo");
  undo.title = say("Undo ({key})", { key: keyOf("undo") });
  undo.ariaLabel = `${say("Undo")} ${keyOf("undo")}`; // the key stands in the button too
  redo.title = say("Redo ({key})", { key: keyOf("redo") });
  rooms.title = say("All sessions ({key})", { key: keyOf("sessions") });
  help.title = say("Shortcuts ({key})", { key: keyOf("help") });
  name.hidden = !view || !naming.hidden;
  take.hidden = open.hidden = undo.hidden = redo.hidden = !view;
  forgets.hidden = !state.about.forgets;
  if (forgets.firstChild) forgets.firstChild.textContent = state.about.forgets;
  keep.hidden = !view;
  tellOthers(state);
  tellSaved();
});
