"""The first tables: sessions, turns, branches, staged candidates, jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "sessions",
        sa.Column("sid", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("rev", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("saved_at", sa.Float, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("branch", sa.Text, nullable=False),
        sa.Column("current", sa.Text, nullable=False),
        sa.Column("panel", sa.Text, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
    )
    op.create_table(
        "turns",
        sa.Column("sid", sa.Text, sa.ForeignKey("sessions.sid", ondelete="CASCADE"), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("parent", sa.Text, nullable=True),
        sa.Column("picture", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=True),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.UniqueConstraint("sid", "seq"),
        sa.ForeignKeyConstraint(["sid", "parent"], ["turns.sid", "turns.id"]),
    )
    op.create_table(
        "branches",
        sa.Column("sid", sa.Text, sa.ForeignKey("sessions.sid", ondelete="CASCADE"), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("tip", sa.Text, nullable=False),
    )
    op.create_table(
        "staged",
        sa.Column("sid", sa.Text, sa.ForeignKey("sessions.sid", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("parent", sa.Text, nullable=False),
        sa.Column("picture", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("sid", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=True),
        sa.Column("queued_at", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float, nullable=True),
        sa.Column("finished_at", sa.Float, nullable=True),
    )
    op.create_index("jobs_by_session", "jobs", ["sid", "queued_at"])
