// The part of a picture that is to be edited, where it is longer than any turn takes: a window that slides along it.
import { h } from "./dom.js";
import { say } from "./language.js";
import { state } from "./store.js";
import { urls } from "./urls.js";
import { sized } from "./words.js";

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./view.js").TurnView} TurnView */

/** @param {SessionView} view */
export const needed = (view) => Math.max(view.width, view.height) > state.about.longest_aspect * Math.min(view.width, view.height);

/** Opens the dialog; `done` is given the edges of the part, in pixels. @param {SessionView} view @param {(part: import("./view.js").Box) => void} done */
export function open(view, done) {
  const aspect = state.about.longest_aspect, wide = view.width > view.height;
  const long = Math.max(view.width, view.height), short = Math.min(view.width, view.height);
  const length = Math.floor(aspect * short), most = long - length;
  const original = view.turns.find((/** @type {TurnView} */ t) => t.number === 0);
  const pane = h("i", { class: "p-crop-part" });
  const slide = h("input", { type: "range", min: 0, max: most, value: Math.floor(most / 2), step: 1, "aria-label": wide ? say("Where the part begins, from the left") : say("Where the part begins, from the top"), oninput: () => draw() });
  slide.hidden = most < long / 100; // nobody minds which edge goes
  const told = h("output", { class: "p-hint" });
  const frame = h("div", { class: `p-crop-frame ${wide ? "p-wide" : "p-tall"}` }, h("img", { src: urls.picture(original?.picture), alt: say("The whole picture"), draggable: "false" }), pane);
  frame.style.aspectRatio = `${view.width} / ${view.height}`;
  const use = h("button", { type: "button", class: "p-btn p-go", text: say("Use this part"), onclick: () => { sheet.close(); done(edges()); } });
  const sheet = h("dialog", { class: "p-sheet p-crop", "aria-labelledby": "p-crop-title", onclose: () => sheet.remove(), onclick: (event) => { if (event.target === sheet) sheet.close(); } },
    h("div", { class: "p-sheet-head" }, h("h2", { id: "p-crop-title", text: say("Too long to be edited") }), h("button", { type: "button", class: "p-x", "aria-label": say("Close"), text: "×", onclick: () => sheet.close() })),
    h("div", { class: "p-crop-body" }, h("p", { text: say(slide.hidden ? "This picture is {width} × {height} pixels. At most {aspect} times as long as wide can be edited; this is all but the edge of it." : "This picture is {width} × {height} pixels. At most {aspect} times as long as wide can be edited: choose the part.", { width: view.width, height: view.height, aspect }) }), frame, slide,
      h("div", { class: "p-crop-foot" }, told, h("span", { class: "p-space" }), h("button", { type: "button", class: "p-btn", text: say("Leave it whole"), onclick: () => sheet.close() }), use)));

  function edges() {
    const from = Number(slide.value);
    return wide ? { left: from, top: 0, right: from + length, bottom: short } : { left: 0, top: from, right: short, bottom: from + length };
  }

  function draw() {
    const { left, top, right, bottom } = edges(), share = (/** @type {number} */ x, /** @type {number} */ of) => `${(100 * x) / of}%`;
    Object.assign(pane.style, { left: share(left, view.width), top: share(top, view.height), width: share(right - left, view.width), height: share(bottom - top, view.height) });
    told.textContent = sized({ width: right - left, height: bottom - top });
  }

  // The picture itself can be taken hold of as well.
  /** @param {PointerEvent} event */
  const move = (event) => {
    const box = frame.getBoundingClientRect(), at = wide ? (event.clientX - box.left) / box.width : (event.clientY - box.top) / box.height;
    slide.value = String(Math.round(at * long - length / 2));
    draw();
  };
  frame.addEventListener("pointerdown", (event) => { frame.setPointerCapture(event.pointerId); move(event); event.preventDefault(); });
  frame.addEventListener("pointermove", (event) => { if (frame.hasPointerCapture(event.pointerId)) move(event); });

  document.getElementById("studio")?.append(sheet);
  draw();
  sheet.showModal();
  use.focus();
}
