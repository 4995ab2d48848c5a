// Progress, and the two buttons at the foot of the turn panel.
import { actions } from "./actions.js";
import * as crop from "./crop.js";
import { coarse, h } from "./dom.js";
import { keyOf } from "./keys.js";
import { many, say } from "./language.js";
import { Panel } from "./panel.js";
import * as several from "./several.js";
import { set, theView } from "./store.js";
import { isLive } from "./turns.js";

/** @typedef {import("./view.js").SessionView} SessionView */

export const panel = new Panel();
const { root } = panel;
/** @type {Record<string, string>} */
const DOING = {
  reference: say("Drawing reference"), embeddings: say("Fitting the texts"), "fine-tune": say("Fine-tuning the layers"),
  guidance: say("Guiding the picture"), denoise: say("Denoising"), reading: say("Reading the sentence"), look: say("Looking"),
};
/** @type {Record<string, string>} */
const SHORT = { embeddings: say("texts"), reference: say("reference"), guidance: say("guidance"), look: say("look"), denoise: say("denoise"), "fine-tune": say("fine-tune") };
const title = h("b"), figures = h("span", { class: "p-hint" }), bars = h("div", { class: "p-bars" });
const progress = h("div", { class: "p-progress" }, h("div", { class: "p-progress-head" }, title, figures), bars);
const spoken = h("div", { class: "p-sr", role: "status", "aria-live": "polite" });
const missing = h("div", { class: "p-missing" });
const runText = h("span"), runKey = h("kbd");
const run = h("button", { type: "button", class: "p-run", onclick: () => start() }, runText, runKey);
const tries = h("button", { type: "button", class: "p-btn p-tries", "aria-haspopup": "dialog", title: say("The same turn by several methods, to choose from"), text: say("Try several"), onclick: () => several.choose(root, tries.getBoundingClientRect(), (methods) => start({ methods })) });
const cancel = h("button", { type: "button", class: "p-btn p-cancel", text: say("Cancel"), onclick: () => stop() });
const confirm = h("div", { class: "p-confirm", role: "alertdialog", "aria-label": say("Before it runs"), hidden: true });
root.append(h("div", { class: "p-go-box" }, confirm, missing, h("div", { class: "p-buttons" }, run, tries, progress, cancel)), spoken);

let stopping = false;

/** What is to be run: the turn as it stands, or by each of several methods. @type {{ methods?: string[] }} */
let asked = {};

/** @param {{ methods?: string[] }} [what] */
function start(what = {}) {
  if (run.disabled || run.hidden) return;
  run.disabled = tries.disabled = true;
  asked = what;
  panel.trigger("run", asked);
  window.scrollTo({ top: 0, behavior: "smooth" }); // a page that scrolls shows the picture or the panel
}

function stop() {
  if (cancel.hidden || stopping) return;
  stopping = true;
  cancel.disabled = true;
  panel.trigger("cancel", {});
}

Object.assign(actions, { run: () => start(), cancel: stop });

/** @type {string | null} */
let doubt = null; // where a run was held back: the model was made for other pictures, and nobody has insisted yet
/** @param {SessionView} view */
const standing = (view) => JSON.stringify([view.sid, view.current, view.draft.model]);

/** Asks once more: `text` says why, `does` names the action that was held back. */
/** @param {{ text: string, does: "run" | "run_turns" }} confirm */
function ask({ text, does }) {
  doubt = standing(theView());
  const anyway = h("button", { type: "button", class: "p-btn p-go", text: say("Run anyway"), onclick: () => {
    doubt = null;
    if (does === "run") panel.trigger("run", { ...asked, insists: true });
    else actions[does](true);
    set({});
  } });
  confirm.replaceChildren(h("p", { text }), h("div", {}, anyway, h("button", { type: "button", class: "p-btn", text: say("Not now"), onclick: () => { doubt = null; set({}); run.focus(); } })));
  confirm.hidden = false;
  anyway.focus();
}

