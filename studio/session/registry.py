"""The models and LoRA files of this machine as the page manages them: listed, pulled, added, verified and removed.

What takes long is a job. These have a queue of their own, for they do not need the device: a turn runs while a model is
fetched. One at a time. Only a page that nobody but this machine can reach may do any of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipelines.errors import ModelError
from pipelines.models import installed
from pipelines.models.folders import ModelCard
from pipelines.models.installed import Verified
from pipelines.models.listing import Item, listing
from pipelines.models.lora_files import find_loras
from pipelines.models.starters import STARTERS, Starter, is_here, too_large
from pipelines.progress import Progress
from studio.errors import Busy, OnlyHere
from studio.jobs.job import Job
from studio.jobs.runner import Runner
from studio.jobs.work import resolve
from studio.session.present import job_view
from studio.session.view import JobView
from studio.settings import Settings

T = TypeVar("T")

PULL = "pipelines.models.hub:pull"
NOT_HERE = "models are managed on the studio's own machine: `launch.py models` there"
OWNER = "models"


@dataclass(frozen=True)
class ModelView:
    """One row of the list. A LoRA, whose kind says so, may have the id of a model."""

    id: str
    title: str
    kind: str
    family: str
    """What it was made for, in words."""
    size: int
    """Bytes."""
    fault: str | None
    """Why it cannot be used."""
    source: str
    """Where it came from, for what was pulled or added; only that can be removed."""
    commit: str
    """The hub's commit that it was pulled at."""


@dataclass(frozen=True)
class StarterView:
    """A model to begin with that is not here yet."""

    repo: str
    title: str
    kind: str
    use: str
    """What it does."""
    size: int
    """Bytes of a pull, about."""
    licence: str
    half: bool
    """Whether the 16-bit copy is pulled."""
    fault: str | None
    """Why this machine cannot load it."""


@dataclass(frozen=True)
class ModelsView:
    """Everything the page shows of models."""

    models: tuple[ModelView, ...]
    starters: tuple[StarterView, ...]
    loras: tuple[str, ...]
    folder: str
    job: JobView | None
    told: str
    """What came of the last job that ended well."""


class ModelRegistry:
    """See the module. Methods may come from any thread."""

    def __init__(self, settings: Settings, hub: str | None = None) -> None:
        """`hub` is the address of another one than that of the client's own settings."""
        self._settings = settings
        self._hub = hub
        self._runner = Runner()
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._told = ""

    def view(self) -> ModelsView:
        """As it is now; raises `OnlyHere`."""
        self._refuse_strangers()
        own = self._settings.own_models
        stock = self._stock()
        rows = tuple(_row(item) for item in stock)
        starters = tuple(_starter(starter) for starter in STARTERS if not is_here(starter, stock))
        with self._lock:
            job = None if self._job is None else self._runner.job(self._job.id)
            seen = None if job is None else job_view(job, self._runner)
            return ModelsView(rows, starters, self.loras(), str(own), seen, self._told)

    def loras(self) -> tuple[str, ...]:
        """Names of the LoRA files there are; a page on any address may know them."""
        return tuple(sorted(find_loras(self._settings.all_model_folders)))

    def pull(self, repo: str, half: bool, file: str = "") -> None:
        """Fetch a model from the hub, or one `file` of it."""
        own, folders = self._settings.own_models, self._settings.model_folders

        def work(progress: Progress) -> ModelCard:
            card: ModelCard = resolve(PULL)(
                repo, own, folders, file=file, half=half, progress=progress, endpoint=self._hub
            )
            return card

        self._start("pull", "fetching, MB", work, lambda card: f"{card.id} is here and can be chosen.")

    def add(self, path: str) -> None:
        """Take in a model that lies elsewhere on this machine."""
        if not path.strip():  # which would be the folder that the studio was started in
            raise ModelError("no folder was named; name that of a model, or its file")
        own, folders = self._settings.own_models, self._settings.model_folders
        self._start(
            "add",
            "reading, MB",
            lambda progress: installed.add(Path(path), own, folders, progress),
            lambda card: f"{card.id} is in the list; its files stay where they are.",
        )

    def verify(self, id: str, lora: bool = False) -> None:
        """Read every byte of a model, or LoRA, again."""
        card = next((i.card for i in self._stock() if i.card.id == id and i.is_lora == lora), None)
        if card is None:
            raise ModelError(
                f"there is no {'LoRA' if lora else 'model'} called {id!r:.80} any more; look at the list again"
            )
        self._start(
            "verify",
            "verifying, MB",
            lambda progress: installed.verify(card, self._settings.own_models, progress),
            lambda found: _in_words(id, found),
        )

    def remove(self, id: str, lora: bool = False) -> None:
        """Take out a model, or LoRA, that was pulled or added. A turn in preparation may name it all the same."""
        self._refuse_strangers()
        installed.remove(id, self._settings.own_models, self._settings.model_folders, lora)
        with self._lock:
            self._told = f"{id} is removed."

    def cancel(self) -> None:
        """Stop the job that runs; what was fetched stays for the next pull."""
        self._refuse_strangers()
        with self._lock:
            job = self._job
        if job is not None:
            self._runner.cancel(job.id)

    def close(self) -> None:
        """Interrupt what runs."""
        self._runner.close()

    def _start(self, does: str, stage: str, work: Callable[[Progress], T], told: Callable[[T], str]) -> None:
        self._refuse_strangers()

        def deliver(result: T) -> None:
            with self._lock:
                self._told = told(result)

        with self._lock:
            last = None if self._job is None else self._runner.job(self._job.id)
            if last is not None and not last.finished:
                raise Busy("a model is being fetched or read already; wait for it, or press Cancel first")
            if last is not None:
                self._runner.forget(last.id)
            self._told = ""
            self._job = self._runner.submit(OWNER, does, (stage,), work, deliver)

    def _refuse_strangers(self) -> None:
        if not self._settings.manages_models:
            raise OnlyHere(NOT_HERE)

    def _stock(self) -> list[Item]:
        return listing(self._settings.all_model_folders, self._settings.own_models)


def _row(item: Item) -> ModelView:
    card, record = item.card, item.record
    return ModelView(
        id=card.id,
        title=card.title,
        kind=card.kind,
        family=card.family,
        size=item.size,
        fault=item.fault,
        source=(record.source if record else card.id) if item.removable else "",
        commit=record.commit if record else "",
    )


def _starter(starter: Starter) -> StarterView:
    return StarterView(
        repo=starter.repo,
        title=starter.title,
        kind=starter.kind,
        use=starter.use,
        size=starter.size,
        licence=starter.licence,
        half=starter.half,
        fault=too_large(starter),
    )


def _in_words(id: str, found: Verified) -> str:
    if found.faults:
        raise ModelError(f"{id}: " + "; ".join(found.faults[:5]))
    files = f"{found.files} file{'' if found.files == 1 else 's'}"
    return f"{id}: {files} as recorded." if found.recorded else f"{id}: {files} with weights whole."
