"""By what a card says that its model's pictures are measured, also where it says it badly."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from pipelines.models.domain import domain_of
from pipelines.models.limits import NOTHING_CALIBRATED, Limits, measured_by

LIMITS = Limits(0.02, 0.99, 0.5, 0.882, 0.95, 30, 3)


def test_a_card_names_its_clip_and_its_limits() -> None:
    said = {"measured_by": {"clip": "mine", "limits": asdict(LIMITS)}}
    domain = domain_of(said)
    assert (domain.measured_by.clip, domain.measured_by.limits, domain.remarks) == ("mine", LIMITS, ())


def test_a_card_that_says_nothing_has_no_limits() -> None:
    assert measured_by({}) == (NOTHING_CALIBRATED, "")
    assert domain_of({"measured_by": {"clip": "mine"}}).measured_by.limits is None


@pytest.mark.parametrize(
    ("told", "remark"),
    [
        ("mine", "expected an object, got 'mine'"),
        ({"clip": 3}, "clip must be a name, got 3"),
        ({"limits": {"least_db": 30}}, "expected a number for each of"),
        ({"limits": {**asdict(LIMITS), "least_db": "30"}}, "expected a number for each of"),
        ({"limits": {**asdict(LIMITS), "least_db": True}}, "expected a number for each of"),
        ({"limits": [1, 2]}, "expected a number for each of"),
    ],
)
def test_what_cannot_be_read_is_left_out_and_said(told: Any, remark: str) -> None:
    domain = domain_of({"measured_by": told, "pictures": {"made_for": "drawings", "smooth": 0.5}})
    assert domain.measured_by.limits is None and domain.pictures is not None
    (said,) = domain.remarks
    assert "left out" in said and remark in said
