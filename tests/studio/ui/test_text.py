"""Words of the page that depend on values."""

from __future__ import annotations

import pytest

from pipelines.errors import BadParameter, BadRequest
from pipelines.params import LayeredParams, checked
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


def test_a_refused_setting_is_called_what_its_field_is_called() -> None:
    with pytest.raises(BadParameter) as refused:
        checked(LayeredParams, {"small_object_area": 2})
    assert text.fault(refused.value) == "Small subject area must be between 0 and 1; got 2"
    assert text.fault(BadParameter("unknown setting turbo")) == "unknown setting turbo"
    assert text.fault(BadRequest("nothing is selected")) == "nothing is selected"
