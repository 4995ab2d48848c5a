// How elements are made. Everything a person or a file named goes into the document as text, never as markup.

/** @typedef {string | number | boolean | null | undefined | ((event: any) => void)} Attribute */
/** @typedef {Node | string | null | undefined} Child */

const SVG = ["svg", "path", "rect", "circle", "polyline", "g", "text"];
const ICONS = {
  undo: "M5 3 2 6l3 3M2 6h6.5a3.5 3.5 0 0 1 0 7H6", redo: "M11 3l3 3-3 3M14 6H7.5a3.5 3.5 0 0 0 0 7H10", handle: "M6 4 2 8l4 4M10 4l4 4-4 4",
  swap: "M2 5h11M10 2l3 3-3 3M14 11H3M6 8l-3 3 3 3", more: "M3 8h.01M8 8h.01M13 8h.01", trash: "M2 4h12M6 4V2h4v2M4 4l1 10h6l1-10", orders: "M2 2h12M2 8h8M2 14h4M2 2v12M8 2v6",
  light: "M8 5a3 3 0 1 0 0 6 3 3 0 1 0 0-6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1", dark: "M13.5 9.8A5.8 5.8 0 1 1 6.2 2.5a4.6 4.6 0 0 0 7.3 7.3z",
  eye: "M1.5 8C3 5.2 5.2 3.8 8 3.8S13 5.2 14.5 8C13 10.8 10.8 12.2 8 12.2S3 10.8 1.5 8zM8 6.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 1 0 0-3.6",
  down: "M4 6.5 8 10.5l4-4", unjudged: "M5 8h6", same: "M3 6h10M3 10h10", little: "M2 6.5c2-2.5 4-2.5 6 0s4 2.5 6 0M2 11c2-2.5 4-2.5 6 0s4 2.5 6 0", matters: "M3 6h10M3 10h10M11 2 5 14",
};

/**
 * @typedef {{
 *   <Tag extends keyof HTMLElementTagNameMap>(tag: Tag, attributes?: Record<string, Attribute>, ...children: Child[]): HTMLElementTagNameMap[Tag];
 *   <Tag extends "svg" | "path" | "rect" | "circle" | "polyline" | "g" | "text">(tag: Tag, attributes?: Record<string, Attribute>, ...children: Child[]): SVGElementTagNameMap[Tag];
 * }} Make
 */

/** An element with attributes; `on…` are listeners, `text` its text, null and false leave an attribute out. */
export const h = /** @type {Make} */ ((/** @type {string} */ tag, /** @type {Record<string, Attribute>} */ attributes = {}, /** @type {Child[]} */ ...children) => {
  const node = SVG.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = String(value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
});

/**
 * A line drawing of 16 x 16: no font is asked for signs that it may not have.
 * @param {keyof typeof ICONS} name
 */
export function icon(name) {
  return h("svg", { viewBox: "0 0 16 16", width: 16, height: 16, class: "p-icon", "aria-hidden": "true" }, h("path", { d: ICONS[name] }));
}

/** Whether the page is used with fingers, mostly. */
export const coarse = window.matchMedia("(pointer: coarse)").matches;

/**
 * The field that letters go into, if it is one.
 * @param {EventTarget | null} node
 */
export const typing = (node) => node instanceof Element && node.closest("input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");

/** Where an event happened. @param {Event} event */
export const targetOf = (event) => /** @type {HTMLElement} */ (event.target);

/** What has the focus, if it is in `within`. @param {Node} within */
export const focusIn = (within) => {
  const held = document.activeElement;
  return held instanceof HTMLElement && within.contains(held) ? held : null;
};

/** The first element of a selector. @param {string} selector @param {ParentNode} [within] @returns {HTMLElement | null} */
export const find = (selector, within = document) => within.querySelector(selector);

/** What draws on a canvas. @param {HTMLCanvasElement} canvas @param {CanvasRenderingContext2DSettings} [settings] */
export const penOf = (canvas, settings) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", settings));
