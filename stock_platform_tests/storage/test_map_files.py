"""Lean's map files through the catalog: renamed and reused tickers are the right assets."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from stock_platform.domain.errors import InputError
from stock_platform.domain.symbols import AssetClass
from stock_platform.storage import assets
from stock_platform.storage.connection import Database
from stock_platform_tests.domain.lean import _spans as spans

ALIVE = date(2050, 1, 1)
Span = tuple[str, date, date]


def securities(lean: Path) -> dict[str, list[Span]]:
    """By security: (ticker, first day, last day) of each of its tickers, in order."""
    found: dict[str, list[Span]] = {}
    for file in sorted((lean / "map_files").glob("*.csv")):
        for security, ticker, since, until in spans(file):
            assert isinstance(since, date)
            assert isinstance(until, date)
            found.setdefault(security, []).append((ticker, since, until))
    return found


def replay(db: Database, told: dict[str, list[Span]]) -> dict[str, int]:
    """Tell the catalog what happened, day by day; asset ids by security."""
    events = []
    for security, tickers in told.items():
        for at, (ticker, since, until) in enumerate(tickers):
            changed = at > 0 and tickers[at - 1][0] != ticker
            if at == 0 or changed:
                events.append((since, 1, security, ticker, at > 0))
            if at == len(tickers) - 1 and until < ALIVE:
                events.append((until, 0, security, ticker, False))
    ids: dict[str, int] = {}
    # of two renames on one day, the one that frees a ticker goes before the one that takes it
    freed = {(span[1], told[s][at][0]): s for s in told for at, span in enumerate(told[s][1:])}
    events.sort(key=lambda e: (e[0], e[1], freed.get((e[0], e[3]), e[2]) != e[2]))
    for day, kind, security, ticker, renamed in events:
        if kind == 0:
            assets.set_listing(db, ids[security], delisted_on=day)
        elif renamed:
            assets.rename(db, ids[security], ticker, day)
        else:
            new = assets.NewAsset(ticker, str(AssetClass.STOCK), "XNYS", listed_on=day)
            ids[security] = assets.register(db, [new])[ticker]
    return ids


@pytest.fixture
def lean(shared_fixtures: Path) -> Path:
    return shared_fixtures / "prices" / "lean"


def test_every_ticker_is_the_right_asset_on_every_day(database: Database, lean: Path) -> None:
    """AOL became TWX, GOOG became GOOGL and GOOCV became GOOG; FB, AAA and TWX had two lives."""
    told = securities(lean)
    ids = replay(database, told)
    assert len(set(ids.values())) == len(told)
    for security, tickers in told.items():
        for ticker, since, until in tickers:
            last = min(until, date(2021, 3, 31))
            middle = since + (last - since) / 2
            for day in (since, middle, last):
                assert assets.resolve(database, [ticker], day) == {ticker: ids[security]}, (
                    security, ticker, day,
                )  # fmt: skip


def test_a_live_ticker_is_not_taken(database: Database) -> None:
    """A rename may take over the ticker of who is gone, and never that of who is there."""
    first, gone = date(2000, 1, 3), date(2005, 1, 3)
    new = [assets.NewAsset(name, "stock", "XNYS", listed_on=first) for name in ("AAA", "BBB")]
    found = assets.register(database, new)
    with pytest.raises(InputError, match="no asset has now"):
        assets.rename(database, found["BBB"], "AAA", gone + timedelta(days=30))
    assets.set_listing(database, found["AAA"], delisted_on=gone)
    assets.rename(database, found["BBB"], "AAA", gone + timedelta(days=30))
    assert assets.resolve(database, ["AAA"]) == {"AAA": found["BBB"]}
    assert assets.resolve(database, ["AAA"], gone) == {"AAA": found["AAA"]}
