// Whether the studio answers: while it does not, that is told, and it is asked again. Gradio loads the page anew when a
// connection comes back; see `unsent` for what the studio had not heard by then.
import { actions } from "./actions.js";
import { h } from "./dom.js";
import { say } from "./language.js";
import { on, receive, set, state } from "./store.js";
import { tell } from "./toasts.js";
import { isLive } from "./turns.js";
import { base } from "./urls.js";

const QUIET = 4000, PATIENCE = 4000; // milliseconds without a word of a run, and for an answer
const told = h("div", { class: "p-toast p-bad p-away", role: "alert" }, h("span", { text: say("The studio does not answer. It is asked again every second; what you type stays here.") }));
const fetched = window.fetch;

let heardAt = performance.now(), asking = false;
let reloads = false; // Gradio noticed it too, and will load the page anew

/** The name of the running studio's process, or null when there is no answer. */
async function asked() {
  try {
    const answer = await fetched(`${base}gradio_api/app_id`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    return answer.ok ? (await answer.json()).app_id : null;
  } catch {
    return null;
  }
}

async function look() {
  const quiet = isLive(state.view) && performance.now() - heardAt > QUIET;
  if (asking || !(quiet || state.away)) return;
  asking = true;
  const name = await asked();
  asking = false;
  if (name === null) return away(true);
  if (name !== /** @type {any} */ (window).gradio_config.app_id || reloads) return window.location.reload(); // the page's seat is gone
  heardAt = performance.now();
  if (!state.away) return;
  away(false);
  actions.look();
}
setInterval(look, 1000);

/** @param {boolean} now */
function away(now) {
  if (state.away === now) return;
  if (now) tell(told);
  else told.remove();
  set({ away: now });
}

on(({ message }) => {
  if (message.view || message.tick) heardAt = performance.now();
});

// Gradio tells of a lost connection in its own words, which are hidden. And what no handler answered, which was too much at
// once or is a failure of the studio's own, has no message: it is told here.
window.fetch = async (...asks) => {
  let answer;
  try {
    answer = await fetched(...asks);
  } catch (error) {
    const url = asks[0] instanceof Request ? asks[0].url : asks[0];
    if (/** @type {Error} */ (error).name !== "AbortError" && new URL(url, window.location.href).pathname.startsWith(`${base}gradio_api/run/`)) {
      reloads = true;
      away(true);
      receive({ failed: true });
    }
    throw error;
  }
  if (!answer.ok && /\/gradio_api\/(run\/predict|queue\/join)$/.test(new URL(answer.url).pathname)) {
    const refused = (answer.headers.get("Content-Type") || "").startsWith("text/plain") && answer.status < 500;
    const text = refused ? await answer.clone().text()
      : say("Something went wrong inside the studio ({status}); your turns are safe. Try again; the server's log has the details.", { status: answer.status });
    receive({ notice: { text, tone: "bad", lang: refused ? "en" : undefined }, failed: true });
  }
  return answer;
};
