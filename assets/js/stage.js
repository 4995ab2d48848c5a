// The stage: the picture that is looked at and its views, with the mask tools, the candidates and the start page.
import { actions } from "./actions.js";
import { drawAttention, heatBar } from "./attention.js";
import { drawCandidates, staging } from "./candidates.js";
import { bar, drawCropping } from "./cropping.js";
import { drawDifference, legend } from "./difference.js";
import { h } from "./dom.js";
import { afterTag, base, beforeTag, difference, edge, frame, over, size, slider } from "./frame.js";
import { keyOf } from "./keys.js";
import { say } from "./language.js";
import { drawLayers, fitLayers, layers } from "./layers.js";
import { against, frameOf, isBusy, look, markable, panel, shown } from "./looking.js";
import { adoptMarks, advice, chips, drawChips, drawMarks } from "./marking.js";
import { drawStart, start } from "./opening.js";
import { alike, placed } from "./placed.js";
import { beginPointing } from "./pointing.js";
import { roving } from "./roving.js";
import { state } from "./store.js";
import * as swap from "./swap.js";
import { area, beginTools, drawTools, tools } from "./tools.js";
import { keptPart } from "./turns.js";
import { urls } from "./urls.js";
import { changedText, flatText, sized } from "./words.js";
import * as zoom from "./zoom.js";

export { panel };

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {typeof look.tab} Tab */

/** @type {[Tab, string, import("./keys.js").Id][]} */
const TABS = [["picture", say("Picture"), "see"], ["compare", say("Before / after"), "compare"], ["difference", say("Difference"), "difference"], ["layers", say("Layers"), "layers"]];

const space = h("div", { class: "p-room" }, frame, layers, chips, advice, legend);
const room = h("div", { class: "p-view" }, space, heatBar, bar, staging);
const tabButtons = new Map(TABS.map(([id, text]) =>
  [id, h("button", { type: "button", class: "p-tab", role: "tab", text, onclick: () => pickTab(id) })]));
const outside = h("span", { class: "p-outside" });
const tabs = h("div", { class: "p-tabs" }, h("div", { role: "tablist", "aria-label": say("Views of the picture"), class: "p-tablist" }, ...tabButtons.values()), area, outside, zoom.zoomer);
const stage = h("div", { class: "p-stage" }, tools, room, tabs);
stage.inert = true;
start.hidden = stage.hidden = true; // until the server has said whether there is a session
panel.root.append(stage, start);
roving(tabs, ".p-tab", (node) => node.click());

/** @param {Tab} id */
function pickTab(id) {
  if (!state.view || tabButtons.get(id)?.disabled) return;
  look.tab = id;
  draw();
}

function draw() {
  const { view } = state;
  drawStart();
  stage.hidden = !view;
  stage.inert = !start.hidden || swap.shows(state);
  if (!view) return;
  if (adoptMarks(view)) begin(view);
  if (look.tab !== "picture" && (isBusy() || (look.tab !== "layers" && !shown(view).before))) look.tab = "picture";
  drawTools(view);
  drawTabs(view);
  drawPicture(view);
  drawAttention(view);
  drawMarks(view);
  drawChips(view);
  drawCropping();
  drawCandidates(view);
  fit(view);
  if (look.tab === "layers") drawLayers(view);
  panel.root.dataset.rev = String(view.rev);
}

/** Another picture: nothing of what was in the hand for the last one is. @param {SessionView} view */
function begin(view) {
  Object.assign(look, { tab: "picture", peeking: false, against: null });
  zoom.toFit();
  beginPointing();
  beginTools(view);
}

/** @param {HTMLImageElement} image @param {string} url */
function source(image, url) {
  if (image.getAttribute("src") !== url) image.src = url;
}

