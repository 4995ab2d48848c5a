"""What was computed once is remembered; sessions, and the turns of one, can wait in a trash; a gallery lists them."""

import json
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables and the columns, and the gallery of the sessions there are."""
    op.create_table(
        "memo",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("used_at", sa.Float, nullable=False),
    )
    op.add_column("sessions", sa.Column("trashed_at", sa.Float, nullable=True))
    op.add_column("sessions", sa.Column("trash", sa.Text, nullable=False, server_default="[]"))
    op.create_index("sessions_by_time", "sessions", ["trashed_at", "saved_at"])
    gallery = op.create_table(
        "gallery",
        sa.Column("sid", sa.Text, sa.ForeignKey("sessions.sid", ondelete="CASCADE"), primary_key=True),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
    )
    connection = op.get_bind()
    said = {sid: [name] for sid, name in connection.execute(sa.text("SELECT sid, name FROM sessions"))}
    for sid, request in connection.execute(sa.text("SELECT sid, request FROM turns WHERE request IS NOT NULL")):
        asked = json.loads(request)
        said[sid].append(f"{asked['subject']}\n{asked['background']}")
    rows = [
        {"sid": sid, "turns": len(texts) - 1, "words": unicodedata.normalize("NFKC", "\n".join(texts)).casefold()}
        for sid, texts in said.items()
    ]
    op.bulk_insert(gallery, rows)
