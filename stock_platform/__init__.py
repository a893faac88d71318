"""Prices one can trust, from free and rate-limited sources, in a TimescaleDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stock_platform.pipeline.store import Store

__all__ = ["open_store"]


def open_store(url: str | None = None) -> Store:
    """Open the price database for reading.

    Args:
        url: a PostgreSQL URL; None takes ``DATABASE_URL``, or the embedded server.

    Raises:
        DatabaseError: the database cannot be reached.
    """
    from stock_platform.pipeline.store import open_store as opened

    return opened(url)
