// Draws a setting that is a tone curve: points to drag, or to move by the arrow keys, in place of the field that they are in.
import { find, h, targetOf } from "./dom.js";
import { say } from "./language.js";
import { on } from "./store.js";
import { STRAIGHT, added, curveAt, moved, pointsOf, textOf, widest } from "./tone.js";

/** @typedef {import("./tone.js").Point} Point */

/** The editor of the field in `knob`; gives what draws it anew. @param {HTMLElement} knob @param {HTMLTextAreaElement | HTMLInputElement} field */
function editor(knob, field) {
  /** @type {Point[]} */
  let points = [];
  const line = h("path", { class: "p-curve-line" }), dots = h("div", { class: "p-curve-dots" });
  const square = h("div", { class: "p-curve-square" },
    h("svg", { viewBox: "0 0 255 255", preserveAspectRatio: "none", "aria-hidden": "true" },
      h("path", { class: "p-curve-grid", d: "M64 0V255M127.5 0V255M191 0V255M0 64H255M0 127.5H255M0 191H255M0 255 255 0" }), line), dots);
  const more = h("button", { type: "button", class: "p-btn", text: say("Add a point"), onclick: () => grow(widest(points)) });
  const less = h("button", { type: "button", class: "p-btn", text: say("Remove it"), title: say("The point that was moved last (Delete)"), onclick: () => drop(held) });
  const straight = h("button", { type: "button", class: "p-btn", text: say("Straight"), onclick: () => put(/** @type {Point[]} */ (pointsOf(STRAIGHT))) });
  knob.append(h("div", { class: "p-curve" }, square, h("div", { class: "p-curve-acts" }, more, less, straight)));
  let held = -1;

  /** @param {Point[]} next @param {number} [focus] */
  function put(next, focus = -1) {
    points = next;
    held = focus;
    draw();
    field.value = textOf(points);
    field.dispatchEvent(new Event("input", { bubbles: true }));
    if (focus >= 0) /** @type {HTMLElement} */ (dots.children[focus]).focus();
  }
  /** @param {number} x @param {number} [y] */
  function grow(x, y) {
    const found = added(points, x, y);
    if (found) put(...found);
    return found ? found[1] : -1;
  }
  /** @param {number} k */
  function drop(k) {
    if (k < 0 || points.length <= 2) return;
    put(points.filter((_, j) => j !== k), Math.min(k, points.length - 2));
  }
  /** Where in the square, in levels. @param {PointerEvent} event @returns {Point} */
  const under = (event) => {
    const box = square.getBoundingClientRect();
    return [255 * (event.clientX - box.left) / box.width, 255 * (1 - (event.clientY - box.top) / box.height)];
  };
  /** @param {KeyboardEvent} event @param {number} k */
  function key(event, k) {
    const by = event.shiftKey ? 10 : 1, [x, y] = points[k];
    const to = /** @type {Record<string, Point>} */ ({ ArrowLeft: [x - by, y], ArrowRight: [x + by, y], ArrowUp: [x, y + by], ArrowDown: [x, y - by], Home: [x, 0], End: [x, 255] })[event.key];
    if (to) put(moved(points, k, ...to), k);
    else if (event.key === "Delete" || event.key === "Backspace") drop(k);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  square.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    const at = under(event), near = 255 * 14 / square.clientWidth;
    let k = points.findIndex(([x, y]) => Math.hypot(x - at[0], y - at[1]) <= near);
    if (k < 0) k = grow(...at);
    else put(points, k);
    if (k >= 0) square.setPointerCapture(event.pointerId);
  });
  square.addEventListener("pointermove", (event) => {
    if (held >= 0 && square.hasPointerCapture(event.pointerId)) put(moved(points, held, ...under(event)), held);
  });

  function draw() {
    const path = Array.from({ length: 86 }, (_, k) => `${3 * k},${(255 - curveAt(points, 3 * k)).toFixed(1)}`);
    line.setAttribute("d", `M${path.join("L")}`);
    while (dots.children.length > points.length) /** @type {Element} */ (dots.lastElementChild).remove();
    while (dots.children.length < points.length) {
      const k = dots.children.length;
      dots.append(h("button", { type: "button", class: "p-curve-dot", role: "slider", "aria-valuemin": 0, "aria-valuemax": 255, onkeydown: (event) => key(event, k), onfocus: () => { held = k; less.disabled = points.length <= 2; } }));
    }
    points.forEach(([x, y], k) => {
      const dot = /** @type {HTMLElement} */ (dots.children[k]), told = say("Level {level} becomes {other}", { level: x, other: y });
      Object.assign(dot.style, { left: `${x / 2.55}%`, bottom: `${y / 2.55}%` });
      dot.title = dot.ariaLabel = told;
      dot.ariaValueNow = String(y);
      dot.ariaValueText = told;
    });
    less.disabled = held < 0 || points.length <= 2;
    more.disabled = points.length >= 16;
    straight.disabled = textOf(points) === STRAIGHT;
  }
  return () => {
    const found = pointsOf(field.value);
    if (!found || textOf(found) === textOf(points)) return;
    points = found;
    held = Math.min(held, points.length - 1);
    draw();
  };
}

/** @type {WeakMap<HTMLElement, () => void>} */
const editors = new WeakMap();

/** Every curve of the form has its editor, which shows what stands in the field. */
function dress() {
  for (const knob of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".p-curve-knob"))) {
    const field = /** @type {HTMLInputElement | null} */ (find("input, textarea", knob));
    if (!field) continue;
    if (!find(".p-curve", knob)) editors.set(knob, editor(knob, field));
    editors.get(knob)?.();
  }
}
on(() => setTimeout(dress, 80)); // after Gradio has filled the fields
document.addEventListener("click", (event) => { if (targetOf(event).closest("#advanced > button")) setTimeout(dress, 80); }); // it makes them anew
