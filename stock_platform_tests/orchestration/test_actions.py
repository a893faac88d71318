"""Splits and dividends of a whole market, in real Dagster runs against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from stock_platform.orchestration.build import build_definitions
from stock_platform.orchestration.resources import using
from stock_platform.pipeline.runtime import Platform
from stock_platform.pipeline.store import Store
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.settings import load_settings
from stock_platform.storage import actions, readers
from stock_platform.storage.digest import table_digests
from stock_platform_tests.orchestration.worlds import checks, materializations

FIRST, UNTIL = date(2001, 1, 2), date(2013, 8, 30)
PRICES = ("raw_quotes", "validated_prices", "weekly_prices", "monthly_prices")


@dataclass
class Life:
    """A database, a market, and the stock that splits."""

    vendors: SandboxServer
    url: str
    home: Path
    ticker: str
    ex_date: date
    ratio: float

    @contextmanager
    def at(self, day: date, *, polygon: bool = True) -> Iterator[Platform]:
        """The platform in the evening of a day, which the vendors live in, too."""
        now = datetime.combine(day, time(23), UTC)
        self.vendors.market.time.freeze(now)
        self.vendors.app.reset()
        settings = load_settings(
            database_url=self.url,
            home=self.home / str(day),
            market_time=now,
            clock_rate=1000.0,
            start_date=FIRST,
            sources=("polygon", "yahoo") if polygon else ("yahoo",),
            polygon_api_key="a-key" if polygon else None,
            polygon_base_url=self.vendors.base_url("polygon"),
            yahoo_base_url=self.vendors.base_url("yahoo"),
        )
        with Platform.from_settings(settings) as platform, using(platform):
            yield platform

    def steady(self) -> list[str]:
        """Plain tickers that have traded all the time."""
        listing = self.vendors.market.listing()
        return [
            row["symbol"]
            for row in listing.filter(listing["delisted_on"].is_null()).iter_rows(named=True)
            if row["listed_on"] <= FIRST + timedelta(days=5)
            and row["symbol"].isalpha()
            and not row["former"]
        ]

    def calls(self) -> int:
        return int(self.vendors.report()["calls"])


@pytest.fixture
def life(database_url: str, tmp_path: Path) -> Iterator[Life]:
    config = SandboxConfig(
        symbols=40,
        start=FIRST,
        now=datetime(2013, 1, 2, 23, tzinfo=UTC),
        until=UNTIL,
        real=False,
        limits={"yahoo": [], "polygon": []},
    )
    with SandboxServer(config) as server:
        life = Life(server, database_url, tmp_path, "", FIRST, 1.0)
        found = [
            (name, day, ratio)
            for name in life.steady()
            for day, ratio in server.market.splits(name).select("ex_date", "ratio").rows()
        ]
        life.ticker, life.ex_date, life.ratio = max(found, key=lambda split: split[1])
        yield life


def load(platform: Platform, ticker: str, first: date) -> None:
    """Fetch and judge a ticker's history up to now, as the assets do."""
    dates = platform.sessions(first, platform.clock.now().date())
    grid = platform.cells(platform.assets_for([ticker]), dates)
    for batches in platform.fetch(grid, "load"):
        platform.write_fetch(batches, "load")
    for batch in platform.validate(grid):
        platform.write_validated(batch)
    platform.refresh_indicators(grid)


def refresh(
    platform: Platform, instance: dg.DagsterInstance, scope: str, **config: Any
) -> dict[str, Any]:
    """Run a scope's job; the metadata of its asset."""
    job = build_definitions(platform.settings).resolve_job_def(f"{scope}_actions_job")
    result = job.execute_in_process(
        {"ops": {f"{scope}__corporate_actions": {"config": config}}}, instance
    )
    assert result.success
    assert not [name for name, passed in checks(result).items() if not passed]
    [made] = materializations(result, f"{scope}/corporate_actions")
    return {name: entry.value for name, entry in made.metadata.items()}


def prices_hash(platform: Platform) -> dict[str, str]:
    found = table_digests(platform.db)
    return {table: found[table] for table in PRICES}


