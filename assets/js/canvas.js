// The stage. `props.value` is what the page marked, whole, as JSON: {count, prompts}; `count` tells answers of older marks apart.
const p = window.palimpsest, { h, urls, marks, actions, percent } = p;
const root = element.querySelector(".p-root");
const TOOLS = [
  ["include", "Include", "C", "Click what belongs to the subject; drag for a box"],
  ["exclude", "Exclude", "N", "Click what does not belong to it (also: right click)"],
  ["box", "Box", "R", "Drag a box around the subject"],
  ["brush", "Brush", "B", "Paint onto the mask"],
  ["erase", "Erase", "E", "Rub out of the mask"],
];
const TABS = [["picture", "Picture"], ["compare", "Before / after"], ["difference", "Difference"], ["layers", "Layers"]];
const DRAG = 8; // pixels on the screen from which a click is a box

let tool = "include", tab = "picture", radius = 8, peeking = false;
let prompts = marks.empty(), count = 0, waiting = null, shownSid = null, drawnMask = null, maskToken = 0;
const afterMark = []; // what waits for the answer to the marks
let frameSize = { width: 0, height: 0 }, cross = null, gesture = null;

// ------------------------------------------------------------------------------------------------------- building

const button = (text, onclick, more = {}) => h("button", { type: "button", class: "p-tool", text, onclick, ...more });
const toolButtons = Object.fromEntries(TOOLS.map(([id, text, hot, title]) =>
  [id, button(text, () => pickTool(id), { title: `${title} (${hot})`, "aria-pressed": "false" })]));
const size = h("input", { type: "range", min: 1, max: 64, step: 1, "aria-label": "Brush size in pixels", oninput: () => { radius = Number(size.value); drawTools(); } });
const sizeText = h("output", { class: "p-hint" });
const sizeBox = h("label", { class: "p-size" }, h("span", { text: "Size" }), size, sizeText);
const feather = h("input", { type: "number", min: 0, max: 64, step: 1, "aria-label": "Feather: width of the soft seam in pixels",
  onchange: () => apply(marks.feathered(prompts, Number(feather.value) || 0)) });
const grow = button("Grow", () => apply(marks.grown(prompts, step())), { title: "Widen the mask" });
const shrink = button("Shrink", () => apply(marks.grown(prompts, -step())), { title: "Narrow the mask" });
const invert = button("Invert", () => apply(marks.inverted(prompts)), { title: "Swap inside and outside", "aria-pressed": "false" });
const phrase = h("input", { type: "search", maxlength: 100, placeholder: "Find by phrase: the dog", "aria-label": "Select by phrase",
  title: "Say what the subject is called, then press Enter", onchange: () => apply(marks.phrased(prompts, phrase.value.trim())) });
const phraseBox = h("label", { class: "p-phrase", hidden: true }, phrase);
const snap = button("Snap", () => apply(marks.snapped(prompts)), { title: "Draw the edge of what a click or box finds along the edges in the picture", "aria-pressed": "false" });
const clear = button("Clear", () => clearMarks(), { title: "Remove every mark (X)" });
const maskFile = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp", hidden: true, onchange: () => sendMask() });
const uploadMask = button("Upload mask", () => maskFile.click(), { title: "A black and white picture; white is the subject" });
const area = h("span", { class: "p-hint p-area" });
const separator = () => h("i", { class: "p-sep" });
const tools = h("div", { class: "p-tools", role: "toolbar", "aria-label": "Mask tools" },
  ...Object.values(toolButtons), sizeBox, phraseBox, separator(), snap, grow, shrink,
  h("label", { class: "p-feather" }, h("span", { text: "Feather" }), feather), invert, clear, separator(), uploadMask, maskFile,
  h("span", { class: "p-space" }), area);

const base = h("img", { class: "p-base", alt: "", draggable: "false" });
const difference = h("canvas", { class: "p-difference" });
const overlay = h("canvas", { class: "p-overlay" });
const live = h("svg", { class: "p-live", preserveAspectRatio: "none" });
const dots = h("div", { class: "p-dots" });
const ring = h("i", { class: "p-ring" });
const crosshair = h("i", { class: "p-cross" });
const { over, edge, slider, left: beforeTag, right: afterTag } = p.split("Where before ends and after begins");
const frame = h("div", { class: "p-frame", tabindex: "0", role: "application" },
  base, over, difference, overlay, live, dots, ring, crosshair, edge, slider, beforeTag, afterTag);
