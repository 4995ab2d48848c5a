// One sentence instead of two texts. It becomes a list of turns that can be corrected; nothing runs before that.
import { actions } from "./actions.js";
import { find, h } from "./dom.js";
import { textOf } from "./fields.js";
import { many, say } from "./language.js";
import { Panel } from "./panel.js";
import { state, theView } from "./store.js";
import { currentTurn, isLive } from "./turns.js";
import { unsent } from "./unsent.js";

/** @typedef {import("./view.js").Split} Split */
/** @typedef {import("./view.js").Asked} Asked */

export const panel = new Panel();
const { root } = panel;
const SCOPES = [["both", say("Both")], ["subject", say("Subject")], ["background", say("Background")]];

const words = h("textarea", { class: "p-words", rows: 1, maxlength: 20000, placeholder: say("or say it in one sentence"), "aria-label": say("Or say it in one sentence: it is split into turns, which you see before anything runs"),
  oninput: () => drawButtons(), onkeydown: (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.metaKey || event.isComposing) return;
    event.preventDefault();
    split();
  } });
const cut = h("button", { type: "button", class: "p-btn p-cut", text: say("Split"), title: say("Split the sentence into turns; nothing runs yet"), onclick: () => split() });
const list = h("ol", { class: "p-asked" });
const unread = h("div", { class: "p-unread" });
const use = h("button", { type: "button", class: "p-btn", onclick: () => go() });
const away = h("button", { type: "button", class: "p-btn", text: say("Put away"), onclick: () => { clear(false); words.focus(); } });
const result = h("section", { class: "p-split", "aria-label": say("Turns in the sentence"), hidden: true }, list, unread, h("div", { class: "p-split-foot" }, use, away));
const spoken = h("div", { class: "p-sr", role: "status", "aria-live": "polite" });
root.append(h("div", { class: "p-say" }, h("div", { class: "p-say-line" }, words, cut), result), spoken);

let count = 0, used = false;
/** @type {Asked[]} */
let turns = [];
/** @type {Split | null} */
let found = null;
/** @type {string | null} */
let sid = null;
/** @type {{ from: string, begun: boolean } | null} where the turns were run */
let ran = null;
/** @type {string | null} the job of the language model that reads the sentence */
let reading = null;

function split() {
  if (!words.value.trim() || cut.disabled) return;
  count += 1;
  reading = null;
  panel.trigger("split_words", { words: words.value, count });
}

function go() {
  if (use.disabled) return;
  if (turns.length === 1) {
    used = true;
    panel.trigger("use_turn", { turns });
  } else {
    actions.run_turns(false);
  }
}

/** The same turns once more, where the page asked whether to run them all the same. */
actions.run_turns = (insists) => {
  ran = { from: theView().current, begun: false };
  panel.trigger("run_turns", { turns, insists });
};

/** Takes what was typed as a description and is an instruction, and splits it. */
actions.instruct = (text) => {
  words.value = text;
  words.focus();
  drawButtons();
  split();
};

/** @param {boolean} all */
function clear(all) {
  turns = [];
  result.hidden = true;
  if (all) words.value = "";
  drawButtons();
}

/** The turns that were found, for correction, with what was left out and who read the sentence. @param {Split} read */
function show(read) {
  found = read;
  turns = found.turns.map((turn) => ({ ...turn }));
  const left = found.unread, none = !turns.length, ruled = found.reader === "rules";
  unread.replaceChildren(...(left.length || none ? [h("p", { class: "p-warn", text: none && !left.length ? say("There is no change in this sentence. Say what the subject or the background should become.") : say(none ? "Not understood: {pieces}. Say it in other words, and name the subject." : "Not understood, and left out: {pieces}. Say it in other words, and name the subject.", { pieces: left.map((piece) => `“${piece}”`).join(", ") }) })] : []),
    h("p", { class: "p-hint p-reader", text: ruled ? say("Split by the built-in rules") : say("Split by the language model {reader}", { reader: found.reader }) }), ...(found.note ? [h("p", { class: "p-hint", text: found.note })] : []));
  result.hidden = false;
  drawList();
  spoken.textContent = none ? say("Nothing was understood") : many(turns.length, "{count} turn found. Correct it, then use it.", "{count} turns found. Correct them, then run them.");
  result.scrollIntoView({ block: "nearest" });
}

