"""What people decided about rows in quarantine."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Run ``sql/0011_decisions.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0011_decisions")
