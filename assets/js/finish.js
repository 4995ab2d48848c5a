// How a picture is finished before it leaves: in which formats, how large, how well, in which colours. One small panel.
import { h } from "./dom.js";
import { many, say } from "./language.js";
import * as popover from "./popover.js";

/** @typedef {"png" | "jpeg" | "webp" | "avif" | "tiff"} Format */

/** @type {[Format, string][]} */
const FORMATS = [["png", "PNG"], ["jpeg", "JPEG"], ["webp", "WebP"], ["avif", "AVIF"], ["tiff", "TIFF"]];
const LOSSY = ["jpeg", "webp", "avif"], DEEP = ["png", "tiff"], SHARES = [100, 50, 25];

/** What was chosen last is chosen again, for as long as the page lasts. A side of 0 is the picture's own. */
const chosen = { formats: new Set(/** @type {Format[]} */ (["jpeg"])), side: 0, quality: 90, colours: "srgb", bits: 8, recipe: false };

/** The query of what was chosen. */
const query = () => new URLSearchParams([
  ...[...chosen.formats].map((one) => ["formats", one]), ["size", chosen.side ? String(chosen.side) : "100%"], ["quality", String(chosen.quality)],
  ["colours", chosen.colours], ["bits", String(chosen.bits)], ["recipe", String(chosen.recipe)],
]).toString();

/**
 * Opens the panel at `at` for a picture of that size; `save` is given the query once it is to be made.
 * @param {HTMLElement} host @param {DOMRect} at @param {string} label @param {{ width: number, height: number }} own @param {(query: string) => void} save
 */
export function open(host, at, label, { width, height }, save) {
  const longest = Math.max(width, height);
  if (chosen.side >= longest) chosen.side = 0;
  /** @param {string} text @param {boolean} on @param {() => void} press */
  const chip = (text, on, press) => h("button", { type: "button", class: "p-chip", "aria-pressed": String(on), text, onclick: press });
  /** @param {string} name @param {boolean} on @param {(on: boolean) => void} put */
  const tick = (name, on, put) => {
    const box = h("input", { type: "checkbox", checked: on, onchange: () => { put(box.checked); tell(); } });
    return h("label", { class: "p-tick" }, box, h("span", { text: name }));
  };
  const formats = FORMATS.map(([id, text]) => chip(text, chosen.formats.has(id), () => {
    if (!chosen.formats.delete(id)) chosen.formats.add(id);
    else if (!chosen.formats.size) chosen.formats.add(id); // one there must be
    tell();
  }));
  const side = h("input", { type: "number", min: 1, max: longest, step: 1, id: "p-finish-side", oninput: () => {
    const typed = Math.round(Number(side.value));
    chosen.side = typed >= 1 && typed < longest ? typed : 0;
    tell(false);
  }, onchange: () => tell() });
  const shares = SHARES.map((share) => chip(`${share} %`, false, () => {
    chosen.side = share === 100 ? 0 : Math.max(1, Math.round(longest * share / 100));
    tell();
  }));
  const size = h("p", { class: "p-hint" }), level = h("output", {});
  const quality = h("input", { type: "range", min: 1, max: 100, value: chosen.quality, id: "p-finish-quality", oninput: () => { chosen.quality = Number(quality.value); tell(); } });
  const colours = h("select", { id: "p-finish-colours", onchange: () => { chosen.colours = colours.value; } },
    ...[["srgb", say("sRGB, for screens")], ["display-p3", say("Display P3, for wide screens")], ["adobe-rgb", say("Adobe RGB, for print")]].map(([id, text]) => h("option", { value: id, text, selected: id === chosen.colours })));
  const well = h("div", { class: "p-finish-row" }, h("label", { for: quality.id, text: say("Quality") }), h("span", { class: "p-finish-many" }, quality, level));
  const deep = tick(say("16 bits a channel (PNG, TIFF)"), chosen.bits === 16, (on) => { chosen.bits = on ? 16 : 8; });
  const told = tick(say("Recipe inside: texts and masks"), chosen.recipe, (on) => { chosen.recipe = on; });
  const go = h("button", { type: "button", class: "p-btn p-go", onclick: () => { node.hidePopover(); save(query()); } });

  /** All that follows from what is chosen. @param {boolean} [field] whether the number is written anew */
  function tell(field = true) {
    const { formats: now, side: to } = chosen, scale = (to || longest) / longest;
    formats.forEach((one, k) => one.setAttribute("aria-pressed", String(now.has(FORMATS[k][0]))));
    shares.forEach((one, k) => one.setAttribute("aria-pressed", String((to || longest) === Math.max(1, Math.round(longest * SHARES[k] / 100)))));
    if (field) side.value = String(to || longest);
    size.textContent = say("{width} x {height} pixels", { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) });
    well.hidden = ![...now].some((one) => LOSSY.includes(one));
    deep.hidden = ![...now].some((one) => DEEP.includes(one));
    told.hidden = now.size === 1 && now.has("tiff");
    level.textContent = quality.value;
    go.textContent = now.size === 1 ? say("Save as {format}", { format: (FORMATS.find(([id]) => now.has(id)) || FORMATS[0])[1] }) : many(now.size, "Save {count} file as ZIP", "Save {count} files as ZIP");
  }
  const { node } = popover.panel(host, at, label, (body) => body.append(h("div", { class: "p-finish" },
    h("div", { class: "p-finish-row", role: "group", "aria-label": say("Formats") }, h("span", { text: say("Formats") }), h("span", { class: "p-finish-many" }, ...formats)),
    h("div", { class: "p-finish-row" }, h("label", { for: side.id, text: say("Longer side") }), h("span", { class: "p-finish-many" }, side, ...shares)), size,
    well, h("div", { class: "p-finish-row" }, h("label", { for: colours.id, text: say("Colours") }), colours), deep, told, go)));
  tell();
  formats[0].focus();
}