const chips = h("div", { class: "p-chips", role: "radiogroup", "aria-label": "What the click means" });
const advice = h("div", { class: "p-advice" });
const legend = h("div", { class: "p-legend" });
const layers = h("div", { class: "p-layers" });
const space = h("div", { class: "p-room" }, frame, layers, chips, advice, legend);
const staging = h("div", { class: "p-staging", role: "group", "aria-label": "Finished candidates" });
const view = h("div", { class: "p-view" }, space, staging);
const tabButtons = Object.fromEntries(TABS.map(([id, text], k) =>
  [id, h("button", { type: "button", class: "p-tab", role: "tab", text, title: `${text} (${k + 1})`, onclick: () => pickTab(id) })]));
const outside = h("span", { class: "p-outside" });
const tabs = h("div", { class: "p-tabs" }, h("div", { role: "tablist", "aria-label": "Views of the picture", class: "p-tablist" }, ...Object.values(tabButtons)), outside);
const stage = h("div", { class: "p-stage" }, tools, view, tabs);

const pictureFile = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp,.palimpsest", hidden: true, onchange: () => openFiles(pictureFile) });
const drop = h("button", { type: "button", class: "p-drop", onclick: () => pictureFile.click() },
  h("b", { text: "Drop a picture here" }), h("span", { text: "or choose a file · PNG, JPEG, WebP or a session file" }));
const cards = h("div", { class: "p-cards" });
const back = h("button", { type: "button", class: "p-btn p-back", text: "Back to the picture", onclick: () => p.set({ starting: false }) });
const start = h("div", { class: "p-start" },
  h("div", { class: "p-start-in" },
    h("div", { class: "p-start-head" }, h("h2", { text: "Start with a picture" }), h("span", { class: "p-space" }), back),
    drop, pictureFile, h("h3", { text: "or with an example that works on the embedded model" }), cards,
    h("section", { id: "p-recent", class: "p-recent", "aria-label": "Sessions saved last", hidden: true })));
stage.inert = true;
start.hidden = stage.hidden = true; // until the server has said whether there is a session
root.append(stage, start);

// ----------------------------------------------------------------------------------------------------- what is shown

const busy = () => p.live(p.state.view);
const stagedNow = () => (p.state.view.staged.length ? p.state.view.staged[Math.min(p.state.picked, p.state.view.staged.length - 1)] : null);
const canMark = () => p.state.view && !p.state.away && !p.swap.shows(p.state) && !busy() && !stagedNow() && tab === "picture";
const step = () => Math.max(1, Math.round(Math.max(p.state.view.width, p.state.view.height) / 128));

/** The picture that is looked at, what came before it, and the mask of the edit between the two. */
function shown(v) {
  const now = p.current(v), candidate = stagedNow();
  if (candidate) return { after: candidate.picture, before: now.picture, mask: v.mask.mask, beforeName: "before", afterName: `candidate ${p.state.picked + 1}`, facts: candidate };
  const parent = now.parent ? p.turn(v, now.parent) : null;
  return { after: now.picture, before: parent ? parent.picture : null, mask: now.mask, now,
    beforeName: parent && parent.number ? `turn ${parent.number}` : "original", afterName: now.number ? `turn ${now.number}` : "original", facts: parent ? now : null };
}

function source(image, url) {
  if (image.getAttribute("src") !== url) image.src = url;
}

function draw() {
  const v = p.state.view;
  const starting = !v || p.state.starting;
  start.hidden = !starting;
  stage.hidden = !v;
  stage.inert = starting || p.swap.shows(p.state);
  back.hidden = !v;
  drawCards();
  if (!v) return;
  adoptPrompts(v);
  if (tab !== "picture" && (busy() || (tab !== "layers" && !shown(v).before))) tab = "picture";
  drawTools();
  drawTabs(v);
  drawPicture(v);
  drawMarks(v);
  drawChips(v);
  drawStaging(v);
  fit();
  if (tab === "layers") drawLayers(v);
  root.dataset.rev = v.rev;
}

