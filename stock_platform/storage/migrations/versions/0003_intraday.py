"""Tables for bars shorter than a day, and their hours and days."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Run ``sql/0003_intraday.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0003_intraday")
