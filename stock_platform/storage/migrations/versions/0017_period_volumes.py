"""Wider volumes of weeks and months."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Run ``sql/0017_period_volumes.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0017_period_volumes")
