"""Live quotes of the sandbox's market: asked in the hours of each exchange, and kept once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stock_platform.domain.bars import Interval
from stock_platform.pipeline.live import ask_due, ask_now, last_closes
from stock_platform.pipeline.runtime import Platform
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.market.market import Market
from stock_platform.sandbox.server import SandboxServer
from stock_platform.settings import load_settings
from stock_platform.storage import assets, quotes, readers
from stock_platform.storage.assets import NewAsset
from stock_platform.storage.writers import write_fetch, write_validated
from stock_platform_tests.domain.test_live import (
    LONDON,
    NEW_YORK,
    TOKYO_OLD,
    currencies,
    holiday,
)
from stock_platform_tests.storage.worlds import fetched, raw_bars, splits_of, validated

START = datetime(2013, 2, 26, 21, tzinfo=UTC)


class Hand:
    """A clock that is set by hand, the sandbox's with it."""

    def __init__(self, market: Market, now: datetime) -> None:
        self._market = market
        self.set(now)

    def set(self, now: datetime) -> None:
        self._now = now
        self._market.time.freeze(now)

    def now(self) -> datetime:
        return self._now


class World:
    """A platform over the sandbox, whose time stands still until it is moved."""

    def __init__(self, platform: Platform, server: SandboxServer, hand: Hand) -> None:
        self.platform, self.server, self.hand = platform, server, hand

    def tracks(self, *tickers: str) -> dict[str, int]:
        frame = self.platform.assets_for(tickers)
        return dict(frame.select("ticker", "asset_id").iter_rows())


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    config = SandboxConfig(
        symbols=60, now=START, start=date(2012, 1, 3), limits={"yahoo": []}, keys={}
    )
    with SandboxServer(config, market=Market(config)) as server:
        yield server


@pytest.fixture
def world(server: SandboxServer, database_url: str, tmp_path: Path) -> Iterator[World]:
    server.app.reset()
    hand = Hand(server.market, START)
    settings = load_settings(
        database_url=database_url,
        home=tmp_path,
        sources=("yahoo",),
        yahoo_base_url=f"{server.url}/yahoo",
        clock_rate=100_000,  # a week in seconds: the vendor's hours are as short
    )
    with Platform(settings, hand) as platform:
        yield World(platform, server, hand)


def test_the_sandbox_around_a_holiday(world: World) -> None:
    """A Friday, and the Monday on which New York rests: at each open, close and break of the
    exchanges, and in the quarter before it, those are asked who trade then. Every answer is
    kept once."""
    names = {"AAPL": "XNYS", "^FTSE": "XLON", "^N225": "XTKS", "BTC-USD": "24/7", "EUR/USD": "24/5"}
    ids = world.tracks(*names)
    hours = {
        "AAPL": holiday(NEW_YORK, "America/New_York", "2013-02-18"),
        "^FTSE": LONDON,
        "^N225": TOKYO_OLD,
        "BTC-USD": lambda _: True,
        "EUR/USD": currencies,
    }
    turns = (0, 2.5, 3.5, 6, 8, 14.5, 16.5, 21, 22)
    midnight, asked_for = datetime(2013, 2, 15, tzinfo=UTC), 0
    for day in (0, 3):
        for turn in turns:
            for before in (15, 0):
                now = midnight + timedelta(days=day, hours=turn, minutes=-before)
                world.hand.set(now)
                report = ask_due(world.platform)
                asked = {
                    name
                    for name, at in zip(names, _asked(world, ids, names), strict=True)
                    if at == now
                }
                assert asked == {name for name in names if hours[name](now)}, now
                assert not report.failures, report
                assert report.calls == {"yahoo": 1}  # coins never close
                asked_for += len(asked)
                assert not ask_due(world.platform).calls
    latest = quotes.latest(world.platform.db)
    assert set(latest["ticker"]) == set(names)
    assert (latest["quoted_at"] <= now).all()
    bars = readers.prices(world.platform.db, list(ids.values()), interval=Interval.MINUTE)
    assert 0 < bars.height <= asked_for
    assert bars.select("asset_id", "ts").is_unique().all()
    told = quotes.ages(world.platform.db)
    assert told["quotes"].sum() == bars.height


def test_asking_again_changes_nothing_and_an_older_stamp_is_put_aside(world: World) -> None:
    """The newest stays; what is older, far off or from tomorrow is in quarantine, with why."""
    ids = world.tracks("AAPL")
    world.hand.set(datetime(2013, 2, 26, 16, tzinfo=UTC))
    first = ask_now(world.platform, list(ids.values()))
    assert (first.quotes, first.latest) == (1, 1)
    kept = quotes.latest(world.platform.db)
    assert (kept["age_seconds"] < 60).all()
    again = ask_now(world.platform, list(ids.values()))
    assert (again.quotes, again.latest, again.silent) == (0, 0, [])
    assert quotes.latest(world.platform.db).equals(kept)
    world.hand.set(datetime(2013, 2, 25, 16, tzinfo=UTC))
    older = ask_now(world.platform, list(ids.values()))
    assert (older.latest, older.quarantined) == (0, 1)
    assert quotes.latest(world.platform.db).equals(kept)


def _asked(world: World, ids: dict[str, int], names: Any) -> list[datetime | None]:
    frame = quotes.watched(world.platform.db, 15)
    at = dict(frame.select("asset_id", "asked_at").iter_rows())
    return [at[ids[name]] for name in names]


def test_a_split_is_known_from_the_first_minute_in_sydney(world: World) -> None:
    """Its Mondays begin on Sundays by UTC; in New York the split has not come yet then."""
    db, friday, monday = world.platform.db, date(2024, 3, 1), date(2024, 3, 4)
    made = assets.register(
        db, [NewAsset("AAA.AX", "stock", "XASX", "AUD"), NewAsset("BBB", "stock", "XNYS", "USD")]
    )
    ids = list(made.values())
    bars = raw_bars(ids, [friday])
    write_fetch(db, [fetched(bars, splits=splits_of([(i, monday, 4.0) for i in ids]))], None)
    write_validated(db, validated(bars))
    now = datetime(2024, 3, 3, 23, 30, tzinfo=UTC)
    found = last_closes(world.platform, assets.by_id(db, ids), now).sort("asset_id")
    asked = bars.sort("asset_id")["close"].to_list()
    assert found["close"].to_list() == pytest.approx([asked[0] / 4, asked[1]])
