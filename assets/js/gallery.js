// The gallery: every session as a tile, the trash beside it, and the sessions saved last on the start page.
import { actions } from "./actions.js";
import { find, focusIn, h, targetOf } from "./dom.js";
import { many, say } from "./language.js";
import { Panel } from "./panel.js";
import * as places from "./places.js";
import { set, state } from "./store.js";
import { urls } from "./urls.js";
import { ago } from "./words.js";

/** @typedef {import("./view.js").Summary} Summary */

export const panel = new Panel();
const { root } = panel;
const studio = /** @type {HTMLElement} */ (document.getElementById("studio"));
const OWN = "palimpsest-own", MOST_OWN = 1000, PAGE = 60, RECENT = 4;

/** The session of a tile, from anything in it. @param {Element} node */
const sidOf = (node) => /** @type {HTMLElement} */ (node.closest(".p-tile")).dataset.sid;

let opened = false, bin = false, shown = PAGE, asked = 0, starting = false, waiting = 0;
/** @type {import("./store.js").Gallery | null} what was found last */
let answer = null;
/** @type {string | null} the session that is being renamed */
let editing = null;
/** @type {{ sid: string | undefined, does: string } | null} */
let focusOn = null;

// ------------------------------------------------------------------------------- which sessions this browser opened

function own() {
  try {
    const ids = JSON.parse(window.localStorage.getItem(OWN) || "[]");
    return Array.isArray(ids) ? ids : [];
  } catch { return []; } // a page in a frame may have no storage
}

/** Read and written in one go, so that two tabs do not forget each other's. @param {string} sid */
function remember(sid) {
  const ids = own();
  if (ids[0] === sid) return;
  try { window.localStorage.setItem(OWN, JSON.stringify([sid, ...ids.filter((id) => id !== sid)].slice(0, MOST_OWN))); } catch { /* none is kept then */ }
}

// --------------------------------------------------------------------------------------------------------- building

const search = h("input", { type: "search", class: "p-search", placeholder: say("Search names and texts"), "aria-label": say("Search in the names and texts of sessions"), oninput: () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { shown = PAGE; seek(); }, 150);
} });
/** @param {string} text @param {boolean} to */
const tab = (text, to) => h("button", { type: "button", class: "p-tab", text, onclick: () => { bin = to; shown = PAGE; answer = null; seek(); } });
const kept = tab(say("Sessions"), false), trash = tab(say("Trash"), true);
const close = h("button", { type: "button", class: "p-x", "aria-label": say("Close the sessions"), title: say("Close (Esc)"), text: "×", onclick: () => leave() });
const told = h("p", { class: "p-hint p-told", role: "status" });
const empty = h("div", { class: "p-none" });
const tiles = h("div", { class: "p-tiles", role: "list" });
const more = h("button", { type: "button", class: "p-btn p-more", text: say("Show more"), onclick: () => { shown += PAGE; seek(); } });
const page = h("section", { class: "p-gallery", "aria-labelledby": "p-gallery-title", hidden: true },
  h("div", { class: "p-gallery-head" }, h("h2", { id: "p-gallery-title", text: say("Sessions") }), h("div", { class: "p-bins", role: "group", "aria-label": say("What is listed") }, kept, trash), search, told, h("span", { class: "p-space" }), close),
  h("div", { class: "p-gallery-body" }, tiles, empty, more));
root.append(page);

/** @param {number} count */
const turns = (count) => (count ? many(count, "{count} turn", "{count} turns") : say("no turns yet"));
/** @param {Summary} s */
const facts = (s) => `${s.damaged ? `${say("damaged")} · ` : ""}${turns(s.turns)} · ${ago(s.saved_at)}`;
/** @param {Summary} s */
const cover = (s) => h("span", { class: "p-cover" }, h("img", { src: urls.cover(s.sid, s.picture), alt: "", loading: "lazy", draggable: "false" }));
/** @param {string} id @param {string} text @param {() => void} fire @param {string} label */
const small = (id, text, fire, label) => h("button", { type: "button", class: "p-tool", "data-does": id, text, "aria-label": label, onclick: fire });

