"""Sums up benchmark rows: a table for people, JSON for machines, and sheets of pictures to look at."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipelines.contract import Quality, Scope
from pipelines.evaluation.benchmark import Row, mask_path, picture_path
from pipelines.evaluation.cases import Case
from pipelines.evaluation.chains import TurnRow
from pipelines.toybox.render import render

TILE = 160
"""Side of a picture on a sheet, in pixels."""

CASES_A_LINE = 3

EVERY = "all"
"""The scope of a summary over all scopes."""


@dataclass(frozen=True)
class Summary:
    """What one method reached at one quality on the cases of one scope (or `EVERY`). Shares are 0 to 1 of all cases."""

    method: str
    quality: str
    scope: str
    cases: int
    asked_right: float
    kept_right: float
    both_right: float
    kept_psnr: float | None
    """Mean over the cases that have a kept region, dB; equal pictures count as 60."""
    outline: float | None
    """Mean IoU of the subject in the result with the true one, 0 to 1."""
    variety: float | None
    """Mean distance between candidates where the picture was to change, in levels of 0 to 255."""
    seconds: float
    """Median of an edit that ran."""
    network_passes: float | None
    """Median of an edit that ran and was counted."""
    errors: int


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """One summary for each method, quality and scope, and one over all scopes; in the order in which they occur."""
    out = []
    for method, quality in dict.fromkeys((row.method, row.quality) for row in rows):
        mine = [row for row in rows if (row.method, row.quality) == (method, quality)]
        for scope in (EVERY, *Scope):
            some = [row for row in mine if scope in (EVERY, row.scope)]
            if some:
                out.append(_summary(method, quality, str(scope), some))
    return out


@dataclass(frozen=True)
class Loss:
    """What a faster quality costs."""

    method: str
    quality: str
    points: float
    """Percentage points of cases with both parts right, below exact; negative where the faster one does better."""
    times_faster: float


def losses(rows: Sequence[Row]) -> list[Loss]:
    """Every quality against exact, over the cases that both were tried on."""
    out = []
    for method, quality in dict.fromkeys((row.method, row.quality) for row in rows if row.quality != Quality.EXACT):
        exact = {row.case: row for row in rows if (row.method, row.quality) == (method, Quality.EXACT)}
        pairs = [
            (row, exact[row.case])
            for row in rows
            if (row.method, row.quality) == (method, quality) and row.case in exact
        ]
        if pairs:
            fewer = sum(best.both_right - row.both_right for row, best in pairs) / len(pairs)
            faster = sum(best.seconds for _, best in pairs) / max(sum(row.seconds for row, _ in pairs), 1e-9)
            out.append(Loss(method, quality, round(100 * fewer, 2), round(faster, 2)))
    return out


def _summary(method: str, quality: str, scope: str, rows: list[Row]) -> Summary:
    times = [row.seconds for row in rows if not row.error]
    return Summary(
        method=method,
        quality=quality,
        scope=scope,
        cases=len(rows),
        asked_right=statistics.mean(row.asked_right for row in rows),
        kept_right=statistics.mean(row.kept_right for row in rows),
        both_right=statistics.mean(row.both_right for row in rows),
        kept_psnr=_mean([row.kept_psnr for row in rows]),
        outline=_mean([row.outline for row in rows]),
        variety=_mean([row.variety for row in rows]),
        seconds=statistics.median(times) if times else 0.0,
        network_passes=_median([row.network_passes for row in rows]),
        errors=sum(bool(row.error) for row in rows),
    )


@dataclass(frozen=True)
class TurnSummary:
    """What one entrant reached by one turn of all chains. Shares are 0 to 1 of all chains."""

    method: str
    quality: str
    turn: int
    chains: int
    asked_right: float
    """What this turn asks for is there."""
    kept_right: float
    still_right: float
    """All that was asked so far is there."""
    kept_psnr: float | None
    """Mean of dB against turn 0, where no turn so far was to change anything."""
    subject: float | None
    background: float | None
    """Mean CLIP similarity to turn 0."""


def summarise_turns(rows: Sequence[TurnRow]) -> list[TurnSummary]:
    """One summary for each entrant, quality and turn, in the order in which they occur."""
    keys = dict.fromkeys((row.method, row.quality, row.turn) for row in rows)
    return [_turn_summary(*key, [row for row in rows if (row.method, row.quality, row.turn) == key]) for key in keys]


def _turn_summary(method: str, quality: str, turn: int, rows: list[TurnRow]) -> TurnSummary:
    drifts = [row.drift for row in rows if row.drift is not None]
    return TurnSummary(
        method=method,
        quality=quality,
        turn=turn,
        chains=len(rows),
        asked_right=statistics.mean(row.asked_right for row in rows),
        kept_right=statistics.mean(row.kept_right for row in rows),
        still_right=statistics.mean(row.still_right for row in rows),
        kept_psnr=_mean([drift["kept_psnr"] for drift in drifts]),
        subject=_mean([drift["subject"] for drift in drifts]),
        background=_mean([drift["background"] for drift in drifts]),
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _mean(values: Sequence[float | None]) -> float | None:
    """Over those that there are."""
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def as_json(rows: Sequence[Row], turns: Sequence[TurnRow] = ()) -> dict[str, Any]:
    """The summaries, what the faster qualities lose, and the rows, ready for `json.dumps`."""
    return {
        "summary": [asdict(summary) for summary in summarise(rows)],
        "below_exact": [asdict(loss) for loss in losses(rows)],
        "rows": [asdict(row) for row in rows],
        "turns": [asdict(summary) for summary in summarise_turns(turns)],
        "turn_rows": [asdict(row) for row in turns],
    }


def as_table(summaries: Sequence[Summary]) -> str:
    """The summaries in aligned columns of text."""
    head = (
        "method",
        "quality",
        "scope",
        "cases",
        "asked",
        "kept",
        "both",
        "kept PSNR",
        "outline",
        "variety",
        "seconds",
        "passes",
        "errors",
    )
    return _aligned([head, *(_cells(summary) for summary in summaries)], 3)


def turns_as_table(rows: Sequence[TurnRow]) -> list[str]:
    """What entrants reached by each turn in aligned columns of text; nothing where there are no turns."""
    if not rows:
        return []
    head = ("method", "quality", "turn", "chains", "this turn", "all so far", "kept")
    cells = [
        (
            s.method,
            s.quality,
            str(s.turn),
            str(s.chains),
            *(f"{x:.1%}" for x in (s.asked_right, s.still_right, s.kept_right)),
        )
        for s in summarise_turns(rows)
    ]
    return ["", *_aligned([head, *cells], 2).splitlines()]


def _aligned(lines: Sequence[tuple[str, ...]], words: int) -> str:
    """Columns of text, the first `words` of them to the left and the figures to the right."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if k < words else cell.rjust(w) for k, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def _cells(s: Summary) -> tuple[str, ...]:
    shares = (f"{share:.1%}" for share in (s.asked_right, s.kept_right, s.both_right))
    kept = "-" if s.kept_psnr is None else f"{s.kept_psnr:.1f} dB"
    outline = "-" if s.outline is None else f"{s.outline:.2f}"
    varied = "-" if s.variety is None else f"{s.variety:.1f}"
    passes = "-" if s.network_passes is None else f"{s.network_passes:.0f}"
    figures = (*shares, kept, outline, varied, f"{s.seconds:.1f}", passes, str(s.errors))
    return (s.method, s.quality, s.scope, str(s.cases), *figures)


