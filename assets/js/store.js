// The page's memory: the newest message of the server, and who wants to know. Panels draw themselves from it.
// Everything a person or a file named goes into the document as text, never as markup.
window.palimpsest = (() => {
  const state = { sid: null, view: null, settling: false, heard: false, away: false, about: { examples: [], methods: {}, upload_limit: 64 }, orders: null, starting: false, picked: 0, ahead: null, message: {} };
  const listeners = new Set();
  const actions = {}; // what a shortcut may call: each panel registers its own

  /** An element with attributes; `on…` are listeners, `text` its text, null and false leave an attribute out. */
  function h(tag, attributes = {}, ...children) {
    const svg = ["svg", "path", "rect", "circle", "polyline", "g"].includes(tag);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "text") node.textContent = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }

  const ICONS = {
    undo: "M5 3 2 6l3 3M2 6h6.5a3.5 3.5 0 0 1 0 7H6", redo: "M11 3l3 3-3 3M14 6H7.5a3.5 3.5 0 0 0 0 7H10", handle: "M6 4 2 8l4 4M10 4l4 4-4 4",
    swap: "M2 5h11M10 2l3 3-3 3M14 11H3M6 8l-3 3 3 3", more: "M3 8h.01M8 8h.01M13 8h.01", trash: "M2 4h12M6 4V2h4v2M4 4l1 10h6l1-10", orders: "M2 2h12M2 8h8M2 14h4M2 2v12M8 2v6",
    down: "M4 6.5 8 10.5l4-4", same: "M3 6h10M3 10h10", little: "M2 6.5c2-2.5 4-2.5 6 0s4 2.5 6 0M2 11c2-2.5 4-2.5 6 0s4 2.5 6 0", matters: "M3 6h10M3 10h10M11 2 5 14",
  };

  /** A line drawing of 16 x 16: no font is asked for signs that it may not have. */
  function icon(name) {
    return h("svg", { viewBox: "0 0 16 16", width: 16, height: 16, class: "p-icon", "aria-hidden": "true" }, h("path", { d: ICONS[name] }));
  }

  /** Addresses are relative to the page, so that it also works below a path of a proxy. */
  const base = new URL(".", window.location.href).pathname;
  const urls = {
    picture: (digest, side) => `${base}studio/picture/${state.sid}/${digest}.png${side ? `?side=${side}` : ""}`,
    preview: (number) => `${base}studio/preview/${state.sid}/${number}.jpg`,
    example: (id, side) => `${base}studio/example/${id}.png?side=${side}`,
    cover: (sid, digest) => `${base}studio/cover/${sid}/${digest}.jpg`,
    exported: (turn, kind) => `${base}studio/export/${state.sid}/${turn}/${kind}`,
    archive: () => `${base}studio/session/${state.sid}.palimpsest`,
    download: (digest, name) => `${base}studio/picture/${state.sid}/${digest}.png?download=${encodeURIComponent(name)}`,
  };

  const studio = () => document.getElementById("studio");

  /** Sends a file; the ticket that the studio takes it with, or null when it was not taken, which is told. */
  async function sent(file) {
    const limit = state.about.upload_limit;
    if (file.size > limit * 2 ** 20) {
      const large = Math.ceil(file.size / 2 ** 20), session = file.name.endsWith(".palimpsest");
      toast(`Files may have up to ${limit} MB; this one has ${large} MB. ${session ? `Start the studio with --upload-limit ${large}, or stop it and run: launch.py import FILE` : "Save it smaller and try again."}`);
      return null;
    }
    try {
      const answer = await fetch(`${base}studio/upload`, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
      if (answer.ok) return (await answer.json()).ticket;
      toast(await answer.text());
    } catch {
      toast("The file could not be sent. Check that the studio is still running, then choose it again.");
    }
    return null;
  }

  function on(listener) {
    listeners.add(listener);
    if (state.heard) listener(state);
  }

  function emit() {
    for (const listener of listeners) listener(state);
    Object.assign(studio().dataset, { session: state.view ? "open" : "none", rev: state.view ? state.view.rev : "none" });
  }

  function receive(message) {
    if (!message) return;
    state.heard = true;
    state.message = message; // what is news only once, such as a list that was asked for
    if (message.about) state.about = message.about;
    if ("view" in message) adopt(message);
    else if (message.tick && state.view && message.sid === state.sid) state.view = { ...state.view, job: message.tick.job };
    state.echo = message.echo ?? null;
    state.engine = message.engine ?? state.engine;
    state.orders = message.orders ?? state.orders;
    if (message.view && !message.notice && !message.settled) forget(message.view);
    if (message.notice && message.notice.text) toast(message.notice.text, message.notice.tone, message.action);
    emit();
    state.message = {};
  }

  // What no handler answered (it was too much at once, or a failure of the studio's own) has no message: it is told here.
  const ask = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await ask(...asked);
    if (!answer.ok && /\/gradio_api\/(run\/predict|queue\/join)$/.test(new URL(answer.url).pathname)) {
      const words = (answer.headers.get("Content-Type") || "").startsWith("text/plain") && answer.status < 500 ? await answer.clone().text()
        : `Something went wrong inside the studio (${answer.status}); your turns are safe. Try again; the server's log has the details.`;
      receive({ notice: { text: words, tone: "bad" }, failed: true });
    }
    return answer;
  };

  /** The view with its whole film, where it came as what is not as in the film named `since`; null if another is here. */
  function complete(next, last) {
    if (!next || next.since === undefined) return next;
    if (!last || last.sid !== next.sid || last.film !== next.since) return null;
    const turns = new Map(last.turns.map((t) => [t.id, t]));
    for (const patch of next.turns) turns.set(patch.id, { ...turns.get(patch.id), ...patch });
    for (const id of next.gone) turns.delete(id);
    const same = !next.turns.length && !next.gone.length;
    return { ...next, turns: same ? last.turns : [...turns.values()], branches: next.branches || last.branches };
  }

  /** Takes a view unless a newer one of the same session is already here; one that adds to a film that is not here is
   *  asked for whole. */
  function adopt(message) {
    const last = state.view;
    if (message.view && last && message.view.sid === last.sid && message.view.rev < last.rev) return;
    const next = complete(message.view, last);
    if (message.view && !next) return actions.look();
    const other = next && (!last || next.sid !== last.sid);
    if (!next || !last || next.current !== last.current || next.staged.length < last.staged.length) state.picked = 0;
    state.sid = message.sid;
    state.view = next;
    if (next && tabs && (other || next.rev > last.rev)) tabs.postMessage({ sid: next.sid, rev: next.rev });
    if (message.settling) state.settling = true; // the mask is about to be made anew for another picture
    else if (message.settled || message.echo !== undefined || other) state.settling = false;
    if (other) {
      state.starting = false;
      state.orders = null;
      window.scrollTo(0, 0);
    }
  }

  /** Changes what is only the page's own, such as which candidate is looked at. */
  function set(changes) {
    Object.assign(state, changes);
    emit();
  }

  // Other tabs of this browser are told at once what this one was told; those of other browsers hear it when they act.
  const tabs = "BroadcastChannel" in window ? new BroadcastChannel("palimpsest") : null;
  if (tabs) tabs.onmessage = ({ data }) => { if (state.view && data.sid === state.sid && data.rev > state.view.rev) set({ ahead: data }); };

  // A modal dialog covers all that is outside it and takes its clicks, so while one is open the messages are in it.
  const tray = h("div", { id: "p-toasts", role: "region", "aria-label": "Messages" });
  function placeTray() {
    const home = document.querySelector("dialog:modal") || studio();
    if (tray.parentNode !== home) home.append(tray);
  }
  document.addEventListener("close", placeTray, true);

  /** Puts a message among the others, or at their end again. */
  function tell(note) {
    placeTray();
    tray.append(note);
    while (tray.children.length > 3) tray.querySelector(":not(.p-away)").remove();
  }

  /** A line for a moment. `action` is {text, does, sent}: a button that calls the action of that name. */
  function toast(text, tone = "bad", action = null) {
    for (const old of tray.children) if (old.firstChild.textContent === text) old.remove();
    const close = h("button", { type: "button", class: "p-x", "aria-label": "Dismiss", text: "×", onclick: () => note.remove() });
    const note = h("div", { class: `p-toast p-${tone}`, role: tone === "bad" ? "alert" : "status" }, h("span", { text }),
      action ? h("button", { type: "button", class: "p-btn", text: action.text, onclick: () => { note.remove(); actions[action.does](action.sent); } }) : null, close);
    Object.assign(note, { told: tone === "bad" ? { sid: state.sid, rev: state.view ? state.view.rev : -1 } : null });
    tell(note);
    setTimeout(() => note.remove(), tone === "bad" || action ? 15000 : 6000);
  }

  /** What went wrong has been seen by whoever goes on with something else, and it went right. */
  function forget(view) {
    for (const note of [...tray.children]) if (note.told && (note.told.sid !== view.sid || note.told.rev < view.rev)) note.remove();
  }

  /** How long ago that was, in words; `at` in seconds since 1970. */
  function ago(at) {
    const seconds = Math.max(0, Date.now() / 1000 - at);
    if (seconds < 3) return "just now";
    if (seconds < 60) return `${Math.floor(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} d ago`;
  }

  const coarse = window.matchMedia("(pointer: coarse)").matches; // fingers, mostly
  /** The field that letters go into, if it is one. */
  const typing = (node) => node.closest && node.closest("input:not([type=range]):not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");

  const live = (view) => Boolean(view && view.job && ["queued", "running"].includes(view.job.state));
  const turn = (view, id) => view.turns.find((t) => t.id === id);
  const current = (view) => turn(view, view.current);
  const caption = (t) => (t.number === 0 ? "original" : t.label);

  /** Which part a turn of that scope was to keep (null for none), and in words how much of it changed all the same. */
  const keptPart = (scope) => ({ subject: "background", background: "subject" })[scope] || null;
  const changedText = (count, largest) => `${count.toLocaleString("en")} pixel${count === 1 ? "" : "s"} changed${count ? `, by ${largest} at most` : ""}`;

  const flatText = (flat) => ({ "#000000": "all black", "#ffffff": "all white" })[flat] || `all ${flat}`;

  /** A share from 0 to 1; what is not nothing or not all is never told as if it were. */
  const percent = (x) => (x > 0 && x < 0.01 ? "under 1 %" : x < 1 && x > 0.99 ? "over 99 %" : `${Math.round(x * 100)} %`);

  return { state, actions, coarse, typing, h, icon, keptPart, changedText, flatText, percent, base, urls, on, set, receive, toast, tell, sent, ago, live, turn, current, caption };
})();