/** @param {number | null | undefined} seconds */
function left(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1) return say("almost done");
  return seconds < 90 ? say("{count} s left", { count: Math.round(seconds) }) : say("{count} min left", { count: Math.round(seconds / 60) });
}

/** @param {string} stage */
const doing = (stage) => DOING[stage] || stage.charAt(0).toUpperCase() + stage.slice(1);

let said = "";
panel.draws(({ view, about, away, message }) => {
  if (message.confirm && view) ask(message.confirm);
  if (doubt && (!view || standing(view) !== doubt || isLive(view))) doubt = null;
  confirm.hidden = !doubt;
  runKey.textContent = keyOf("run");
  const job = view && isLive(view) ? view.job : null, live = job !== null;
  const other = job !== null && job.does === "swap"; // which of its two turns runs stands under the bars
  if (!live) stopping = false;
  const damaged = Boolean(view && view.damage);
  run.disabled = !view || away || damaged;
  run.hidden = live || Boolean(doubt);
  tries.hidden = run.hidden || !view || Boolean(view.editing) || view.alike.length < 2;
  tries.disabled = run.disabled;
  cancel.hidden = !live;
  cancel.disabled = stopping || away;
  cancel.textContent = stopping ? say("Stopping") : say("Cancel");
  progress.hidden = !live;
  const method = view && about.methods[view.draft.method];
  const long = view && !live && crop.needed(view);
  missing.replaceChildren(...(damaged ? [say("Damaged: to look at and to export. Its duplicate, among the sessions, can be edited.")] : long ? [say("Too long to be edited."), " ", h("button", { type: "button", class: "p-link", text: say("Choose a part"), onclick: () => actions.crop() })]
    : view && !live && !view.staged.length && !view.mask.mask && (!method || method.needs_mask || (method.changes || view.draft.scope) !== "both") ? [coarse ? say("Tap the subject on the picture first") : say("Click the subject on the picture first")] : []));
  missing.hidden = !missing.childNodes.length;
  if (job) {
    const queued = job.state === "queued";
    const single = job.does === "edit" || job.does === "attention" || !job.does; // else its stages are whole turns, told in hundredths
    const told = job.does !== "split"; // how long an answer gets, nobody knows before
    title.textContent = away ? say("No connection") : queued ? say("Waiting") : !job.stage ? say("Starting") : other ? say("Other order") : doing(job.stage);
    const steps = !job.total || !told ? "" : single ? `${job.step} / ${job.total}` : `${job.step} %`;
    figures.textContent = away ? "" : queued ? (job.ahead ? say("{ahead} before it", { ahead: job.ahead }) : say("for the model")) : [steps, told ? left(job.seconds_left) : ""].filter(Boolean).join(" · ");
    const stages = job.stages.length ? job.stages : ((method && method.stages) || []).map((name) => ({ name, fraction: 0 }));
    bars.replaceChildren(...stages.map((s) => h("div", { class: s.name === job.stage ? "p-bar p-on" : "p-bar" },
      h("span", { role: "progressbar", "aria-label": doing(s.name), "aria-valuenow": Math.round(s.fraction * 100), "aria-valuemin": 0, "aria-valuemax": 100 }, h("i", { style: `width:${s.fraction * 100}%` })), h("small", { text: SHORT[s.name] || s.name }))));
    bars.classList.toggle("p-many", stages.length > 4);
  }
  const words = live ? title.textContent + (other && job?.stage ? `, ${job.stage}` : "") : view && view.staged.length ? many(view.staged.length, "{count} candidate finished", "{count} candidates finished") : "";
  if (words !== said) spoken.textContent = said = words;
  const turns = view && view.editing ? 1 + view.editing.stale.length : 1;
  runText.textContent = turns > 1 ? say("Run {turns} turns", { turns }) : view && view.staged.length ? say("Run again") : say("Run turn");
  root.dataset.state = job ? job.state : view && view.staged.length ? "staged" : "idle";
});
