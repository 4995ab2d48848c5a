// What the next turn will be called and where it hangs.
const p = window.palimpsest, { h } = p;
const title = h("h2", { text: "Turn" }), from = h("span", { class: "p-hint" });
const cost = h("span", { class: "p-hint" });
const leave = h("button", { type: "button", class: "p-btn", text: "Leave as it was", onclick: () => p.actions.leave() });
const changing = h("div", { class: "p-changing", role: "status" }, cost, leave);
element.querySelector(".p-root").append(h("div", { class: "p-heading" }, title, from), changing);

// A text that the turn will not use says so; another one shows what its method takes.
document.addEventListener("change", tellKept);
function tellKept() {
  const scope = document.querySelector("#scope input:checked"), { view, about } = p.state;
  if (!scope || !view) return;
  about.methods[view.draft.method].examples.forEach((example, k) => {
    const part = ["subject", "background"][k], box = document.querySelector(`#${part} textarea`);
    if (box) box.placeholder = scope.value === "both" || scope.value === part ? example : "stays as it is";
  });
}

// Gradio gives each choice of a row its own name, so the arrow keys do not walk along it by themselves.
document.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  const row = event.target.type === "radio" && event.target.closest("#side fieldset");
  if (!by || !row) return;
  event.preventDefault();
  const choices = [...row.querySelectorAll("input[type=radio]")];
  const next = choices[(choices.indexOf(event.target) + by + choices.length) % choices.length];
  next.focus();
  next.click();
});

p.on(({ view }) => {
  setTimeout(tellKept, 50); // after Gradio has filled the fields
  changing.hidden = !view || !view.editing;
  const side = document.getElementById("side");
  if (side) side.inert = !view;
  if (!view) {
    title.textContent = "Turn 1";
    from.textContent = "open a picture first";
    return;
  }
  const now = p.current(view), branches = view.turns.some((t) => t.parent === now.id);
  const changed = view.editing && p.turn(view, view.editing.turn);
  title.textContent = changed ? `Changing turn ${changed.number}` : `Turn ${now.number + 1}`;
  from.textContent = changed ? changed.label : `${branches ? "branches off" : "continues from"} ${now.number ? `turn ${now.number}` : "the original"}`;
  from.title = changed ? changed.label : "";
  if (!changed) return;
  leave.disabled = p.live(view);
  const { stale, seconds } = view.editing, took = seconds >= 1 ? `about ${Math.round(seconds)} s` : "about a second";
  cost.textContent = stale.length ? `${stale.length} later turn${stale.length > 1 ? "s run" : " runs"} again, ${took}; the old ones stay on their branch` : `It runs again, ${took}; the old one stays on its branch`;
});
