"""The tables of the database, as this version of the studio reads and writes them.

Migrations do not import this file: they say what they make in their own words, so that an old one never changes.
Columns of JSON hold the canonical JSON of the values in `studio.history.turn` and `studio.session`.
"""

from __future__ import annotations

from sqlalchemy import Float, ForeignKey, ForeignKeyConstraint, Index, Integer, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Holds the tables."""


class Sealed(Base):
    """A row of which one can tell whether it is what was written."""

    __abstract__ = True

    seal: Mapped[str] = mapped_column(Text, server_default="", sort_order=1)
    """Hash of the other columns: see `studio.store.seals`."""


class SessionRow(Sealed):
    """One picture and everything done to it."""

    __tablename__ = "sessions"

    sid: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    rev: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[float] = mapped_column(Float)
    saved_at: Mapped[float] = mapped_column(Float)
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    branch: Mapped[str] = mapped_column(Text)
    current: Mapped[str] = mapped_column(Text)
    panel: Mapped[str] = mapped_column(Text)
    """JSON of the draft and of the mask's steps."""
    notes: Mapped[str] = mapped_column(Text)
    """JSON list of what was done to the picture at upload."""
    trashed_at: Mapped[float | None] = mapped_column(Float)
    """Seconds since 1970; ``None`` for a session that is not in the trash."""
    trash: Mapped[str] = mapped_column(Text, server_default="[]")
    """JSON list of the turns in the trash, with the branches that went with them."""
    holds: Mapped[str] = mapped_column(Text, server_default="[]")
    """JSON list: how many turns, branches and candidates are the session's. Where there are others, rows were lost."""

    __table_args__ = (Index("sessions_by_time", "trashed_at", "saved_at"),)


class GalleryRow(Sealed):
    """What a list says of a session, kept beside it so that a list reads no timelines."""

    __tablename__ = "gallery"

    sid: Mapped[str] = mapped_column(ForeignKey("sessions.sid", ondelete="CASCADE"), primary_key=True)
    turns: Mapped[int] = mapped_column(Integer)
    """Edits that are not in the trash."""
    words: Mapped[str] = mapped_column(Text)
    """Name and texts of these turns, folded as `studio.store.rows.folded` does."""


class TurnRow(Sealed):
    """One turn of a session. Written once, never changed."""

    __tablename__ = "turns"

    sid: Mapped[str] = mapped_column(ForeignKey("sessions.sid", ondelete="CASCADE"), primary_key=True)
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    seq: Mapped[int] = mapped_column(Integer)
    """Order of appending; clocks jump, this does not."""
    parent: Mapped[str | None] = mapped_column(Text)
    picture: Mapped[str] = mapped_column(Text)
    request: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Float)

    __table_args__ = (
        UniqueConstraint("sid", "seq"),
        ForeignKeyConstraint(["sid", "parent"], ["turns.sid", "turns.id"]),
    )


class BranchRow(Sealed):
    """A named pointer to the last turn of a branch."""

    __tablename__ = "branches"

    sid: Mapped[str] = mapped_column(ForeignKey("sessions.sid", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    tip: Mapped[str] = mapped_column(Text)


class StagedRow(Sealed):
    """A finished candidate that was neither kept nor discarded yet."""

    __tablename__ = "staged"

    sid: Mapped[str] = mapped_column(ForeignKey("sessions.sid", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    parent: Mapped[str] = mapped_column(Text)
    picture: Mapped[str] = mapped_column(Text)
    request: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)


class JobRow(Sealed):
    """What became of a job; the work itself lives in the runner."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    sid: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    queued_at: Mapped[float] = mapped_column(Float)
    started_at: Mapped[float | None] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)

    __table_args__ = (Index("jobs_by_session", "sid", "queued_at"),)


class MemoRow(Sealed):
    """What came of a computation, under the key that names it; all sessions of the data folder share it."""

    __tablename__ = "memo"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    """JSON object; the files it names by their digests are kept."""
    used_at: Mapped[float] = mapped_column(Float)
    """Seconds since 1970, to within a day."""


class DayRow(Base):
    """A date on which a studio was open, in the order in which they were first seen: what expires after some days has
    these counted, since one reading of a clock says nothing."""

    __tablename__ = "days"

    date: Mapped[str] = mapped_column(Text, primary_key=True)
    """Of UTC: ``2025-01-31``."""
    at: Mapped[float] = mapped_column(Float)
    """The first reading of that date, in seconds since 1970."""
