"""The API over a database with some tickers, asked from this machine or from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stock_platform.apps.api.server import build
from stock_platform.settings import load_settings
from stock_platform.storage import tokens
from stock_platform.storage.assets import NewAsset, register, track
from stock_platform.storage.connection import Database
from stock_platform.storage.tokens import Right
from stock_platform.storage.writers import write_validated
from stock_platform_tests.storage import worlds

NOW = datetime(2024, 3, 1, 23, tzinfo=UTC)
TICKERS = ("AAPL", "BRK.B", "MSFT", "NODATA")
START = date(2023, 1, 2)
SESSIONS = 300
HERE = "http://127.0.0.1:8000"

Made = Callable[..., FastAPI]


@pytest.fixture
def filled(database: Database) -> Database:
    """A database with 300 days of three tickers, and a fourth that has none."""
    ids = register(
        database, [NewAsset(t, "stock", "XNYS", "USD", f"{t} Incorporated") for t in TICKERS]
    )
    track(database, list(ids.values()))
    days = worlds.weekdays(START, SESSIONS)
    with_prices = [ids[t] for t in TICKERS[:3]]
    write_validated(database, worlds.validated(worlds.raw_bars(with_prices, days)))
    return database


@pytest.fixture
def app(filled: Database, tmp_path: Path) -> Made:
    """Makes the app; settings by name, and the host it listens on."""

    def make(host: str = "127.0.0.1", **settings: Any) -> FastAPI:
        chosen = {
            "database_url": filled.url, "home": tmp_path, "market_time": NOW,
            "start_date": START, "api_workers": 1, "api_rate": 100_000, **settings,
        }  # fmt: skip
        return build(load_settings(**chosen), host)

    return make


@pytest.fixture
def client(app: Made) -> Iterator[TestClient]:
    """Somebody on this machine; no token was made."""
    with here(app()) as client:
        yield client


def here(app: FastAPI, **headers: str) -> TestClient:
    """A client on this machine."""
    return TestClient(app, HERE, client=("127.0.0.1", 40_000), headers=headers)


def elsewhere(app: FastAPI, **headers: str) -> TestClient:
    """A client on another machine."""
    return TestClient(
        app, "http://prices.example:8000", client=("192.0.2.7", 40_000), headers=headers
    )


def token(db: Database, right: str, **options: Any) -> dict[str, str]:
    """The header of a new token."""
    text = tokens.create(db, options.pop("name", right), Right(right), **options)
    return {"authorization": f"Bearer {text}"}
