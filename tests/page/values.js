// Values as the studio sends them, whole enough for what a test looks at.

export function turn(id, parent, number, more = {}) {
  return { id, parent, number, lane: 0, label: id, picture: `${id}.png`, scope: "subject", ...more };
}

export function view(more = {}) {
  const turns = [turn("a", null, 0), turn("b", "a", 1)];
  return { sid: "s", rev: 1, film: 1, current: "b", turns, branches: [["main", "b"]], staged: [], job: null, ...more };
}
