"""Calls in flight know their process, so that one that died holds them no longer."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run ``sql/0006_quota_holders.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0006_quota_holders")
