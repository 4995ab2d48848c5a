// What the model looks at for a word, as heat over the picture, and the bar below it that says for which word. It is a
// layer to look at: no turn, no mask and no file has it.
import { layer, load } from "./overlay.js";
import { h, icon, penOf } from "./dom.js";
import { heat } from "./frame.js";
import { say } from "./language.js";
import { atRest, isBusy, look, panel } from "./looking.js";
import { roving } from "./roving.js";
import { set, state } from "./store.js";
import { percent } from "./words.js";
import { urls } from "./urls.js";

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./view.js").AttendedText} AttendedText */

/** From what is not looked at to what is looked at most: share of the largest value, red, green, blue, opacity. */
const RAMP = [[0, 13, 14, 16, 0.62], [0.35, 78, 38, 120, 0.62], [0.7, 226, 86, 92, 0.66], [1, 255, 222, 140, 0.72]];
const SIDE = 256; // pixels that a map is drawn with at least
/** @type {Record<string, string>} */
const FROM = { turn: say("The turn says"), picture: say("The picture shows"), text: say("Said of it") };

export const eye = h("button", { type: "button", class: "p-tool p-eye", "aria-label": say("What the model looks at"), onclick: () => turn(!lit) }, icon("eye"));
const words = h("div", { class: "p-heat-words", role: "radiogroup", "aria-label": say("What the model looks at for which word") });
const scale = h("i", { "aria-hidden": "true", style: `background:linear-gradient(90deg, ${RAMP.map(([at, r, g, b]) => `rgb(${r} ${g} ${b}) ${at * 100}%`).join(", ")})` });
const most = h("span", { class: "p-hint" });
const again = h("button", { type: "button", class: "p-btn", text: say("Look again"), title: say("With the texts as they stand now"), onclick: () => ask() });
const off = h("button", { type: "button", class: "p-x", text: "×", title: say("Put this layer away"), "aria-label": say("Put this layer away"), onclick: () => { turn(false); eye.focus(); } });
export const heatBar = h("div", { class: "p-heat-bar", role: "group", "aria-label": say("What the model looks at"), hidden: true }, words,
  h("span", { class: "p-heat-scale" }, h("span", { class: "p-hint", text: say("little") }), scale, most), again, off);

let lit = false, drawn = "", listed = "";
/** @type {string} the word that is looked at, and the text it stands in */
let chosen = "";
/** @type {"no" | "asked" | "begun"} whether the maps are on their way */
let coming = "no";

/** @param {boolean} on */
function turn(on) {
  if (on && !atRest()) return;
  lit = on;
  if (on && !state.view?.attention) ask();
  set({});
}

function ask() {
  coming = "asked";
  panel.trigger("attend");
}

/** @param {AttendedText} text @param {string} word */
const keyOf = (text, word) => `${text.of} ${word}`;

/** The word that is most likely meant: the last one of the subject's text, else the first that is no article. @param {SessionView} view @param {AttendedText} first */
function likely({ draft }, first) {
  const said = draft.subject.toLowerCase().match(/[^\W_]+/gu)?.at(-1);
  const word = first.words.find((one) => one.word === said) ?? first.words.find((one) => one.word.length > 2) ?? first.words[0];
  return keyOf(first, word.word);
}

/** The eye, the bar and the layer, as they are now. @param {SessionView} view */
export function drawAttention(view) {
  if (coming !== "no") {
    if (isBusy() && view.job?.does === "attention") coming = "begun";
    else if (coming === "begun" || state.message.notice) coming = "no";
    if (coming === "no") lit = Boolean(view.attention);
  } else if (!view.attention) lit = false; // another picture
  const rest = Boolean(atRest()), shows = lit && rest && view.attention !== null;
  eye.disabled = !rest;
  eye.setAttribute("aria-pressed", String(shows));
  eye.title = say("What the model looks at for each word, as a layer over the picture");
  heatBar.hidden = !shows;
  heat.hidden = !shows || look.peeking;
  if (!shows || !view.attention) return;
  const { texts } = view.attention, all = texts.flatMap((text) => text.words.map((one) => ({ ...one, key: keyOf(text, one.word) })));
  const one = all.find(({ key }) => key === chosen) ?? all.find(({ key }) => key === likely(view, texts[0])) ?? all[0];
  chosen = one.key;
  drawWords(texts);
  most.textContent = say("most: {share} of its attention", { share: percent(one.most) });
  heat.setAttribute("aria-label", say("Where the model looks for “{word}”", { word: one.word }));
  draw(one.map);
}

/** @param {AttendedText[]} texts */
function drawWords(texts) {
  const now = JSON.stringify(texts.map((text) => [text.of, text.words.map((one) => one.word)]));
  if (now !== listed) {
    listed = now;
    words.replaceChildren(...texts.flatMap((text) => [h("span", { class: "p-hint", text: FROM[text.of] }), ...text.words.map((one) => h("button", {
      type: "button", class: "p-chip", role: "radio", "data-key": keyOf(text, one.word), text: one.word, onclick: () => { chosen = keyOf(text, one.word); set({}); } }))]));
  }
  for (const node of /** @type {NodeListOf<HTMLElement>} */ (words.querySelectorAll(".p-chip"))) {
    const on = node.dataset.key === chosen;
    node.setAttribute("aria-checked", String(on));
    node.tabIndex = on ? 0 : -1;
  }
}

/** @param {string} map */
async function draw(map) {
  const wanted = urls.picture(map);
  if (wanted === drawn) return;
  drawn = wanted;
  let image;
  try { image = await load(wanted); } catch { drawn = ""; return; }
  if (wanted !== drawn) return;
  const canvas = grown(image), pen = penOf(canvas, { willReadFrequently: true }), pixels = pen.getImageData(0, 0, canvas.width, canvas.height), { data } = pixels;
  for (let i = 0; i < data.length; i += 4) data.set(coloured(data[i] / 255), i);
  heat.width = canvas.width;
  heat.height = canvas.height;
  penOf(heat).putImageData(pixels, 0, 0);
  heat.dataset.ready = map;
}

/** A map of few cells as a smooth picture: doubled again and again, for between so few cells one step would show lines. @param {HTMLImageElement} map */
function grown(map) {
  /** @type {HTMLImageElement | HTMLCanvasElement} */
  let from = map, width = map.naturalWidth, height = map.naturalHeight;
  do {
    width *= 2;
    height *= 2;
    const next = layer(width, height);
    penOf(next, { willReadFrequently: true }).drawImage(from, 0, 0, width, height);
    from = next;
  } while (Math.max(width, height) < SIDE);
  return /** @type {HTMLCanvasElement} */ (from);
}

/** Red, green, blue and opacity of a share. @param {number} share */
export function coloured(share) {
  const k = Math.max(1, RAMP.findIndex(([at]) => at >= share)), [from, ...a] = RAMP[k - 1], [to, ...b] = RAMP[k];
  const along = Math.min(1, Math.max(0, (share - from) / (to - from)));
  const [red, green, blue, opacity] = a.map((x, c) => x + (b[c] - x) * along);
  return [red, green, blue, opacity * 255].map(Math.round);
}

roving(words, ".p-chip", (node) => node.click());
