// The page's memory: the newest message of the server, and who wants to know. Panels draw themselves from it.
// Everything a person or a file named goes into the document as text, never as markup.
window.palimpsest = (() => {
  const state = { sid: null, view: null, about: { examples: [], methods: {}, upload_limit: 64 }, starting: false, picked: 0 };
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

  /** Addresses are relative to the page, so that it also works below a path of a proxy. */
  const base = new URL(".", window.location.href).pathname;
  const urls = {
    picture: (digest, side) => `${base}studio/picture/${state.sid}/${digest}.png${side ? `?side=${side}` : ""}`,
    preview: (number) => `${base}studio/preview/${state.sid}/${number}.jpg`,
    example: (id, side) => `${base}studio/example/${id}.png?side=${side}`,
    download: (digest, name) => `${base}studio/picture/${state.sid}/${digest}.png?download=${encodeURIComponent(name)}`,
  };

  function on(listener) {
    listeners.add(listener);
    listener(state);
  }

  function emit() {
    for (const listener of listeners) listener(state);
    document.documentElement.dataset.session = state.view ? "open" : "none";
    document.documentElement.dataset.rev = state.view ? state.view.rev : "none";
  }

  function receive(message) {
    if (!message) return;
    if (message.about) state.about = message.about;
    if ("view" in message) adopt(message);
    else if (message.tick && state.view && message.sid === state.sid) state.view = { ...state.view, job: message.tick.job };
    state.echo = message.echo ?? null;
    if (message.notice && message.notice.text) toast(message.notice.text, message.notice.tone);
    emit();
  }

  /** Takes a whole view unless a newer one of the same session is already here. */
  function adopt(message) {
    const next = message.view, last = state.view;
    if (next && last && next.sid === last.sid && next.rev < last.rev) return;
    const other = next && (!last || next.sid !== last.sid);
    if (!next || !last || next.current !== last.current || next.staged.length < last.staged.length) state.picked = 0;
    state.sid = message.sid;
    state.view = next;
    if (other) {
      state.starting = false;
      const address = new URL(window.location.href);
      address.searchParams.set("session", next.sid);
      window.history.replaceState(null, "", address);
    }
  }

  /** Changes what is only the page's own, such as which candidate is looked at. */
  function set(changes) {
    Object.assign(state, changes);
    emit();
  }

  function toast(text, tone = "bad") {
    let tray = document.getElementById("p-toasts");
    if (!tray) document.body.append((tray = h("div", { id: "p-toasts", role: "region", "aria-label": "Messages" })));
    for (const old of tray.children) if (old.firstChild.textContent === text) old.remove();
    const close = h("button", { type: "button", class: "p-x", "aria-label": "Dismiss", text: "×", onclick: () => note.remove() });
    const note = h("div", { class: `p-toast p-${tone}`, role: tone === "bad" ? "alert" : "status" }, h("span", { text }), close);
    tray.append(note);
    while (tray.children.length > 3) tray.firstChild.remove();
    setTimeout(() => note.remove(), tone === "bad" ? 15000 : 6000);
  }

  const live = (view) => Boolean(view && view.job && ["queued", "running"].includes(view.job.state));
  const turn = (view, id) => view.turns.find((t) => t.id === id);
  const current = (view) => turn(view, view.current);
  const caption = (t) => (t.number === 0 ? "original" : t.label);

  return { state, actions, h, urls, on, set, receive, toast, live, turn, current, caption };
})();
