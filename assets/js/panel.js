// A part of the page that a script of ours draws. Gradio holds a place for it and hands it its events; see `panel.drawn`
// in studio/ui.
import { h } from "./dom.js";
import { on } from "./store.js";
import { noteSent } from "./typed.js";

/**
 * What Gradio gives the script of a `gr.HTML`.
 * @typedef {object} Place
 * @property {Element} element
 * @property {(event: string, data: object) => void} trigger
 * @property {{ value: string | null }} props
 * @property {string[]} events that have a handler
 */

export class Panel {
  /** What the panel draws itself in. */
  root = h("div", { class: "p-root" });
  /** @type {Place | null} */
  #place = null;
  /** @type {import("./store.js").Listener[]} */
  #drawing = [];

  /** Calls `draw` with every change from the moment on at which the panel is in the page. @param {import("./store.js").Listener} draw */
  draws(draw) {
    this.#drawing.push(draw);
  }

  /** Puts the panel into its place, once. @param {Place} place */
  mount(place) {
    this.#place = place;
    place.element.replaceChildren(this.root);
    for (const draw of this.#drawing) on(draw);
  }

  /** Sends an event of the panel to its handler. @param {string} event @param {object} [data] */
  trigger(event, data = {}) {
    if (!this.#place) return;
    if (!this.#place.events.includes(event)) throw new Error(`no handler is bound to the event ${event}`);
    noteSent(event);
    this.#place.trigger(event, data);
  }

  /** Sets what its handlers are given as the component's value. @param {string} value */
  hold(value) {
    if (this.#place) this.#place.props.value = value;
  }
}
