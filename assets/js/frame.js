// The frame of the stage: the picture, and what lies over it.
import { h } from "./dom.js";
import { say } from "./language.js";
import { split } from "./split.js";

/** How the picture is looked at. @type {import("./geometry.js").Sight} */
export const sight = { zoom: 1, x: 0, y: 0 };

export const base = h("img", { class: "p-base", alt: "", draggable: "false" });
export const difference = h("canvas", { class: "p-difference" });
/** What the model looks at. */
export const heat = h("canvas", { class: "p-heat", role: "img", hidden: true });
export const overlay = h("canvas", { class: "p-overlay" });
export const live = h("svg", { class: "p-live", preserveAspectRatio: "none" });
export const dots = h("div", { class: "p-dots" });
export const grid = h("i", { class: "p-grid", hidden: true });
export const ring = h("i", { class: "p-ring" });
export const crosshair = h("i", { class: "p-cross" });
export const { over, edge, slider, left: beforeTag, right: afterTag } = split(say("Where before ends and after begins"));
export const frame = h("div", { class: "p-frame", tabindex: "0", role: "application" },
  base, over, difference, heat, grid, overlay, live, dots, ring, crosshair, edge, slider, beforeTag, afterTag);

/** How large the picture is shown, in CSS pixels. */
export const size = { width: 0, height: 0 };
/** The room that it is shown in. */
export const room = { width: 0, height: 0 };
