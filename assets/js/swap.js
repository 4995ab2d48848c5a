// Two turns in both orders, side by side over the stage: what differs, by how much, and whether it matters.
import { find, h, icon } from "./dom.js";
import { number, say } from "./language.js";
import { roving } from "./roving.js";
import { split } from "./split.js";
import { isLive, turnOf } from "./turns.js";
import { urls } from "./urls.js";
import { percent } from "./words.js";

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./store.js").State} State */
/** @typedef {import("./view.js").Consistency} Consistency */
/** @typedef {import("./send.js").Send} Send */

/** @typedef {import("./view.js").TurnView} TurnView */

/** @type {Record<string, { kind: "same" | "little" | "matters", words: string }>} */
const VERDICTS = {
  "order does not matter": { kind: "same", words: say("order does not matter") }, "order matters a little": { kind: "little", words: say("order matters a little") },
  "order matters": { kind: "matters", words: say("order matters") },
};
/** @typedef {"slider" | "side" | "difference"} Tab */
/** @type {[Tab, string][]} */
const TABS = [["slider", say("Slider")], ["side", say("Side by side")], ["difference", say("Difference")]];
const PARTS = /** @type {const} */ (["subject", "background", "overlap"]);
const NAMES = { subject: say("subject"), background: say("background"), overlap: say("changed by both") };
/** @type {Tab} */
let tab = "slider";

/** What a measurement says in short: its kind (also the name of its sign; a model without limits gets no verdict), a figure, and words. @param {Consistency} consistency */
export function verdict(consistency) {
  const alike = consistency.whole.similarity;
  /** @type {{ kind: "same" | "little" | "matters" | "unjudged", words: string }} */
  const { kind, words } = VERDICTS[consistency.order] ?? { kind: "unjudged", words: consistency.order };
  return { kind, figure: alike === null ? percent(consistency.disagreement) : number(alike, 2), words };
}

/** @param {Consistency} consistency */
function badge(consistency) {
  const { kind, words } = verdict(consistency);
  return h("span", { class: `p-badge p-${kind}` }, icon(kind), words);
}

