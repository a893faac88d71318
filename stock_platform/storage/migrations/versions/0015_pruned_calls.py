"""Totals of the calls that the log no longer has."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Run ``sql/0015_pruned_calls.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0015_pruned_calls")
