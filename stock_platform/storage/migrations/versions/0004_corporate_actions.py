"""Corporate actions reconciled, and the history of what was known."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run ``sql/0004_corporate_actions.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0004_corporate_actions")
