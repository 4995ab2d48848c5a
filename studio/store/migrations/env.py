"""What alembic runs: each migration in one transaction together with its own record, on the connection it is given."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=True,  # alembic holds SQLite for unable to; with an explicit BEGIN it is able
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
