// The models dialog: the list of models and LoRA files, a model from the hub or from a folder, and what is being done with one.
import { actions } from "./actions.js";
import { focusIn, h } from "./dom.js";
import { language, number, say } from "./language.js";
import { Panel } from "./panel.js";
import { state } from "./store.js";

export const panel = new Panel();
const { root } = panel;
/** @type {Record<string, string>} */
const KINDS = { "text-to-image": say("edits pictures"), segmenter: say("answers clicks"), clip: say("measures likeness"), judge: say("judges the Toybox"), lora: "LoRA" };
/** @type {Record<string, string>} */
const DOES = { pull: say("Fetching"), add: say("Reading"), verify: say("Verifying") };
const AGAIN = 500; // milliseconds between two looks at a job

let waiting = 0;
/** @type {import("./view.js").ModelsView | null} */
let listed = null;
/** @type {string | null} what is asked about before it is removed */
let sure = null;

const list = h("div", { class: "p-installed", role: "list" });
const starters = h("div", { class: "p-installed", role: "list" });
const kit = h("section", { class: "p-get" }, h("h3", { text: say("To begin with") }), starters);
const repo = h("input", { type: "text", placeholder: say("owner/name"), "aria-label": say("The model's id on the hub"), autocomplete: "off", spellcheck: "false", onkeydown: (event) => { if (event.key === "Enter") pull(); } });
const file = h("input", { type: "text", placeholder: say("one file of it: a checkpoint or LoRA"), "aria-label": say("One file of it, by its path there"), autocomplete: "off", spellcheck: "false", onkeydown: (event) => { if (event.key === "Enter") pull(); } });
const half = h("input", { type: "checkbox" });
const fetchIt = h("button", { type: "button", class: "p-btn", text: say("Pull"), onclick: () => pull() });
const path = h("input", { type: "text", placeholder: say("a folder or checkpoint on this machine"), "aria-label": say("Path of a model on this machine"), autocomplete: "off", spellcheck: "false", onkeydown: (event) => { if (event.key === "Enter") add(); } });
const addIt = h("button", { type: "button", class: "p-btn", text: say("Add"), onclick: () => add() });
const how = h("span", { class: "p-hint", role: "status" });
const bar = h("progress", { max: 1, "aria-label": say("Progress") });
const stop = h("button", { type: "button", class: "p-btn", text: say("Cancel"), onclick: () => panel.trigger("stop_model", {}) });
const job = h("div", { class: "p-models-job", hidden: true }, how, stop, bar);
const told = h("p", { class: "p-told", role: "status" });
const where = h("p", { class: "p-hint p-told" });
const sheet = h("dialog", { class: "p-sheet p-models", "aria-labelledby": "p-models-title", onclose: () => { sure = null; clearTimeout(waiting); }, onclick: (e) => { if (e.target === sheet) sheet.close(); } },
  h("div", { class: "p-sheet-head" }, h("h2", { id: "p-models-title", text: say("Models") }), h("button", { type: "button", class: "p-x", "aria-label": say("Close"), text: "×", onclick: () => sheet.close() })),
  h("div", { class: "p-sheet-body", tabindex: "-1", autofocus: true }, list, job, told, kit,
    h("section", { class: "p-get" }, h("h3", { text: say("From the hub") }),
      h("div", { class: "p-get-line" }, repo, file, h("label", { title: say("Half the download where the model offers it") }, half, h("span", { text: say("16-bit copy") })), fetchIt),
      h("p", { class: "p-hint p-told", text: say("Only what is needed is fetched, and weights only as safetensors. Name a file where the id is of several checkpoints or of LoRA files. An interrupted pull goes on where it stopped.") })),
    h("section", { class: "p-get" }, h("h3", { text: say("From this machine") }), h("div", { class: "p-get-line" }, path, addIt)), where));
root.append(sheet);

/** @param {string} text @param {string} label @param {() => void} fire @param {boolean} [danger] */
const small = (text, label, fire, danger) => h("button", { type: "button", class: `p-tool${danger ? " p-danger" : ""}`, text, "aria-label": label, onclick: fire });

/** Bytes in a unit that leaves few digits. @param {number} bytes */
function amount(bytes) {
  const [unit, per] = bytes < 1e6 ? ["KB", 1e3] : bytes < 1e9 ? ["MB", 1e6] : ["GB", 1e9], n = bytes / per;
  return `${n < 10 ? number(Math.max(0.1, n), 1) : Math.round(n)} ${unit}`;
}