/** @param {SessionView} view */
function drawPicture(view) {
  const s = shown(view), previewing = isBusy() && view.job ? view.job.preview : 0;
  const before = s.before && !isBusy() ? placed({ picture: s.before, frame: s.beforeFrame }, { picture: s.after, frame: s.afterFrame }, draw) : "";
  frame.hidden = look.tab === "layers";
  layers.hidden = look.tab !== "layers";
  frame.dataset.tab = look.tab;
  frame.dataset.live = isBusy() ? "yes" : "no";
  frame.setAttribute("aria-label", markable()
    ? say("Current picture. Arrow keys move the crosshair, Enter includes, Shift Enter excludes.")
    : isBusy() ? say("Preview of the running turn") : say("Current picture"));
  if (previewing) preview(urls.preview(previewing));
  else source(base, look.peeking && before ? before : urls.picture(s.after));
  base.alt = previewing ? say("preview") : s.afterName;
  over.hidden = look.tab !== "compare" || !before;
  if (!over.hidden) {
    source(base, urls.picture(s.after));
    source(over, before);
  }
  slider.hidden = edge.hidden = beforeTag.hidden = afterTag.hidden = over.hidden;
  beforeTag.textContent = s.beforeName;
  afterTag.textContent = s.afterName;
  difference.hidden = legend.hidden = look.tab !== "difference" || !before;
  if (!difference.hidden) drawDifference(s, before);
}

/** Shows a preview once it is here; one that is gone by then leaves the one before it standing. @param {string} url */
function preview(url) {
  const next = new Image();
  next.onload = () => { if (isBusy() && state.view?.job?.preview && urls.preview(state.view.job.preview) === url) source(base, url); };
  next.src = url;
}

/** @param {SessionView} view */
function drawTabs(view) {
  const s = shown(view), kept = s.facts && keptPart(s.facts.scope);
  for (const [id, text, key] of TABS) {
    const node = /** @type {HTMLButtonElement} */ (tabButtons.get(id)), on = id === look.tab;
    node.title = `${text} (${keyOf(key)})`;
    node.setAttribute("aria-selected", String(on));
    node.tabIndex = on ? 0 : -1;
    node.disabled = isBusy() ? id !== "picture" : id === "layers" ? !(s.cut || view.mask.mask) : id !== "picture" && !s.before;
  }
  const flat = isBusy() || !s.facts ? "" : s.facts.flat;
  outside.classList.toggle("p-warn", Boolean(flat));
  outside.textContent = isBusy() ? say("live preview") : s.now && against(view) ? say("{after} beside {before}", { after: s.afterName, before: s.beforeName }) : !s.facts ? sized(view)
    : !alike(s.beforeFrame, s.afterFrame) ? say("{size}, from {before}", { size: sized(s.afterFrame), before: sized(s.beforeFrame) })
    : flat ? say("what was to change came out {colour}", { colour: flatText(flat) })
    : kept ? say(kept === "subject" ? "subject kept: {changed}" : "background kept: {changed}", { changed: changedText(s.facts.outside_changed, s.facts.outside_largest) }) : say("subject and background changed");
}

/** Gives the picture all the room there is. @param {SessionView} view */
function fit(view) {
  // Chips and candidates stand beside the picture where there is room, so that they hide nothing of it.
  const all = room.getBoundingClientRect();
  const extent = frameOf(view), beside = all.width / 2 - ((all.height - 28) * extent.width) / extent.height / 2 > 230 || (look.tab === "layers" && all.width > 800);
  if ((staging.parentElement === space) !== beside) (beside ? space : room).append(staging);
  staging.dataset.beside = beside ? "yes" : "no";
  const inside = space.getBoundingClientRect();
  if (!inside.width) return;
  zoom.fit(view, inside, inside.width < 600 ? 8 : 28);
  const aside = (inside.width - size.width) / 2;
  chips.dataset.aside = aside > 170 ? "yes" : "no";
  chips.style.maxWidth = aside > 170 ? `${aside - 24}px` : "";
}

zoom.watch(space, () => { if (state.view) drawMarks(state.view); });
new ResizeObserver(() => {
  const { view } = state;
  if (!view) return;
  fit(view);
  drawMarks(view);
  if (look.tab === "layers") fitLayers(view);
}).observe(space);

Object.assign(actions, {
  /** @param {number} index */
  tab: (index) => pickTab(TABS[index][0]),
  /** @param {string | null} turn */
  compare: (turn) => {
    if (!state.view) return;
    look.against = turn ? { turn, here: state.view.current } : null;
    pickTab("compare");
  },
  /** @param {boolean} on */
  peek: (on) => {
    if (look.peeking === on || !state.view || isBusy()) return;
    look.peeking = on;
    draw();
  },
});
panel.draws(draw);
