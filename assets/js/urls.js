// Where things are. Addresses are relative to the page, so that it also works below a path of a proxy.
import { state } from "./store.js";

export const base = new URL(".", window.location.href).pathname;

/** @type {Record<"picture" | "mask" | "preview" | "example" | "cover" | "exported" | "finished" | "archive" | "download", (...parts: any[]) => string>} */
export const urls = {
  picture: (digest, side) => `${base}studio/picture/${state.sid}/${digest}.png${side ? `?side=${side}` : ""}`,
  mask: (digest, side) => `${base}studio/mask/${state.sid}/${digest}.png?side=${side}`,
  preview: (number) => `${base}studio/preview/${state.sid}/${number}.jpg`,
  example: (id, side) => `${base}studio/example/${id}.png?side=${side}`,
  cover: (sid, digest) => `${base}studio/cover/${sid}/${digest}.jpg`,
  exported: (turn, kind) => `${base}studio/export/${state.sid}/${turn}/${kind}`,
  finished: (turn, query) => `${base}studio/export/${state.sid}/${turn}/finished?${query}`,
  archive: () => `${base}studio/session/${state.sid}.palimpsest`,
  download: (digest, name) => `${base}studio/picture/${state.sid}/${digest}.png?download=${encodeURIComponent(name)}`,
};
