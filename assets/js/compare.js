// Pictures made of pictures: where two differ, and a picture cut in two along a mask.
import { penOf } from "./dom.js";
import { layer, load, opacity } from "./overlay.js";

const SUBJECT = [255, 157, 92], BACKGROUND = [86, 199, 190], SEAM = [201, 206, 214];
const GAIN = 3; // differences are often small: shown three times as strong

/** @param {CanvasImageSource} image @param {number} width @param {number} height */
function pixelsOf(image, width, height) {
  const pen = penOf(layer(width, height), { willReadFrequently: true });
  pen.drawImage(image, 0, 0, width, height);
  return pen.getImageData(0, 0, width, height);
}

/** Draws |before - after| onto `canvas`, in the subject's colour inside the mask and the background's outside.
 *  Answers with how many pixels each part has and how many of them differ at all. `seam`, if not null, is the part
 *  of which nothing but its seam may have changed: that is drawn as one.
 *  @param {HTMLCanvasElement} canvas @param {string} before @param {string} after @param {string | null} mask @param {"subject" | "background" | null} seam */
export async function difference(canvas, before, after, mask, seam) {
  const [a, b, m] = await Promise.all([load(before), load(after), mask ? load(mask) : null]);
  const width = b.naturalWidth, height = b.naturalHeight;
  const x = pixelsOf(a, width, height).data, out = pixelsOf(b, width, height), y = out.data;
  const inside = m ? pixelsOf(m, width, height).data : null;
  const count = { subject: { all: 0, changed: 0 }, background: { all: 0, changed: 0 } };
  for (let i = 0; i < y.length; i += 4) {
    const d = Math.max(Math.abs(x[i] - y[i]), Math.abs(x[i + 1] - y[i + 1]), Math.abs(x[i + 2] - y[i + 2]));
    const part = inside && inside[i] > 127 ? "subject" : "background";
    count[part].all += 1;
    if (d) count[part].changed += 1;
    const colour = part === seam ? SEAM : part === "subject" ? SUBJECT : BACKGROUND, strength = Math.min(1, (d * GAIN) / 255);
    for (let c = 0; c < 3; c += 1) y[i + c] = 13 + (colour[c] - 13) * strength;
  }
  canvas.width = width;
  canvas.height = height;
  penOf(canvas).putImageData(out, 0, 0);
  return count;
}

/** Draws the part of `picture` inside the mask (or outside of it) onto `canvas`, the rest transparent. @param {HTMLCanvasElement} canvas @param {string} picture @param {string} mask @param {boolean} inside */
export async function cut(canvas, picture, mask, inside) {
  const [image, m] = await Promise.all([load(picture), load(mask)]);
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const pen = penOf(canvas);
  pen.drawImage(image, 0, 0);
  pen.globalCompositeOperation = inside ? "destination-in" : "destination-out";
  pen.drawImage(opacity(m, canvas.width, canvas.height), 0, 0);
}
