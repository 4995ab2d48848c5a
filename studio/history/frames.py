"""In which frame each turn's picture lies: turns may crop, extend, resize or turn what comes before them.

Nothing of it is stored: a frame follows from the settings of the turns that lead to it, and from the size of the
original. All frames of a session are told from the original's, so that `Frame.to` leads from any turn to any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipelines.catalog import CATALOG, recorded
from pipelines.contract import Extent
from pipelines.frames import Frame
from studio.history.turn import Turn, TurnRequest


def reframes(request: TurnRequest | None) -> bool:
    """Whether what the request asks for changes the frame."""
    entry = None if request is None else CATALOG.get(request.method)
    return entry is not None and entry.reframes is not None


def frame_after(frame: Frame, request: TurnRequest | None) -> Frame:
    """The frame of what `request` makes of a picture in `frame`. Raises `BadParameter` for settings that cannot be."""
    entry = None if request is None else CATALOG.get(request.method)
    if request is None or entry is None or entry.reframes is None:
        return frame
    step: Frame = entry.reframes(recorded(request.method, request.params), frame.extent)
    return frame.then(step)


def frames_along(line: Sequence[Turn], original: Extent) -> Iterator[Frame]:
    """Of each turn of `line`, whose first one, of that extent, all are told from."""
    frame = Frame(original)
    for number, turn in enumerate(line):
        frame = frame_after(frame, turn.request) if number else frame
        yield frame


def frame_of(line: Sequence[Turn], original: Extent) -> Frame:
    """The frame of the last turn of `line`, which begins at the original."""
    *_, last = frames_along(line, original)
    return last


def frames(turns: Iterable[Turn], original: Extent) -> dict[str, Frame]:
    """Of every turn, by id; `turns` are parents before children."""
    found: dict[str, Frame] = {}
    for turn in turns:
        found[turn.id] = Frame(original) if turn.parent is None else frame_after(found[turn.parent], turn.request)
    return found
