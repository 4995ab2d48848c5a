// Whether the studio answers, and what a person does while it does not: it is told, asked again, and nothing typed is lost.
// Gradio loads the page anew when a connection comes back; what the studio had not heard by then is put back after that.
(() => {
  const p = window.palimpsest, { h, state } = p;
  const KEY = "palimpsest-unsent", QUIET = 4000, PATIENCE = 4000; // milliseconds without a word of a run, and for an answer
  const unsent = []; // {name, read, put}: `read` gives what the view does not have of it yet, or null

  // ------------------------------------------------------------------------------------------- what is not sent yet

  window.addEventListener("pagehide", () => {
    const left = state.view ? unsent.map(({ name, read }) => [name, read(state.view)]).filter(([, value]) => value !== null) : [];
    try {
      if (left.length) window.sessionStorage.setItem(KEY, JSON.stringify({ sid: state.sid, left }));
    } catch { /* a page in a frame may have no storage */ }
  });

  let kept = null;
  try {
    kept = JSON.parse(window.sessionStorage.getItem(KEY));
    window.sessionStorage.removeItem(KEY);
  } catch { /* nothing was kept */ }

  function putBack(view) {
    const { sid, left } = kept || {};
    kept = null;
    if (sid === view.sid) for (const [name, value] of left) unsent.find((one) => one.name === name)?.put(value);
  }

  // ------------------------------------------------------------------------------------------------- is it still there

  let heardAt = performance.now(), reloads = false; // reloads: Gradio noticed it too, and will load the page anew

  /** The name of the running studio's process, or null when there is no answer. */
  async function asked() {
    try {
      const answer = await fetch(`${p.base}gradio_api/app_id`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      return answer.ok ? (await answer.json()).app_id : null;
    } catch {
      return null;
    }
  }

  let asking = false;
  async function look() {
    const quiet = p.live(state.view) && performance.now() - heardAt > QUIET;
    if (asking || !(quiet || state.away)) return;
    asking = true;
    const name = await asked();
    asking = false;
    if (name === null) return away(true);
    if (name !== window.gradio_config.app_id || reloads) return window.location.reload(); // the page's seat is gone
    heardAt = performance.now();
    if (!state.away) return;
    away(false);
    p.actions.look();
  }
  setInterval(look, 1000);

  const told = h("div", { class: "p-toast p-bad p-away", role: "alert" }, h("span", { text: "The studio does not answer. It is asked again every second; what you type stays here." }));
  function away(now) {
    if (state.away === now) return;
    if (now) p.tell(told);
    else told.remove();
    p.set({ away: now });
  }

  // Gradio tells of a lost connection in its own words, which are hidden.
  const fetched = window.fetch;
  window.fetch = async (...asks) => {
    try {
      return await fetched(...asks);
    } catch (error) {
      if (error.name !== "AbortError" && new URL(asks[0].url || asks[0], window.location.href).pathname.startsWith(`${p.base}gradio_api/run/`)) {
        reloads = true;
        away(true);
        p.receive({ failed: true });
      }
      throw error;
    }
  };

  p.on(({ view, message }) => {
    if (message.view || message.tick) heardAt = performance.now();
    if (kept && view) setTimeout(() => putBack(view), 0);
  });

  p.unsent = unsent;
})();
