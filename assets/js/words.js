// Figures in words.
import { many, say } from "./language.js";

/** How long ago that was; `at` in seconds since 1970. @param {number} at */
export function ago(at) {
  const seconds = Math.max(0, Date.now() / 1000 - at);
  if (seconds < 3) return say("just now");
  if (seconds < 60) return say("{count} s ago", { count: Math.floor(seconds) });
  if (seconds < 3600) return say("{count} min ago", { count: Math.floor(seconds / 60) });
  return seconds < 86400 ? say("{count} h ago", { count: Math.floor(seconds / 3600) }) : say("{count} d ago", { count: Math.floor(seconds / 86400) });
}

/** How many pixels changed that were to be kept, and by how many levels. @param {number} count @param {number} largest */
export const changedText = (count, largest) => (count ? many(count, "{count} pixel changed, by {largest} at most", "{count} pixels changed, by {largest} at most", { largest }) : say("{count} pixels changed", { count }));

/** What came out as one flat colour, `#rrggbb`. @param {string} flat */
export const flatText = (flat) => (flat === "#000000" ? say("all black") : flat === "#ffffff" ? say("all white") : say("all {colour}", { colour: flat }));

/** A share from 0 to 1; what is not nothing or not all is never told as if it were. @param {number} x */
export const percent = (x) => (x > 0 && x < 0.01 ? say("under 1 %") : x < 1 && x > 0.99 ? say("over 99 %") : `${Math.round(x * 100)} %`);

/** A picture's size in words. @param {import("./geometry.js").Extent} extent */
export const sized = ({ width, height }) => say("{width} × {height} pixels", { width, height });
