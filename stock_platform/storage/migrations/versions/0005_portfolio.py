"""Transactions, the events they cause, the backfill queue, quotes and performance."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run ``sql/0005_portfolio.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0005_portfolio")