function drawPicture(v) {
  const s = shown(v), job = v.job;
  const previewing = busy() && job.preview > 0;
  frame.hidden = tab === "layers";
  layers.hidden = tab !== "layers";
  frame.dataset.tab = tab;
  frame.dataset.live = busy() ? "yes" : "no";
  frame.setAttribute("aria-label", canMark()
    ? "Current picture. Arrow keys move the crosshair, Enter includes, Shift Enter excludes."
    : busy() ? "Preview of the running turn" : "Current picture");
  if (previewing) preview(urls.preview(job.preview));
  else source(base, urls.picture(peeking && s.before ? s.before : s.after));
  base.alt = previewing ? "preview" : s.afterName;
  over.hidden = tab !== "compare" || !s.before;
  if (!over.hidden) {
    source(base, urls.picture(s.after));
    source(over, urls.picture(s.before));
  }
  slider.hidden = edge.hidden = beforeTag.hidden = afterTag.hidden = over.hidden;
  beforeTag.textContent = s.beforeName;
  afterTag.textContent = s.afterName;
  difference.hidden = legend.hidden = tab !== "difference" || !s.before;
  if (!difference.hidden) drawDifference(s);
}

/** Shows a preview once it is here; one that is gone by then leaves the one before it standing. */
function preview(url) {
  const next = new Image();
  next.onload = () => { if (busy() && p.state.view.job.preview && urls.preview(p.state.view.job.preview) === url) source(base, url); };
  next.src = url;
}

let differing = "";
async function drawDifference(s) {
  const wanted = `${s.before} ${s.after} ${s.mask}`;
  if (wanted === differing) return;
  differing = wanted;
  // Of a part that was kept only the seam is drawn anew, so what differs of it is told as that (`outside_changed` counts
  // what differs beyond the seam).
  const kept = s.facts && p.keptPart(s.facts.scope), exact = Boolean(kept) && s.facts.outside_changed === 0;
  const count = await p.compare.difference(difference, urls.picture(s.before), urls.picture(s.after), s.mask ? urls.picture(s.mask) : null, exact ? kept : null);
  if (wanted !== differing) return;
  const key = (name, words) => h("span", { class: `p-key p-${name}` }, h("i"), words);
  const parts = ["subject", "background"].filter((part) => count[part].all).map((part) => (exact && part === kept ? key(part, `${part} kept`) : key(part, `${part} ${percent(count[part].changed / count[part].all)} changed`)));
  const seam = exact && count[kept].changed ? [key("seam", `seam ${count[kept].changed.toLocaleString("en")} pixels`)] : [];
  legend.replaceChildren(...parts, ...seam, h("span", { class: "p-hint", text: "brighter is more" }));
  difference.dataset.ready = wanted;
}

function drawTools() {
  const v = p.state.view, usable = canMark();
  for (const [id, node] of Object.entries(toolButtons)) {
    node.setAttribute("aria-pressed", String(id === tool));
    node.disabled = !usable;
  }
  const painting = tool === "brush" || tool === "erase";
  sizeBox.hidden = !painting;
  size.value = radius;
  sizeText.textContent = `${radius} px`;
  feather.value = prompts.feather;
  phraseBox.hidden = !p.state.about.phrases;
  if (document.activeElement !== phrase) phrase.value = prompts.phrase;
  const has = !marks.isEmpty(prompts);
  for (const node of [grow, shrink, invert]) node.disabled = !usable || !has;
  clear.disabled = !usable || (!has && !prompts.invert && !prompts.grow);
  feather.disabled = uploadMask.disabled = snap.disabled = phrase.disabled = !usable;
  snap.setAttribute("aria-pressed", String(prompts.snap));
  invert.setAttribute("aria-pressed", String(prompts.invert));
  grow.dataset.on = prompts.grow > 0 ? "yes" : "no";
  shrink.dataset.on = prompts.grow < 0 ? "yes" : "no";
  grow.textContent = prompts.grow > 0 ? `Grow ${prompts.grow}` : "Grow";
  shrink.textContent = prompts.grow < 0 ? `Shrink ${-prompts.grow}` : "Shrink";
  area.textContent = v.mask.mask ? `subject ${percent(v.mask.area)} of the picture` : "nothing selected";
  area.classList.toggle("p-warn", v.mask.stale);
  area.title = v.mask.stale ? "The marks were made on another turn's picture. Look whether the outline still fits." : "";
  if (v.mask.stale && v.mask.mask) area.textContent = "carried over: check it";
  frame.dataset.tool = usable ? tool : "none";
  settleTools();
}

