// The film: turns as a tree of thumbnails with lines between them, what can be done with each, and the facts of the turn
// that is shown. Of a long timeline only what is near the visible part is in the document.
import { actions } from "./actions.js";
import { find, focusIn, h, icon, targetOf } from "./dom.js";
import * as driftPlot from "./drift.js";
import { drawFacts, facts } from "./facts.js";
import * as film from "./film.js";
import { keyOf, keysOf, pressed } from "./keys.js";
import { say } from "./language.js";
import * as ordersTable from "./orders.js";
import { against } from "./looking.js";
import { Panel } from "./panel.js";
import * as popover from "./popover.js";
import { roving } from "./roving.js";
import { EVENTS } from "./send.js";
import { state, theView } from "./store.js";
import * as swap from "./swap.js";
import { toast } from "./toasts.js";
import * as trashPanel from "./trash.js";
import * as turnMenu from "./turn_menu.js";
import { currentTurn, isLive, turnOf } from "./turns.js";
import { urls } from "./urls.js";

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./view.js").TurnView} TurnView */
/** @typedef {import("./film.js").Spot} Spot */

export const panel = new Panel();
const { root } = panel;
/** @typedef {{ here: boolean, stop: boolean, state: "changing" | "stale" | null }} Mark what is said of a turn */

/** @type {import("./send.js").FilmEvent[]} */
const GOES = ["jump", "edit", "leave", "branch", "trash", "restore", "rename_branch"]; // whoever does these asks for another branch
const send = /** @type {import("./send.js").Send} */ (Object.fromEntries(EVENTS.map((name) => [name, (data = {}) => {
  if (GOES.includes(name)) asked.branch = theView().rev;
  panel.trigger(name, data);
}])));
/** @type {{ branch: number | null, orders: string }} */
const asked = { branch: null, orders: "" }; // the revision at which another branch was asked for; the table that was
const NEAR = 400; // pixels around the visible part that are drawn as well

const lines = h("path", { class: "p-line" }), stale = h("path", { class: "p-line p-dashed" });
const svg = h("svg", { "aria-hidden": "true" }, lines, stale);
const nodes = h("div", { class: "p-nodes", role: "tree", "aria-label": say("Timeline of turns"), "aria-orientation": "horizontal" });
const between = h("div", { role: "group", "aria-label": say("Does the order of neighbours matter?") });
const names = h("div", { role: "group", "aria-label": say("Names of the branches") });
const strip = h("div", { class: "p-strip" }, svg, nodes, between, names);
const empty = h("div", { class: "p-film-empty p-hint", text: say("Every turn you keep is laid down here. Click one to go back to it; run from there to branch.") });
const orders = h("button", { type: "button", class: "p-tool", "aria-haspopup": "dialog", onclick: () => ordersTable.show(root, orders.getBoundingClientRect(), send) }, icon("orders"), h("span", { text: say("Orders") }));
const trashed = h("span", { text: say("Trash") });
const trash = h("button", { type: "button", class: "p-tool", "aria-haspopup": "dialog", onclick: () => trashPanel.show(root, trash.getBoundingClientRect(), send) }, icon("trash"), trashed);
const rail = h("div", { class: "p-rail", role: "toolbar", "aria-label": say("Timeline"), "aria-orientation": "vertical" }, orders, trash);
const drift = h("section", { class: "p-drift", "aria-label": say("Drift from the original") });
const settleRail = roving(rail, "button");
rail.hidden = strip.hidden = drift.hidden = facts.hidden = empty.hidden = true;
root.append(h("div", { class: "p-film" }, rail, h("div", { class: "p-strip-box" }, strip, empty), drift, facts));

// --------------------------------------------------------------------------------------------------------- one turn

/** @type {Record<string, string[]>} */
const colours = { subject: ["p-subject"], background: ["p-background"], both: ["p-subject", "p-background"] };
/** @type {Record<string, string>} */
const words = { subject: say("subject changed"), background: say("background changed"), both: say("subject and background changed") };