/** @param {Asked} turn @param {"subject" | "background"} name @param {number} k */
function part(turn, name, k) {
  return h("label", { class: `p-part p-${name}` }, h("i", { "aria-hidden": "true" }),
    h("input", { type: "text", value: turn[name], maxlength: state.about.longest_text, "aria-label": say(name === "subject" ? "Subject of turn {number}" : "Background of turn {number}", { number: k + 1 }), placeholder: say(name === "subject" ? "subject becomes" : "background becomes"), oninput: (event) => { turn[name] = event.target.value; drawButtons(); } }));
}

/** @param {Asked} turn @param {number} k */
function row(turn, k) {
  const scope = h("select", { "aria-label": say("What turn {number} changes", { number: k + 1 }), onchange: () => { turn.scope = /** @type {Asked["scope"]} */ (scope.value); drawList(k); } },
    ...SCOPES.map(([id, text]) => h("option", { value: id, text, selected: id === turn.scope })));
  const drop = h("button", { type: "button", class: "p-x", "aria-label": say("Leave turn {number} out", { number: k + 1 }), title: say("Leave this turn out"), text: "×", onclick: () => {
    turns.splice(k, 1);
    drawList();
    (list.querySelector("select") || words).focus();
  } });
  return h("li", {}, h("div", { class: "p-asked-head" }, h("b", { text: say("Turn {number}", { number: currentTurn(theView()).number + 1 + k }) }), h("span", { class: "p-space" }), scope, drop),
    turn.scope === "background" ? null : part(turn, "subject", k), turn.scope === "subject" ? null : part(turn, "background", k));
}

function drawList(/** @type {number | null} */ focus = null) {
  list.replaceChildren(...turns.map(row));
  list.hidden = !turns.length;
  drawButtons();
  if (focus !== null) find("select", list.children[focus])?.focus();
}

/** @param {Asked} turn */
const said = (turn) => (turn.scope !== "background" && turn.subject.trim()) || (turn.scope !== "subject" && turn.background.trim());

function drawButtons() {
  const live = isLive(state.view);
  cut.disabled = !words.value.trim() || live;
  use.hidden = !turns.length;
  use.disabled = live || !turns.every(said);
  use.textContent = turns.length > 1 ? say("Run all {count} turns", { count: turns.length }) : say("Use in the panel");
  use.title = turns.length > 1 ? say("One after another, once each, with the mask and the settings as they stand") : say("Puts the texts into the panel; nothing runs yet");
}

unsent.push({ name: "sentence",
  read: () => (words.value.trim() ? { said: words.value, split: result.hidden ? null : { ...found, turns } } : null),
  put: ({ said, split: read }) => {
    words.value = said;
    drawButtons();
    if (read) show(read);
  } });

panel.draws((state) => {
  const { view, message } = state;
  if ((view ? view.sid : null) !== sid) {
    sid = view ? view.sid : null;
    ran = reading = null;
    used = false;
    clear(true);
  }
  if (view && message.splitting && message.splitting.count === count) reading = message.splitting.job;
  if (view && message.split && message.split.count === count) show(message.split);
  else if (view && reading && view.split && view.split.job === reading) { reading = null; show(view.split.found); }
  else if (view && reading && !(isLive(view) && view.job?.id === reading)) reading = null; // cancelled, or it failed
  if (view && used && "view" in message) {
    used = false;
    if (!message.notice) {
      clear(true);
      textOf("subject").focus();
    }
  }
  if (view && ran) {
    ran.begun = ran.begun || isLive(view);
    if (view.current !== ran.from) { clear(true); ran = null; } // they are turns now
    else if (!isLive(view) && (ran.begun || message.notice)) ran = null; // refused, cancelled or failed: the list stays
  }
  drawButtons();
});