function drawTabs(v) {
  const s = shown(v);
  for (const [id, node] of Object.entries(tabButtons)) {
    const on = id === tab;
    node.setAttribute("aria-selected", String(on));
    node.tabIndex = on ? 0 : -1;
    node.disabled = busy() ? id !== "picture" : id === "layers" ? !(s.mask || v.mask.mask) : id !== "picture" && !s.before;
  }
  const kept = s.facts && p.keptPart(s.facts.scope);
  const flat = !busy() && s.facts && s.facts.flat;
  outside.classList.toggle("p-warn", Boolean(flat));
  outside.textContent = busy() ? "live preview" : !s.facts ? `${v.width} × ${v.height} pixels`
    : flat ? `what was to change came out ${p.flatText(flat)}`
    : kept ? `${kept} kept: ${p.changedText(s.facts.outside_changed, s.facts.outside_largest)}` : "subject and background changed";
}

async function drawMarks(v) {
  const visible = canMark() && !peeking;
  root.dataset.waiting = waiting === null && !p.state.settling ? "no" : "yes";
  overlay.hidden = !visible || p.state.settling;
  dots.hidden = live.hidden = !visible;
  live.setAttribute("viewBox", `0 0 ${v.width} ${v.height}`);
  dots.replaceChildren(...prompts.clicks.map((c, k) => h("button", {
    type: "button", class: c.include ? "p-dot" : "p-dot p-neg", title: "Remove this click", "data-click": k,
    "aria-label": `${c.include ? "Included" : "Excluded"} at ${Math.round(c.x)}, ${Math.round(c.y)}. Remove.`,
    style: `left:${(c.x / v.width) * 100}%;top:${(c.y / v.height) * 100}%`,
    onclick: (event) => { if (!event.detail) apply(marks.unclicked(prompts, k)); }, // by the keyboard; a pointer is the frame's
  })));
  if (!gesture) drawLive(v);
  if (waiting !== null || p.state.settling) return; // a newer mask is on its way
  const scale = window.devicePixelRatio || 1;
  const width = Math.round(frameSize.width * scale), height = Math.round(frameSize.height * scale);
  const wanted = v.mask.mask && width ? `${v.mask.mask} ${width}x${height}` : "none";
  if (wanted === drawnMask) return;
  const token = ++maskToken;
  if (wanted === "none") overlay.width = overlay.width; // empties it
  else {
    let image;
    try { image = await p.overlay.load(urls.picture(v.mask.mask)); } catch { return; }
    if (token !== maskToken) return;
    p.overlay.draw(overlay, image, width, height, scale);
  }
  drawnMask = wanted;
  root.dataset.mask = v.mask.mask || "none";
  if (!gesture) drawLive(v);
}

/** The box that stands, strokes whose mask has not arrived yet, and what is being dragged. */
function drawLive(v) {
  const parts = [], unit = v.width / Math.max(1, frameSize.width);
  const box = (b, dashed) => h("rect", { x: b.left, y: b.top, width: b.right - b.left, height: b.bottom - b.top, fill: "none",
    stroke: "#fff", "stroke-width": 1.5 * unit, "stroke-dasharray": dashed ? `${5 * unit} ${4 * unit}` : null });
  const stroke = (s) => h("polyline", { points: s.points.map((q) => `${q[0]},${q[1]}`).join(" "), fill: "none", "stroke-width": 2 * s.radius,
    "stroke-linecap": "round", "stroke-linejoin": "round", stroke: s.erase ? "#0d0e10" : "#ff9d5c", opacity: 0.55 });
  if (prompts.box) parts.push(box(prompts.box, true));
  if (waiting !== null && prompts.strokes.length) parts.push(stroke(prompts.strokes.at(-1)));
  if (gesture && gesture.box) parts.push(box(gesture.box, true));
  if (gesture && gesture.stroke) parts.push(stroke(gesture.stroke));
  live.replaceChildren(...parts);
}

