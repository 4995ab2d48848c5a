// A tone curve as values: points from left to right, and the monotone cubic through them, as `pipelines.curves` has it.

/** @typedef {[number, number]} Point the level, of 0 to 255, and what becomes of it */

export const STRAIGHT = "0,0 255,255", MOST = 16;

/** The points that a text says, or null. @param {string} text @returns {Point[] | null} */
export function pointsOf(text) {
  const points = text.trim().split(/\s+/).map((part) => /^(\d{1,3}),(\d{1,3})$/.exec(part)).map((found) => /** @type {Point} */ (found ? [Number(found[1]), Number(found[2])] : [NaN, NaN]));
  const known = points.every(([x, y], k) => x <= 255 && y <= 255 && (k === 0 || x > points[k - 1][0]));
  return known && points.length >= 2 && points.length <= MOST ? points : null;
}

/** @param {Point[]} points */
export const textOf = (points) => points.map(([x, y]) => `${x},${y}`).join(" ");

/** What becomes of the level `at`. @param {Point[]} points @param {number} at */
export function curveAt(points, at) {
  const rises = points.slice(1).map(([x, y], k) => (y - points[k][1]) / (x - points[k][0]));
  const slopes = points.map(([x], k) => {
    if (k === 0 || k === points.length - 1) return rises[Math.min(k, rises.length - 1)];
    if (rises[k - 1] * rises[k] <= 0) return 0;
    const before = x - points[k - 1][0], after = points[k + 1][0] - x, near = 2 * after + before, far = after + 2 * before;
    return (near + far) / (near / rises[k - 1] + far / rises[k]);
  });
  const inside = Math.max(points[0][0], Math.min(points[points.length - 1][0], at));
  let k = 0;
  while (k < points.length - 2 && points[k + 1][0] <= inside) k += 1;
  const [x, y] = points[k], step = points[k + 1][0] - x, t = (inside - x) / step;
  return y * (1 + 2 * t) * (1 - t) ** 2 + points[k + 1][1] * t ** 2 * (3 - 2 * t) + step * t * (1 - t) * (slopes[k] * (1 - t) - slopes[k + 1] * t);
}

/** With point `k` at another place: between its neighbours, and the outermost ones where they are. @param {Point[]} points @param {number} k @param {number} x @param {number} y @returns {Point[]} */
export function moved(points, k, x, y) {
  const low = k ? points[k - 1][0] + 1 : 0, high = k < points.length - 1 ? points[k + 1][0] - 1 : 255;
  const at = /** @type {Point} */ ([Math.round(Math.max(low, Math.min(high, x))), Math.round(Math.max(0, Math.min(255, y)))]);
  return points.map((point, j) => (j === k ? at : point));
}

/** With one point more, at the level `x` on the curve, and its number; null where there is no room. @param {Point[]} points @param {number} x @param {number} [y] @returns {[Point[], number] | null} */
export function added(points, x, y) {
  const at = Math.round(x), k = points.findIndex(([other]) => other >= at), place = k < 0 ? points.length : k;
  if (points.length >= MOST || at < 0 || at > 255 || (k >= 0 && points[k][0] === at)) return null;
  const point = /** @type {Point} */ ([at, Math.round(Math.max(0, Math.min(255, y ?? curveAt(points, at))))]);
  return [[...points.slice(0, place), point, ...points.slice(place)], place];
}

/** The middle of the widest gap. @param {Point[]} points */
export function widest(points) {
  const gaps = points.slice(1).map(([x], k) => x - points[k][0]), k = gaps.indexOf(Math.max(...gaps));
  return Math.round((points[k][0] + points[k + 1][0]) / 2);
}
