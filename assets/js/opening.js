// Opening a picture or a session: the start page with its examples, files that are chosen or dropped, and the clipboard.
import { actions } from "./actions.js";
import { h, typing } from "./dom.js";
import { say } from "./language.js";
import { panel, shown } from "./looking.js";
import { set, state } from "./store.js";
import { toast } from "./toasts.js";
import { PICTURES, upload } from "./upload.js";
import { urls } from "./urls.js";

const file = h("input", { type: "file", accept: `${PICTURES},.palimpsest`, hidden: true, onchange: () => {
  const chosen = file.files?.[0];
  setTimeout(() => { file.value = ""; });
  open(chosen);
} });
const drop = h("button", { type: "button", class: "p-drop", onclick: () => file.click() },
  h("b", { text: say("Drop a picture here") }), h("span", { text: say("or choose a file · PNG, JPEG, HEIC, WebP, AVIF, TIFF or a session file") }));
/** @type {["session" | "picture" | "photograph", string][]} */
const KINDS = [["session", say("or with a finished session: drag its order, change its first turn")], ["picture", say("or with an example that works on the embedded model")], ["photograph", say("or with a photograph, for the tools that need no model")]];
const cards = h("div", { class: "p-examples" });
const back = h("button", { type: "button", class: "p-btn p-back", text: say("Back to the picture"), onclick: () => set({ starting: false }) });
export const start = h("div", { class: "p-start" },
  h("div", { class: "p-start-in" },
    h("div", { class: "p-start-head" }, h("h2", { text: say("Start with a picture") }), h("span", { class: "p-space" }), back),
    drop, file,
    h("section", { id: "p-recent", class: "p-recent", "aria-label": say("Sessions saved last"), hidden: true }), cards));

/** @param {boolean} now */
function opening(now) {
  panel.root.dataset.opening = now ? "yes" : "no";
}

/** @param {File | undefined} picture */
async function open(picture) {
  opening(true);
  const ticket = picture && await upload(picture);
  if (ticket) panel.trigger("open_file", { ticket, name: picture.name });
  else opening(false);
}

/** @param {string} example */
function openExample(example) {
  opening(true);
  panel.trigger("open_example", { example });
}

export function drawStart() {
  const { view, message, about } = state;
  if (view || state.echo !== null || message.failed) opening(false);
  start.hidden = Boolean(view) && !state.starting;
  back.hidden = !view;
  if (cards.querySelectorAll(".p-card").length === about.examples.length) return;
  cards.replaceChildren(...KINDS.flatMap(([kind, text]) => {
    const some = about.examples.filter((e) => e.kind === kind);
    return some.length ? [h("h3", { text }), h("div", { class: "p-cards" }, ...some.map(card))] : [];
  }));
}

/** @param {import("./store.js").About["examples"][number]} e */
function card(e) {
  const said = [["p-subject", e.subject], ["p-background", e.background], ["p-method", e.method]].filter(([, text]) => text);
  return h("button", { type: "button", class: `p-card p-card-${e.kind}`, onclick: () => openExample(e.id) },
    h("img", { src: urls.example(e.id, e.kind === "session" ? 1024 : 320), alt: "" }), h("b", { text: e.title }),
    h("span", {}, ...said.map(([name, text]) => h("em", { class: name, text }))));
}

/** Puts the picture that is looked at into the clipboard. */
async function copy() {
  if (!state.view) return;
  const url = urls.picture(shown(state.view).after);
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": fetch(url).then((answer) => answer.blob()) })]);
    toast(say("The picture is in the clipboard."), "good");
  } catch {
    toast(say("The browser did not let the picture into the clipboard. Take it from Export instead."));
  }
}

/** Whether the turn in preparation waits for a picture to put behind the subject. */
const asksBackdrop = () => Boolean(state.view && !state.starting && state.view.draft.method === "backdrop" && !state.view.draft.background_reference);

// A picture from the clipboard is opened as a file is, or stands behind the subject where one is asked for; texts are pasted
// where the cursor stands.
document.addEventListener("paste", (event) => {
  const files = event.clipboardData?.files, text = event.clipboardData?.types.includes("text/plain");
  if (event.defaultPrevented || !files || (text && typing(event.target)) || document.querySelector("dialog:modal")) return;
  if (!files.length) {
    if (!typing(event.target)) toast(say("There is no picture in the clipboard. Copy one, then paste it here."), "note");
    return;
  }
  event.preventDefault();
  const picture = files[0].name === "image.png" ? new File([files[0]], say("Pasted picture"), { type: files[0].type }) : files[0];
  if (!asksBackdrop()) return void open(picture);
  actions.follow("background", picture);
  toast(say("The pasted picture stands behind the subject, once the turn has run."), "note");
});

// A file may be let go anywhere on the page, where the browser would leave the page for it.
for (const kind of /** @type {const} */ (["dragover", "drop"])) document.addEventListener(kind, (event) => {
  if (event.defaultPrevented || !event.dataTransfer || ![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  drop.classList.toggle("p-over-it", kind === "dragover");
  const { files } = event.dataTransfer;
  if (kind !== "drop" || !files.length) return;
  if (files.length > 1) toast(say("One at a time: of {count} files “{name}” is opened.", { count: files.length, name: files[0].name }), "note");
  open(files[0]);
});
document.addEventListener("dragleave", () => drop.classList.remove("p-over-it"));

Object.assign(actions, { openFile: () => drop.focus(), copy });
