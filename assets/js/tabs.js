// Other tabs of this browser are told at once what this one was told; those of other browsers hear it when they act.
import { on, set, state } from "./store.js";

const tabs = "BroadcastChannel" in window ? new BroadcastChannel("palimpsest") : null;
/** @type {{ sid: string, rev: number } | null} */
let told = null;

if (tabs) {
  tabs.onmessage = ({ data }) => { if (state.view && data.sid === state.sid && data.rev > state.view.rev) set({ ahead: data }); };
  on(({ view }) => {
    if (view && !(told && told.sid === view.sid && told.rev >= view.rev)) tabs.postMessage({ sid: view.sid, rev: view.rev });
    told = view && { sid: view.sid, rev: view.rev };
  });
}
