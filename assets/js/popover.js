// What opens over the page and closes by a click elsewhere or Escape: a menu, or a small panel.
import { focusIn, h } from "./dom.js";
import { say } from "./language.js";

/** An element that opens at `at`, a rectangle of the window: below it, or above where there is more room. @param {HTMLElement} node @param {HTMLElement} host @param {DOMRect} at */
function open(node, host, at) {
  const from = focusIn(document);
  host.append(node);
  node.showPopover();
  const size = node.getBoundingClientRect(), margin = 8;
  const below = window.innerHeight - at.bottom - margin, fits = size.height <= below || below > at.top;
  node.style.left = `${Math.max(margin, Math.min(at.left, window.innerWidth - size.width - margin))}px`;
  node.style.top = `${fits ? at.bottom + 4 : Math.max(margin, at.top - size.height - 4)}px`;
  node.style.maxHeight = `${Math.floor(fits ? below - 4 : at.top - margin - 4)}px`;
  node.addEventListener("toggle", (/** @type {any} */ event) => {
    if (event.newState !== "closed") return;
    const inside = node.contains(document.activeElement) || document.activeElement === document.body;
    node.remove();
    if (inside && from && from.isConnected) from.focus({ preventScroll: true });
  });
  return node;
}

/** @typedef {{ text: string, hint?: string | null, run: () => void, reason?: string | null, danger?: boolean }} Item */

/** A menu of `items`: {text, hint, run, reason, danger}; one with a `reason` cannot be chosen and says why. @param {HTMLElement} host @param {DOMRect} at @param {string} label @param {Item[]} items */
export function menu(host, at, label, items) {
  const rows = items.map((item) => h("button", {
    type: "button", role: "menuitem", tabindex: "-1", class: `p-item${item.danger ? " p-danger" : ""}`, "aria-disabled": item.reason ? "true" : null,
    onclick: () => { if (item.reason) return; node.hidePopover(); item.run(); },
  }, h("span", { text: item.text }), item.reason || item.hint ? h("small", { text: item.reason || item.hint }) : null));
  const node = h("div", { popover: "auto", class: "p-menu", role: "menu", "aria-label": label }, h("div", { class: "p-menu-head", role: "presentation", text: label }), ...rows);
  node.addEventListener("keydown", (event) => {
    const here = rows.findIndex((row) => row === document.activeElement);
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (event.key === "Tab") node.hidePopover();
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    rows[(to + rows.length) % rows.length].focus();
  });
  open(node, host, at);
  rows[0].focus();
}

/** A panel with a heading; `fill` puts what is in it there, and again on each `redraw`. @param {HTMLElement} host @param {DOMRect} at @param {string} label @param {(body: HTMLElement) => void} fill */
export function panel(host, at, label, fill) {
  const body = h("div", { class: "p-pop-body" });
  const close = h("button", { type: "button", class: "p-x", "aria-label": say("Close"), text: "×", onclick: () => node.hidePopover() });
  const node = h("div", { popover: "auto", class: "p-pop", role: "dialog", "aria-label": label, tabindex: "-1" }, h("div", { class: "p-pop-head" }, h("h2", { text: label }), close), body);
  node.addEventListener("keydown", (event) => {
    if (event.key === "Tab") setTimeout(() => { if (node.isConnected && !node.contains(document.activeElement)) node.hidePopover(); }); // it left
  });
  fill(body);
  open(node, host, at);
  node.focus();
  return { node, body };
}