/** @param {Summary} s */
function tile(s) {
  const here = Boolean(state.view) && s.sid === state.sid, renaming = editing === s.sid;
  const picture = cover(s);
  if (here) picture.append(h("span", { class: "p-tag p-left", text: say("open now") }), " ");
  const about = h("span", { class: s.damaged ? "p-hint p-warn" : "p-hint", text: facts(s) }), words = renaming ? [] : [h("b", { text: s.name, title: s.name }), " ", about];
  const door = bin ? h("div", { class: "p-door" }, picture, ...words)
    : h("button", { type: "button", class: "p-door", "data-does": "enter", "aria-label": here ? null : say("Open {name}, {facts}", { name: s.name, facts: facts(s) }), "aria-current": here ? "true" : null, onclick: () => enter(s.sid) }, picture, ...words);
  const acts = bin ? [small("back", say("Bring back"), () => panel.trigger("bring_back_session", { sid: s.sid, enter: false }), say("Bring {name} back", { name: s.name }))]
    : [small("rename", say("Rename"), () => rename(s), say("Rename {name}", { name: s.name })), small("copy", say("Duplicate"), () => panel.trigger("duplicate_session", { sid: s.sid }), say("Duplicate {name}", { name: s.name })),
      small("trash", say("Trash"), () => discard(s.sid), say("Move {name} to the trash", { name: s.name }))];
  return h("div", { class: "p-tile", role: "listitem", "data-sid": s.sid }, door, ...(renaming ? [nameField(s), about] : []), h("div", { class: "p-acts" }, ...acts));
}

/** @param {Summary} s */
function nameField(s) {
  let over = false;
  /** @param {boolean} keep */
  const finish = (keep) => {
    if (over) return;
    over = true;
    const wanted = field.value.trim();
    editing = null;
    focusOn = { sid: s.sid, does: "enter" };
    if (keep && wanted && wanted !== s.name) {
      s.name = wanted;
      panel.trigger("rename_session", { sid: s.sid, name: wanted });
    }
    draw();
  };
  const field = h("input", { type: "text", class: "p-naming", "data-does": "name", value: s.name, maxlength: 120, "aria-label": say("New name of {name}", { name: s.name }),
    onblur: () => finish(true), onkeydown: (event) => {
      if (event.key === "Enter") finish(true);
      else if (event.key === "Escape") finish(false);
      else return;
      event.preventDefault();
      event.stopPropagation();
    } });
  return field;
}

// ------------------------------------------------------------------------------------------------------------ doing

/** @param {string} place @param {object} more_ */
const question = (place, more_) => ({ place, count: asked, own: state.about.lists_all ? [] : own(), ...more_ });

function seek() {
  asked += 1;
  panel.trigger("seek_sessions", question("gallery", { search: search.value, trashed: bin, shown }));
}

function seekRecent() { panel.trigger("seek_sessions", question("start", { search: "", trashed: false, shown: RECENT })); }

/** @param {string} sid */
function enter(sid) {
  if (state.view && sid === state.sid) return leave();
  panel.trigger("enter_session", { sid });
}

/** @param {Summary} s */
function rename(s) {
  editing = s.sid;
  focusOn = { sid: s.sid, does: "name" };
  draw();
}

/** The next tile is where the person goes on from. @param {string} sid */
function discard(sid) {
  const sids = (answer?.sessions || []).map((s) => s.sid), at = sids.indexOf(sid);
  focusOn = { sid: sids[at + 1] || sids[at - 1], does: "enter" };
  panel.trigger("trash_session", { sid });
}

function visit() {
  opened = true;
  bin = false;
  shown = PAGE;
  search.value = "";
  answer = null;
  show();
  seek();
  search.focus();
  places.note();
}

function leave() {
  opened = false;
  editing = null;
  show();
  document.getElementById("p-rooms")?.focus();
  places.note();
}

function show() {
  page.hidden = !opened;
  studio.dataset.gallery = opened ? "open" : "closed";
  document.getElementById("p-rooms")?.setAttribute("aria-expanded", String(opened));
  if (opened) draw();
}

Object.assign(actions, {
  sessions: () => (opened ? leave() : visit()),
  isAmongSessions: () => opened,
  enter,
  bringBack: (/** @type {{ sid: string, enter: boolean }} */ sent) => panel.trigger("bring_back_session", sent),
});