/** A model to begin with, one click to have. @param {import("./view.js").StarterView} s @param {boolean} live */
function starter(s, live) {
  const get = h("button", { type: "button", class: "p-btn", text: say("Get"), "aria-label": say("Get {title}", { title: s.title }), disabled: live || s.fault !== null,
    onclick: () => panel.trigger("pull_model", { repo: s.repo, file: "", half: s.half }) });
  const about = [KINDS[s.kind] || s.kind, say("about {amount}", { amount: amount(s.size) }), s.licence].join(" · ");
  return h("div", { class: "p-installed-row", role: "listitem", "data-starter": s.repo }, h("span", { class: "p-installed-name" }, h("b", { text: s.title, title: s.repo }), h("span", { class: "p-hint", text: about })),
    h("span", { class: "p-installed-acts" }, get), h("p", { class: s.fault ? "p-fault" : "p-hint p-use", text: s.fault || s.use, lang: s.fault ? "en" : null }));
}

/** @param {import("./view.js").ModelView} m */
function row(m) {
  const lora = m.kind === "lora", key = lora ? `loras/${m.id}` : m.id; // a LoRA may be called as a model is
  const asked = sure === key, called = lora ? say("the LoRA {title}", { title: m.title }) : m.title;
  const acts = [small(say("Verify"), say("Verify {name}", { name: called }), () => panel.trigger("verify_model", { id: m.id, lora }))];
  if (m.source) acts.push(small(asked ? say("Really remove?") : say("Remove"), say(asked ? "Really remove {name}" : "Remove {name}", { name: called }), () => {
    sure = asked ? null : key;
    if (asked) panel.trigger("remove_model", { id: m.id, lora });
    else draw();
  }, true));
  const from = m.source && m.source !== m.id ? (m.commit ? say("from {source} at {commit}", { source: m.source, commit: m.commit.slice(0, 7) }) : say("from {source}", { source: m.source })) : "";
  const about = [lora && m.family ? say("LoRA for {family}", { family: m.family }) : KINDS[m.kind] || m.kind, m.size ? amount(m.size) : "", from].filter(Boolean).join(" · ");
  return h("div", { class: "p-installed-row", role: "listitem", "data-model": key }, h("span", { class: "p-installed-name" }, h("b", { text: m.title }), h("span", { class: "p-hint", text: about, title: m.commit ? say("commit {commit}", { commit: m.commit }) : null })),
    h("span", { class: "p-installed-acts" }, ...acts), m.fault ? h("p", { class: "p-fault", text: m.fault, lang: "en" }) : null);
}

function pull() { if (repo.value.trim()) panel.trigger("pull_model", { repo: repo.value.trim(), file: file.value.trim(), half: half.checked }); }
function add() { if (path.value.trim()) panel.trigger("add_model", { folder: path.value.trim() }); }

/** @param {number | null | undefined} seconds */
function left(seconds) {
  if (seconds === null || seconds === undefined) return "";
  return ` · ${seconds < 90 ? say("{count} s left", { count: Math.ceil(seconds) }) : say("{count} min left", { count: Math.ceil(seconds / 60) })}`;
}

function draw() {
  if (!listed) return;
  const focused = focusIn(list), tile = focused?.closest("[data-model]"), held = focused && tile instanceof HTMLElement ? { model: tile.dataset.model || "", at: [...(focused.parentElement?.children || [])].indexOf(focused) } : null;
  list.replaceChildren(...listed.models.map(row));
  if (held) {
    const again = list.querySelector(`[data-model="${CSS.escape(held.model)}"] .p-installed-acts`)?.children[held.at];
    if (again instanceof HTMLElement) again.focus();
  }
  const j = listed.job, live = j !== null && (j.state === "queued" || j.state === "running");
  job.hidden = !live;
  fetchIt.disabled = addIt.disabled = live;
  kit.hidden = !listed.starters.length;
  starters.replaceChildren(...listed.starters.map((s) => starter(s, live)));
  if (j && live) {
    how.textContent = j.total ? say("{doing}: {step} of {total} MB", { doing: DOES[j.does], step: j.step, total: j.total }) + left(j.seconds_left) : `${DOES[j.does]} …`;
    if (j.total) bar.value = j.step / j.total;
    else bar.removeAttribute("value");
  }
  /** @type {Record<string, string>} */
  const words = { failed: j && j.error ? say("That did not work: {error}", { error: j.error }) : "", cancelled: j && j.does === "pull" ? say("Cancelled. What was fetched is kept; pull again to go on.") : say("Cancelled.") };
  told.textContent = listed.told || (j && words[j.state]) || "";
  told.lang = listed.told ? "en" : language;
  where.textContent = say("They are kept in {folder}; LoRA files go into the folder loras there.", { folder: listed.folder });
  clearTimeout(waiting);
  if (live && sheet.open) waiting = setTimeout(() => panel.trigger("see_models", {}), AGAIN);
}

actions.models = () => {
  if (!state.about.manages_models) return;
  panel.trigger("see_models", {});
  sheet.showModal();
};

panel.draws(({ message }) => {
  if (!message.models) return;
  const did = listed && listed.told !== message.models.told ? message.models.told : "";
  listed = message.models;
  if (did) repo.value = file.value = path.value = "";
  draw();
});
