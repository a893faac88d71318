"""The health of sources, entitlements, and economic series."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run ``sql/0002_sources.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0002_sources")
