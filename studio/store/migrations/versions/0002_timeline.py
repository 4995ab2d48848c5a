"""What was computed once is remembered; sessions, and the turns of one, can wait in a trash."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table and the columns."""
    op.create_table(
        "memo",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("used_at", sa.Float, nullable=False),
    )
    op.add_column("sessions", sa.Column("trashed_at", sa.Float, nullable=True))
    op.add_column("sessions", sa.Column("trash", sa.Text, nullable=False, server_default="[]"))
