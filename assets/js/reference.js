// The pictures that the new subject and the new background should follow: none, or ones that were dropped or chosen.
const p = window.palimpsest, { h, urls } = p;
const PARTS = {
  subject: { title: "Reference subject", without: "The new subject comes from the text. Choose or drop a picture for it to follow; what is in its middle is cut out.",
    with: (draft) => (draft.subject_reference_mask ? "What is in the middle of your picture sets the new subject" : "Your picture sets the new subject") },
  background: { title: "Reference background", without: "The new background comes from the text. Choose or drop a picture for it to follow.", with: () => "Your picture sets the new background" },
};

/** One of the two; gives what draws it. */
function part(which, { title, without, with: words }) {
  const file = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp", hidden: true, onchange: () => { send(file.files[0]); file.value = ""; } });
  const thumb = h("span", { class: "p-ref-thumb" });
  const choose = h("button", { type: "button", class: "p-ref", onclick: () => file.click() }, thumb, h("span", { class: "p-ref-text", text: title }));
  const clear = h("button", { type: "button", class: "p-x", "aria-label": `Remove the ${title.toLowerCase()}`, title: "Remove", text: "×", onclick: () => trigger("put_reference", { which, ticket: null }) });
  const box = h("div", { class: "p-ref-box", "data-part": which }, choose, clear, file);
  element.querySelector(".p-root").append(box);

  async function send(picture) {
    if (!picture) return;
    const ticket = await p.sent(picture);
    if (!ticket) return;
    trigger("put_reference", { which, ticket });
    p.actions.changes(which);
  }

  for (const kind of ["dragover", "drop", "dragleave"]) box.addEventListener(kind, (event) => {
    event.preventDefault();
    box.classList.toggle("p-over-it", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
  });

  box.addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    send(event.clipboardData.files[0]);
  });

  let shown;
  return (draft) => {
    const digest = draft && draft[`${which}_reference`], mask = draft && which === "subject" ? draft.subject_reference_mask : null;
    choose.title = digest ? words(draft) : without;
    clear.hidden = !digest;
    if (shown === `${digest} ${mask}`) return;
    shown = `${digest} ${mask}`;
    thumb.replaceChildren(digest ? picture(digest, mask) : h("i", { text: "+" }));
  };
}

/** The picture, or what its mask cuts out of it. */
function picture(digest, mask) {
  if (!mask) return h("img", { src: urls.picture(digest, 96), alt: "" });
  const cut = h("canvas");
  p.compare.cut(cut, urls.picture(digest), urls.picture(mask), true).catch(() => {});
  return cut;
}

const draws = Object.entries(PARTS).map(([which, words]) => part(which, words));
p.on(({ view }) => { for (const draw of draws) draw(view ? view.draft : null); });
