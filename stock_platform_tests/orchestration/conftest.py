"""A platform on a real database with a vendor in memory, and instances to run it on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.defs_state.base import DefsStateStorage

from stock_platform.settings import Settings, load_settings
from stock_platform_tests.orchestration.worlds import World

NOW = datetime(2024, 3, 9, 12, tzinfo=UTC)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Dagster warns of its own use of InitResourceContext.dagster_run in nested resources."""
    mark = pytest.mark.filterwarnings(
        "ignore:InitResourceContext.dagster_run is deprecated:DeprecationWarning"
    )
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(mark)


@pytest.fixture(autouse=True)
def _instance_left() -> Iterator[None]:
    """An instance that was entered is left: a context forgotten would break later tests."""
    before = DefsStateStorage.get()
    yield
    assert DefsStateStorage.get() is before, "an instance was entered and not left"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """A pinned market over a fresh database."""
    return load_settings(
        database_url=database_url, home=tmp_path, market_time=NOW, start_date=date(2024, 1, 2)
    )


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    """A platform whose one vendor knows AAA, BBB, CCC and every day of 2023 and 2024."""
    with World.of(settings, ["AAA", "BBB", "CCC"]) as world:
        yield world


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """An instance in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def environment(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """The environment of a process that has DATABASE_URL set."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("STOCK_PLATFORM_HOME", str(tmp_path))
    return monkeypatch
