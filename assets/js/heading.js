// What the next turn will be called and where it hangs.
const p = window.palimpsest, { h } = p;
const title = h("h2", { text: "Turn" }), from = h("span", { class: "p-hint" });
element.querySelector(".p-root").append(h("div", { class: "p-heading" }, title, from));

p.on(({ view }) => {
  const side = document.getElementById("side");
  if (side) side.inert = !view;
  if (!view) {
    title.textContent = "Turn 1";
    from.textContent = "open a picture first";
    return;
  }
  const now = p.current(view), branches = view.turns.some((t) => t.parent === now.id);
  title.textContent = `Turn ${now.number + 1}`;
  from.textContent = `${branches ? "branches off" : "continues from"} ${now.number ? `turn ${now.number}` : "the original"}`;
});
