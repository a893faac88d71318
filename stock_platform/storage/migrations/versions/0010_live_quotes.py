"""Quotes while exchanges are open, and how old they were."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Run ``sql/0010_live_quotes.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0010_live_quotes")
