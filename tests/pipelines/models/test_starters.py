"""The models to begin with: what the list promises of each, and which of them a machine can load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.models.folders import CLIP, SEGMENTER, TEXT_TO_IMAGE, ModelCard
from pipelines.models.installed import ModelRecord
from pipelines.models.listing import Item
from pipelines.models.starters import STARTERS, Starter, is_here, too_large

SD = STARTERS[0]


@pytest.mark.parametrize("starter", STARTERS, ids=lambda starter: starter.title)
def test_a_starter_says_what_it_is(starter: Starter) -> None:
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", starter.repo)
    assert starter.kind in (TEXT_TO_IMAGE, SEGMENTER, CLIP)
    assert starter.use.endswith(".") and starter.licence
    # Loaded, weights are float32: what is pulled as 16 bits takes twice its size, and little beside.
    assert starter.room == pytest.approx((1 + starter.half) * starter.size, rel=0.1)


def test_there_is_one_of_every_kind_and_none_twice() -> None:
    assert {starter.kind for starter in STARTERS} == {TEXT_TO_IMAGE, SEGMENTER, CLIP}
    assert len({starter.repo for starter in STARTERS}) == len(STARTERS)


def test_a_machine_with_too_little_memory_is_told() -> None:
    assert too_large(SD, memory=4_300_000_000) is None
    assert too_large(SD, memory=4_000_000_000) == "needs 4.3 GB of memory to be loaded; this machine has 4 GB"


def test_what_was_pulled_is_no_starter_any_more(tmp_path: Path) -> None:
    def item(source: str | None) -> Item:
        record = None if source is None else ModelRecord(source, {})
        return Item(ModelCard("sd", "sd", tmp_path, TEXT_TO_IMAGE), None, 0, record, removable=True)

    assert is_here(SD, [item(None), item(SD.repo)])
    assert not is_here(SD, [item(None), item("someone/else")])
