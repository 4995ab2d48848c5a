"""Does the order of two turns matter? Has the other order computed beside the one there is, and compares the two.

"Multi-round Thinking" (arXiv 2401.08472) observes that the order of modifications should not change the result and
measures how far a method is from that; here the measure is a tool in the designer's hand. The turns of the other order
are ordinary turns that are on no branch yet: adopting them lays them down as a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from pipelines.evaluation.commute import guess_commute
from pipelines.progress import Progress
from studio.errors import NotReady
from studio.history.frames import reframes
from studio.history.replay import Replay, Step, swapped
from studio.history.tree import Tree
from studio.history.turn import Turn
from studio.session.computing import Compared, Computing
from studio.session.view import OrderCell, OrdersView, SwapView

MOST_ORDERS = 6
"""Turns in the table of orders: fifteen pairs."""


@dataclass(frozen=True)
class Swap:
    """Two neighbouring turns, A then B, and the turns of the other order: B, then A, from the same start."""

    before: Turn
    first: Turn
    second: Turn
    turns: tuple[Turn, ...]
    compared: Compared

    def files(self) -> frozenset[str]:
        """Digests of what the page shows of it."""
        return frozenset({self.compared.difference}).union(*(turn.files() for turn in self.turns))

    def view(self) -> SwapView:
        return SwapView(
            first=self.first.id,
            second=self.second.id,
            before=self.before.picture,
            ab=self.second.picture,
            ba=self.turns[-1].picture,
            difference=self.compared.difference,
            seconds=sum(turn.outcome.seconds for turn in self.turns),
            consistency=self.compared.consistency.to_json(),
        )


def swap(computing: Computing, tree: Tree, first: str, second: str, progress: Progress) -> Swap:
    """Compute and compare; what was computed before costs nothing. Raises what `swapped` raises."""
    replay = swapped(tree, first, second)
    before, a, b = tree[replay.base], tree[first], tree[second]
    turns = computing.replay(tree, replay, progress)
    return Swap(before, a, b, turns, computing.compared(before, (a, b), turns))


def pairs(tree: Tree, count: int) -> tuple[tuple[str, str], ...]:
    """All pairs of the last `count` edits up to the turn one stands on, earlier one first; but for those that both
    change the frame, whose orders cannot be compared."""
    return tuple(
        pair for pair in combinations(_last(tree, count), 2) if not all(reframes(tree[id].request) for id in pair)
    )


def compare_pair(computing: Computing, tree: Tree, first: str, second: str, progress: Progress) -> Compared:
    """Both orders of any two turns of one line, from the start of the earlier one, without those between them."""
    a, b = (_step(tree, id) for id in (first, second))
    base = tree[tree[first].parent or ""]
    neighbours = tree[second].parent == first
    ab = (tree[first], tree[second]) if neighbours else computing.replay(tree, Replay(base.id, (a, b)), progress)
    return computing.compared(base, ab, computing.replay(tree, Replay(base.id, (b, a)), progress))


def orders(computing: Computing, tree: Tree, count: int, known: Mapping[tuple[str, str], Compared]) -> OrdersView:
    """The table of the last turns: a free guess for each pair, and the numbers of those in `known`."""
    line = [tree[id] for id in tree.line(tree.current)]
    along = dict(zip((turn.id for turn in line), computing.frames(line), strict=True))
    edits = {
        id: computing.edited(_step(tree, id).request, along[tree[id].parent or ""], along[tree.current])
        for id in _last(tree, count)
    }
    cells = []
    for first, second in pairs(tree, count):
        a, b, found = edits[first], edits[second], known.get((first, second))
        guess = guess_commute(a.scope, a.mask, b.scope, b.mask)
        cells.append(OrderCell(first, second, guess, None if found is None else found.consistency.to_json()))
    return OrdersView(tuple(edits), tuple(cells))


def _last(tree: Tree, count: int) -> tuple[str, ...]:
    if not 2 <= count <= MOST_ORDERS:
        raise NotReady(f"the orders of 2 to {MOST_ORDERS} turns can be compared at a time; got {count}")
    return tree.line(tree.current)[1:][-count:]


def _step(tree: Tree, id: str) -> Step:
    request = tree[id].request
    assert request is not None, "the original has no order"
    return Step(request, id)
