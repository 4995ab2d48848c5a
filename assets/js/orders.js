// The table of orders: for every pair of the last turns, whether their order matters; guessed at once, measured on wish.
window.palimpsest.orders = (() => {
  const p = window.palimpsest, { h } = p;
  const MOST = 6;
  let open = null, count = MOST;

  const guessed = (x) => (x >= 0.75 ? "likely free" : x >= 0.25 ? "unsure" : "may matter");

  function cell(view, found) {
    const a = p.turn(view, found.first), b = p.turn(view, found.second);
    if (!a || !b) return h("td");
    if (!found.consistency) {
      const say = guessed(found.guess);
      return h("td", { class: "p-guess", title: "A guess from what the two turns were allowed to change; nothing was run for it" }, h("span", { text: say }));
    }
    const { kind, figure, words } = p.swap.verdict(found.consistency);
    return h("td", { class: `p-known p-${kind}`, title: `${a.number} and ${b.number}: ${words}` }, p.icon(kind), h("b", { text: figure }), h("span", { class: "p-sr", text: words }));
  }

  function fill(body, state, send) {
    const { view, orders } = state, live = p.live(view) && view.job.does === "orders", here = p.current(view);
    const focus = body.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    const intro = h("p", { class: "p-hint", text: "What comes out when two turns change places. Light words are guesses; figures were measured (1 is the same picture)." });
    if (!orders || orders.turns.length < 2 || !orders.turns.every((id) => p.turn(view, id))) return body.replaceChildren(intro);
    const turns = orders.turns.map((id) => p.turn(view, id));
    const of = (a, b) => orders.cells.find((c) => c.first === a.id && c.second === b.id);
    const name = (t) => h("th", { scope: "row", title: t.label }, h("b", { text: String(t.number) }), h("span", { text: t.label }));
    const table = h("table", { class: "p-orders" }, h("thead", {}, h("tr", {}, h("td"), ...turns.slice(0, -1).map((t) => h("th", { scope: "col", title: t.label, text: String(t.number) })))),
      h("tbody", {}, ...turns.slice(1).map((row, r) => h("tr", {}, name(row), ...turns.slice(0, -1).map((column, c) => (c <= r ? cell(view, of(column, row)) : h("td", { class: "p-void" })))))));
    const missing = orders.cells.filter((c) => !c.consistency).length;
    const sizes = h("select", { "data-id": "count", "aria-label": "How many of the last turns", onchange: () => { count = Number(sizes.value); send.orders({ count }); } },
      ...Array.from({ length: Math.min(MOST, here.number) - 1 }, (_, k) => h("option", { value: k + 2, selected: k + 2 === turns.length, text: `last ${k + 2} turns` })));
    const measure = live
      ? [h("span", { class: "p-hint", role: "status", text: `Measuring ${view.job.stage || "…"}` }), h("button", { type: "button", class: "p-btn", "data-id": "cancel", text: "Cancel", onclick: () => p.actions.cancel() })]
      : [h("button", { type: "button", class: "p-btn p-go", "data-id": "measure", disabled: !missing || p.live(view), text: missing ? `Measure all (${missing})` : "All measured", onclick: () => send.measure({ count: turns.length }) })];
    body.replaceChildren(intro, table, h("div", { class: "p-pop-foot" }, sizes, h("span", { class: "p-space" }), ...measure));
    const again = focus && body.querySelector(`[data-id="${focus}"]`);
    if (again) again.focus();
  }

  function show(host, at, send) {
    send.orders({ count });
    open = p.popover.panel(host, at, "Does the order matter?", (body) => fill(body, p.state, send));
    open.send = send;
  }

  /** Draws an open table anew. */
  function draw(state) {
    if (!open) return;
    if (!open.node.isConnected || !state.view) open = null;
    else fill(open.body, state, open.send);
  }

  return { show, draw };
})();
