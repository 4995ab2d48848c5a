// What a person pointed at, as values: each function gives a new list and leaves the old one alone.
window.palimpsest.marks = (() => {
  const empty = (feather = 2, snap = false) => ({
    clicks: [], box: null, phrase: "", choice: null, uploaded: null, strokes: [], invert: false, grow: 0, feather, snap,
  });

  const clicked = (m, x, y, include) => ({ ...m, clicks: [...m.clicks, { x, y, include }], uploaded: null });
  const unclicked = (m, index) => ({ ...m, clicks: m.clicks.filter((_, i) => i !== index), choice: m.clicks.length > 1 ? m.choice : null });
  const boxed = (m, box) => ({ ...m, box, uploaded: null });
  const phrased = (m, phrase) => ({ ...m, phrase, choice: null, uploaded: phrase ? null : m.uploaded });
  const stroked = (m, stroke) => ({ ...m, strokes: [...m.strokes, stroke] });
  const chosen = (m, choice) => ({ ...m, choice });
  const grown = (m, by) => ({ ...m, grow: Math.max(-200, Math.min(200, m.grow + by)) });
  const feathered = (m, feather) => ({ ...m, feather: Math.max(0, Math.min(64, feather)) });
  const snapped = (m) => ({ ...m, snap: !m.snap });
  const inverted = (m) => ({ ...m, invert: !m.invert });
  const isEmpty = (m) => !m.clicks.length && !m.box && !m.phrase && !m.uploaded && !m.strokes.length;
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  return { empty, clicked, unclicked, boxed, phrased, stroked, chosen, grown, feathered, snapped, inverted, isEmpty, same };
})();
