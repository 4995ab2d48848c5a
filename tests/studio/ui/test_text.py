"""Words of the page that depend on values."""

from __future__ import annotations

import pytest

from studio.ui import text


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "Standard"),
        (0.84, "Standard 0.8 s"),
        (38.4, "Standard 38 s"),
        (89.9, "Standard 90 s"),
        (400, "Standard 7 min"),
    ],
)
def test_a_quality_tells_what_it_took_once_that_is_known(seconds: float | None, told: str) -> None:
    assert text.quality("standard", seconds) == told
