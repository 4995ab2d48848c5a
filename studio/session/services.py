"""What every session uses, made once by `studio.app`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from pipelines.contract import Extent, Mask, Picture
from pipelines.models.folders import ModelCard, find_models
from studio.jobs.runner import Runner
from studio.jobs.work import EditingEngine, Splitter
from studio.settings import Hosting
from studio.store.store import Store


@dataclass(frozen=True)
class Services:
    """See the module."""

    store: Store
    runner: Runner
    engine: EditingEngine
    background: Executor
    """Where masks are made anew after a turn; one thread."""
    pixels: Callable[[str], Picture]
    """The picture of a digest; those looked at last are kept decoded, so that a click need not wait for that, and a run
    does not do again what was done when it was asked for."""
    keep: Callable[[Picture], str]
    """Stores a picture and gives its digest; its pixels are kept as if it had been looked at."""
    mask: Callable[[str, Extent], Mask]
    """The mask of a digest, of a picture of that size; kept likewise. Neither is to be written to."""
    keep_mask: Callable[[Mask], str]
    """Stores a mask and gives its digest; it is kept as if it had been looked at."""
    model_folders: tuple[Path, ...]
    segmenter: str
    splitter: Splitter | None
    """The language model that splits sentences; ``None`` where there is none."""
    hosting: Hosting | None = None
    """What strangers may; ``None`` where nothing is limited."""

    def card(self, model: str) -> ModelCard | None:
        """The card of the model of that name; ``None`` where there is none."""
        return find_models(self.model_folders).get(model)
