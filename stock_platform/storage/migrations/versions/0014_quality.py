"""Quality scores, their facts, and gaps."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Run ``sql/0014_quality.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0014_quality")