function drawChips(v) {
  const visible = canMark() && v.mask.choices.length > 1 && (prompts.clicks.length > 0 || prompts.phrase !== "");
  chips.hidden = !visible;
  const has = v.mask.mask || waiting !== null;
  advice.hidden = !canMark() || has;
  advice.textContent = p.coarse ? "Tap the subject, or drag a box around it" : "Click the subject. Right click excludes, drag for a box.";
  if (!visible) return;
  const chosen = prompts.choice ?? v.mask.chosen, had = chips.contains(document.activeElement);
  chips.replaceChildren(...v.mask.choices.map((c, k) => h("button", {
    type: "button", class: "p-chip", role: "radio", "aria-checked": String(k === chosen), tabindex: k === chosen ? "0" : "-1",
    title: "How sure the segmenter is of this outline", onclick: () => apply(marks.chosen(prompts, k)),
  }, h("span", { text: c.label }), h("small", { text: c.score.toFixed(2) }))));
  if (had) chips.children[chosen].focus();
}

function drawStaging(v) {
  const visible = v.staged.length > 0 && !busy();
  staging.hidden = !visible;
  if (!visible) return;
  const at = Math.min(p.state.picked, v.staged.length - 1);
  const focused = staging.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  const pick = (k) => p.set({ picked: k });
  const thumbs = v.staged.map((c, k) => {
    const node = h("button", { type: "button", class: "p-cand", role: "radio", "aria-checked": String(k === at), tabindex: k === at ? "0" : "-1", "data-id": `c${k}`,
      title: `seed ${c.seed}`, "aria-label": `Candidate ${k + 1}, seed ${c.seed}${c.flat ? `, came out ${p.flatText(c.flat)}` : ""}`, onclick: () => pick(k) }, h("img", { src: urls.picture(c.picture, 160), alt: "" }), h("small", c.flat ? { class: "p-warn", text: p.flatText(c.flat) } : { text: `seed ${c.seed}` }));
    return node;
  });
  const act = (id, text, fire, kind = "") => h("button", { type: "button", class: `p-btn ${kind}`, "data-id": id, text, onclick: fire });
  staging.replaceChildren(
    h("div", { class: "p-cands", role: "radiogroup", "aria-label": "Candidates" }, ...thumbs),
    act("keep", `Keep as turn ${p.current(v).number + 1}`, () => trigger("keep", { index: at }), "p-go"),
    act("more", "More seeds", () => trigger("more_seeds", {})), act("discard", v.staged.length > 1 ? `Discard all ${v.staged.length}` : "Discard", () => trigger("discard", {})));
  const again = focused && staging.querySelector(`[data-id="${focused[0] === "c" ? `c${at}` : focused}"]`);
  if (again) again.focus();
}

let layered = "";
function drawLayers(v) {
  const s = shown(v), mask = s.mask || v.mask.mask;
  const wanted = `${s.after} ${mask}`;
  if (wanted === layered) return fitLayers(v);
  layered = wanted;
  const figure = (name, node, text) => h("figure", { class: `p-layer p-${name}` }, h("figcaption", {}, h("i"), text), h("div", {}, node));
  const subject = h("canvas"), rest = h("canvas");
  p.compare.cut(subject, urls.picture(s.after), urls.picture(mask), true).catch(() => {});
  p.compare.cut(rest, urls.picture(s.after), urls.picture(mask), false).catch(() => {});
  const reference = s.now && s.now.reference;
  layers.replaceChildren(figure("subject", subject, "Subject"), figure("background", rest, "Background"),
    figure("mask", h("img", { src: urls.picture(mask), alt: "mask" }), "Mask"),
    ...(reference ? [figure("reference", h("img", { src: urls.picture(reference), alt: "background reference" }), "Background it followed")] : []));
  fitLayers(v);
}

