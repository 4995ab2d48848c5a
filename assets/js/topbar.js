// The bar on top, the keyboard's shortcuts, and the sheet that lists them.
const p = window.palimpsest, { h, actions, urls } = p;
const root = element.querySelector(".p-root");
const mac = /Mac|iPhone|iPad/.test(navigator.platform);
const MOD = mac ? "⌘" : "Ctrl";
const SHORTCUTS = [
  ["On the picture", [["Click", "include in the subject"], ["Right click", "exclude (also Alt click)"], ["Drag", "box around the subject"],
    ["C  N  R", "tools: include, exclude, box"], ["B  E", "tools: brush, erase"], ["[  ]", "smaller, larger brush"], ["X", "clear the marks"],
    ["Arrows", "move a crosshair"], ["Enter", "include there"], ["Shift Enter", "exclude there"]]],
  ["Looking", [["1  2", "picture, before / after"], ["3  4", "difference, layers"], ["Hold \\", "the picture before"]]],
  ["The turn", [[`${MOD} Enter`, "run, or keep the candidate"], [`${MOD} .`, "cancel the run"], [`${MOD} Z`, "undo a mark or a turn"], [`${MOD} Shift Z`, "redo"]]],
  ["On the timeline", [["Arrows", "walk along the turns"], ["Enter", "stand on the turn"]]],
];

const name = h("span", { class: "p-session" });
const saved = h("span", { class: "p-saved" });
const model = h("span", { class: "p-hint p-model" });
const tool = (sign, label, fire, hint) => h("button", { type: "button", class: "p-btn p-ico", "aria-label": label, title: hint ? `${label} (${hint})` : label, onclick: fire }, sign);
const undo = tool(p.icon("undo"), "Undo", () => trigger("undo", {}), `${MOD} Z`);
undo.append(h("kbd", { text: `${MOD} Z` }));
const redo = tool(p.icon("redo"), "Redo", () => trigger("redo", {}), `${MOD} Shift Z`);
const open = h("button", { type: "button", class: "p-btn", text: "New", title: "Open another picture", onclick: () => p.set({ starting: true }) });
const download = h("a", { class: "p-btn", text: "Download", download: "", title: "The picture that is shown, as PNG" });
const help = tool(h("span", { "aria-hidden": "true", text: "?" }), "Shortcuts", () => sheet.showModal());
const sheet = h("dialog", { class: "p-sheet", "aria-labelledby": "p-sheet-title", onclick: (e) => { if (e.target === sheet) sheet.close(); } },
  h("div", { class: "p-sheet-head" }, h("h2", { id: "p-sheet-title", text: "Shortcuts" }), h("button", { type: "button", class: "p-x", "aria-label": "Close", text: "×", onclick: () => sheet.close() })),
  h("div", { class: "p-sheet-body", tabindex: "-1", autofocus: true }, ...SHORTCUTS.map(([title, rows]) => h("section", {}, h("h3", { text: title }),
    h("dl", {}, ...rows.flatMap(([keys, what]) => [h("dt", {}, ...keys.split("  ").map((key) => h("kbd", { text: key }))), h("dd", { text: what })]))))));
root.append(h("header", { class: "p-top" },
  h("h1", { class: "p-brand" }, h("i", { "aria-hidden": "true" }), "Palimpsest"), name, saved, h("span", { class: "p-space" }), model, undo, redo, open, download, help), sheet);

function ago(seconds) {
  if (seconds < 3) return "saved just now";
  if (seconds < 60) return `saved ${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `saved ${Math.floor(seconds / 60)} min ago`;
  return seconds < 86400 ? `saved ${Math.floor(seconds / 3600)} h ago` : `saved ${Math.floor(seconds / 86400)} d ago`;
}

function tellSaved() {
  saved.textContent = p.state.view ? ago(Math.max(0, Date.now() / 1000 - p.state.view.saved_at)) : "";
}
setInterval(tellSaved, 1000);

p.on(({ view, engine, picked }) => {
  name.textContent = view ? view.name : "";
  model.textContent = view && engine ? engine : "";
  undo.disabled = !view || !view.can_undo || p.live(view);
  redo.disabled = !view || !view.can_redo || p.live(view);
  open.hidden = download.hidden = undo.hidden = redo.hidden = !view;
  if (view) {
    const staged = view.staged[picked], now = p.current(view);
    const file = `${view.name} - ${staged ? `seed ${staged.seed}` : now.number ? `turn ${now.number}` : "original"}.png`;
    download.href = urls.download(staged ? staged.picture : now.picture, file);
  }
  tellSaved();
});

// -------------------------------------------------------------------------------------------------------- shortcuts

const typing = (node) => node.closest && node.closest("input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");
const plainKeys = {
  b: () => actions.tool("brush"), e: () => actions.tool("erase"), c: () => actions.tool("include"), n: () => actions.tool("exclude"), r: () => actions.tool("box"),
  x: () => actions.clear(), "[": () => actions.size(-2), "]": () => actions.size(2), "\\": () => actions.peek(true), "?": () => sheet.showModal(),
  1: () => actions.tab(0), 2: () => actions.tab(1), 3: () => actions.tab(2), 4: () => actions.tab(3),
};
document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented || sheet.open) return;
  const mod = mac ? event.metaKey : event.ctrlKey;
  if (mod && event.key === "Enter") {
    event.preventDefault();
    if (p.state.view && p.state.view.staged.length && !typing(event.target)) actions.keep();
    else actions.run();
  } else if (mod && event.key === ".") {
    event.preventDefault();
    actions.cancel();
  } else if (typing(event.target)) {
    return; // letters and undo belong to the text
  } else if (mod && event.key.toLowerCase() === "z") {
    event.preventDefault();
    const wanted = event.shiftKey ? redo : undo;
    if (!wanted.disabled && !wanted.hidden) wanted.click();
  } else if (!mod && !event.altKey && plainKeys[event.key.toLowerCase()]) {
    if (p.state.view || event.key === "?") plainKeys[event.key.toLowerCase()]();
  }
});
document.addEventListener("keyup", (event) => { if (event.key === "\\") actions.peek(false); });
window.addEventListener("blur", () => actions.peek && actions.peek(false));
