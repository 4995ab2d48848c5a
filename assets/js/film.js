// Where the turns of the timeline stand, and how they hang together: plain values, no elements.

/** @typedef {import("./view.js").SessionView} SessionView */
/** @typedef {import("./view.js").TurnView} TurnView */
/** @typedef {{ x: number, y: number, width: number, height: number }} Spot in pixels of the strip */
/**
 * @typedef {object} Index
 * @property {TurnView[]} turns what it was made of
 * @property {Map<string | null, TurnView>} byId
 * @property {Map<string, TurnView[]>} children
 * @property {Map<string, Spot>} places
 * @property {TurnView[]} lane the branch one stands on, from the original on
 * @property {number} width
 * @property {number} height
 */

const LEFT = 14, TOP = 12, PITCH = 138, WIDE = 104, HIGH = 66, SMALL_WIDE = 78, SMALL_HIGH = 44, LANES = 104, LANE = 52;
const TAIL = 190; // pixels after the last turn, where its branch's name stands

const NAME = 2; // columns that a side branch's name may take after its last turn

/** Where a turn stands: column = depth, row = that of its lane; side branches are drawn smaller, below. @param {TurnView} t @param {number} row @returns {Spot} */
function place(t, row) {
  if (t.lane === 0) return { x: LEFT + t.number * PITCH, y: TOP, width: WIDE, height: HIGH };
  return { x: LEFT + t.number * PITCH + (WIDE - SMALL_WIDE) / 2, y: LANES + row * LANE, width: SMALL_WIDE, height: SMALL_HIGH };
}

/** The row of each side lane: the first one with room, so that two hundred short branches do not make a staircase. @param {TurnView[]} turns */
function rows(turns) {
  /** @typedef {{ from: number, to: number }} Span columns */
  /** @type {Map<number, Span>} */
  const spans = new Map();
  /** @type {Span[][]} */
  const taken = [];
  /** @type {Map<number, number>} */
  const row = new Map();
  for (const t of turns) {
    const span = spans.get(t.lane) || { from: t.number, to: t.number };
    spans.set(t.lane, { from: Math.min(span.from, t.number), to: Math.max(span.to, t.number) });
  }
  for (const [lane, { from, to }] of [...spans].sort(([a], [b]) => a - b)) {
    if (lane === 0) continue;
    let at = 0;
    while ((taken[at] || []).some((span) => from - 1 <= span.to + NAME && span.from - 1 <= to + NAME)) at += 1;
    (taken[at] = taken[at] || []).push({ from, to });
    row.set(lane, at);
  }
  return row;
}

/** @type {Index | null} */
let last = null;
/** The turns of a view by id, by parent and along the branch one stands on, with their places. @param {SessionView} view @returns {Index} */
export function index(view) {
  if (last && last.turns === view.turns) return last;
  /** @type {Index["byId"]} */
  const byId = new Map(view.turns.map((t) => [t.id, t]));
  /** @type {Index["children"]} */
  const children = new Map();
  /** @type {Index["places"]} */
  const places = new Map();
  const row = rows(view.turns);
  let width = 0, height = 0;
  for (const t of [...view.turns].sort((a, b) => a.lane - b.lane)) {
    if (t.parent) children.set(t.parent, [...(children.get(t.parent) || []), t]);
    const q = place(t, row.get(t.lane) ?? 0);
    places.set(t.id, q);
    width = Math.max(width, q.x + q.width + TAIL);
    height = Math.max(height, q.y + q.height + 8);
  }
  const lane = view.turns.filter((t) => t.lane === 0).sort((a, b) => a.number - b.number);
  return (last = { turns: view.turns, byId, children, places, lane, width, height });
}

/** @param {SessionView} view @param {string} id of a turn that is in it */
export const spot = (view, id) => /** @type {Spot} */ (index(view).places.get(id));

/** The line from a parent to its child, as an SVG path. @param {Spot} a @param {Spot} b @param {boolean} straight */
export function line(a, b, straight) {
  if (straight) return `M${a.x + a.width} ${a.y + a.height / 2}H${b.x}`;
  const x = a.x + a.width - 18, end = b.y + b.height / 2;
  const y = end < a.y ? a.y : a.y === TOP ? a.y + a.height + 20 : a.y + a.height; // below the caption
  return `M${x} ${y}C${x} ${end} ${x + 8} ${end} ${b.x} ${end}`;
}

/** The turns from the original to `id`. @param {SessionView} view @param {string} id */
export function path(view, id) {
  const { byId } = index(view);
  /** @type {TurnView[]} */
  const turns = [];
  for (let t = byId.get(id); t; t = byId.get(t.parent)) turns.unshift(t);
  return turns;
}

/** How many turns come after `id`, on whatever branch. @param {SessionView} view @param {string} id */
export function after(view, id) {
  const { children } = index(view), open = [id];
  let count = -1;
  while (open.length) {
    count += 1;
    open.push(...(children.get(/** @type {string} */ (open.pop())) || []).map((t) => t.id));
  }
  return count;
}
