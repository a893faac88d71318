"""What makes verdicts among neighbours worth making again."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Run ``sql/0016_rejudging.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0016_rejudging")
