// What a person pointed at, as values: each function gives a new list and leaves the old one alone.

/** @typedef {import("./view.js").MaskPrompts} MaskPrompts */
/** @typedef {{ points: [number, number][], radius: number, erase: boolean, fill: boolean, wand: number | null, everywhere: boolean, keep: boolean, refine: boolean }} Stroke */
/** @typedef {import("./looking.js").Combine} Combine */
/** @typedef {Omit<MaskPrompts, "strokes" | "scribbles"> & { strokes: Stroke[], scribbles: Stroke[] }} Marks */

/** @param {number} [feather] @param {boolean} [snap] @returns {Marks} */
export const empty = (feather = 2, snap = false) => ({
  clicks: [], box: null, phrase: "", scribbles: [], choice: null, uploaded: null, strokes: [], invert: false, grow: 0, feather, snap,
});

/** @param {import("./view.js").Stroke} s @returns {Stroke} */
const read = (s) => ({ ...s, points: s.points.map((q) => /** @type {[number, number]} */ (Array.isArray(q) ? q : [q.x, q.y])) });
/** As they came from the server. @param {MaskPrompts} m @returns {Marks} */
export const plain = (m) => ({ ...m, strokes: m.strokes.map(read), scribbles: m.scribbles.map(read) });

/** @param {Marks} m @param {number} x @param {number} y @param {boolean} include @returns {Marks} */
export const clicked = (m, x, y, include) => ({ ...m, clicks: [...m.clicks, { x, y, include }], uploaded: null });
/** @param {Marks} m @param {number} index @returns {Marks} */
export const unclicked = (m, index) => ({ ...m, clicks: m.clicks.filter((_, i) => i !== index), choice: m.clicks.length > 1 ? m.choice : null });
/** @param {Marks} m @param {import("./view.js").Box} box @returns {Marks} */
export const boxed = (m, box) => ({ ...m, box, uploaded: null });
/** A mask that is there, in place of all that was pointed at. @param {Marks} m @param {string} digest @returns {Marks} */
export const taken = (m, digest) => ({ ...empty(m.feather, m.snap), uploaded: digest });
/** @param {Marks} m @param {string} phrase @returns {Marks} */
export const phrased = (m, phrase) => ({ ...m, phrase, choice: null, uploaded: phrase ? null : m.uploaded });
/** @param {Marks} m @param {Stroke} stroke @returns {Marks} */
export const stroked = (m, stroke) => ({ ...m, strokes: [...m.strokes, stroke] });
/** A line of the brush, or around something. @param {[number, number][]} points @param {number} radius @param {Combine} [how] @param {boolean} [fill] @returns {Stroke} */
export const line = (points, radius, how = "add", fill = false) => ({ points, radius, erase: how === "erase", fill, wand: null, everywhere: false, keep: how === "keep", refine: false });
/** What has the colour of a place. @param {number} x @param {number} y @param {Combine} how @param {number} tolerance @param {boolean} everywhere @returns {Stroke} */
export const wand = (x, y, how, tolerance, everywhere) => ({ ...line([[x, y]], 1, how), wand: tolerance, everywhere });
/** The last wand with another tolerance; nothing else where the last stroke is none. @param {Marks} m @param {number} tolerance @param {boolean} everywhere @returns {Marks} */
export const rewanded = (m, tolerance, everywhere) => {
  const last = m.strokes.at(-1);
  return last && last.wand !== null ? { ...m, strokes: [...m.strokes.slice(0, -1), { ...last, wand: tolerance, everywhere }] } : m;
};
/** @param {Marks} m @param {Stroke} stroke @returns {Marks} */
export const scribbled = (m, stroke) => ({ ...m, scribbles: [...m.scribbles, stroke], uploaded: null });
/** @param {Marks} m @param {number} choice @returns {Marks} */
export const chosen = (m, choice) => ({ ...m, choice });
/** @param {Marks} m @param {number} by @returns {Marks} */
export const grown = (m, by) => ({ ...m, grow: Math.max(-200, Math.min(200, m.grow + by)) });
/** @param {Marks} m @param {number} feather @returns {Marks} */
export const feathered = (m, feather) => ({ ...m, feather: Math.max(0, Math.min(64, feather)) });
/** @param {Marks} m @returns {Marks} */
export const snapped = (m) => ({ ...m, snap: !m.snap });
/** @param {Marks} m @returns {Marks} */
export const inverted = (m) => ({ ...m, invert: !m.invert });
/** @param {Marks} m */
export const isEmpty = (m) => !m.clicks.length && !m.box && !m.phrase && !m.uploaded && !m.strokes.length && !m.scribbles.length;
/** @param {Marks} a @param {Marks} b */
export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
