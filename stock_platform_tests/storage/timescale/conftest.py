"""Databases on the TimescaleDB server: one that uses it, and one that began without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stock_platform.storage import migrate as module
from stock_platform.storage.connection import Database
from stock_platform.storage.migrate import migrate


@pytest.fixture
def hyper(timescale_url: str) -> Iterator[Database]:
    """A fresh database, migrated on a server with TimescaleDB."""
    migrate(timescale_url)
    with Database(timescale_url, "stock_platform_tests") as database:
        yield database


@pytest.fixture
def plain(timescale_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database on that server which was migrated when it had no TimescaleDB."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "set_up_fresh", lambda *_: [])
        migrate(timescale_url)
    with Database(timescale_url, "stock_platform_tests") as database:
        yield database
