// What is said of the texts while they are typed: a mark under the words that are meant, a sentence, and what would
// do instead. The marks lie under the text in a copy of it; nothing here keeps anybody from running a text as it stands.
import { actions } from "./actions.js";
import * as crop from "./crop.js";
import { h, targetOf } from "./dom.js";
import { PARTS, areThere, chosenOf, textOf, textsThere } from "./fields.js";
import { many, say } from "./language.js";
import { Panel } from "./panel.js";
import * as popover from "./popover.js";
import { state, theView } from "./store.js";

/** @typedef {import("./view.js").Hint} Hint */
/** @typedef {import("./view.js").Fix} Fix */
/** @typedef {import("./fields.js").Text} Text */
/** @typedef {import("./fields.js").Part} Part */

export const panel = new Panel();
const { root } = panel;
const PAUSE = 350; // milliseconds without a key, after which the text is asked about
const MOST = 3; // sentences under one field

const scope = () => chosenOf("scope")?.value || "both";

// ---------------------------------------------------------------------------------------------------------- asking

let count = 0, pausing = 0;
/** @type {string | null} */
let asked = null;
/** @type {Record<Text, string>} the texts that were asked about */
let about = { subject: "", background: "", negative: "" };
/** @type {Hint[]} */
let found = [];

/** What the fields that are there hold. @returns {Record<Part, string> & Partial<Record<Text, string>>} */
const said = () => Object.assign({ subject: "", background: "" }, ...textsThere().map(({ text, box }) => ({ [text]: box.value })));

/** Asks unless the texts, and what they are for, are what was asked about last. */
function ask() {
  clearTimeout(pausing);
  const { view } = state;
  if (!view || !areThere()) return;
  const texts = { negative: view.draft.negative, ...said() };
  const now = JSON.stringify([view.sid, view.current, view.draft.model, view.draft.method, view.draft.quality, view.draft.changes, scope(), texts]);
  if (now === asked) return;
  asked = now;
  about = texts;
  count += 1;
  if (Object.values(texts).some((text) => text.trim())) panel.trigger("ask_hints", { ...texts, scope: scope(), count });
  else answer([]);
}

/** @param {Event} event */
function soon(event) {
  if (!targetOf(event).closest("#subject, #background, #negative")) return;
  clearTimeout(pausing);
  pausing = setTimeout(ask, PAUSE);
  for (const { text, box } of textsThere()) drawMarks(text, box); // those before what was typed still stand where they are
}
document.addEventListener("input", soon);
document.addEventListener("click", (event) => { if (targetOf(event).closest("#advanced > button")) setTimeout(() => answer(found), 50); }); // a field more
document.addEventListener("change", (event) => { if (targetOf(event).closest("#scope")) setTimeout(ask, 0); });

/** @param {Hint[]} hints */
function answer(hints) {
  found = hints;
  for (const { text, box } of textsThere()) draw(text, box);
}

panel.draws(({ message }) => {
  if (message.hints && message.hints.count === count) answer(message.hints.found);
  setTimeout(ask, 80); // after Gradio has filled the fields
  offerCrop();
});

// ------------------------------------------------------------------------------------------------- what is to be seen

/** @type {Record<Text, HTMLElement>} the texts again, under their fields */
const copies = { subject: h("div"), background: h("div"), negative: h("div") };
/** @type {Record<Text, HTMLElement>} the sentences below them */
const lines = { subject: h("div"), background: h("div"), negative: h("div") };

/** Puts the copy under a field's text and the sentences below it, where they are not there. @param {Text} part @param {HTMLTextAreaElement} box */
function place(part, box) {
  if (copies[part].isConnected && copies[part].parentNode === box.parentNode) return;
  copies[part] = h("div", { class: "p-marks", "aria-hidden": "true" });
  lines[part] = h("div", { class: "p-hints", id: `p-hints-${part}`, role: "status", "aria-label": part === "negative" ? say("Remarks on what is kept out") : part === "subject" ? say("Remarks on the subject") : say("Remarks on the background") });
  box.parentElement?.classList.add("p-marked");
  box.before(copies[part]);
  document.getElementById(part)?.append(lines[part]);
  box.setAttribute("aria-describedby", lines[part].id);
  const follow = () => { copies[part].scrollTop = box.scrollTop; copies[part].style.width = `${box.clientWidth}px`; };
  box.addEventListener("scroll", follow);
  new ResizeObserver(follow).observe(box);
}

/** How many letters two texts have in common at their start. @param {string[]} a @param {string[]} b */
function common(a, b) {
  let k = 0;
  while (k < a.length && a[k] === b[k]) k += 1;
  return k;
}

/** Letters as the server counts them: one a code point. @param {string} text */
const letters = (text) => [...text];

