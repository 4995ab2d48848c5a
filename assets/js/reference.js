// The pictures that the new subject and the new background should follow: none, or ones that were dropped or chosen.
import { actions } from "./actions.js";
import * as compare from "./compare.js";
import { h } from "./dom.js";
import { say } from "./language.js";
import { Panel } from "./panel.js";
import { PICTURES, upload } from "./upload.js";
import { urls } from "./urls.js";

/** @typedef {import("./view.js").Draft} Draft */

export const panel = new Panel();
/** @typedef {"subject" | "background"} Which */
/** @typedef {{ title: string, remove: string, without: string, with: (draft: Draft) => string }} Words */

/** What they are called where an edit is learnt from them. @type {Record<Which, Words>} */
const EXAMPLE = {
  subject: { title: say("Before the edit"), remove: say("Remove the picture before the edit"), without: say("The edit is learnt from two pictures. Choose or drop the one before it."), with: () => say("The edit is learnt from your two pictures") },
  background: { title: say("After the edit"), remove: say("Remove the picture after the edit"), without: say("The edit is learnt from two pictures. Choose or drop the one after it."), with: () => say("The edit is learnt from your two pictures") },
};
/** @type {Record<Which, Words>} */
const PARTS = {
  subject: { title: say("Reference subject"), remove: say("Remove the reference subject"), without: say("The new subject comes from the text. Choose or drop a picture for it to follow; what is in its middle is cut out."),
    with: (/** @type {Draft} */ draft) => (draft.subject_reference_mask ? say("What is in the middle of your picture sets the new subject") : say("Your picture sets the new subject")) },
  background: { title: say("Reference background"), remove: say("Remove the reference background"), without: say("The new background comes from the text. Choose or drop a picture for it to follow."), with: () => say("Your picture sets the new background") },
};

/** What is said without a picture where no text could stand for it. */
const NEEDED = { subject: say("This method paints what is on a picture. Choose or drop one; what is in its middle is cut out."), background: say("This method paints what is on a picture. Choose or drop one.") };

/** @type {Partial<Record<Which, (picture: File) => void>>} */
const sending = {};

/** One of the two; gives what draws it. @param {Which} which */
function part(which) {
  const file = h("input", { type: "file", accept: PICTURES, hidden: true, onchange: () => { send(file.files?.[0]); file.value = ""; } });
  const thumb = h("span", { class: "p-ref-thumb" });
  const name = h("span", { class: "p-ref-text" });
  const choose = h("button", { type: "button", class: "p-ref", onclick: () => file.click() }, thumb, name);
  const clear = h("button", { type: "button", class: "p-x", title: say("Remove"), text: "×", onclick: () => panel.trigger("put_reference", { which, ticket: null }) });
  const box = h("div", { class: "p-ref-box", "data-part": which }, choose, clear, file);
  panel.root.append(box);

  /** @param {File | undefined} picture */
  async function send(picture) {
    if (!picture) return;
    const ticket = await upload(picture);
    if (!ticket) return;
    panel.trigger("put_reference", { which, ticket });
    actions.changes(which);
  }

  for (const kind of /** @type {const} */ (["dragover", "drop", "dragleave"])) box.addEventListener(kind, (event) => {
    event.preventDefault();
    box.classList.toggle("p-over-it", kind === "dragover");
    if (kind === "drop") send(event.dataTransfer?.files[0]);
  });

  box.addEventListener("paste", (event) => {
    const picture = event.clipboardData?.files[0];
    if (!picture) return;
    event.preventDefault();
    send(picture);
  });

  sending[which] = send;
  let shown = "";
  return (/** @type {Draft | null} */ draft, /** @type {import("./store.js").About["methods"][string] | null} */ method) => {
    const digest = draft && draft[`${which}_reference`], mask = draft && which === "subject" ? draft.subject_reference_mask : null;
    const follows = !method || method.follows.includes(which), words = (method?.learns ? EXAMPLE : PARTS)[which];
    name.textContent = words.title;
    clear.ariaLabel = words.remove;
    box.hidden = !follows && !digest; // one that was given is not lost from sight
    box.classList.toggle("p-idle", !follows);
    choose.disabled = !follows;
    choose.title = method && !follows ? say("{method} follows no picture here. It is kept for methods that do.", { method: method.title }) : digest ? words.with(draft) : method && !method.reads.length ? NEEDED[which] : words.without;
    clear.hidden = !digest;
    if (shown === `${digest} ${mask}`) return;
    shown = `${digest} ${mask}`;
    thumb.replaceChildren(digest ? picture(digest, mask) : h("i", { text: "+" }));
  };
}

/** The picture, or what its mask cuts out of it. @param {string} digest @param {string | null} mask */
function picture(digest, mask) {
  if (!mask) return h("img", { src: urls.picture(digest, 96), alt: "" });
  const cut = h("canvas");
  compare.cut(cut, urls.picture(digest), urls.picture(mask), true).catch(() => {});
  return cut;
}

const draws = [part("subject"), part("background")];
actions.follow = (which, picture) => sending[which]?.(picture);
panel.draws(({ view, about }) => { for (const draw of draws) draw(view && view.draft, view && about.methods[view.draft.method]); });
