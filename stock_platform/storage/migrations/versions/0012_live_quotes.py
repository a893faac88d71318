"""Quotes while exchanges are open, and how old they were."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Run ``sql/0012_live_quotes.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0012_live_quotes")
