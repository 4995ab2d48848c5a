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

/** The mask as opacity at the size it is shown: white becomes opaque, with a one pixel soft edge. @param {CanvasImageSource} mask @param {number} width @param {number} height */
export function opacity(mask, width, height) {
  const canvas = layer(width, height), pen = penOf(canvas, { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(mask, 0, 0, width, height);
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

/** Paints `mask` (an image, white = subject) onto `canvas`, which is set to `width` x `height` device pixels. @param {HTMLCanvasElement} canvas @param {CanvasImageSource} mask @param {number} width @param {number} height @param {number} scale */
export function draw(canvas, mask, width, height, scale) {
  canvas.width = width;
  canvas.height = height;
  const pen = penOf(canvas);
  const shape = opacity(mask, width, height);
  const dark = painted(outline(shape, 3.2 * scale), "rgba(0,0,0,.55)");
  const line = painted(outline(shape, 2.2 * scale), AMBER);
  pen.drawImage(dark, 0, 0);
  pen.drawImage(line, 0, 0);
  pen.globalAlpha = 0.2;
  pen.drawImage(painted(shape, AMBER), 0, 0);
  pen.globalAlpha = 1;
}
