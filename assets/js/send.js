// The events of the film, which its parts send: each has the name of what it asks for.

export const EVENTS = /** @type {const} */ (["jump", "edit", "leave", "branch", "adopt", "trash", "cherry_pick", "squash", "revert", "combine", "redo_from_original",
  "swap", "measure", "restore", "bring_back", "rename_branch", "dismiss", "arrived", "orders"]);

/** @typedef {typeof EVENTS[number]} FilmEvent */
/** @typedef {Record<FilmEvent, (data?: object) => void>} Send */