/** @param {Text} part @param {HTMLTextAreaElement} box */
function drawMarks(part, box) {
  place(part, box);
  const now = letters(box.value), same = common(now, letters(about[part] || ""));
  const whole = same === now.length && same === letters(about[part] || "").length;
  const spans = found.filter((hint) => hint.part === part).flatMap((hint) => hint.spans.map(([start, end]) => ({ start, end, kind: hint.kind }))).filter(({ end }) => whole || end < same);
  // Cut where any span begins or ends: a word may be meant by several.
  const places = [...new Set([0, ...spans.flatMap(({ start, end }) => [start, end]), now.length])].sort((a, b) => a - b);
  const nodes = places.slice(1).map((end, k) => {
    const here = spans.filter(({ start, end: to }) => start <= places[k] && end <= to), text = now.slice(places[k], end).join("");
    const kinds = here.flatMap(({ start, kind }) => (kind === "cut" && start === places[k] ? ["p-cut", "p-end"] : [`p-${kind}`]));
    return kinds.length ? h("mark", { class: ["p-mark", ...kinds].join(" "), text }) : text;
  });
  copies[part].replaceChildren(...nodes, " ");
  copies[part].style.width = `${box.clientWidth}px`;
  copies[part].scrollTop = box.scrollTop;
}

/** @param {Text} part @param {HTMLTextAreaElement} box */
function draw(part, box) {
  drawMarks(part, box);
  const hints = found.filter((hint) => hint.part === part), more = hints.length - MOST;
  lines[part].replaceChildren(...hints.slice(0, MOST).map(line), ...(more > 0 ? [h("p", { class: "p-hint", text: many(more, "{count} more is marked", "{count} more are marked") })] : []));
  lines[part].hidden = !hints.length;
}

/** @param {Hint} hint */
function line(hint) {
  const chips = hint.fixes.map((/** @type {Fix} */ fix) => h("button", { type: "button", class: "p-chip", text: fix.label, title: after(fix), onclick: () => put(fix) }));
  if (hint.known.length) {
    const all = h("button", { type: "button", class: "p-link", text: say("What it knows"), "aria-haspopup": "dialog", onclick: () => known(hint, all) });
    chips.push(all);
  }
  return h("div", { class: "p-hint-line", "data-kind": hint.kind }, h("p", { text: hint.says }), chips.length ? h("div", { class: "p-fixes" }, ...chips) : null);
}

/** What a button's tip says: the texts as they will be. @param {Fix} fix */
const after = (fix) => (/** @type {const} */ (["subject", "background", "instruction"])).filter((part) => fix[part]).map((part) => `${part}: ${fix[part]}`).join("\n") || say("empty");

/** All the words that the model was taught, to choose from. @param {Hint} hint @param {HTMLButtonElement} button */
function known(hint, button) {
  const pop = popover.panel(root, button.getBoundingClientRect(), say("What it knows"), (/** @type {HTMLElement} */ body) => {
    body.append(h("div", { class: "p-known-words" }, ...hint.known.map(([heading, fixes]) => h("section", { "aria-label": heading }, h("h3", { text: heading }),
      h("div", { class: "p-fixes" }, ...fixes.map((/** @type {Fix} */ fix) => h("button", { type: "button", class: "p-chip", text: fix.label, title: after(fix), onclick: () => { pop.node.hidePopover(); put(fix); } })))))));
  });
}

// -------------------------------------------------------------------------------------------------------- other words

/** Puts a fix's texts into their fields, as if they had been typed: they can be undone there. @param {Fix} fix */
function put(fix) {
  if (PARTS.some((part) => textOf(part).value !== about[part])) return ask(); // typed on since: it speaks of another text
  const changed = PARTS.filter((part) => fix[part] !== null && fix[part] !== textOf(part).value);
  for (const part of changed) type(textOf(part), fix[part] ?? "");
  if (fix.instruction !== null) actions.instruct(fix.instruction);
  else if (changed.length) textOf(changed[changed.length - 1]).focus();
  ask();
}

/** @param {HTMLTextAreaElement} box @param {string} text */
function type(box, text) {
  box.focus();
  box.select();
  const typed = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
  if (!typed || box.value !== text) {
    box.value = text;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
  box.blur(); // Gradio tells of the first change to a text that it filled itself only when the text is left
}

// ---------------------------------------------------------------------------------------------- pictures that are too long

/** @type {string | null} */
let offered = null;

/** A picture that no turn can be made of says so when it is opened, once; Run says it again, with the same offer. */
function offerCrop() {
  const { view } = state;
  if (!view || !crop.needed(view) || offered === view.sid || state.starting) return;
  offered = view.sid;
  if (view.turns.length === 1) actions.crop();
}

actions.crop = () => crop.open(theView(), (part) => panel.trigger("crop_here", part));