function draw() {
  kept.setAttribute("aria-pressed", String(!bin));
  trash.setAttribute("aria-pressed", String(bin));
  const focused = focusIn(tiles), held = focused && focused.dataset.does ? { sid: sidOf(focused), does: focused.dataset.does } : null;
  const list = answer ? answer.sessions : [];
  tiles.replaceChildren(...list.map(tile));
  more.hidden = !answer || !answer.more;
  const days = bin && list.length ? state.about.trash_days : 0;
  told.textContent = !answer ? "" : answer.search ? say(answer.more ? "{count} or more found" : "{count} found", { count: list.length }) : days ? many(days, "kept for {count} day, then gone for good", "kept for {count} days, then gone for good") : "";
  empty.hidden = !answer || list.length > 0;
  if (answer && !list.length) {
    const words = answer.search ? [say("Nothing found"), bin ? say("No session in the trash has all of these words in its name or its turns.") : say("No session has all of these words in its name or its turns.")]
      : bin ? [say("The trash is empty"), state.about.trash_days ? many(state.about.trash_days, "Sessions that you move here can be brought back for {count} day.", "Sessions that you move here can be brought back for {count} days.") : say("Sessions that you move here can be brought back at any time.")]
        : [say("No sessions yet"), state.about.lists_all ? say("Open a picture, and it is kept here.") : say("Pictures that you open in this browser are kept here. Nobody else sees them.")];
    empty.replaceChildren(h("b", { text: words[0] }), h("span", { text: words[1] }));
  }
  settle();
  const want = focusOn || held;
  if (want && want.sid && opened) {
    const node = find(`[data-sid="${CSS.escape(want.sid)}"] [data-does="${want.does}"]`, tiles) || find(`[data-sid="${CSS.escape(want.sid)}"] button`, tiles);
    if (node) node.focus();
    if (node instanceof HTMLInputElement) node.select();
  }
  focusOn = null;
}

/** Tab goes through the buttons of one tile, and the arrow keys from tile to tile: a long list is not a long way. */
function settle(/** @type {Element | null} */ one = null) {
  const at = one || tiles.firstElementChild;
  for (const node of tiles.children) for (const button of node.querySelectorAll("button")) button.tabIndex = node === at ? 0 : -1;
}
tiles.addEventListener("focusin", (event) => settle(targetOf(event).closest(".p-tile")));

/** @param {Summary[]} sessions */
function drawRecent(sessions) {
  const recent = document.getElementById("p-recent");
  if (!recent) return;
  recent.hidden = !sessions.length;
  recent.replaceChildren(h("div", { class: "p-recent-head" }, h("h3", { text: say("or go on with a session") }), h("span", { class: "p-space" }), h("button", { type: "button", class: "p-link", text: say("All sessions"), onclick: visit })),
    h("div", { class: "p-recents" }, ...sessions.map((/** @type {Summary} */ s) => h("button", { type: "button", class: "p-door", title: s.name, "aria-label": say("Open {name}, {facts}", { name: s.name, facts: facts(s) }), onclick: () => (state.view && s.sid === state.sid ? set({ starting: false }) : panel.trigger("enter_session", { sid: s.sid })) },
      cover(s), h("b", { text: s.name }), " ", h("span", { class: "p-hint", text: facts(s) })))));
}

// ---------------------------------------------------------------------------------------------------------- keyboard

page.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    event.preventDefault();
    event.stopPropagation();
    leave();
    return;
  }
  const at = targetOf(event).closest(".p-tile");
  if (!at || targetOf(event).dataset.does === "name" || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = [...tiles.children].filter((node) => node instanceof HTMLElement), here = all.findIndex((node) => node === at), session = (answer?.sessions || [])[here];
  const wide = all.filter((node) => node.offsetTop === all[0].offsetTop).length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide }[event.key];
  if (by && all[here + by]) find("button", all[here + by])?.focus();
  else if (!by && event.key === "F2" && !bin) rename(session);
  else if (!by && event.key === "Delete" && !bin) discard(session.sid);
  else if (!by) return;
  event.preventDefault();
  event.stopPropagation();
});

// ---------------------------------------------------------------------------------------------------------- listening

/** @type {string | null} */
let last = null;
panel.draws((state) => {
  const { view, message } = state, news = message.gallery;
  if (view) remember(view.sid);
  if (opened && view && view.sid !== last) leave(); // a session was opened, here or by a dropped file
  last = view ? view.sid : null;
  const begins = state.heard && (!view || state.starting);
  if ((begins && !starting) || (begins && news && news.again)) setTimeout(seekRecent);
  starting = begins;
  if (!news) return;
  if (news.made) remember(news.made);
  if (news.made) focusOn = { sid: news.made, does: "enter" };
  if (news.again && opened) seek();
  if (news.place === "start") drawRecent(news.sessions);
  else if (news.place === "gallery" && news.count === asked && opened) {
    answer = news;
    if (!editing) draw();
  }
});
