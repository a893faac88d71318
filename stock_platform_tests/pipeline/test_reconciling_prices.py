"""A second opinion on prices: liars are found out, quotas hold, nothing is asked twice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stock_platform.domain.capabilities import Limit
from stock_platform.domain.validation.choosing import DISPUTED
from stock_platform.pipeline.reconciling_prices import ReconcileReport
from stock_platform.pipeline.runtime import Platform
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.settings import load_settings
from stock_platform.storage import price_checks, readers

NOW = datetime(2013, 3, 2, 12, tzinfo=UTC)
FIRST, LAST = date(2012, 3, 5), date(2013, 2, 28)
RATE = 2000.0
LIAR = {"kind": "wrong_100x", "vendor": "yahoo", "share": 0.01}


class Scene:
    """A market in which one vendor is asked first, and others are there to be asked."""

    def __init__(self, server: SandboxServer, platform: Platform, tickers: int) -> None:
        self.server, self.platform = server, platform
        listing = server.market.listing().filter(
            pl.col("delisted_on").is_null(), pl.col("former").list.len() == 0,
            pl.col("kind") == "CS",
        )  # fmt: skip
        names = listing["symbol"].to_list()[:tickers]
        self.grid = platform.cells(platform.assets_for(names), platform.sessions(FIRST, LAST))

    def fill(self, source: str) -> None:
        """Store and judge what one source has of the cells, as a run would."""
        everyone = self.platform.sources
        self.platform.__dict__["sources"] = {source: everyone[source]}
        self.platform.__dict__.pop("capabilities", None)
        for batches in self.platform.fetch(self.grid):
            self.platform.write_fetch(batches)
        self.platform.__dict__["sources"] = everyone
        self.platform.__dict__.pop("capabilities", None)
        for batch in self.platform.validate(self.grid):
            self.platform.write_validated(batch)

    def reconcile(self, **options: Any) -> ReconcileReport:
        return self.platform.reconcile(self.grid, **options)

    def wrong(self) -> int:
        """Validated closes that are not the market's."""
        found = readers.prices(self.platform.db, self.grid.assets.tolist(), FIRST, LAST)
        known = self.platform.market.plan_assets(self.grid.assets)
        truth = pl.concat(
            self.server.market.bars(a.symbol, FIRST, LAST).select(
                pl.lit(i, pl.Int32).alias("asset_id"), "session", pl.col("close").alias("true")
            )
            for i, a in known.items()
        )
        both = found.join(truth, on=["asset_id", "session"])
        return both.filter((pl.col("close") / pl.col("true") - 1).abs() > 0.01).height


@contextmanager
def scene(url: str, home: Path, *sources: str, tickers: int = 12, **config: Any) -> Iterator[Scene]:
    made = SandboxConfig(symbols=60, now=NOW, start=date(2011, 1, 3), clock_rate=RATE, **config)
    keys = {f"{n}_api_key": "a-key" for n in sources if n in ("polygon", "tiingo")}
    with SandboxServer(made) as server:
        settings = load_settings(
            database_url=url, home=home, market_time=NOW, clock_rate=RATE,
            start_date=FIRST, sources=",".join(sources), validation_level="standard", **keys,
            **{f"{name}_base_url": server.base_url(name) for name in sources},
        )  # fmt: skip
        with Platform(settings) as platform:
            yield Scene(server, platform, tickers)


def test_a_liar_is_found_out(database_url: str, tmp_path: Path) -> None:
    """1 % of Yahoo's bars are wrong: outvoted two to one, replaced, and Yahoo asked later."""
    with scene(database_url, tmp_path, "yahoo", "polygon", "tiingo", faults=[LIAR]) as ours:
        ours.fill("yahoo")
        wrong = ours.wrong()
        ours.platform.refresh_indicators(ours.grid)
        planned = ours.reconcile(dry_run=True)
        assert planned.asked
        assert not planned.calls
        report = ours.reconcile()
        assert ours.server.app.report()["violations"] == 0
        assert report.outvoted["source"].unique().to_list() == ["yahoo"]
        health = ours.platform.health.all()
        assert health["yahoo"].accuracy == pytest.approx(0.99, abs=0.003)
        assert health["polygon"].accuracy == health["tiingo"].accuracy == 1.0
        liked = ours.platform.router.liked(ours.platform.capabilities)
        rank = {c.source: c.preference for c in liked}
        assert rank["yahoo"] > max(rank["polygon"], rank["tiingo"])
        assert ours.wrong() == 0
        assert report.changed >= wrong
        assert ours.platform.refresh_indicators(ours.grid) == 0  # returns follow at once
        kept = price_checks.counts(ours.platform.db, source="yahoo")
        assert kept["outvoted"].sum() == report.outvoted.height

        again = ours.reconcile()
        assert not again.asked
        assert again.opinions.is_empty()
        assert price_checks.counts(ours.platform.db, source="yahoo").equals(kept)


def test_one_against_one_stays_open(database_url: str, tmp_path: Path) -> None:
    """With one honest source against the liar nobody is believed: the bar is flagged."""
    with scene(database_url, tmp_path, "yahoo", "tiingo", tickers=4, faults=[LIAR]) as ours:
        ours.fill("yahoo")
        report = ours.reconcile()
        assert report.outvoted.is_empty()
        assert report.undecided.height == 2 * 4 * 2  # two bars each of four tickers, two sources
        found = readers.prices(ours.platform.db, ours.grid.assets.tolist(), FIRST, LAST)
        flagged = found.filter(pl.col("flags").list.contains(DISPUTED))
        assert flagged.height == 8
        again = ours.reconcile()
        assert not again.asked
        assert again.unreachable == 8


def test_two_at_once_ask_and_count_once(database_url: str, tmp_path: Path) -> None:
    """Runs of two scopes at the same minute compare a cell once, with one call."""
    with (
        scene(database_url, tmp_path, "yahoo", "tiingo", tickers=4, faults=[LIAR]) as ours,
        ThreadPoolExecutor(2) as threads,
    ):
        ours.fill("yahoo")
        planned = len(ours.reconcile(dry_run=True).asked)
        reports = [r.result() for r in [threads.submit(ours.reconcile) for _ in range(2)]]
        assert sum(r.calls.total() for r in reports) == planned
        counted = price_checks.counts(ours.platform.db, source="yahoo")
        kept = price_checks.of_assets(ours.platform.db, ours.grid.assets.tolist(), FIRST, LAST)
        assert counted["undecided"].sum() == kept.filter(source="yahoo", opinion="undecided").height


def test_what_others_need_is_not_spent(database_url: str, tmp_path: Path) -> None:
    """A source whose day is needed for what is missing is not asked; its cells are told of."""
    limits = {"tiingo": [[10, 86_400.0]]}
    with scene(
        database_url, tmp_path, "yahoo", "tiingo", tickers=4, faults=[LIAR], limits=limits
    ) as ours:
        ours.fill("yahoo")
        few = replace(ours.platform.capabilities["tiingo"], limits=(Limit(10, 86_400.0),))
        ours.platform.capabilities["tiingo"] = few
        report = ours.reconcile()
        assert report.spare["tiingo"] == 2
        assert report.calls["tiingo"] == 2
        assert report.unaffordable > 0
