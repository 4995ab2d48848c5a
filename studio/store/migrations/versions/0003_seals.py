"""Rows are sealed, so that damage is noticed; a session says how many rows it has; days are counted as they are seen.

What is there is sealed as it is.
"""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

COLUMNS = {
    "sessions": (
        *("sid", "name", "rev", "created_at", "saved_at", "width", "height", "branch", "current", "panel", "notes"),
        *("trashed_at", "trash", "holds"),
    ),
    "gallery": ("sid", "turns", "words"),
    "turns": ("sid", "id", "seq", "parent", "picture", "request", "outcome", "created_at"),
    "branches": ("sid", "name", "position", "tip"),
    "staged": ("sid", "position", "parent", "picture", "request", "outcome"),
    "jobs": ("id", "sid", "kind", "state", "error", "queued_at", "started_at", "finished_at"),
    "memo": ("key", "value", "used_at"),
}
HOLDS = """
    UPDATE sessions SET holds = '['
        || (SELECT count(*) FROM turns WHERE turns.sid = sessions.sid) || ','
        || (SELECT count(*) FROM branches WHERE branches.sid = sessions.sid) || ','
        || (SELECT count(*) FROM staged WHERE staged.sid = sessions.sid) || ']'
"""


def upgrade() -> None:
    """Add the columns and the table, and seal every row."""
    op.create_table("days", sa.Column("date", sa.Text, primary_key=True), sa.Column("at", sa.Float, nullable=False))
    op.add_column("sessions", sa.Column("holds", sa.Text, nullable=False, server_default="[]"))
    op.execute(HOLDS)
    connection = op.get_bind()
    for name, columns in COLUMNS.items():
        op.add_column(name, sa.Column("seal", sa.Text, nullable=False, server_default=""))
        table = sa.table(name, *map(sa.column, ("rowid", "seal", *columns)))
        found = connection.execute(sa.select(table.c.rowid, *(table.c[column] for column in columns)))
        seals = [{"at": at, "as": _seal(name, dict(zip(columns, row, strict=True)))} for at, *row in found]
        if seals:
            where = table.c.rowid == sa.bindparam("at")
            connection.execute(sa.update(table).where(where).values(seal=sa.bindparam("as")), seals)


def _seal(table: str, row: dict[str, object]) -> str:
    try:
        text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError):  # bytes, which another program wrote there
        return ""
    return hashlib.sha256(f"palimpsest/row/{table}/1\n{text}".encode()).hexdigest()
