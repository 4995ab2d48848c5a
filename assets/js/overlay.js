// Draws a mask over the picture: a light tint, and a smooth outline in the subject's colour.
import { penOf } from "./dom.js";

const AMBER = "#ff9d5c";
const images = new Map(); // URL -> promise of an image; the few newest are kept

/** @param {string} url */
export function load(url) {
  if (!images.has(url)) {
    if (images.size > 24) images.delete(images.keys().next().value);
    const image = new Image();
    images.set(url, new Promise((resolve, reject) => {
      image.onload = () => resolve(image);
      image.onerror = () => { images.delete(url); reject(new Error(`no picture at ${url}`)); };
      image.src = url;
    }));
  }
  return images.get(url);
}

/** @param {number} width @param {number} height */
export function layer(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/**
 * The mask as opacity at the size it is shown: white becomes opaque, with a one pixel soft edge.
 * @param {HTMLImageElement} mask
 * @param {number} width in pixels of the canvas
 * @param {number} height
 * @param {import("./view.js").Box} [part] of the mask, in its own pixels; all of it without one
 */
export function opacity(mask, width, height, part = { left: 0, top: 0, right: mask.naturalWidth, bottom: mask.naturalHeight }) {
  const canvas = layer(width, height), pen = penOf(canvas, { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.imageSmoothingEnabled = width < 8 * (part.right - part.left); // from nearer, pixels are squares
  pen.drawImage(mask, part.left, part.top, part.right - part.left, part.bottom - part.top, 0, 0, width, height);
  const pixels = pen.getImageData(0, 0, width, height);
  for (let i = 0; i < pixels.data.length; i += 4) {
    pixels.data[i + 3] = Math.max(0, Math.min(255, (pixels.data[i] - 128) * 4 + 128));
  }
  pen.putImageData(pixels, 0, 0);
  return canvas;
}

/** What of `shape` grown by `reach` pixels lies outside of it. @param {HTMLCanvasElement} shape @param {number} reach */
function outline(shape, reach) {
  const canvas = layer(shape.width, shape.height), pen = penOf(canvas);
  for (let k = 0; k < 16; k += 1) {
    pen.drawImage(shape, reach * Math.cos((k * Math.PI) / 8), reach * Math.sin((k * Math.PI) / 8));
  }
  pen.globalCompositeOperation = "destination-out";
  pen.drawImage(shape, 0, 0);
  return canvas;
}

/** @param {HTMLCanvasElement} shape @param {string} colour */
function painted(shape, colour) {
  const pen = penOf(shape);
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = colour;
  pen.fillRect(0, 0, shape.width, shape.height);
  return shape;
}

/**
 * Paints what lies in `part` of a mask (white = subject) onto `canvas`, at the mask's size on the page.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} mask
 * @param {import("./view.js").Box} part in CSS pixels of the mask as it is shown
 * @param {import("./geometry.js").Extent} shown
 * @param {number} scale device pixels to one of these
 */
export function draw(canvas, mask, part, shown, scale) {
  canvas.width = Math.round((part.right - part.left) * scale);
  canvas.height = Math.round((part.bottom - part.top) * scale);
  const pen = penOf(canvas), x = mask.naturalWidth / shown.width, y = mask.naturalHeight / shown.height;
  const shape = opacity(mask, canvas.width, canvas.height, { left: part.left * x, top: part.top * y, right: part.right * x, bottom: part.bottom * y });
  const dark = painted(outline(shape, 3.2 * scale), "rgba(0,0,0,.55)");
  const line = painted(outline(shape, 2.2 * scale), AMBER);
  pen.drawImage(dark, 0, 0);
  pen.drawImage(line, 0, 0);
  pen.globalAlpha = 0.2;
  pen.drawImage(painted(shape, AMBER), 0, 0);
  pen.globalAlpha = 1;
}
