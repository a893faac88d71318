"""Prices, corporate actions, the coverage ledger, the fetch log and the quotas."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run ``sql/0001_prices_and_ledger.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0001_prices_and_ledger")
