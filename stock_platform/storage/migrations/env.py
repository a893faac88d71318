"""Alembic's entry point: run the revisions on the connection that migrate.py hands over."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema="stocks",
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
