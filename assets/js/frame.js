// The frame of the stage: the picture, and what lies over it.
import { h } from "./dom.js";
import { split } from "./split.js";

export const base = h("img", { class: "p-base", alt: "", draggable: "false" });
export const difference = h("canvas", { class: "p-difference" });
export const overlay = h("canvas", { class: "p-overlay" });
export const live = h("svg", { class: "p-live", preserveAspectRatio: "none" });
export const dots = h("div", { class: "p-dots" });
export const ring = h("i", { class: "p-ring" });
export const crosshair = h("i", { class: "p-cross" });
export const { over, edge, slider, left: beforeTag, right: afterTag } = split("Where before ends and after begins");
export const frame = h("div", { class: "p-frame", tabindex: "0", role: "application" },
  base, over, difference, overlay, live, dots, ring, crosshair, edge, slider, beforeTag, afterTag);

/** How large the picture is shown, in CSS pixels. */
export const size = { width: 0, height: 0 };
