// What the next turn will be called and where it hangs.
const p = window.palimpsest, { h } = p;
const title = h("h2", { text: "Turn" }), from = h("span", { class: "p-hint" });
const cost = h("span", { class: "p-hint" });
const leave = h("button", { type: "button", class: "p-btn", onclick: () => p.actions.leave() });
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

// Gradio gives each choice of a row its own name. With one name they are what a row is to the browser: one stop of the
// Tab key, and the arrow keys choose.
const side = element.closest("#side");
let rows = 0;
function oneStop() {
  for (const row of side.querySelectorAll("fieldset")) {
    row.dataset.row = row.dataset.row || String((rows += 1));
    for (const choice of row.querySelectorAll("input[type=radio]")) choice.name = `row ${row.dataset.row}`;
  }
}
new MutationObserver(oneStop).observe(side, { childList: true, subtree: true });
oneStop();

// A part that is given a text or a picture is meant to change, whatever was chosen before.
side.addEventListener("input", (event) => {
  const field = event.target.closest("#subject textarea, #background textarea");
  if (field && field.value.trim()) p.actions.changes(field.closest("#subject, #background").id);
});
p.actions.changes = (part) => {
  const now = document.querySelector("#scope input:checked").value, other = part === "subject" ? "background" : "subject";
  if (now !== other) return;
  const said = document.querySelector(`#${other} textarea`).value.trim() || p.state.view.draft[`${other}_reference`];
  document.querySelector(`#scope input[value="${said ? "both" : part}"]`).click();
};

// What stands in the panel and the studio has not heard of: see connection.js.
const texts = { subject: () => document.querySelector("#subject textarea"), background: () => document.querySelector("#background textarea") };
const chosen = (row) => document.querySelector(`#${row} input:checked`);
function standing() {
  const rows = Object.fromEntries(["scope", "quality", "candidates"].map((row) => [row, chosen(row).value]));
  return { subject: texts.subject().value, background: texts.background().value, ...rows, seed: document.querySelector("#seed input").value };
}
const unlike = (draft) => Object.entries(standing()).filter(([name, value]) => value !== String(draft[name]));

function type(field, value) {
  field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.dispatchEvent(new Event("blur"));
}

p.unsent.push({ name: "panel",
  read: ({ draft }) => (unlike(draft).length ? { left: unlike(draft), focus: Object.keys(texts).find((part) => texts[part]() === document.activeElement) } : null),
  put: ({ left, focus }, tries = 40) => {
    if (unlike(p.state.view.draft).length && tries) return void setTimeout(() => p.unsent.find(({ name }) => name === "panel").put({ left, focus }, tries - 1), 50); // Gradio is still filling them
    for (const [name, value] of left) {
      if (name in texts) type(texts[name](), value);
      else if (name === "seed") type(document.querySelector("#seed input"), value);
      else document.querySelector(`#${name} input[value="${CSS.escape(value)}"]`)?.click();
    }
    if (focus) texts[focus]().focus();
    p.toast("What you had typed before the page was loaded anew is here again.", "note");
  } });

// One of Gradio's menus that Tab came to is shut until it is asked for; and keys that are not for it are kept from it, for
// any key opens it, that which leaves it too.
let tabbed = false;
window.addEventListener("pointerdown", () => { tabbed = false; }, true);
window.addEventListener("keydown", (event) => {
  tabbed = event.key === "Tab";
  if (["Tab", "Shift", "Control", "Alt", "Meta"].includes(event.key) && event.target.role === "combobox") event.stopPropagation();
}, true);
side.addEventListener("focus", (event) => { if (tabbed && event.target.role === "combobox") event.stopPropagation(); }, true);
side.addEventListener("pointerdown", (event) => { // it opens when it is given the focus, which it may have by then
  const menu = event.target.role === "combobox" && event.target === document.activeElement && event.target.ariaExpanded === "false";
  if (menu) event.target.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
});

p.on(({ view }) => {
  setTimeout(tellKept, 50); // after Gradio has filled the fields
  changing.hidden = !view || !view.editing;
  side.inert = !view;
  const candidates = document.getElementById("candidates");
  candidates.inert = Boolean(view && view.editing);
  candidates.title = candidates.inert ? "A turn that is changed is run once, as are those after it" : "";
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
  leave.textContent = `Leave turn ${changed.number} as it was`;
  leave.disabled = p.live(view);
  const { stale, seconds } = view.editing, took = seconds >= 1 ? `about ${Math.round(seconds)} s` : "about a second";
  cost.textContent = stale.length ? `${stale.length} later turn${stale.length > 1 ? "s run" : " runs"} again, ${took}; the old ones stay on their branch` : `It runs again, ${took}; the old one stays on its branch`;
});
