// LoRA files of the turn in preparation: which, and how much of each.
import { actions } from "./actions.js";
import { h } from "./dom.js";
import { say } from "./language.js";
import { Panel } from "./panel.js";
import { theView } from "./store.js";

export const panel = new Panel();
const rows = h("div", { class: "p-loras-rows" });
const hint = h("p", { class: "p-hint" });
const more = h("button", { type: "button", class: "p-link", text: say("Models"), onclick: () => actions.models() });
const section = h("section", { class: "p-loras", "aria-labelledby": "p-loras-title" }, h("div", { class: "p-loras-head" }, h("h3", { id: "p-loras-title", text: say("LoRA files") }), more), rows, hint);
panel.root.append(section);

/** @type {string[] | null} the files that were listed last */
let found = null;
/** @type {string | null} */
let shown = null;

/** @param {string} name @param {number | null} scale */
function put(name, scale) {
  const loras = { ...theView().draft.loras };
  if (scale === null) delete loras[name];
  else loras[name] = scale;
  panel.trigger("put_loras", { loras });
}

/** @param {string} name @param {number | undefined} scale */
function row(name, scale) {
  const on = scale !== undefined, here = found !== null && found.includes(name);
  const number = h("input", { type: "number", value: on ? scale : 1, min: -4, max: 4, step: 0.05, disabled: !on, "aria-label": say("Scale of {name}", { name }), onchange: () => { if (number.value !== "") put(name, Number(number.value)); } });
  const tick = h("input", { type: "checkbox", checked: on, onchange: () => put(name, tick.checked ? Number(number.value || 1) : null) });
  return h("div", { class: "p-lora", "data-lora": name }, h("label", { title: name }, tick, h("span", { text: here ? name : say("{name} (not here)", { name }) })), number);
}

panel.draws(({ view, about, message }) => {
  const list = message.models ? message.models.loras : found || about.loras;
  const loras = view ? view.draft.loras || {} : {}, now = JSON.stringify([list, loras]);
  more.hidden = !about.manages_models;
  section.hidden = Boolean(view && about.methods[view.draft.method]?.needs_model === false); // they change a model
  if (now === shown) return;
  shown = now;
  found = list;
  const names = [...new Set([...list, ...Object.keys(loras)])];
  rows.replaceChildren(...names.map((name) => row(name, loras[name])));
  hint.textContent = names.length ? say("Made for the chosen model; 1 is its full strength.") : say("None yet. Files in a folder loras beside the models appear here.");
});
