// How far the line one stands on has gone from the original: a small plot, and the offer to start over.
import { h } from "./dom.js";
import * as film from "./film.js";
import { many, number, say } from "./language.js";
import { currentTurn, isLive } from "./turns.js";

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./send.js").Send} Send */

const WIDE = 172, HIGH = 50, PAD = 4;
const LEAST_LIKE = 0.7, LEAST_DB = 20, MOST_DB = 60;
/** @typedef {{ key: "subject" | "background" | "kept_psnr", name: string, low: number, high: number, start: number, said: (x: number) => string }} Series */

/** @type {Series[]} */
const SERIES = [
  { key: "subject", name: "subject", low: LEAST_LIKE, high: 1, start: 1, said: (x) => say("subject {figure}", { figure: number(x, 2) }) },
  { key: "background", name: "background", low: LEAST_LIKE, high: 1, start: 1, said: (x) => say("background {figure}", { figure: number(x, 2) }) },
  { key: "kept_psnr", name: "kept", low: LEAST_DB, high: MOST_DB, start: MOST_DB, said: (x) => say("kept {figure} dB", { figure: Math.round(x) }) },
];
const TITLE = say("Subject and background: how alike they are to the original, 1 is the same. Kept: how exact the pixels are that no turn was to change; 60 dB is exact.");

/** Fills `box`; it is hidden while nothing was measured. @param {HTMLElement} box @param {SessionView} view @param {Send} send */
export function draw(box, view, send) {
  const { lane } = film.index(view), here = currentTurn(view);
  box.hidden = !lane.some((t) => t.drift);
  if (box.hidden) return;
  const end = lane[lane.length - 1].number, x = (/** @type {number} */ n) => PAD + ((WIDE - 2 * PAD) * n) / Math.max(1, end);
  const shown = here.drift, said = [], lines = [];
  for (const s of SERIES) {
    const points = [{ n: 0, value: s.start }, ...lane.flatMap(({ number: n, drift }) => (drift && drift[s.key] !== null ? [{ n, value: Number(drift[s.key]) }] : []))];
    if (points.length < 2) continue;
    const low = Math.min(s.low, ...points.map(({ value }) => value)), y = (/** @type {number} */ value) => PAD + (HIGH - 2 * PAD) * (1 - Math.min(1, (value - low) / (s.high - low)));
    lines.push(h("polyline", { class: `p-${s.name}`, points: points.map(({ n, value }) => `${x(n).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }));
    const now = shown && shown[s.key];
    if (now !== null) {
      lines.push(h("circle", { class: `p-${s.name}`, cx: x(here.number).toFixed(1), cy: y(now).toFixed(1), r: 3 }));
      said.push(h("span", { class: `p-${s.name}` }, s.said(now)));
    }
  }
  const grid = h("path", { class: "p-grid", d: `M0 ${PAD}H${WIDE}M0 ${HIGH / 2}H${WIDE}M0 ${HIGH - PAD}H${WIDE}` });
  const plot = h("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": many(end, "Drift along {count} turn", "Drift along {count} turns"), preserveAspectRatio: "none" }, grid, ...lines);
  /** @type {Element[]} */
  const parts = [
    h("div", { class: "p-drift-head", title: TITLE }, h("b", { text: say("Drift from the original") })), plot,
    h("div", { class: "p-drift-figures", title: TITLE }, ...(said.length ? said : [h("span", { class: "p-hint", text: say("stand on a turn for its figures") })])),
  ];
  if (shown && shown.too_far) {
    parts.push(h("p", { class: "p-drift-warn", text: say("This line has drifted: {too_far}.", { too_far: shown.too_far }) }));
    if (here.number > 1) parts.push(h("button", { type: "button", class: "p-btn p-redo", disabled: isLive(view), text: say("Redo from the original"), title: say("Does everything the turns of this line asked for in one turn of the original; this line stays"), "aria-label": say("Redo from the original in one turn"), onclick: () => send.redo_from_original() }));
  }
  box.replaceChildren(...parts);
}
