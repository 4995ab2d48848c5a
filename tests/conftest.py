"""How the tests are dealt out where several processes run them."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)  # before what deals them out looks at their groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay together, for they share what takes long to make; and all that open a browser are one
    process's, since two pages that compute at once are slow enough to be taken for broken."""
    for item in items:
        browser = item.get_closest_marker("browser") is not None
        item.add_marker(pytest.mark.xdist_group("browser" if browser else str(item.path)))
