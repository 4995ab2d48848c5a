"""Where triples come from: the toy world, or a folder of published data. No torch here."""

from __future__ import annotations

import importlib
from pathlib import Path

from pipelines.errors import BadRequest
from pipelines.training.published import Fashion200k, FashionIQ
from pipelines.training.triples import Source

TOYBOX = "pipelines.toybox.triples:ToyTriples"
"""Named as text: what is general knows nothing of the toy world."""


def source_of(data: Path | None) -> Source:
    """The published data in that folder, or without one the toy world. Raises `BadRequest` for another layout."""
    if data is None:
        module, name = TOYBOX.split(":")
        source: Source = getattr(importlib.import_module(module), name)()
        return source
    for kind in (FashionIQ, Fashion200k):
        if kind.lies_in(data):
            return kind(data)
    there = sorted(path.name for path in data.iterdir())[:5] if data.is_dir() else []
    raise BadRequest(
        f"{data} must hold FashionIQ ({FashionIQ.LAYOUT}) or Fashion200k ({Fashion200k.LAYOUT}); found "
        f"{', '.join(there) or 'nothing'}. Name the folder that has these in it"
    )
