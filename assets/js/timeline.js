// The film: turns as a tree of thumbnails with lines between them, and the facts of the turn that is shown.
const p = window.palimpsest, { h, urls } = p;
const root = element.querySelector(".p-root");
const LEFT = 14, TOP = 12, PITCH = 138, WIDE = 104, HIGH = 66, SMALL_WIDE = 78, SMALL_HIGH = 44, LANES = 100, LANE = 52;
const lines = h("svg", { "aria-hidden": "true" }), nodes = h("div", { class: "p-nodes" });
const strip = h("div", { class: "p-strip", role: "tree", "aria-label": "Timeline of turns", "aria-orientation": "horizontal" }, lines, nodes);
const empty = h("div", { class: "p-film-empty p-hint", text: "Every turn you keep is laid down here. Click one to go back to it; run from there to branch." });
const facts = h("section", { class: "p-facts", "aria-label": "The turn that is shown" });
strip.hidden = facts.hidden = empty.hidden = true;
root.append(h("div", { class: "p-film" }, h("div", { class: "p-strip-box" }, strip, empty), facts));

/** Where a turn stands: column = depth, row = lane; side branches are drawn smaller, below. */
function place(t) {
  if (t.lane === 0) return { x: LEFT + t.number * PITCH, y: TOP, width: WIDE, height: HIGH };
  return { x: LEFT + t.number * PITCH + (WIDE - SMALL_WIDE) / 2, y: LANES + (t.lane - 1) * LANE, width: SMALL_WIDE, height: SMALL_HIGH };
}

function line(parent, child) {
  const a = place(parent), b = place(child);
  if (parent.lane === child.lane) return `M${a.x + a.width} ${a.y + a.height / 2}H${b.x}`;
  const x = a.x + a.width - 18, y = parent.lane === 0 ? a.y + a.height + 20 : a.y + a.height, end = b.y + b.height / 2;
  return `M${x} ${y}C${x} ${end} ${x + 8} ${end} ${b.x} ${end}`;
}

const colours = { subject: ["p-subject"], background: ["p-background"], both: ["p-subject", "p-background"] };
const words = { subject: "subject changed", background: "background changed", both: "subject and background changed" };

function node(t, view) {
  const at = place(t), here = t.id === view.current;
  const caption = t.number === 0 ? "original" : `${t.number} · ${t.label}`;
  const pips = h("span", { class: "p-pips", "aria-hidden": "true" }, ...(colours[t.scope] || []).map((c) => h("i", { class: c })));
  const image = h("img", { src: urls.picture(t.picture, 208), alt: "", loading: "lazy", draggable: "false" });
  return h("button", {
    type: "button", role: "treeitem", class: `p-node${here ? " p-here" : ""}${t.lane ? " p-small" : ""}`, "data-turn": t.id, title: caption,
    style: `left:${at.x}px;top:${at.y}px`, tabindex: here ? "0" : "-1", "aria-selected": String(here), "aria-current": here ? "true" : null, "aria-level": t.number + 1,
    "aria-label": t.scope ? `${caption}, ${words[t.scope]}` : caption,
  }, h("span", { class: "p-thumb" }, image, pips), t.lane === 0 ? h("span", { class: "p-cap", text: caption }) : null);
}

let drawn = "";
function drawStrip(view) {
  const wanted = `${view.sid} ${view.current} ${view.turns.map((t) => `${t.id}${t.lane}`).join(" ")}`;
  if (wanted === drawn) return;
  drawn = wanted;
  const had = strip.contains(document.activeElement);
  const byId = new Map(view.turns.map((t) => [t.id, t]));
  const places = view.turns.map(place);
  const width = Math.max(...places.map((q) => q.x + q.width)) + 24, height = Math.max(...places.map((q) => q.y + q.height)) + 8;
  lines.setAttribute("width", width);
  lines.setAttribute("height", height);
  lines.replaceChildren(...view.turns.filter((t) => t.parent && byId.has(t.parent)).map((t) => h("path", { d: line(byId.get(t.parent), t) })));
  nodes.style.width = `${width}px`;
  nodes.style.height = `${height}px`;
  nodes.replaceChildren(...view.turns.map((t) => node(t, view)));
  const here = nodes.querySelector(".p-here");
  if (here) {
    const x = here.offsetLeft, y = here.offsetTop;
    if (x < strip.scrollLeft || x + here.offsetWidth > strip.scrollLeft + strip.clientWidth) strip.scrollLeft = x - strip.clientWidth / 2;
    if (y + here.offsetHeight > strip.scrollTop + strip.clientHeight || y < strip.scrollTop) strip.scrollTop = y - 12;
    if (had) here.focus({ preventScroll: true });
  }
}

strip.addEventListener("click", (event) => {
  const hit = event.target.closest(".p-node");
  if (hit && !p.live(p.state.view) && hit.dataset.turn !== p.state.view.current) trigger("jump", { turn: hit.dataset.turn });
});

strip.addEventListener("keydown", (event) => {
  const view = p.state.view, id = document.activeElement.dataset && document.activeElement.dataset.turn;
  const now = view && id ? p.turn(view, id) : null;
  if (!now) return;
  const lane = (t) => t.lane, column = view.turns.filter((t) => t.number === now.number).sort((a, b) => lane(a) - lane(b));
  const children = view.turns.filter((t) => t.parent === now.id).sort((a, b) => lane(a) - lane(b));
  const next = {
    ArrowLeft: () => p.turn(view, now.parent), ArrowRight: () => children[0], ArrowUp: () => column[column.indexOf(now) - 1], ArrowDown: () => column[column.indexOf(now) + 1],
    Home: () => view.turns.find((t) => t.number === 0), End: () => view.turns.filter((t) => t.lane === 0).sort((a, b) => b.number - a.number)[0],
  }[event.key];
  if (!next) return;
  event.preventDefault();
  const to = next();
  if (!to) return;
  for (const n of nodes.children) n.tabIndex = n.dataset.turn === to.id ? 0 : -1;
  nodes.querySelector(`[data-turn="${to.id}"]`).focus();
});

function drawFacts(view, about) {
  const now = p.current(view), method = about.methods[now.method], kept = p.keptPart(now.scope);
  const row = (name, value, kind = "") => [h("dt", { text: name }), h("dd", { class: kind, text: value })];
  if (now.number === 0) {
    facts.replaceChildren(h("div", { class: "p-facts-head" }, h("b", { text: "Original" }), h("span", { class: "p-hint", text: `${view.width} × ${view.height} pixels` })),
      ...view.notes.map((note) => h("p", { class: "p-hint", text: note })));
    return;
  }
  facts.replaceChildren(
    h("div", { class: "p-facts-head" }, h("b", { text: `Turn ${now.number}` }), h("span", { class: "p-hint", text: `${method ? method.title : now.method}, ${now.quality}` })),
    h("dl", {}, ...(now.subject && now.scope !== "background" ? row("Subject", now.subject, "p-subject") : []),
      ...(now.background && now.scope !== "subject" ? row("Background", now.background, "p-background") : []),
      ...row("Seed", String(now.seed)), ...row("Took", now.seconds < 10 ? `${now.seconds.toFixed(1)} s` : `${Math.round(now.seconds)} s`), ...(kept ? row("Kept", `${kept}, ${p.changedText(now.outside_changed, now.outside_largest)}`) : [])));
}

p.on(({ view, about }) => {
  empty.hidden = Boolean(view);
  strip.hidden = facts.hidden = !view;
  if (!view) return;
  drawStrip(view);
  drawFacts(view, about);
  strip.dataset.locked = p.live(view) ? "yes" : "no";
  root.dataset.rev = view.rev;
});
