// Figures in words.

/** How long ago that was; `at` in seconds since 1970. @param {number} at */
export function ago(at) {
  const seconds = Math.max(0, Date.now() / 1000 - at);
  if (seconds < 3) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} d ago`;
}

/** How many pixels changed that were to be kept, and by how many levels. @param {number} count @param {number} largest */
export const changedText = (count, largest) => `${count.toLocaleString("en")} pixel${count === 1 ? "" : "s"} changed${count ? `, by ${largest} at most` : ""}`;

/** What came out as one flat colour, `#rrggbb`. @param {string} flat */
export const flatText = (flat) => (flat === "#000000" ? "all black" : flat === "#ffffff" ? "all white" : `all ${flat}`);

/** A share from 0 to 1; what is not nothing or not all is never told as if it were. @param {number} x */
export const percent = (x) => (x > 0 && x < 0.01 ? "under 1 %" : x < 1 && x > 0.99 ? "over 99 %" : `${Math.round(x * 100)} %`);

/** A picture's size in words. @param {import("./geometry.js").Extent} extent */
export const sized = ({ width, height }) => `${width} × ${height} pixels`;
