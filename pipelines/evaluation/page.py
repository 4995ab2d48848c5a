"""The bench as one page: an HTML file that needs no other, with its plots as SVG and its pictures as WebP.

The words and the drawing are in ``assets/bench.html``; what it is told is worked out here. The figures of others come
from ``assets/published.json``. This file imports no torch.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from pipelines.contract import Picture, Scope
from pipelines.evaluation.benchmark import Row, picture_path
from pipelines.evaluation.cases import Case
from pipelines.evaluation.chains import Chain, TurnRow, turn_path
from pipelines.evaluation.entrants import ABLATIONS, ablation_names, entrant
from pipelines.evaluation.measures import MEASURES, SURVEY, Better, Measure, Tools, measured
from pipelines.evaluation.plots import Curves, Scatter, curves, scatter
from pipelines.evaluation.report import EVERY, Summary, TurnSummary, summarise, summarise_turns
from pipelines.evaluation.trials import trials_of
from pipelines.toybox.render import render

ASSETS = Path(__file__).resolve().parents[2] / "assets"
TEMPLATE, PUBLISHED = "bench.html", ASSETS / "published.json"
SIDE = 144
"""Pixels a side of a picture on the page."""
WEBP_QUALITY = 82


@dataclass(frozen=True)
class Told:
    """Everything that a page is made of."""

    model: str
    """The model's title."""
    facts: Mapping[str, str]
    """How it was run, in words: what to the value."""
    folder: Path
    """Where the pictures of the rows are."""
    rows: Sequence[Row]
    cases: Sequence[Case]
    tools: Tools
    turns: Sequence[TurnRow] = ()
    chains: Sequence[Chain] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Methods that cannot take part, and why."""
    remarks: Sequence[str] = ()
    """What of the tools is missing, and what to put where."""


def write_page(told: Told, path: Path) -> None:
    """Write the page; its folder is made where there is none."""
    pages = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters |= {"percent": percent, "number": number}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(pages.get_template(TEMPLATE).render(**view(told)), encoding="utf-8")


def view(told: Told) -> dict[str, Any]:
    """What the template is given."""
    of_methods = [row for row in told.rows if row.method not in ablation_names()]
    lines = sorted(lines_of(of_methods), key=lambda line: (-line.summary.both_right, line.summary.seconds))
    figures = measures_of(told, of_methods, lines)
    published: list[dict[str, Any]] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return {
        "model": told.model,
        "facts": told.facts,
        "today": date.today().isoformat(),
        "cases": len(told.cases),
        "lines": lines,
        "leaders": [line for line in lines if line.summary.both_right == lines[0].summary.both_right],
        "costs": costs(lines),
        "kinds": kinds(told.cases),
        "by_kind": by_kind(of_methods, told.cases, lines),
        "measures": [entry for entry in figures if entry.known],
        "unmeasured": by_reason({e.measure.title: str(e.measure.needs) for e in figures if not e.known}),
        "explained": [(measure, explained(measure)) for measure in MEASURES.values()],
        "survey": SURVEY,
        "clip": told.tools.pictures.name if told.tools.pictures else "",
        "ablations": ablations(told),
        "turns": turn_plots(told.turns),
        "turn_lines": turn_lines(told.turns),
        "by_turn": by_turn(told.turns),
        "chain_sheets": chain_sheets(told),
        "sheets": sheets(told, [line.key for line in lines]),
        "published": published,
        "left_out": by_reason(told.left_out),
        "remarks": told.remarks,
    }


# ------------------------------------------------------------------------------------------------ figures in words


def percent(share: float | None) -> str:
    """``62``, of a share of 0 to 1; a dash for none."""
    return "–" if share is None else f"{100 * share:.0f}"


def number(value: float | None, places: int = 1) -> str:
    """With so many decimal places; a dash for none."""
    return "–" if value is None else f"{value:,.{places}f}"


def interval(right: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's score (Wilson 1927): where it may truly lie, by so few cases."""
    z = 1.96
    share, n = right / of, of
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - reach), min(1.0, middle + reach)


Key = tuple[str, str]
"""Name and quality of an entrant."""


@dataclass(frozen=True)
class Line:
    """One entrant in the table."""

    key: Key
    label: str
    summary: Summary
    low: float
    high: float
    """Interval of both right."""


def labels(keys: Sequence[Key]) -> dict[Key, str]:
    """Titles without what stands in brackets; with the quality where there are several."""
    several = len({quality for _, quality in keys}) > 1
    titles = {key: entrant(key[0]).title.partition(" (")[0] for key in keys}
    return {key: f"{title}, {key[1]}" if several else title for key, title in titles.items()}


def lines_of(rows: Sequence[Row]) -> list[Line]:
    """One for each entrant, over all cases."""
    all_of = [summary for summary in summarise(rows) if summary.scope == EVERY]
    names = labels([(s.method, s.quality) for s in all_of])
    return [
        Line(
            (s.method, s.quality),
            names[s.method, s.quality],
            s,
            *interval(round(s.both_right * s.cases), s.cases),
        )
        for s in all_of
    ]


