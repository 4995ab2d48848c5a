"""The composition root: settings in, the studio's services out. Nothing here is global."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.cache import Cache
from pipelines.contract import Extent, Mask, Picture
from pipelines.pictures import decode, decode_mask, encode_mask, encode_png
from studio.jobs.device import DeviceProcess
from studio.jobs.job import Job
from studio.jobs.runner import Runner
from studio.jobs.work import EditingEngine, lazy_engine, run_here, splitter, warm_up
from studio.jobs.zero import zero_engine
from studio.session.owners import Owners
from studio.session.registry import ModelRegistry
from studio.session.services import Services
from studio.session.sessions import Sessions
from studio.settings import Hosting, Settings
from studio.store.blobs import Blobs
from studio.store.record import JobNote
from studio.store.store import Store

log = logging.getLogger(__name__)


class Following(ThreadPoolExecutor):
    """A pool whose work finds the context variables of whoever asked for it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(copy_context().run, fn, *args, **kwargs)


@dataclass(frozen=True)
class Studio:
    """Everything that a page or a command needs. `close` it, or the next studio finds its data folder in use."""

    settings: Settings
    sessions: Sessions
    services: Services
    registry: ModelRegistry
    device: DeviceProcess | None = None
    """The engine, where it has a process of its own."""

    @property
    def runner(self) -> Runner:
        return self.services.runner

    @property
    def engine(self) -> EditingEngine:
        return self.services.engine

    @property
    def store(self) -> Store:
        return self.services.store

    @property
    def pictures(self) -> Blobs:
        return self.store.pictures

    def close(self) -> None:
        """Interrupt the jobs, let what is being saved finish, and give the data folder free."""
        self.runner.close()
        if self.device is not None:
            self.device.close()
        self.registry.close()
        self.services.background.shutdown(wait=True, cancel_futures=True)
        self.store.close()


def build_studio(settings: Settings, engine: EditingEngine | None = None) -> Studio:
    """Open the data folder and start the worker. The engine is built when it is first needed.

    Raises a `DataFolderError` or `StorageError` when the data folder cannot be used.
    """

    def warm() -> None:
        if settings.warm_up:
            threading.Thread(target=warm_up, args=(engine, settings.model, settings.segmenter), daemon=True).start()

    if engine is None and settings.zero_gpu:
        engine = zero_engine(settings)
    device = DeviceProcess(settings, restarted=warm) if engine is None and settings.device_process else None
    engine = engine or device or lazy_engine(settings)
    hosting = settings.hosting
    store = Store(settings.data) if hosting is None else _store_of_strangers(settings.data, hosting)
    interrupted, swept = store.interrupt_jobs(time.time()), store.sweep()
    log.info("data folder opened: %d jobs were interrupted, %d leftover files removed", interrupted, swept)
    runner = Runner(
        record=lambda job: store.save_job(_note(job)),
        limit=settings.queue_limit,
        replace_device=None if device is None else device.replace,
        most_each=None if hosting is None else hosting.visitor_jobs,
        most_seconds=None if hosting is None else hosting.job_seconds,
    )
    room = settings.cache_room * 2**20
    decoded: Cache[str, Picture] = Cache(room, lambda picture: picture.nbytes)
    cut: Cache[str, Mask] = Cache(room // 4, lambda mask: mask.nbytes)
    background = Following(1, thread_name_prefix="masks")

    def keep(picture: Picture) -> str:
        digest = store.pictures.put(encode_png(picture))
        decoded.get(digest, lambda: picture)
        return digest

    def mask_key(digest: str, extent: Extent) -> str:
        return f"{digest} {extent.width} x {extent.height}"

    def keep_mask(mask: Mask) -> str:
        digest = store.pictures.put(encode_mask(mask))
        cut.get(mask_key(digest, Extent.of(mask)), lambda: mask)
        return digest

    services = Services(
        store=store,
        runner=runner,
        engine=engine,
        background=background,
        pixels=lambda digest: decoded.get(digest, lambda: decode(store.pictures.get(digest)).picture),
        keep=keep,
        mask=lambda digest, extent: cut.get(
            mask_key(digest, extent), lambda: decode_mask(store.pictures.get(digest), extent)
        ),
        keep_mask=keep_mask,
        model_folders=settings.all_model_folders,
        segmenter=settings.segmenter,
        splitter=splitter(settings, run_here if device is None else device.run),
        hosting=hosting,
    )
    warm()
    sessions = Sessions(services, settings.examples, settings.model, None if hosting is None else Owners())
    return Studio(settings, sessions, services, ModelRegistry(settings), device)


def _store_of_strangers(data: Path, hosting: Hosting) -> Store:
    """No copy of the database outlives the sessions in it, and fitted layers take a quarter of the room there is."""
    return Store(data, copied=False, fitted_room=hosting.data_room // 4)


def _note(job: Job) -> JobNote:
    return JobNote(job.id, job.owner, job.kind, job.state, job.queued_at, job.started_at, job.finished_at, job.error)