/** @param {TurnView} t @param {Mark} mark */
function spot(t, mark) {
  const caption = t.number === 0 ? say("original") : `${t.number} · ${t.label}`;
  const pips = h("span", { class: "p-pips", "aria-hidden": "true" }, ...((t.scope && colours[t.scope]) || []).map((c) => h("i", { class: c })));
  const image = h("img", { src: urls.picture(t.picture, 208), alt: "", loading: "lazy", draggable: "false" });
  const node = h("button", {
    type: "button", role: "treeitem", class: `p-node${mark.here ? " p-here" : ""}${t.lane ? " p-small" : ""}`, "data-turn": t.id, title: caption, draggable: "true",
    tabindex: mark.stop ? "0" : "-1", "aria-selected": String(mark.here), "aria-current": mark.here ? "true" : null, "aria-level": t.number + 1, "aria-haspopup": "menu",
    "aria-label": [caption, t.scope && words[t.scope], mark.state === "stale" ? say("stale") : mark.state === "changing" ? say("being changed") : null].filter(Boolean).join(", "),
  }, h("span", { class: "p-thumb" }, image, pips, mark.state ? h("span", { class: "p-state", "aria-hidden": "true", text: mark.state === "stale" ? say("stale") : say("changing") }) : null), t.lane === 0 ? h("span", { class: "p-cap", text: caption }) : null);
  // The keyboard opens the same menu from the turn itself, so this one is for the pointer alone.
  const more = h("button", { type: "button", class: "p-turn-menu", tabindex: "-1", "aria-hidden": "true", "data-menu": t.id, title: say("What can be done with this turn ({key})", { key: keyOf("menu") }) }, icon("more"));
  const q = film.spot(theView(), t.id);
  return h("div", { class: "p-spot", role: "presentation", "data-state": mark.state, style: `left:${q.x}px;top:${q.y}px;width:${q.width}px` }, node, more);
}

// ------------------------------------------------------------------------------------------------- the visible part

/** @type {Map<string, { key: string, node: HTMLElement }>} */
const drawn = new Map(); // id -> {key, node} of the turns in the document
/** @type {string | null} */
let stop = null; // the turn that Tab goes to

/** @param {Spot} q */
function inSight(q) {
  const left = strip.scrollLeft - NEAR, top = strip.scrollTop - NEAR;
  return q.x + q.width >= left && q.x <= left + strip.clientWidth + 2 * NEAR && q.y + q.height >= top && q.y <= top + strip.clientHeight + 2 * NEAR;
}

function drawNear() {
  const view = state.view;
  if (!view || strip.hidden) return;
  const { byId, lane } = film.index(view), editing = view.editing;
  const isStale = new Set(editing ? [editing.turn, ...editing.stale] : []);
  /** @type {{ plain: string[], stale: string[] }} */
  const parts = { plain: [], stale: [] };
  const wanted = new Set();
  for (const t of view.turns) {
    const q = film.spot(view, t.id), parent = byId.get(t.parent), from = parent && film.spot(view, parent.id);
    if (parent && from) {
      const reach = { x: from.x, y: Math.min(from.y, q.y), width: q.x + q.width - from.x, height: Math.abs(q.y - from.y) + q.height };
      if (inSight(reach)) parts[isStale.has(t.id) ? "stale" : "plain"].push(film.line(from, q, parent.lane === t.lane));
    }
    if (!inSight(q)) continue;
    wanted.add(t.id);
    const state = !editing ? null : editing.turn === t.id ? "changing" : isStale.has(t.id) ? "stale" : null;
    /** @type {Mark} */
    const mark = { here: t.id === view.current, stop: t.id === stop, state };
    const key = `${view.sid} ${q.x} ${q.y} ${t.lane} ${mark.here} ${state} ${keyOf("menu")}`, old = drawn.get(t.id);
    if (old && old.key === key) turnIn(old.node).tabIndex = mark.stop ? 0 : -1;
    else {
      const node = spot(t, mark);
      if (old) old.node.replaceWith(node);
      else nodes.append(node);
      drawn.set(t.id, { key, node });
    }
  }
  for (const [id, { node }] of drawn) {
    if (wanted.has(id)) continue;
    node.remove();
    drawn.delete(id);
  }
  lines.setAttribute("d", parts.plain.join(""));
  stale.setAttribute("d", parts.stale.join(""));
  drawBetween(view, lane);
  drawNames(view, byId);
}

/** Between two neighbours of the branch one stands on: does their order matter? */
/** @type {Map<string, import("./view.js").Consistency>} */
const known = new Map(); // "first second" -> consistency, as far as this page has heard
/** @param {SessionView} view @param {import("./view.js").OrdersView | null} orders */
function learn(view, orders) {
  if (view.swap) known.set(`${view.swap.first} ${view.swap.second}`, view.swap.consistency);
  for (const c of orders ? orders.cells : []) if (c.consistency) known.set(`${c.first} ${c.second}`, c.consistency);
}

