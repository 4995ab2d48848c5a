// Points and boxes in the picture: plain values, no elements.

/** @typedef {{ x: number, y: number }} Point in pixels of the picture */
/** @typedef {{ width: number, height: number }} Extent */
/** @typedef {import("./view.js").Box} Box */

/** To a hundredth of a pixel. @param {number} x */
export const rounded = (x) => Math.round(x * 100) / 100;

/** The same point, or the nearest one that lies in a picture of that extent. @param {Point} at @param {Extent} extent @returns {Point} */
export const within = ({ x, y }, { width, height }) => ({ x: Math.max(0, Math.min(width, x)), y: Math.max(0, Math.min(height, y)) });

/**
 * Where in the picture a point of the window is, when the picture fills `rect` of it.
 * @param {Point} at
 * @param {{ left: number, top: number, width: number, height: number }} rect
 * @param {Extent} extent
 */
export const inPicture = (at, rect, extent) =>
  within({ x: ((at.x - rect.left) / rect.width) * extent.width, y: ((at.y - rect.top) / rect.height) * extent.height }, extent);

/** The box between two of its corners. @param {Point} a @param {Point} b @returns {Box} */
export const boxBetween = (a, b) => ({ left: Math.min(a.x, b.x), top: Math.min(a.y, b.y), right: Math.max(a.x, b.x), bottom: Math.max(a.y, b.y) });

/** @param {Box} box @returns {Box} */
export const roundedBox = ({ left, top, right, bottom }) => ({ left: rounded(left), top: rounded(top), right: rounded(right), bottom: rounded(bottom) });

/** A step of the keyboard, and of Grow and Shrink, in pixels. @param {Extent} extent */
export const stepIn = ({ width, height }) => Math.max(1, Math.round(Math.max(width, height) / 128));

/**
 * The largest size of whole pixels that a picture can be shown at within `room`, with that margin around it.
 * @param {Extent} picture
 * @param {Extent} room
 * @param {number} margin on both sides together
 * @returns {Extent}
 */
export function fitted(picture, room, margin) {
  const scale = Math.min((room.width - margin) / picture.width, (room.height - margin) / picture.height);
  return { width: Math.max(1, Math.floor(picture.width * scale)), height: Math.max(1, Math.floor(picture.height * scale)) };
}

/**
 * How a picture is looked at: so many times as large as it fits, its middle so many pixels right of and below the room's.
 * @typedef {{ zoom: number, x: number, y: number }} Sight
 */

/**
 * The sight from nearer by `factor`, with what lies at `at` staying where it is.
 * @param {Sight} sight
 * @param {number} factor
 * @param {Point} at from the middle of the room
 * @param {[number, number]} limits of the zoom
 * @returns {Sight}
 */
export function nearer({ zoom, x, y }, factor, at, [least, most]) {
  const next = Math.max(least, Math.min(most, zoom * factor)), by = next / zoom;
  return { zoom: next, x: at.x - (at.x - x) * by, y: at.y - (at.y - y) * by };
}

/**
 * The sight at which no edge of the picture is drawn further into the room than it must be.
 * @param {Sight} sight
 * @param {Extent} shown the picture at that zoom
 * @param {Extent} room
 * @param {number} margin around the picture, on both sides together
 * @returns {Sight}
 */
export function kept({ zoom, x, y }, shown, room, margin) {
  const far = { x: Math.max(0, (shown.width + margin - room.width) / 2), y: Math.max(0, (shown.height + margin - room.height) / 2) };
  return { zoom, x: Math.max(-far.x, Math.min(far.x, x)), y: Math.max(-far.y, Math.min(far.y, y)) };
}

/**
 * Of a picture at that sight, the part that is in the room, in CSS pixels of the picture as it is shown.
 * @param {Sight} sight
 * @param {Extent} shown
 * @param {Extent} room
 * @returns {Box}
 */
export function seen({ x, y }, shown, room) {
  const left = shown.width / 2 - room.width / 2 - x, top = shown.height / 2 - room.height / 2 - y;
  return { left: Math.max(0, Math.floor(left)), top: Math.max(0, Math.floor(top)),
    right: Math.min(shown.width, Math.ceil(left + room.width)), bottom: Math.min(shown.height, Math.ceil(top + room.height)) };
}

/**
 * In how many columns `count` pictures are shown the largest, and by what scale.
 * @param {number} count
 * @param {Extent} picture
 * @param {Extent} room
 * @param {number} caption pixels above each
 * @param {number} gap
 */
export function columnsFor(count, picture, room, caption, gap) {
  /** @param {number} columns */
  const scale = (columns) => {
    const rows = Math.ceil(count / columns);
    return Math.min((room.width - gap * (columns + 1)) / columns / picture.width, ((room.height - gap * (rows + 1)) / rows - caption) / picture.height);
  };
  const columns = [1, 2, 3, 4].filter((k) => k <= count).sort((a, b) => scale(b) - scale(a))[0];
  return { columns, scale: Math.max(0.01, scale(columns)) };
}
