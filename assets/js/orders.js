// The table of orders: for every pair of the last turns, whether their order matters; guessed at once, measured on wish.
import { actions } from "./actions.js";
import { find, focusIn, h, icon } from "./dom.js";
import { say } from "./language.js";
import * as popover from "./popover.js";
import { state, theView } from "./store.js";
import * as swap from "./swap.js";
import { currentTurn, isLive, turnOf } from "./turns.js";

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./view.js").TurnView} TurnView */
/** @typedef {import("./store.js").State} State */
/** @typedef {import("./view.js").OrderCell} OrderCell */
/** @typedef {import("./send.js").Send} Send */

const MOST = 6;
let count = MOST;
/** @type {{ node: HTMLElement, body: HTMLElement, send: Send } | null} */
let open = null;

/** @param {number} x */
const guessed = (x) => (x >= 0.75 ? say("likely free") : x >= 0.25 ? say("unsure") : say("may matter"));

/** @param {SessionView} view @param {OrderCell | undefined} found */
function cell(view, found) {
  const a = found && turnOf(view, found.first), b = found && turnOf(view, found.second);
  if (!a || !b) return h("td", { class: "p-guess", title: say("Both change the frame, so their two orders may not lie over each other") }, h("span", { text: say("both reframe") }));
  if (!found.consistency) {
    const said = guessed(found.guess);
    return h("td", { class: "p-guess", title: say("A guess from what the two turns were allowed to change; nothing was run for it") }, h("span", { text: said }));
  }
  const { kind, figure, words } = swap.verdict(found.consistency);
  return h("td", { class: `p-known p-${kind}`, title: say("{a} and {b}: {verdict}", { a: a.number, b: b.number, verdict: words }) }, icon(kind), h("b", { text: figure }), h("span", { class: "p-sr", text: words }));
}

/** @param {HTMLElement} body @param {State} state @param {Send} send */
function fill(body, state, send) {
  const view = theView(), { orders } = state, job = isLive(view) && view.job?.does === "orders" ? view.job : null, here = currentTurn(view);
  const focus = focusIn(body)?.dataset.id;
  const intro = h("p", { class: "p-hint", text: say("What comes out when two turns change places. Light words are guesses; figures were measured (1 is the same picture).") });
  if (!orders || orders.turns.length < 2 || !orders.turns.every((id) => turnOf(view, id))) return body.replaceChildren(intro);
  const turns = orders.turns.map((id) => /** @type {TurnView} */ (turnOf(view, id)));
  /** @param {TurnView} a @param {TurnView} b */
  const of = (a, b) => orders.cells.find((c) => c.first === a.id && c.second === b.id);
  /** @param {TurnView} t */
  const name = (t) => h("th", { scope: "row", title: t.label }, h("b", { text: String(t.number) }), h("span", { text: t.label }));
  const table = h("table", { class: "p-orders" }, h("thead", {}, h("tr", {}, h("td"), ...turns.slice(0, -1).map((t) => h("th", { scope: "col", title: t.label, text: String(t.number) })))),
    h("tbody", {}, ...turns.slice(1).map((row, r) => h("tr", {}, name(row), ...turns.slice(0, -1).map((column, c) => (c <= r ? cell(view, of(column, row)) : h("td", { class: "p-void" })))))));
  const missing = orders.cells.filter((c) => !c.consistency).length;
  const sizes = h("select", { "data-id": "count", "aria-label": say("How many of the last turns"), onchange: () => { count = Number(sizes.value); send.orders({ count }); } },
    ...Array.from({ length: Math.min(MOST, here.number) - 1 }, (_, k) => h("option", { value: k + 2, selected: k + 2 === turns.length, text: say("last {count} turns", { count: k + 2 }) })));
  const measure = job
    ? [h("span", { class: "p-hint", role: "status", text: say("Measuring {stage}", { stage: job.stage || "…" }) }), h("button", { type: "button", class: "p-btn", "data-id": "cancel", text: say("Cancel"), onclick: () => actions.cancel() })]
    : [h("button", { type: "button", class: "p-btn p-go", "data-id": "measure", disabled: !missing || isLive(view), text: missing ? say("Measure all ({count})", { count: missing }) : say("All measured"), onclick: () => send.measure({ count: turns.length }) })];
  body.replaceChildren(intro, table, h("div", { class: "p-pop-foot" }, sizes, h("span", { class: "p-space" }), ...measure));
  if (focus) find(`[data-id="${focus}"]`, body)?.focus();
}

/** @param {HTMLElement} host @param {DOMRect} at @param {Send} send */
export function show(host, at, send) {
  send.orders({ count });
  const opened = popover.panel(host, at, say("Does the order matter?"), (/** @type {HTMLElement} */ body) => fill(body, state, send));
  open = { ...opened, send };
}

/** Draws an open table anew. @param {State} state */
export function draw(state) {
  if (!open) return;
  if (!open.node.isConnected || !state.view) open = null;
  else fill(open.body, state, open.send);
}