def costs(lines: Sequence[Line]) -> list[tuple[str, str, Scatter]]:
    """Both right against what an edit costs: title of the plot, its axis, the plot."""
    passes = {line.label: (line.summary.network_passes or 0, line.summary.both_right) for line in lines}
    seconds = {line.label: (line.summary.seconds, line.summary.both_right) for line in lines}
    plots = (("Against the network's work", "network passes of one edit", passes), ("Against time", "seconds", seconds))
    return [
        (title, axis, scatter(there))
        for title, axis, points in plots
        if (there := {name: point for name, point in points.items() if point[0] > 0})
    ]


def kind_of(case: Case) -> str:
    """What an edit is about."""
    told = []
    if "action" in case.asked:
        told.append("pose")
    elif "colour" in case.asked:
        told.append("colour")
    elif "subject" in case.asked:
        told.append("subject")
    if case.scope is not Scope.SUBJECT:
        told.append("background")
    return " and ".join(told)


def kinds(cases: Sequence[Case]) -> dict[str, int]:
    """The kinds of edit, and how many cases each has, those of one part first."""
    found: dict[str, int] = {}
    for case in cases:
        found[kind_of(case)] = found.get(kind_of(case), 0) + 1
    return dict(sorted(found.items(), key=lambda item: (" and " in item[0], item[0])))


def by_kind(rows: Sequence[Row], cases: Sequence[Case], lines: Sequence[Line]) -> list[tuple[str, list[float | None]]]:
    """For each entrant its share of both right by kind, in the order of `kinds`."""
    kind = {case.name: kind_of(case) for case in cases}
    found: list[tuple[str, list[float | None]]] = []
    for line in lines:
        mine = [row for row in rows if (row.method, row.quality) == line.key]
        some = {name: [row.both_right for row in mine if kind[row.case] == name] for name in kinds(cases)}
        found.append((line.label, [sum(right) / len(right) if right else None for right in some.values()]))
    return found


# ----------------------------------------------------------------------------------------------------- measures


@dataclass(frozen=True)
class Measured:
    """One measure of every entrant."""

    measure: Measure
    values: tuple[str, ...]
    """In the order of the table's columns."""
    best: frozenset[int]
    """Columns of the best, as far as the figures shown tell them apart; none of equals, or where no way is better."""

    @property
    def known(self) -> bool:
        """Whether any entrant has a value."""
        return set(self.values) != {number(None)}


def measures_of(told: Told, rows: Sequence[Row], lines: Sequence[Line]) -> list[Measured]:
    """Every measure of the catalogue, whether it has values or not; a column for each of `lines`."""
    columns = [
        measured(trials_of(told.folder, [r for r in rows if (r.method, r.quality) == line.key], told.cases), told.tools)
        for line in lines
    ]
    found = []
    for name, measure in MEASURES.items():
        values = [column[name] for column in columns]
        words = tuple(shown(measure, value) for value in values)
        best = best_of(measure, values)
        alike = frozenset(k for k, word in enumerate(words) if best is not None and word == words[best])
        found.append(Measured(measure, words, alike if len(alike) < len(words) else frozenset()))
    return found


def shown(measure: Measure, value: float | None) -> str:
    """With as many places as tell entrants apart."""
    return number(value, 1 if measure.unit in ("dB", "levels") else 3)


def best_of(measure: Measure, values: Sequence[float | None]) -> int | None:
    """The column of the best value; ``None`` where there is no value, or no way is better."""
    there = [(value, k) for k, value in enumerate(values) if value is not None]
    if not there or measure.better is Better.NEITHER:
        return None
    pick: Callable[..., tuple[float, int]] = max if measure.better is Better.HIGHER else min
    return pick(there, key=lambda pair: pair[0])[1]


def explained(measure: Measure) -> Markup:
    """The docstring of a measure, with its formulas set as such."""
    said = " ".join((measure.of.__doc__ or "").split()).replace("``", "\0").replace("`", "")
    pieces = [escape(piece) for piece in said.split("\0")]
    return Markup("").join(Markup("<code>{}</code>").format(p) if k % 2 else p for k, p in enumerate(pieces))


# ------------------------------------------------------------------------------------------------------ ablations


@dataclass(frozen=True)
class AblationLine:
    """One row of LayerDiffusion's Table 1, ours and theirs."""

    letter: str
    quality: str
    title: str
    summary: Summary
    clip: float | None
    """Our CLIP score of text and result."""
    published: float