/** Makes the layers as large as the room allows, in one row or two. */
function fitLayers(v) {
  const room = layers.getBoundingClientRect(), n = layers.childElementCount, caption = 26, gap = 14;
  const size = (columns) => {
    const rows = Math.ceil(n / columns);
    return Math.min((room.width - gap * (columns + 1)) / columns / v.width, ((room.height - gap * (rows + 1)) / rows - caption) / v.height);
  };
  const columns = [1, 2, 3, 4].filter((k) => k <= n).sort((a, b) => size(b) - size(a))[0], scale = Math.max(0.01, size(columns));
  layers.style.gridTemplateColumns = `repeat(${columns}, max-content)`;
  for (const box of layers.querySelectorAll("div")) Object.assign(box.style, { width: `${Math.floor(v.width * scale)}px`, height: `${Math.floor(v.height * scale)}px` });
}

function drawCards() {
  const examples = p.state.about.examples;
  if (cards.childElementCount === examples.length) return;
  cards.replaceChildren(...examples.map((e) => h("button", { type: "button", class: "p-card", onclick: () => openExample(e.id) },
    h("img", { src: urls.example(e.id, 320), alt: "" }),
    h("b", { text: e.title }),
    h("span", {}, ...(e.subject ? [h("em", { class: "p-subject", text: e.subject })] : []), ...(e.background ? [h("em", { class: "p-background", text: e.background })] : [])))));
}

// -------------------------------------------------------------------------------------------------- size of the frame

function fit() {
  const v = p.state.view;
  if (!v) return;
  // Chips and candidates stand beside the picture where there is room, so that they hide nothing of it.
  const all = view.getBoundingClientRect();
  const beside = all.width / 2 - ((all.height - 28) * v.width) / v.height / 2 > 230 || (tab === "layers" && all.width > 800);
  if ((staging.parentElement === space) !== beside) (beside ? space : view).append(staging);
  staging.dataset.beside = beside ? "yes" : "no";
  const room = space.getBoundingClientRect();
  if (!room.width) return;
  const margin = room.width < 600 ? 8 : 28;
  const scale = Math.min((room.width - margin) / v.width, (room.height - margin) / v.height);
  frameSize = { width: Math.max(1, Math.floor(v.width * scale)), height: Math.max(1, Math.floor(v.height * scale)) };
  frame.style.width = `${frameSize.width}px`;
  frame.style.height = `${frameSize.height}px`;
  const aside = (room.width - frameSize.width) / 2;
  chips.dataset.aside = aside > 170 ? "yes" : "no";
  chips.style.maxWidth = aside > 170 ? `${aside - 24}px` : "";
}

new ResizeObserver(() => { if (p.state.view) { fit(); drawMarks(p.state.view); if (tab === "layers") fitLayers(p.state.view); } }).observe(space);

// ------------------------------------------------------------------------------------------------------------ marking

/** The server's marks replace ours unless ours are newer: an answer to older marks must not undo a later click. */
function adoptPrompts(v) {
  const answered = p.state.message.failed || (p.state.echo !== null && p.state.echo === waiting);
  if (answered) waiting = null;
  if (shownSid !== v.sid) begin(v);
  if (waiting === null) for (const act of afterMark.splice(0)) setTimeout(act);
  if (waiting === null) prompts = plain(v.draft.prompts);
}

/** Another picture: nothing of what was in the hand for the last one is. */
function begin(v) {
  shownSid = v.sid;
  waiting = drawnMask = cross = gesture = null;
  afterMark.length = 0;
  tool = "include";
  tab = "picture";
  peeking = false;
  radius = Math.max(2, Math.round(v.width / 32));
  size.max = Math.max(16, Math.round(v.width / 4));
}

const plain = (m) => ({ ...m, strokes: m.strokes.map((s) => ({ ...s, points: s.points.map((q) => (Array.isArray(q) ? q : [q.x, q.y])) })) });

function apply(next) {
  if (!canMark() || marks.same(next, prompts)) return;
  prompts = next;
  count += 1;
  waiting = count;
  props.value = JSON.stringify({ count, prompts });
  trigger("mark", {});
  drawTools();
  drawMarks(p.state.view);
  drawChips(p.state.view);
}

const clearMarks = () => apply(marks.empty(prompts.feather, prompts.snap));

