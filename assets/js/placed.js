// A picture as it lies in the frame of another one: where a turn cropped, extended, resized or turned what was before it,
// both can be laid over each other all the same.
import { penOf } from "./dom.js";
import { layer, load } from "./overlay.js";
import { urls } from "./urls.js";

/** @typedef {import("./view.js").FrameView} FrameView */
/** @typedef {{ picture: string, frame: FrameView }} Framed */

const KEPT = 8;
/** @type {Map<string, string>} addresses of those drawn last */
const drawn = new Map();
/** @type {Set<string>} */
const drawing = new Set();

/** Whether two pictures are of one frame. @param {FrameView} a @param {FrameView} b */
export const alike = (a, b) => a === b || (a.width === b.width && a.height === b.height && a.moves.every((x, k) => x === b.moves[k]));

/** From the coordinates of a picture in the frame `a` to those of one in `b`. @param {FrameView} a @param {FrameView} b */
export const between = (a, b) => new DOMMatrix([...b.moves]).multiply(new DOMMatrix([...a.moves]).inverse());

/**
 * The address of `one` as it lies in the frame of `other`; empty until it is drawn, when `done` is called.
 * @param {Framed} one
 * @param {Framed} other
 * @param {() => void} done
 */
export function placed(one, other, done) {
  if (alike(one.frame, other.frame)) return urls.picture(one.picture);
  const key = JSON.stringify([one.picture, one.frame, other.frame]), known = drawn.get(key);
  if (known) return known;
  if (!drawing.has(key)) {
    drawing.add(key);
    draw(one, other.frame).then((url) => {
      if (!url) return;
      drawn.set(key, url);
      const [first, old] = /** @type {[string, string]} */ (drawn.entries().next().value);
      if (drawn.size > KEPT && drawn.delete(first)) URL.revokeObjectURL(old);
      done();
    }, () => {}).finally(() => drawing.delete(key));
  }
  return "";
}

/** @param {Framed} one @param {FrameView} frame @returns {Promise<string>} */
async function draw(one, frame) {
  const image = await load(urls.picture(one.picture)), canvas = layer(frame.width, frame.height), pen = penOf(canvas);
  pen.imageSmoothingQuality = "high";
  pen.setTransform(between(one.frame, frame));
  pen.drawImage(image, 0, 0);
  const blob = await new Promise((/** @type {(blob: Blob | null) => void} */ resolve) => canvas.toBlob(resolve));
  return blob ? URL.createObjectURL(blob) : "";
}
