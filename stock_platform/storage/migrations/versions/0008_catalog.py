"""Identifiers of assets, and the history of the catalog."""

from __future__ import annotations

from alembic import op

from stock_platform.storage.migrate import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Run ``sql/0008_catalog.sql``."""
    run_sql(op.get_bind().connection.driver_connection, "0008_catalog")