function position(event) {
  const v = p.state.view, r = frame.getBoundingClientRect();
  const x = ((event.clientX - r.left) / r.width) * v.width, y = ((event.clientY - r.top) / r.height) * v.height;
  return { x: Math.max(0, Math.min(v.width, x)), y: Math.max(0, Math.min(v.height, y)) };
}

/** Leaves undone what is being drawn. */
function dropGesture() {
  gesture = null;
  if (p.state.view) drawLive(p.state.view);
}

const rounded = (x) => Math.round(x * 100) / 100;

frame.addEventListener("contextmenu", (event) => { if (canMark()) event.preventDefault(); });
frame.addEventListener("pointerdown", (event) => {
  if (!event.isPrimary) return dropGesture(); // a second finger: they zoom
  const dot = event.target.closest(".p-dot");
  // A press that closes a menu does nothing else.
  if (!canMark() || event.button > 2 || (dot && event.button) || document.querySelector(":popover-open")) return;
  frame.setPointerCapture(event.pointerId);
  const at = position(event), painting = tool === "brush" || tool === "erase";
  const include = !(tool === "exclude" || event.button === 2 || event.altKey);
  // A click is removed where it was pressed: the click that a tap ends in meets the mark which the same tap has set.
  gesture = { id: event.pointerId, at, screen: { x: event.clientX, y: event.clientY }, include, dot: dot ? Number(dot.dataset.click) : null,
    stroke: painting && event.button === 0 ? { points: [[rounded(at.x), rounded(at.y)]], radius, erase: tool === "erase" || event.altKey } : null, box: null };
  if (gesture.stroke) drawLive(p.state.view);
});
frame.addEventListener("pointermove", (event) => {
  moveRing(event);
  if (!gesture || event.pointerId !== gesture.id) return;
  const at = position(event);
  if (gesture.stroke) {
    const last = gesture.stroke.points.at(-1);
    if (Math.hypot(at.x - last[0], at.y - last[1]) >= Math.max(0.5, radius / 6)) gesture.stroke.points.push([rounded(at.x), rounded(at.y)]);
  } else if (gesture.include && Math.hypot(event.clientX - gesture.screen.x, event.clientY - gesture.screen.y) > DRAG) {
    gesture.box = { left: Math.min(at.x, gesture.at.x), top: Math.min(at.y, gesture.at.y), right: Math.max(at.x, gesture.at.x), bottom: Math.max(at.y, gesture.at.y) };
  }
  drawLive(p.state.view);
});
frame.addEventListener("pointerup", (event) => {
  if (!gesture || event.pointerId !== gesture.id) return;
  const { stroke, box, at, include, dot } = gesture;
  gesture = null;
  if (dot !== null && !box) apply(marks.unclicked(prompts, dot));
  else if (stroke) apply(marks.stroked(prompts, stroke));
  else if (box && box.right - box.left >= 1 && box.bottom - box.top >= 1) apply(marks.boxed(prompts, { left: rounded(box.left), top: rounded(box.top), right: rounded(box.right), bottom: rounded(box.bottom) }));
  else if (tool !== "box") apply(marks.clicked(prompts, rounded(at.x), rounded(at.y), include));
  else drawLive(p.state.view);
});
frame.addEventListener("pointercancel", () => dropGesture());
frame.addEventListener("pointerleave", () => { ring.hidden = true; });
ring.hidden = crosshair.hidden = true;

function moveRing(event) {
  const painting = canMark() && (tool === "brush" || tool === "erase") && event.pointerType !== "touch";
  ring.hidden = !painting;
  if (!painting) return;
  const r = frame.getBoundingClientRect(), d = (2 * radius * r.width) / p.state.view.width;
  Object.assign(ring.style, { left: `${event.clientX - r.left}px`, top: `${event.clientY - r.top}px`, width: `${d}px`, height: `${d}px` });
}

