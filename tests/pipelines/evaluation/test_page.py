"""The page on rows whose figures are known: it says them, holds every picture, and needs no other file."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.contract import Quality
from pipelines.evaluation.benchmark import Row, Setup, mask_path, picture_path
from pipelines.evaluation.cases import Case, held_out_cases
from pipelines.evaluation.chains import TurnRow, make_chain, turn_path
from pipelines.evaluation.entrants import ABLATIONS
from pipelines.evaluation.measures import MEASURES, Better, Need, Tools
from pipelines.evaluation.page import SIDE, Told, best_of, explained, interval, kind_of, kinds, view, write_page
from pipelines.toybox.render import render

CASES = held_out_cases(9)
CHAINS = [make_chain(0, 2)]
SETUP = Setup("toybox", Quality.DRAFT)


def row_of(case: Case, method: str, right: bool, folder: Path, passes: int = 40, error: str = "") -> Row:
    """A row that is right by giving a right answer, or wrong by giving the picture back."""
    read: dict[str, str | None] = {**case.asked, **case.kept} if right else dict(case.kept)
    row = Row(
        case=case.name,
        scope=case.scope,
        method=method,
        model="toybox",
        quality="draft",
        seed=7,
        true_masks=False,
        subject=case.subject,
        background=case.background,
        read=read,
        asked_right=right,
        kept_right=not error,
        both_right=right,
        wrong=() if right else ("colour: asked <blue>, read red",),
        kept_psnr=60.0,
        outside_changed=0,
        outside_largest=0,
        mask_overlap=1.0,
        seconds=passes / 10,
        weights_restored=True,
        outline=0.9,
        network_passes=None if error else passes,
        readings=(read,),
        error=error,
    )
    path = picture_path(folder, row)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(render(case.source).mask).save(mask_path(folder, row))
    if not error:
        Image.fromarray(render(case.target if right else case.source).picture).save(path)
    return row


def turn_of(turn: int, method: str, right: bool, folder: Path) -> TurnRow:
    case = CHAINS[0].cases[turn - 1]
    drift = {"kept_psnr": 30.0 + turn, "subject": 0.5, "background": None}
    row = TurnRow(
        chain=CHAINS[0].name,
        turn=turn,
        method=method,
        model="toybox",
        quality="draft",
        seed=7,
        true_masks=False,
        scope=case.scope,
        subject=case.subject,
        background=case.background,
        read={},
        asked_right=right,
        kept_right=True,
        still_right=right,
        drift=drift,
        seconds=1.0,
        network_passes=8,
    )
    path = turn_path(folder, row)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(render(case.target).picture).save(path)
    return row


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    tmp_path = tmp_path_factory.mktemp("bench")
    rows = [row_of(case, "layered", k < 6, tmp_path, 120) for k, case in enumerate(CASES)]
    rows += [row_of(case, "sdedit", False, tmp_path, 20) for case in CASES[:-1]]
    rows += [row_of(CASES[-1], "sdedit", False, tmp_path, error="<script>refused</script>")]
    rows += [row_of(case, "layered:g", True, tmp_path) for case in CASES]
    turns = [
        turn_of(turn, method, method == "layered", tmp_path) for method in ("layered", "sdedit") for turn in (1, 2)
    ]
    return Told(
        "Toybox",
        {"edits": "9"},
        tmp_path,
        rows,
        CASES,
        Tools(),
        turns,
        CHAINS,
        {"recolour": "works by hand"},
        ("LPIPS needs the weights of a network",),
    )


@pytest.fixture(scope="module")
def found(told: Told) -> dict[str, Any]:
    return view(told)


class Loads(HTMLParser):
    """Collects what a page would fetch, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_whole_and_says_what_was_measured(told: Told, tmp_path: Path) -> None:
    path = tmp_path / "report" / "index.html"
    write_page(told, path)
    html = path.read_text(encoding="utf-8")
    page = Loads()
    page.feed(html)
    assert all(address.startswith("data:image/webp;base64,") for address in page.addresses)
    assert not {"script", "link", "iframe"} & set(page.tags) and "url(" not in html and "@import" not in html
    assert "http:" not in html and "https:" not in html
    assert "prefers-color-scheme: dark" in html and 'name="viewport"' in html
    # Nine cases: before, a right answer and three entrants' results, one of them refused; the chain's nine.
    assert len(page.addresses) == 9 * 5 - 1 + 3 * 3
    with Image.open(io.BytesIO(base64.b64decode(page.addresses[3 * 3 + 1].partition(",")[2]))) as picture:
        assert picture.format == "WEBP" and picture.size == (SIDE, SIDE)
        small = Image.fromarray(render(CASES[0].target).picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        assert np.abs(np.asarray(picture.convert("RGB"), float) - np.asarray(small, float)).mean() < 6
    text = " ".join("".join(page.text).split())
    assert "Layered gets both right most often: 67 % of 9 edits" in text
    assert "works by hand" in text and "LPIPS needs the weights of a network" in text
    assert "Figures of others" in text and "0.882" in text
    assert "&lt;script&gt;refused" in html


def test_the_table_has_the_rows_figures_best_first(found: dict[str, Any]) -> None:
    assert [line.label for line in found["lines"]] == ["Layered", "SDEdit"]
    first, second = (line.summary for line in found["lines"])
    assert (first.both_right, first.network_passes, first.seconds, first.errors) == (6 / 9, 120, 12, 0)
    assert (second.both_right, second.network_passes, second.errors) == (0, 20, 1)
    by_passes, by_seconds = (plot for _, _, plot in found["costs"])
    assert [mark.name for mark in by_passes.marks] == ["Layered", "SDEdit"]
    assert by_passes.marks[0].x > by_passes.marks[1].x and by_seconds.marks[0].y < by_seconds.marks[1].y


def test_ablations_stand_apart_beside_the_papers_figure(found: dict[str, Any]) -> None:
    lines = found["ablations"]
    assert [(line.letter, line.summary.both_right, line.published) for line in lines] == [
        ("g", 1, ABLATIONS["g"].published)
    ]
    assert lines[0].clip is None, "no CLIP is at hand here"


def test_measures_are_those_of_the_catalogue_and_the_rest_is_named(found: dict[str, Any]) -> None:
    by_name = {entry.measure.name: entry for entry in found["measures"]}
    assert by_name["success"].values == ("0.667", "0.000") and by_name["success"].best == {0}
    assert by_name["miou"].values == ("1.000", "1.000") and not by_name["miou"].best, "nobody is best of equals"
    missing = {title for titles in found["unmeasured"].values() for title in titles.split(", ")}
    assert {MEASURES[name].title for name in by_name} | missing == {measure.title for measure in MEASURES.values()}
    assert "Edit consistency over seeds" in found["unmeasured"][Need.CANDIDATES]
    assert "Directional CLIP" in found["unmeasured"][Need.CLIP]
    told_noise = replace(MEASURES["noise"], better=Better.LOWER)
    assert best_of(told_noise, [3.0, None, 2.0]) == 2 and best_of(told_noise, [None]) is None
    assert best_of(MEASURES["apart"], [1.0]) is None


def test_formulas_are_set_as_such() -> None:
    said = explained(MEASURES["kid"])
    assert "<code>(x.y / d + 1)^3</code>" in said and "`" not in said
    assert all(re.search(r"<code>.+</code>", str(explained(measure))) for measure in MEASURES.values())


def test_turns_are_drawn_one_after_the_other(found: dict[str, Any]) -> None:
    plots = dict(found["turns"])
    best = plots["Everything asked so far is there"].curves[0]
    assert best.name == "Layered" and len(best.dots) == 2
    assert found["by_turn"] == {"Layered": [1, 1], "SDEdit": [0, 0]}
    assert [(label, line.turn, line.kept_psnr) for label, line in found["turn_lines"]][:2] == [
        ("Layered", 1, 31.0),
        ("Layered", 2, 32.0),
    ]


def test_a_share_is_told_with_what_so_few_cases_leave_open() -> None:
    # Wilson 1927 by hand: of 10, 5 right: (0.5 + 0.19208) / 1.38416 and 1.96 sqrt(0.025 + 0.009604) / 1.38416 around.
    low, high = interval(5, 10)
    assert (low, high) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert interval(0, 10)[0] == pytest.approx(0, abs=1e-9) and interval(10, 10)[1] == pytest.approx(1)


def test_kinds_of_edit_are_told_from_what_is_asked() -> None:
    assert {kind_of(case) for case in CASES if case.scope == "background"} == {"background"}
    assert sum(kinds(CASES).values()) == 9
    assert list(kinds(CASES))[-1].endswith(" and background")
    assert "pose and background" in kinds(held_out_cases(18))


def test_without_methods_or_turns_the_page_still_opens(told: Told, tmp_path: Path) -> None:
    only = replace(told, rows=[row for row in told.rows if row.method == "layered:g"], turns=(), chains=())
    write_page(only, tmp_path / "only.html")
    text = (tmp_path / "only.html").read_text(encoding="utf-8")
    assert "What LayerDiffusion is made of" in text and "Turn after turn" not in text and "<h2>All methods" not in text