def write_sheet(folder: Path, rows: Sequence[Row], cases: Sequence[Case], path: Path) -> None:
    """Before, mask, result and true answer of every row as one PNG, what was asked above and the verdict below.

    Of a new background there are many true answers; this is one of them.
    """
    by_name = {case.name: case for case in cases}
    tiles = [_tile(folder, row, by_name[row.case]) for row in rows]
    blank = Image.new("RGB", tiles[0].size, "white")
    tiles += [blank] * (-len(tiles) % CASES_A_LINE)
    lines = [
        np.concatenate([np.asarray(tile) for tile in tiles[k : k + CASES_A_LINE]], 1)
        for k in range(0, len(tiles), CASES_A_LINE)
    ]
    Image.fromarray(np.concatenate(lines)).save(path, optimize=True)


def _tile(folder: Path, row: Row, case: Case) -> Image.Image:
    tile = Image.new("RGB", (4 * TILE + 8, TILE + 36), "white")
    draw = ImageDraw.Draw(tile)
    files = (mask_path(folder, row), picture_path(folder, row))
    grey = Image.new("RGB", (TILE, TILE), "grey")
    pictures = [
        Image.fromarray(render(case.source).picture),
        *(Image.open(file).convert("RGB") if file.is_file() else grey for file in files),
        Image.fromarray(render(case.target).picture),
    ]
    for k, picture in enumerate(pictures):
        tile.paste(picture.resize((TILE, TILE), Image.Resampling.BOX), (k * TILE, 16))
    asked = " | ".join(text or "(keep)" for text in (case.subject, case.background))
    draw.text((3, 2), f"{row.case} {row.method} {row.quality}: {asked}", "black")
    said = row.error or "; ".join(row.wrong) or "right"
    if row.outline is not None and row.inside is not None:
        said += f"  (outline {row.outline:.2f}, {row.inside:.0f} levels off inside)"
    draw.text((3, TILE + 18), said[:104], "green" if row.both_right else "red")
    return tile