/** @param {SessionView} view @param {TurnView[]} lane */
function drawBetween(view, lane) {
  const had = focusIn(between)?.dataset.pair;
  between.replaceChildren(...lane.slice(1, -1).flatMap((a, /** @type {number} */ k) => {
    const b = lane[k + 2], q = film.spot(view, a.id), pair = `${a.id} ${b.id}`, found = known.get(pair);
    if (!inSight(q)) return [];
    const said = found ? swap.verdict(found) : null;
    return [h("button", {
      type: "button", class: `p-order${said ? ` p-${said.kind}` : ""}`, "data-pair": pair, disabled: isLive(view), style: `left:${q.x + q.width}px;top:${q.y}px;height:${q.height}px`,
      tabindex: [a.id, b.id].includes(view.current) ? "0" : "-1", title: said ? say("Turns {a} and {b}: {verdict}. Show both orders", { a: a.number, b: b.number, verdict: said.words }) : say("Does the order matter?"),
      "aria-label": say("Does the order of turns {a} and {b} matter?", { a: a.number, b: b.number }) + (said ? ` ${said.words}, ${said.figure}` : ""), onclick: () => send.swap({ first: a.id, second: b.id }),
    }, h("span", {}, icon(said ? said.kind : "swap"), said ? h("small", { text: said.figure }) : null))];
  }));
  if (had) find(`[data-pair="${had}"]`, between)?.focus({ preventScroll: true });
}

/** @type {string | null} */
let renaming = null; // the name of the branch that is being typed anew
/** The name of each branch at its end: after the last turn of its lane, or on the turn where another one goes on. @param {SessionView} view @param {film.Index["byId"]} byId */
function drawNames(view, byId) {
  if (view.branches.length < 2 && renaming === null) return names.replaceChildren();
  if (names.querySelector("input")) return;
  const { children } = film.index(view);
  names.replaceChildren(...view.branches.filter(([, id]) => byId.has(id) && inSight(film.spot(view, id))).map(([name, id]) => {
    const t = byId.get(id), q = film.spot(view, id), ends = !(children.get(id) || []).some((c) => c.lane === t?.lane);
    const mine = view.branches.filter(([, other]) => other === id).findIndex(([other]) => other === name);
    const at = ends ? `left:${q.x + q.width + 8}px;top:${q.y + q.height / 2 - 10 + 22 * mine}px` : `left:${q.x + 4}px;top:${q.y + q.height - 22}px;max-width:${q.width - 8}px`;
    const node = h("button", { type: "button", class: `p-branch${name === view.branch ? " p-on" : ""}${ends ? "" : " p-flag"}`, "data-branch": name, tabindex: name === view.branch ? "0" : "-1", style: at,
      title: say("{name} · double click or F2 to rename", { name }), "aria-label": say(name === view.branch ? "Branch {name}, the one you stand on. F2 renames it" : "Branch {name}. F2 renames it", { name }), text: name });
    return name === renaming ? field(name, at) : node;
  }));
  const input = names.querySelector("input");
  if (input) { input.focus(); input.select(); }
}

/** @param {string} name @param {string} at */
function field(name, at) {
  const input = h("input", { class: "p-branch-name", value: name, maxlength: 60, "aria-label": say("New name of the branch {name}", { name }), style: at, onblur: () => done(true),
    onkeydown: (event) => { event.stopPropagation(); if (event.key === "Enter") done(true); if (event.key === "Escape") done(false); } });
  let over = false;
  /** @param {boolean} keep */
  function done(keep) {
    if (over) return;
    over = true;
    const typed = input.value.trim(), had = document.activeElement === input;
    renaming = null;
    input.remove();
    drawNear();
    const back = find(`[data-branch="${CSS.escape(name)}"]`, names) || find(".p-here", nodes);
    if (had && back) back.focus({ preventScroll: true });
    if (keep && typed && typed !== name) send.rename_branch({ old: name, new: typed });
  }
  return input;
}

/** @param {string | undefined} name */
function rename(name) {
  if (name === undefined) return;
  renaming = name;
  const { byId } = film.index(theView()), tip = theView().branches.find(([other]) => other === name);
  if (tip && byId.has(tip[1])) bringIntoSight(tip[1]);
  drawNear();
}

names.addEventListener("dblclick", (event) => { rename(targetOf(event).dataset.branch); });
names.addEventListener("click", (event) => {
  const name = targetOf(event).dataset.branch, view = theView(), tip = view.branches.find(([other]) => other === name);
  if (event.detail < 2 && tip && name !== view.branch && !isLive(view)) send.jump({ turn: tip[1] });
});
names.addEventListener("keydown", (event) => {
  if (event.key === "F2" && targetOf(event).dataset.branch) { event.preventDefault(); rename(targetOf(event).dataset.branch); }
});