frame.addEventListener("keydown", (event) => {
  const v = p.state.view;
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (event.target !== frame || !canMark() || event.ctrlKey || event.metaKey || (!by && event.key !== "Enter")) return;
  event.preventDefault();
  cross = cross || { x: v.width / 2, y: v.height / 2 };
  if (by) {
    const far = event.shiftKey ? step() * 8 : step();
    cross = { x: Math.max(0, Math.min(v.width, cross.x + by[0] * far)), y: Math.max(0, Math.min(v.height, cross.y + by[1] * far)) };
  } else apply(marks.clicked(prompts, rounded(cross.x), rounded(cross.y), !event.shiftKey && tool !== "exclude"));
  crosshair.hidden = false;
  Object.assign(crosshair.style, { left: `${(cross.x / v.width) * 100}%`, top: `${(cross.y / v.height) * 100}%` });
});
frame.addEventListener("blur", () => { crosshair.hidden = true; });

// ------------------------------------------------------------------------------------------------- tools, tabs, files

function pickTool(id) { tool = id; drawTools(); }
function pickTab(id) { if (p.state.view && !tabButtons[id].disabled) { tab = id; draw(); } }

const settleTools = p.roving(tools, "button");
p.roving(tabs, ".p-tab", (node) => node.click());
p.roving(staging, ".p-cand", (node) => node.click());
p.roving(chips, ".p-chip", (node) => node.click());

async function sent(input) {
  const file = input.files ? input.files[0] : input;
  if (input.files) setTimeout(() => { input.value = ""; }, 0);
  if (!file) return null;
  const ticket = await p.sent(file);
  return ticket && { ticket, name: file.name };
}

async function openFiles(input) {
  root.dataset.opening = "yes";
  const file = await sent(input);
  if (file) trigger("open_file", file);
  else root.dataset.opening = "no";
}

function openExample(id) { root.dataset.opening = "yes"; trigger("open_example", { example: id }); }

async function sendMask() {
  const file = await sent(maskFile);
  if (file) trigger("upload_mask", file);
}

/** Puts the picture that is looked at into the clipboard. */
async function copyPicture() {
  const url = urls.picture(shown(p.state.view).after);
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": fetch(url).then((answer) => answer.blob()) })]);
    p.toast("The picture is in the clipboard.", "good");
  } catch {
    p.toast("The browser did not let the picture into the clipboard. Take it from Export instead.");
  }
}

// A picture from the clipboard is opened as a file is; texts are pasted where the cursor stands.
document.addEventListener("paste", (event) => {
  const { files } = event.clipboardData, text = event.clipboardData.types.includes("text/plain");
  if (event.defaultPrevented || !files.length || (text && p.typing(event.target)) || document.querySelector("dialog:modal")) return;
  event.preventDefault();
  openFiles(files[0].name === "image.png" ? new File([files[0]], "Pasted picture", { type: files[0].type }) : files[0]);
});

// A file may be let go anywhere on the page, where the browser would leave the page for it.
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => {
  if (event.defaultPrevented || ![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  drop.classList.toggle("p-over-it", kind === "dragover");
  if (kind !== "drop" || !event.dataTransfer.files.length) return;
  if (event.dataTransfer.files.length > 1) p.toast(`One at a time: of ${event.dataTransfer.files.length} files “${event.dataTransfer.files[0].name}” is opened.`, "note");
  openFiles(event.dataTransfer.files[0]);
});
document.addEventListener("dragleave", () => drop.classList.remove("p-over-it"));

p.unsent.push({ name: "marks", read: () => (waiting === null ? null : prompts), put: apply });

Object.assign(actions, {
  tool: (id) => { if (canMark()) pickTool(id); },
  clear: () => { if (canMark()) clearMarks(); },
  size: (by) => { radius = Math.max(1, Math.min(Number(size.max), radius + by)); if (p.state.view) drawTools(); },
  tab: (index) => pickTab(TABS[index][0]),
  peek: (on) => { if (peeking !== on && p.state.view && !busy()) { peeking = on; draw(); } },
  drawing: () => gesture !== null,
  undraw: dropGesture,
  /** Does `act` once the marks that were set are answered: what came after them must not overtake them. */
  whenMarked: (act) => (waiting === null ? act() : afterMark.push(act)),
  marking: () => waiting !== null,
  openFile: () => drop.focus(),
  copy: copyPicture,
  keep: () => { const b = staging.querySelector(".p-go"); if (b && !staging.hidden) b.click(); },
});

p.on((state) => {
  if (state.view || state.echo !== null || state.message.failed) root.dataset.opening = "no";
  draw();
});
