// The trash of the timeline: what was taken out of sight, and the way back.
window.palimpsest.trash = (() => {
  const p = window.palimpsest, { h, urls } = p;
  let open = null;

  function fill(body, state, send) {
    const rows = state.view.trash.map((t) => h("li", {},
      h("img", { src: urls.picture(t.picture, 160), alt: "", loading: "lazy" }),
      h("div", {}, h("span", { class: "p-trash-label", text: t.label || "a turn", title: t.label }), t.turns > 1 ? h("small", { class: "p-hint", text: `with ${t.turns - 1} turn${t.turns > 2 ? "s" : ""} after it` }) : null),
      h("button", { type: "button", class: "p-btn", text: "Bring back", "aria-label": `Bring back ${t.label || "a turn"}`, onclick: () => send.restore({ turn: t.turn }) })));
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