let waiting = false;
function drawSoon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; drawNear(); });
}
strip.addEventListener("scroll", drawSoon, { passive: true });
new ResizeObserver(drawSoon).observe(strip);

/** @param {string} id */
function bringIntoSight(id) {
  const q = film.spot(theView(), id);
  if (!q) return;
  if (q.x < strip.scrollLeft || q.x + q.width > strip.scrollLeft + strip.clientWidth) strip.scrollLeft = q.x - strip.clientWidth / 2;
  if (q.y < strip.scrollTop || q.y + q.height > strip.scrollTop + strip.clientHeight) strip.scrollTop = q.y - 12;
}

let was = { sid: "", current: "" };
/** @param {SessionView} view */
function drawStrip(view) {
  const had = focusIn(nodes)?.dataset.turn;
  const { width, height } = film.index(view);
  svg.setAttribute("width", String(width));
  svg.setAttribute("height", String(height));
  Object.assign(nodes.style, { width: `${width}px`, height: `${height}px` });
  const moved = view.sid !== was.sid || view.current !== was.current;
  if (moved) bringIntoSight((stop = view.current));
  was = view;
  drawNear();
  if (had && (moved || !nodes.contains(document.activeElement))) focusOn(moved ? view.current : had);
}

/** @param {string} id */
function focusOn(id) {
  stop = id;
  bringIntoSight(id);
  drawNear();
  const node = drawn.get(id);
  if (node) turnIn(node.node).focus({ preventScroll: true });
}

// ---------------------------------------------------------------------------------------- pointing, keys, the menu

/** @param {Event} event @param {string} selector @returns {HTMLElement | null} */
const above = (event, selector) => targetOf(event).closest(selector);
/** The turn itself, of what stands where it does. @param {HTMLElement} node */
const turnIn = (node) => /** @type {HTMLElement} */ (node.firstChild);

/** @param {string | undefined} id @param {DOMRect} at */
function openMenu(id, at) {
  const view = theView(), t = film.index(view).byId.get(id ?? null);
  if (t) popover.menu(root, at, t.number ? `${t.number} · ${t.label}` : say("The original"), turnMenu.items(view, t, send, Boolean(against(view))));
}

nodes.addEventListener("click", (event) => {
  const more = above(event, ".p-turn-menu"), hit = above(event, ".p-node");
  if (more) openMenu(more.dataset.menu, more.getBoundingClientRect());
  else if (hit && !isLive(state.view) && (hit.dataset.turn !== theView().current || theView().swap)) send.jump({ turn: hit.dataset.turn });
});
nodes.addEventListener("contextmenu", (event) => {
  const hit = above(event, ".p-spot");
  if (!hit) return;
  event.preventDefault();
  const keyed = event.button !== 2; // from the keyboard there is no place of the pointer
  const at = keyed ? turnIn(hit).getBoundingClientRect() : new DOMRect(event.clientX, event.clientY, 0, 0);
  const open = () => openMenu(turnIn(hit).dataset.turn, at);
  // While the button is still down: some browsers take its release for a click elsewhere, and close what opened before.
  // The next release may be of another button, where this one's was lost outside of the window.
  if (event.buttons & 2) window.addEventListener("pointerup", (up) => { if (up.button === event.button) setTimeout(open); }, { once: true });
  else open();
});

nodes.addEventListener("keydown", (event) => {
  const view = state.view, focused = focusIn(nodes), id = focused?.dataset.turn;
  if (!view || !focused || !id) return;
  const { byId, children, lane } = film.index(view), now = byId.get(id);
  if (!now || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey) || keysOf("menu").includes(pressed(event))) {
    event.preventDefault();
    openMenu(now.id, focused.getBoundingClientRect());
    return;
  }
  if (event.key === "F2") {
    event.preventDefault();
    const ends = view.branches.find(([, tip]) => tip === id);
    rename(ends ? ends[0] : view.branch);
    return;
  }
  const column = () => view.turns.filter((t) => t.number === now.number).sort((a, b) => film.spot(view, a.id).y - film.spot(view, b.id).y);
  const next = {
    ArrowLeft: () => byId.get(now.parent), ArrowRight: () => (children.get(now.id) || [])[0], ArrowUp: () => column()[column().indexOf(now) - 1], ArrowDown: () => column()[column().indexOf(now) + 1],
    Home: () => lane[0], End: () => lane[lane.length - 1],
  }[event.key];
  if (!next) return;
  event.preventDefault();
  const to = next();
  if (to) focusOn(to.id);
});