def ablations(told: Told) -> list[AblationLine]:
    """Those that were run, in the table's order."""
    rows = [row for row in told.rows if row.method in ablation_names()]
    found = []
    for summary in summarise(rows):
        if summary.scope != EVERY:
            continue
        letter = summary.method.partition(":")[2]
        mine = [row for row in rows if (row.method, row.quality) == (summary.method, summary.quality)]
        clip = MEASURES["clip-text"].of(trials_of(told.folder, mine, told.cases), told.tools)
        ablation = ABLATIONS[letter]
        found.append(AblationLine(letter, summary.quality, ablation.title, summary, clip, ablation.published))
    return sorted(found, key=lambda line: (line.quality, line.letter))


# -------------------------------------------------------------------------------------------------- several turns


def turn_lines(rows: Sequence[TurnRow]) -> list[tuple[str, TurnSummary]]:
    """What entrants reached by each turn, with their labels."""
    summaries = summarise_turns(rows)
    names = labels(list(dict.fromkeys((s.method, s.quality) for s in summaries)))
    return [(names[s.method, s.quality], s) for s in summaries]


def by_turn(rows: Sequence[TurnRow]) -> dict[str, list[float]]:
    """For each entrant its shares of everything right so far, one a turn; who ends highest comes first."""
    found: dict[str, list[float]] = {}
    for label, summary in turn_lines(rows):
        found.setdefault(label, []).append(summary.still_right)
    return dict(sorted(found.items(), key=lambda item: item[1][::-1], reverse=True))


def by_reason(left_out: Mapping[str, str]) -> dict[str, str]:
    """The reasons, each with the names of those that it holds for, of names with their reasons."""
    found: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        found.setdefault(reason, []).append(name)
    return {reason: ", ".join(names) for reason, names in found.items()}


def turn_plots(rows: Sequence[TurnRow]) -> list[tuple[str, Curves]]:
    """Shares over the turns: title of the plot, the plot."""
    summaries = summarise_turns(rows)
    keys = list(dict.fromkeys((s.method, s.quality) for s in summaries))
    names = labels(keys)

    def series(share: Callable[[TurnSummary], float]) -> dict[str, list[float]]:
        return {names[key]: [share(s) for s in summaries if (s.method, s.quality) == key] for key in keys}

    if not keys:
        return []
    return [
        ("Everything asked so far is there", curves(series(lambda s: s.still_right))),
        ("What the turn had to leave is there", curves(series(lambda s: s.kept_right))),
    ]


# ------------------------------------------------------------------------------------------------------- pictures


@dataclass(frozen=True)
class Shown:
    """A picture with what is said below it."""

    label: str
    data: str
    """As a ``data:`` address; empty where there is no picture."""
    right: bool | None = None
    """``None`` where nothing is judged."""
    said: str = ""


def sheets(told: Told, order: Sequence[Key]) -> list[tuple[str, list[Shown]]]:
    """For each case what was asked, and the pictures: before, a right answer, and every entrant's."""
    every = dict.fromkeys([*order, *((row.method, row.quality) for row in told.rows)])
    names = labels(list(every))
    by_key = {(row.case, row.method, row.quality): row for row in told.rows}
    found = []
    for case in told.cases:
        pictures = [
            Shown("before", data_address(render(case.source).picture)),
            Shown("a right answer", data_address(render(case.target).picture)),
        ]
        for key in every:
            row = by_key.get((case.name, *key))
            if row is not None:
                said = row.error or "; ".join(row.wrong)
                path = picture_path(told.folder, row)
                pictures.append(Shown(names[key], address_of(path), row.both_right, said))
        found.append((" · ".join(text or "(stays)" for text in (case.subject, case.background)), pictures))
    return found


def chain_sheets(told: Told) -> list[tuple[str, list[tuple[str, list[Shown]]]]]:
    """For each chain what its turns ask, and for each entrant its pictures."""
    keys = list(dict.fromkeys((row.method, row.quality) for row in told.turns))
    names, found = labels(keys), []
    for chain in told.chains:
        first = Shown("before", data_address(render(chain.cases[0].source).picture))
        lines = [("a right answer", [first, *(_answer(case) for case in chain.cases)])]
        for key in keys:
            mine = [row for row in told.turns if (row.chain, row.method, row.quality) == (chain.name, *key)]
            strip = [
                Shown(
                    f"turn {row.turn}",
                    address_of(turn_path(told.folder, row)),
                    row.still_right and row.kept_right,
                    row.error,
                )
                for row in mine
            ]
            lines.append((names[key], [first, *strip]))
        found.append((", then ".join(case.subject or case.background for case in chain.cases), lines))
    return found


def _answer(case: Case) -> Shown:
    return Shown(case.subject or case.background, data_address(render(case.target).picture))


def address_of(path: Path) -> str:
    """The picture of a file as a ``data:`` address; empty where there is no file."""
    if not path.is_file():
        return ""
    with Image.open(path) as image:
        return _encoded(image.convert("RGB"))


def data_address(picture: Picture) -> str:
    """A picture as a ``data:`` address, `SIDE` pixels a side at most."""
    return _encoded(Image.fromarray(picture))


def _encoded(image: Image.Image) -> str:
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=WEBP_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
