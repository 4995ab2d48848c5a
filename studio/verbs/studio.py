"""The studio for programs: ``from studio import open_studio``. The same verbs as the page's, in this process.

::

    with open_studio("sessions") as studio:
        session = studio.open("duck.png")
        session.mask(clicks=[(120, 150)])
        session.turn(background="in a forest", quality="draft").done()
        session.keep()
        session.export("psd")

Whatever goes wrong that somebody can mend is a `studio.errors.UserError` or a `pipelines.errors.PipelineError`, whose
text says what was expected, what came and what to do.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from pipelines.models.folders import find_models
from studio.app import Studio, build_studio
from studio.jobs.work import EditingEngine
from studio.session.sessions import Example, SessionSummary
from studio.settings import Settings
from studio.store.archive.session_file import read_archive
from studio.verbs.jobs import JobHandle
from studio.verbs.rows import MethodRow, ModelRow, method_rows, model_rows
from studio.verbs.session import OpenSession, PictureLike, encoded

ZIP = b"PK"
"""How a session file begins, and no picture."""


class OpenStudio:
    """A studio that is open. Close it, or use it in a ``with``: a data folder serves one process at a time."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        """The services themselves, for what no verb does."""

    def __enter__(self) -> OpenStudio:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Interrupt what runs, let what is being saved finish, and give the data folder free."""
        self.studio.close()

    # Sessions

    def open(self, picture: PictureLike, name: str = "") -> OpenSession:
        """A new session of a picture, or of a session file (``.palimpsest``), which is checked whole first.

        Raises `BadPicture`, `BadRequest`, and what `studio.store.archive` refuses.
        """
        data = encoded(picture)
        called = name or (Path(picture).name if isinstance(picture, str | Path) else "untitled")
        sessions = self.studio.sessions
        if data.startswith(ZIP):
            return OpenSession(self.studio, sessions.adopt_record(read_archive(io.BytesIO(data), self.studio.pictures)))
        return OpenSession(self.studio, sessions.create(data, called))

    def open_example(self, id: str) -> OpenSession:
        """A new session of an example picture; raises `UnknownExample`."""
        return OpenSession(self.studio, self.studio.sessions.create_example(id))

    def session(self, sid: str) -> OpenSession:
        """The session of that id; raises `UnknownSession`."""
        return OpenSession(self.studio, self.studio.sessions.get(sid))

    def sessions(
        self, search: str = "", *, trashed: bool = False, limit: int | None = None, offset: int = 0
    ) -> tuple[SessionSummary, ...]:
        """The sessions of the data folder, the newest first, or those in the trash."""
        return self.studio.sessions.list(search, trashed, limit, offset)

    def rename(self, sid: str, name: str) -> OpenSession:
        """Call a session something else."""
        self.studio.sessions.rename(sid, name)
        return self.session(sid)

    def duplicate(self, sid: str) -> OpenSession:
        """A copy of a session under an id of its own."""
        return OpenSession(self.studio, self.studio.sessions.duplicate(sid))

    def trash(self, sid: str) -> None:
        """Put a session into the trash."""
        self.studio.sessions.trash(sid)

    def restore(self, sid: str) -> OpenSession:
        """Bring a session back from the trash."""
        return OpenSession(self.studio, self.studio.sessions.restore(sid))

    # What there is

    def job(self, id: str) -> JobHandle:
        """The job of that id; raises `UnknownJob`."""
        return JobHandle(self.studio, id)

    def examples(self) -> tuple[Example, ...]:
        """The pictures that come with the studio."""
        return self.studio.sessions.examples()

    def models(self) -> tuple[ModelRow, ...]:
        """The models and LoRA files of this machine."""
        return model_rows(self.studio.settings)

    def methods(self, name: str = "", model: str = "") -> tuple[MethodRow, ...]:
        """The methods with all their settings, or the one called `name`, as `model` (the studio's own where none is
        named) begins with them; raises `UnknownMethod`."""
        own = self.studio.settings
        return method_rows(name, find_models(own.all_model_folders).get(model or own.model))


def open_studio(
    data: Path | str | None = None,
    *,
    models: Sequence[Path | str] = (),
    device: str = "auto",
    settings: Settings | None = None,
    engine: EditingEngine | None = None,
) -> OpenStudio:
    """Open the studio on a data folder, by default the one that the page uses.

    `models` are further folders with model folders in them, `device` is where it computes (``auto``, ``cpu``,
    ``cuda``). `settings` are what is not said otherwise, and `engine` computes in the place of the studio's own.
    Nothing is loaded before it is needed. Raises `DataFolderInUse` while another process has the folder open, and the
    other kinds of `DataFolderError`.
    """
    own = settings or Settings(warm_up=False)
    own = replace(
        own,
        data=own.data if data is None else Path(data).expanduser(),
        model_folders=(*own.model_folders, *(Path(folder).expanduser() for folder in models)),
        device=own.device if device == "auto" else device,
    )
    return OpenStudio(build_studio(own, engine))
