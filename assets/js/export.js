// What can be taken out of the studio: the turn one stands on as a picture, in layers or animated, and the session.
import { h } from "./dom.js";
import * as finish from "./finish.js";
import { say } from "./language.js";
import * as popover from "./popover.js";
import { state, theView } from "./store.js";
import { toast } from "./toasts.js";
import { currentTurn } from "./turns.js";
import { urls } from "./urls.js";

/** Fetched and not linked, so that a file that cannot be made says why instead of failing in the browser's own way. @param {HTMLButtonElement} button @param {string} url */
async function save(button, url) {
  const text = button.children[0].textContent;
  button.disabled = true;
  button.children[0].textContent = say("Preparing");
  try {
    const answer = await fetch(url);
    if (!answer.ok) {
      const told = await answer.json().catch(() => ({}));
      if (answer.status === 409 && told.detail) return toast(told.detail, "bad", null, "en");
      return toast(say("The file could not be made. Reload the page and try again; your turns are safe."));
    }
    const named = /filename\*=UTF-8''(.+)$/.exec(answer.headers.get("content-disposition") || "");
    const address = URL.createObjectURL(await answer.blob());
    h("a", { href: address, download: named ? decodeURIComponent(named[1]) : "palimpsest" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  } catch {
    toast(say("The file did not arrive. Check that the studio is still running, then export it again."));
  } finally {
    button.disabled = false;
    button.children[0].textContent = text;
  }
}

/** Opens the menu below `button`. @param {HTMLButtonElement} button @param {HTMLElement} host */
export function open(button, host) {
  const view = theView(), { picked } = state, now = currentTurn(view), staged = view.staged[picked];
  /** @param {string} kind */
  const turn = (kind) => () => save(button, urls.exported(now.id, kind));
  const still = now.number ? "" : say("make a turn first");
  const candidate = staged ? [{ text: say("PNG of this candidate"), hint: say("seed {seed}, not kept yet", { seed: staged.seed }), run: () => save(button, urls.download(staged.picture, `${view.name} - seed ${staged.seed}.png`)) }] : [];
  const title = now.number ? say("Export turn {number}", { number: now.number }) : say("Export the original");
  popover.menu(host, button.getBoundingClientRect(), title, [
    ...candidate,
    { text: say("PNG with its recipe"), hint: say("texts and masks inside"), run: turn("recipe.png") },
    { text: say("PNG"), hint: say("only the pixels"), run: turn("plain.png") },
    { text: say("JPEG"), hint: say("only the pixels"), run: turn("plain.jpg") },
    { text: say("WebP"), hint: say("only the pixels"), run: turn("plain.webp") },
    { text: say("Size, quality, several at once…"), run: () => finish.open(host, button.getBoundingClientRect(), title, view, (query) => save(button, urls.finished(now.id, query))) },
    { text: say("OpenRaster layers"), hint: say("for Krita or GIMP"), run: turn("layers.ora") },
    { text: say("Photoshop layers"), hint: say("PSD"), run: turn("layers.psd") },
    { text: say("Animated WebP"), hint: say("from before to after"), reason: still, run: turn("strip.webp") },
    { text: say("Animated GIF"), hint: say("in 256 colours"), reason: still, run: turn("strip.gif") },
    { text: say("Session file"), hint: say("every turn, to open again"), run: () => save(button, urls.archive()) },
  ]);
}
