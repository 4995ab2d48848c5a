// The picture that the new background should follow: none, or one that was dropped or chosen.
const p = window.palimpsest, { h, urls } = p;
const file = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp", hidden: true, onchange: () => { send(file.files[0]); file.value = ""; } });
const thumb = h("span", { class: "p-ref-thumb" });
const hint = h("span", { class: "p-hint" });
const choose = h("button", { type: "button", class: "p-ref", onclick: () => file.click() }, thumb, h("span", { class: "p-ref-text" }, h("span", { text: "Reference background" }), hint));
const clear = h("button", { type: "button", class: "p-x", "aria-label": "Remove the reference background", title: "Remove", text: "×", onclick: () => trigger("put_reference", { path: null }) });
const box = h("div", { class: "p-ref-box" }, choose, clear, file);
element.querySelector(".p-root").append(box);

async function send(picture) {
  if (!picture) return;
  try {
    trigger("put_reference", { path: (await upload(picture)).path });
  } catch {
    p.toast("The reference could not be sent. Choose the picture again.");
  }
}

for (const kind of ["dragover", "drop", "dragleave"]) box.addEventListener(kind, (event) => {
  event.preventDefault();
  box.classList.toggle("p-over-it", kind === "dragover");
  if (kind === "drop" && event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
});

let shown;
p.on(({ view }) => {
  const digest = view ? view.draft.background_reference : null;
  hint.textContent = digest ? "your picture sets the new background" : "from the text, or drop a picture";
  clear.hidden = !digest;
  if (shown === digest) return;
  shown = digest;
  thumb.replaceChildren(...(digest ? [h("img", { src: urls.picture(digest, 96), alt: "" })] : [h("i", { text: "+" })]));
});
