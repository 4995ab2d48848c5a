// LoRA files of the turn in preparation: which, and how much of each.
const p = window.palimpsest, { h, actions } = p;
const rows = h("div", { class: "p-loras-rows" });
const hint = h("p", { class: "p-hint" });
const more = h("button", { type: "button", class: "p-link", text: "Models", onclick: () => actions.models() });
element.querySelector(".p-root").append(h("section", { class: "p-loras", "aria-labelledby": "p-loras-title" }, h("div", { class: "p-loras-head" }, h("h3", { id: "p-loras-title", text: "LoRA files" }), more), rows, hint));

let found = null, shown = null;

function put(name, scale) {
  const loras = { ...p.state.view.draft.loras };
  if (scale === null) delete loras[name];
  else loras[name] = scale;
  trigger("put_loras", { loras });
}

function row(name, scale) {
  const on = scale !== undefined, here = found.includes(name);
  const number = h("input", { type: "number", value: on ? scale : 1, min: -4, max: 4, step: 0.05, disabled: !on, "aria-label": `Scale of ${name}`, onchange: () => { if (number.value !== "") put(name, Number(number.value)); } });
  const tick = h("input", { type: "checkbox", checked: on, onchange: () => put(name, tick.checked ? Number(number.value || 1) : null) });
  return h("div", { class: "p-lora", "data-lora": name }, h("label", { title: name }, tick, h("span", { text: here ? name : `${name} (not here)` })), number);
}

p.on(({ view, about, message }) => {
  const list = message.models ? message.models.loras : found || about.loras || [];
  const loras = view ? view.draft.loras || {} : {}, now = JSON.stringify([list, loras]);
  more.hidden = !about.manages_models;
  if (now === shown) return;
  shown = now;
  found = list;
  const names = [...new Set([...list, ...Object.keys(loras)])];
  rows.replaceChildren(...names.map((name) => row(name, loras[name])));
  hint.textContent = names.length ? "Made for the chosen model; 1 is its full strength." : "None yet. Files in a folder loras beside the models appear here.";
});