// A turn that is dragged onto another one is done there as well; out of the page it is its picture.
const TYPE = "application/x-palimpsest-turn";
/** @type {string | null} */
let dragged = null;
/** @type {HTMLElement | null} */
let target = null;
/** @param {HTMLElement | null} node */
function aim(node) {
  if (target === node) return;
  if (target) target.classList.remove("p-aim");
  target = node;
  if (target) target.classList.add("p-aim");
}
nodes.addEventListener("dragstart", (event) => {
  const hit = above(event, ".p-node");
  if (!hit || !event.dataTransfer || isLive(state.view)) return event.preventDefault();
  dragged = hit.dataset.turn || "";
  event.dataTransfer.setData(TYPE, dragged);
  const view = theView(), t = turnOf(view, dragged), file = `${view.name} - turn ${t?.number}.png`.replaceAll(":", "-"); // which parts what follows
  const address = new URL(urls.download(t?.picture, file), window.location.href).href;
  event.dataTransfer.setData("DownloadURL", `image/png:${file}:${address}`); // let go outside of the browser, it is a file
  event.dataTransfer.setData("text/uri-list", address);
  event.dataTransfer.effectAllowed = "copy";
  root.dataset.dragging = "yes";
});
nodes.addEventListener("dragover", (event) => {
  const hit = above(event, ".p-spot"), onto = hit && turnIn(hit).dataset.turn, t = dragged && turnOf(theView(), dragged);
  const may = t && t.number && onto && onto !== dragged && onto !== t.parent;
  aim(may ? hit : null);
  if (!may) return;
  event.preventDefault();
  if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
});
nodes.addEventListener("drop", (event) => {
  if (!target || !dragged) return;
  event.preventDefault();
  send.cherry_pick({ turn: dragged, onto: turnIn(target).dataset.turn });
});
nodes.addEventListener("dragend", () => { aim(null); dragged = null; root.dataset.dragging = "no"; });

// ----------------------------------------------------------------------------------------------------- all together

/** Asks for what no answer brings by itself: the panel's fields after a replay, and what is known of the orders. */
/** @type {import("./view.js").JobView | null} */
let running = null;
/** @param {SessionView} view */
function follow(view) {
  const job = isLive(view) ? view.job : null;
  if (running && !job && running.does === "replay") send.arrived();
  const ended = running && !job && ["swap", "orders"].includes(running.does);
  const state = `${view.sid} ${job && job.does === "orders" ? job.stage : ""}`;
  if (currentTurn(view).number > 1 && (ended || (state !== asked.orders && (!job || job.does === "orders")))) send.orders({ count: Math.min(6, currentTurn(view).number) });
  asked.orders = state;
  running = job;
}

/** Says so when one stands on another branch without having asked for it: what was made was laid down there. */
/** @type {{ sid: string, branch: string, current: string } | null} */
let stood = null;
/** @param {SessionView} view */
function announce(view) {
  const before = stood, went = asked.branch !== null;
  stood = { sid: view.sid, branch: view.branch, current: view.current };
  if (asked.branch !== null && view.rev > asked.branch) asked.branch = null;
  if (!before || before.sid !== view.sid || before.branch === view.branch) return;
  if (went || film.path(view, view.current).some((t) => t.id === before.current)) return; // it goes on from there
  toast(say("This is on a new branch, “{branch}”. “{before}” is as it was.", { branch: view.branch, before: before.branch }), "note", { text: say("Back to “{branch}”", { branch: before.branch }), does: "jump", sent: { turn: before.current } });
}

Object.assign(actions, { leave: () => send.leave(), stageAgain: (/** @type {any} */ sent) => send.bring_back(sent), jump: (/** @type {any} */ sent) => send.jump(sent) });

panel.draws((state) => {
  const { view, about } = state;
  empty.hidden = Boolean(view);
  rail.hidden = strip.hidden = facts.hidden = !view;
  swap.draw(state, send);
  if (!view) { drift.hidden = true; running = null; return; }
  learn(view, state.orders);
  drawStrip(view);
  drawFacts(view, about);
  driftPlot.draw(drift, view, send);
  orders.disabled = currentTurn(view).number < 2;
  orders.title = orders.disabled ? say("Stand on a line of at least two turns to see whether their order matters") : say("Does the order of the last turns matter?");
  const thrown = view.trash.length + view.put_away.length;
  trashed.textContent = thrown ? say("Trash {count}", { count: thrown }) : say("Trash");
  settleRail();
  ordersTable.draw(state);
  trashPanel.draw(state);
  strip.dataset.locked = isLive(view) ? "yes" : "no";
  follow(view);
  announce(view);
  root.dataset.rev = String(view.rev);
});
