// The trash of the timeline: turns that were taken out of sight, candidates that were not kept, and the way back.
import { find, h } from "./dom.js";
import { many, say } from "./language.js";
import * as popover from "./popover.js";
import { theView } from "./store.js";
import { urls } from "./urls.js";

/** @typedef {import("./view.js").TurnView} TurnView */
/** @typedef {import("./store.js").State} State */
/** @typedef {import("./send.js").Send} Send */

/** @type {{ node: HTMLElement, body: HTMLElement, send: Send } | null} */
let open = null;

/** @param {HTMLElement} body @param {Send} send */
function fill(body, send) {
  /** @param {string} picture @param {string} label @param {string} more @param {string} named @param {() => void} bring */
  const row = (picture, label, more, named, bring) => h("li", {},
    h("img", { src: urls.picture(picture, 160), alt: "", loading: "lazy" }),
    h("div", {}, h("span", { class: "p-trash-label", text: label, title: label }), more ? h("small", { class: "p-hint", text: more }) : null),
    h("button", { type: "button", class: "p-btn", text: say("Bring back"), "aria-label": say("Bring back {name}", { name: named }), onclick: bring }));
  /** @param {number} count */
  const after = (count) => (count > 1 ? many(count - 1, "with {count} turn after it", "with {count} turns after it") : "");
  const rows = [
    ...theView().put_away.map((c) => row(c.picture, c.label, say("candidate, seed {seed}", { seed: c.seed }), say("the candidate {label}, seed {seed}", { label: c.label, seed: c.seed }), () => send.bring_back({ pictures: [c.picture] }))),
    ...theView().trash.map((t) => row(t.picture, t.label || say("a turn"), after(t.turns), t.label || say("a turn"), () => send.restore({ turn: t.turn }))),
  ];
  body.replaceChildren(rows.length ? h("ul", { class: "p-trash" }, ...rows) : h("p", { class: "p-hint", text: say("The trash is empty. Nothing is ever deleted: what you move here waits to be brought back.") }));
}

/** @param {HTMLElement} host @param {DOMRect} at @param {Send} send */
export function show(host, at, send) {
  const opened = popover.panel(host, at, say("Trash"), (/** @type {HTMLElement} */ body) => fill(body, send));
  open = { ...opened, send };
}

/** Draws an open trash anew. @param {State} state */
export function draw(state) {
  if (!open) return;
  if (!open.node.isConnected || !state.view) open = null;
  else {
    const had = open.body.contains(document.activeElement);
    fill(open.body, open.send);
    if (had) (find("button", open.body) || open.node).focus();
  }
}
