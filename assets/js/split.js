// Two pictures over each other and an edge between them that can be dragged, or moved by the arrow keys.
import { h, icon } from "./dom.js";
import { say } from "./language.js";

/** @param {string} what is being said of the edge */
export function split(what) {
  const over = h("img", { class: "p-over", alt: "", draggable: "false" });
  const edge = h("i", { class: "p-edge" }, h("b", {}, icon("handle")));
  const left = h("span", { class: "p-tag p-left" }), right = h("span", { class: "p-tag p-right" });
  const slider = h("input", { class: "p-slider", type: "range", min: 0, max: 100, step: 1, "aria-label": what, oninput: () => put(Number(slider.value)) });

  /** @param {number} percent */
  function put(percent) {
    over.style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
    edge.style.left = `${percent}%`;
    slider.value = String(percent);
    slider.setAttribute("aria-valuetext", `${percent} % ${left.textContent || say("on the left")}`);
  }
  put(50);
  return { over, edge, slider, left, right };
}