/** The comparison of `view.swap` as an element. @param {SessionView} view @param {Send} send */
function build(view, send) {
  const { first, second, ab, ba, difference, consistency } = /** @type {import("./view.js").SwapView} */ (view.swap), [a, b] = [first, second].map((id) => /** @type {TurnView} */ (turnOf(view, id)));
  const now = say("{a} then {b}", { a: a.number, b: b.number }), other = say("{a} then {b}", { a: b.number, b: a.number });
  const told = { now: say("{a}, then {b}", { a: a.label, b: b.label }), other: say("{a}, then {b}", { a: b.label, b: a.label }) };
  /** @param {string} digest @param {string} alt */
  const picture = (digest, alt) => h("img", { src: urls.picture(digest), alt, draggable: "false" });

  const cut = split(say("Where {now} ends and {other} begins", { now, other }));
  cut.over.src = urls.picture(ab);
  cut.left.textContent = say("{now} · as it is", { now });
  cut.right.textContent = other;
  const slider = h("div", { class: "p-frame" }, picture(ba, other), cut.over, cut.edge, cut.slider, cut.left, cut.right);
  /** @param {string} digest @param {string} name @param {string} words */
  const figure = (digest, name, words) => h("figure", {}, h("div", {}, picture(digest, name)), h("figcaption", {}, h("b", { text: name }), h("span", { class: "p-hint", text: words, title: words })));
  const side = h("div", { class: "p-side" }, figure(ab, now, told.now), figure(ba, other, told.other), figure(difference, say("Difference"), say("brighter is more")));
  const keys = PARTS.filter((part) => consistency[part].changed !== null).map((part) => h("span", { class: `p-key p-${part}` }, h("i"), `${NAMES[part]} ${percent(consistency[part].changed ?? 0)}`));
  const map = h("div", { class: "p-frame" }, picture(difference, say("Map of the difference")));
  const legend = h("div", { class: "p-legend" }, ...keys, h("span", { class: "p-hint", text: say("brighter is more") }));
  const views = { slider: [slider], side: [side], difference: [map, legend] };
  const room = h("div", { class: "p-room p-swap-room", style: `--ratio:${b.frame.width / b.frame.height}` });

  const tabs = TABS.map(([id, text]) => h("button", { type: "button", class: "p-tab", role: "tab", text, "data-tab": id, onclick: () => pick(id) }));
  /** @param {Tab} id */
  function pick(id) {
    tab = id;
    room.replaceChildren(...views[id]);
    for (const node of tabs) {
      node.setAttribute("aria-selected", String(node.dataset.tab === id));
      node.tabIndex = node.dataset.tab === id ? 0 : -1;
    }
  }
  pick(tab);
  const tablist = h("div", { class: "p-tablist", role: "tablist", "aria-label": say("Views of both orders") }, ...tabs);
  roving(tablist, ".p-tab", (node) => node.click());

  /** @param {string | Node[]} value @param {string} words @param {string} title */
  const entry = (value, words, title, kind = "") => h("div", { class: `p-number ${kind}`, title }, h("b", {}, ...(typeof value === "string" ? [value] : value)), h("span", { text: words }));
  const { whole, disagreement } = consistency;
  const where = PARTS.filter((part) => part !== "overlap" && consistency[part].changed !== null).map((part) => h("span", { class: `p-${part}` }, `${NAMES[part]} ${percent(consistency[part].changed ?? 0)}`));
  const figures = h("div", { class: "p-numbers" },
    whole.similarity === null ? null : entry(number(whole.similarity, 2), say("alike"), say("CLIP similarity of both pictures: 1 is the same. The paper this comes from reaches 0.88 with its own method")),
    whole.ssim === null ? null : entry(number(whole.ssim, 2), say("structure"), say("SSIM: how well shapes and edges agree; 1 is the same")),
    entry(percent(disagreement), say("came out differently"), say("Of everything that either order changed, the share that is not the same in both")),
    where.length ? entry(where, say("where"), say("How much of each part of the picture differs"), "p-where") : null);
  const close = () => send.dismiss();
  return h("section", { class: "p-swap", "aria-label": say("Both orders compared"), tabindex: "-1", onkeydown: (event) => { if (event.key === "Escape") { event.preventDefault(); close(); } } },
    h("div", { class: "p-swap-head" }, h("h2", { text: say("Does the order of turns {a} and {b} matter?", { a: a.number, b: b.number }) }), badge(consistency), h("span", { class: "p-space" }),
      h("button", { type: "button", class: "p-x", "aria-label": say("Close the comparison"), text: "×", onclick: close })),
    room,
    h("div", { class: "p-swap-foot" }, figures, h("span", { class: "p-space" }),
      h("button", { type: "button", class: "p-btn", text: say("Close"), onclick: close }),
      h("button", { type: "button", class: "p-btn p-go", text: say("Use {other}", { other }), title: say("Lays {other} down as a new branch; {now} stays", { other, now }), onclick: () => send.adopt() })),
    h("div", { class: "p-tabs" }, tablist, h("span", { class: "p-outside", text: told.other })));
}

/** Whether there is a comparison to look at now. */
/** @param {State} state */
export function shows({ view, starting }) {
  return Boolean(view && view.swap && !starting && !isLive(view) && !view.staged.length && turnOf(view, view.swap.first) && turnOf(view, view.swap.second));
}

/** @type {string | null} */
let shown = null;
/** @type {HTMLElement | null} */
let node = null;
/** Puts the comparison over the stage while there is one to look at. @param {State} state @param {Send} send */
export function draw(state, send) {
  const { view } = state, stage = document.querySelector("#stage .p-root");
  const now = shows(state) ? view : null, wanted = now && now.swap ? `${now.sid} ${now.swap.ab} ${now.swap.ba} ${now.swap.second}` : null;
  if (wanted === shown || !stage) return;
  const had = node && node.contains(document.activeElement);
  if (node) node.remove();
  node = now ? build(now, send) : null;
  shown = wanted;
  if (node) {
    stage.append(node);
    if (!document.activeElement || document.activeElement === document.body || document.activeElement.closest("#film, #go")) node.focus();
  } else if (had) {
    find(".p-node.p-here")?.focus({ preventScroll: true });
  }
}
