// The trash of the timeline: turns that were taken out of sight, candidates that were not kept, and the way back.
window.palimpsest.trash = (() => {
  const p = window.palimpsest, { h, urls } = p;
  let open = null;

  function fill(body, state, send) {
    const row = (picture, label, more, named, bring) => h("li", {},
      h("img", { src: urls.picture(picture, 160), alt: "", loading: "lazy" }),
      h("div", {}, h("span", { class: "p-trash-label", text: label, title: label }), more ? h("small", { class: "p-hint", text: more }) : null),
      h("button", { type: "button", class: "p-btn", text: "Bring back", "aria-label": `Bring back ${named}`, onclick: bring }));
    const after = (count) => (count > 1 ? `with ${count - 1} turn${count > 2 ? "s" : ""} after it` : "");
    const rows = [
      ...state.view.put_away.map((c) => row(c.picture, c.label, `candidate, seed ${c.seed}`, `the candidate ${c.label}, seed ${c.seed}`, () => send.bring_back({ pictures: [c.picture] }))),
      ...state.view.trash.map((t) => row(t.picture, t.label || "a turn", after(t.turns), t.label || "a turn", () => send.restore({ turn: t.turn }))),
    ];
    body.replaceChildren(rows.length ? h("ul", { class: "p-trash" }, ...rows) : h("p", { class: "p-hint", text: "The trash is empty. Nothing is ever deleted: what you move here waits to be brought back." }));
  }

  function show(host, at, send) {
    open = p.popover.panel(host, at, "Trash", (body) => fill(body, p.state, send));
    open.send = send;
  }

  /** Draws an open trash anew. */
  function draw(state) {
    if (!open) return;
    if (!open.node.isConnected || !state.view) open = null;
    else {
      const had = open.body.contains(document.activeElement);
      fill(open.body, state, open.send);
      if (had) (open.body.querySelector("button") || open.node).focus();
    }
  }

  return { show, draw };
})();
