"""The types that the page's scripts are checked with are those of what Python sends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pytest

from tests.page import view_types


def test_the_types_of_the_page_are_those_of_the_dataclasses() -> None:
    assert view_types.FILE.read_text(encoding="utf-8") == view_types.declarations(), "run: make types"


class Colour(StrEnum):
    """Two."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    """Of another."""

    at: tuple[int, float]


@dataclass(frozen=True)
class Outer:
    """Has one of each.

    More that is not said there.
    """

    colour: Colour | None
    """Which."""
    inner: tuple[Inner, ...]
    names: dict[str, tuple[str | None, ...]]


@dataclass(frozen=True)
class Strange:
    """Holds what JSON has no form for."""

    code: bytes


def test_every_form_of_a_field_is_told_as_json_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_types, "SENT", (Outer,))
    assert (
        view_types.declarations().removeprefix(view_types.HEAD)
        == """
/** Of another. */
export interface Inner {
  at: [number, number];
}

/** Has one of each. */
export interface Outer {
  /** Which. */
  colour: "red" | "blue" | null;
  inner: Inner[];
  names: Record<string, (string | null)[]>;
}
"""
    )


def test_a_field_that_json_has_no_form_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_types, "SENT", (Strange,))
    with pytest.raises(TypeError, match="bytes"):
        view_types.declarations()
