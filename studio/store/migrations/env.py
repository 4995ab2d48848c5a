"""What alembic runs: each migration in one transaction together with its own record, on the connection it is given.

SQLite's ``user_version`` holds the number of the schema as well: where one of the two is damaged, they differ.
"""

from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo


def note(ctx: MigrationContext, step: MigrationInfo, heads: Collection[Any], run_args: Mapping[str, Any]) -> None:  # noqa: ARG001
    """Within the migration's transaction."""
    assert ctx.connection is not None and step.up_revision_id is not None
    ctx.connection.exec_driver_sql(f"PRAGMA user_version = {int(step.up_revision_id)}")


context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=True,  # alembic holds SQLite for unable to; with an explicit BEGIN it is able
    transaction_per_migration=True,
    on_version_apply=note,
)
with context.begin_transaction():
    context.run_migrations()
