"""Tokens of the HTTP API, and alerts."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Run ``sql/0009_api_and_alerts.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0009_api_and_alerts")