def test_a_split_after_ten_years_were_loaded(life: Life, instance: dg.DagsterInstance) -> None:
    """One call, no stored price changes, and every adjusted read is right at once.

    Weeks and months are in the basis of their last session: a split on a period's first
    session tears none, and otherwise only the period that it lies in is made anew.
    """
    eve = life.ex_date - timedelta(days=1)
    with life.at(eve) as platform:
        load(platform, life.ticker, FIRST)
        refresh(platform, instance, "market")
        store = Store(platform.db)
        loaded = store.prices(life.ticker)
        before = store.prices(life.ticker, adjust="splits")
        every = store.prices(life.ticker, adjust="all")
    assert loaded.height > 2500
    with life.at(life.ex_date) as platform:
        frozen = prices_hash(platform)
        told = refresh(platform, instance, "market", kinds=["split"])
        assert told["calls_made"] == life.calls() == 1
        assert told["splits_told"] >= 1
        assert prices_hash(platform) == frozen
        store = Store(platform.db)
        assert store.prices(life.ticker).equals(loaded)
        after = store.prices(life.ticker, adjust="splits")
        np.testing.assert_allclose(after["close"] * life.ratio, before["close"], rtol=1e-12)
        np.testing.assert_allclose(after["volume"] / life.ratio, before["volume"], rtol=1e-12)
        whole = store.prices(life.ticker, adjust="all")
        np.testing.assert_allclose(whole["close"] * life.ratio, every["close"], rtol=1e-12)
        yesterday = store.prices(life.ticker, adjust="splits", as_of=eve)
        assert yesterday.equals(before)
        with platform.db.connect() as connection:
            row = connection.execute(
                "select min(close * %s), max(close) from stocks.prices_split_adjusted "
                "join stocks.tickers using (asset_id) where ticker = %s",
                [life.ratio, life.ticker],
            ).fetchone()
        assert row is not None
        assert float(row[0]) == pytest.approx(before["close"].min())
        again = refresh(platform, instance, "market", kinds=["split"])
        assert again["calls_made"] == 0
        assert again["actions_changed"] == 0


def test_both_scopes_need_one_call_a_kind(life: Life, instance: dg.DagsterInstance) -> None:
    """What the market's run has asked, the watchlist's finds; what is told is the truth."""
    with life.at(life.ex_date + timedelta(days=3)) as platform:
        first = life.ex_date - timedelta(days=400)
        load(platform, life.ticker, first)
        others = [name for name in life.steady() if name != life.ticker][:8]
        platform.assets_for(others)
        told = refresh(platform, instance, "market", since=str(first))
        assert told["calls_made"] == life.calls() - 1  # one is the history's
        assert told["of_unknown_symbols"] > 0, "actions of everybody are in the answer"
        assert refresh(platform, instance, "watchlist")["calls_made"] == 0
        today = platform.clock.now().date()
        paid = 0
        for name in (life.ticker, *others):
            truth = life.vendors.market.dividends(name).filter(
                pl.col("ex_date").is_between(first, today)
            )
            mine = Store(platform.db).dividends(name).filter(pl.col("ex_date") >= first)
            assert mine.select("ex_date", "amount").rows() == truth.rows()
            paid += truth.height
        assert paid > 4
        ids = platform.watchlist_assets()["asset_id"].to_list()
        both = actions.actions(platform.db, ids).filter(pl.col("kind") == "split")
        assert both["sources"].to_list()[0] == ["polygon", "yahoo"]
        assert actions.conflicts(platform.db).is_empty()


def test_returns_follow_a_split_that_comes_late(life: Life, instance: dg.DagsterInstance) -> None:
    """As-traded bars across an unknown split have a wild return, until the split is told."""
    first = life.ex_date - timedelta(days=30)
    with life.at(life.ex_date + timedelta(days=5)) as platform:
        sessions = platform.sessions(first, platform.clock.now().date())
        assets = platform.assets_for([life.ticker])
        grid = platform.cells(assets, sessions)
        only = {"polygon": platform.sources["polygon"]}
        platform.__dict__["sources"] = only
        for batches in platform.fetch(grid):
            platform.write_fetch(batches)
        for batch in platform.validate(grid):
            platform.write_validated(batch)
        platform.refresh_indicators(grid)
        ids = assets["asset_id"].to_list()
        day = pl.col("session") == life.ex_date
        wild = readers.indicators(platform.db, ids).filter(day)["log_return"].item()
        assert abs(wild + np.log(life.ratio)) < 0.3
        refresh(platform, instance, "market")
        mild = readers.indicators(platform.db, ids).filter(day)["log_return"].item()
        assert abs(mild - wild - np.log(life.ratio)) < 1e-6


def test_without_a_source_it_says_so(life: Life, instance: dg.DagsterInstance) -> None:
    """The market's asset needs one that tells of everybody; the watchlist's tells what lacks."""
    with life.at(life.ex_date, polygon=False) as platform:
        told = refresh(platform, instance, "watchlist")
        assert "no source that is switched on" in told["failures"]
        job = build_definitions(platform.settings).resolve_job_def("market_actions_job")
        failed = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not failed.success
        [event] = [e for e in failed.all_events if e.is_step_failure]
        assert "POLYGON_API_KEY" in str(event.step_failure_data.user_failure_data)
