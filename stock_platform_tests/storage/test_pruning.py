"""Old live quotes and their calls go; what follows from them, and every total, stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from psycopg import sql

from stock_platform.domain.batches import QUARANTINE
from stock_platform.domain.live import QUOTED
from stock_platform.sources.registry import SOURCES
from stock_platform.storage import quotes
from stock_platform.storage.assets import NewAsset, register
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import run
from stock_platform.storage.gauges import gauges
from stock_platform.storage.pruning import Gone, prune_quotes
from stock_platform.storage.writers import write_fetch
from stock_platform_tests.storage import worlds

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=31)
LIMIT = LATER - timedelta(days=30)
NOTHING = pl.DataFrame(schema=QUARANTINE)


def rows(db: Database, statement: str) -> list[tuple[Any, ...]]:
    with db.connect() as connection:
        return run(connection, sql.SQL(statement)).fetchall()


def tell(
    db: Database,
    asset: int,
    at: datetime,
    price: float,
    rejected: pl.DataFrame = NOTHING,
    now: datetime | None = None,
) -> quotes.Stored:
    now = now or at + timedelta(seconds=20)
    quote = {
        "asset_id": asset, "source": "yahoo", "quoted_at": at, "session": at.date(),
        "price": price, "fetched_at": now, "reasons": [],
    }  # fmt: skip
    judged = pl.DataFrame([quote], schema=QUOTED | {"reasons": pl.List(pl.String())})
    record = worlds.call(1, endpoint="quote", started_at=now, finished_at=now)
    return quotes.store(db, record, judged, rejected, now)


@pytest.fixture
def asset(database: Database) -> int:
    return register(database, [NewAsset("AAA", "stock", "XNYS", "USD")])["AAA"]


def test_old_quotes_go_and_what_follows_from_them_stays(database: Database, asset: int) -> None:
    """The newest quote, minute bars, the quarantine with its call, and calls for bars stay."""
    bad = pl.DataFrame(
        [{"asset_id": asset, "ticker": "AAA", "source": "yahoo", "row": "{}", "reasons": ["odd"]}],
        schema=QUARANTINE,
    )
    for minute in range(3):
        tell(database, asset, NOON + timedelta(minutes=minute), 10.0 + minute)
    tell(database, asset, NOON + timedelta(minutes=3), 13.0, bad)
    tell(database, asset, LATER, 20.0)
    bars = worlds.raw_bars([asset], worlds.weekdays(NOON.date(), 2))
    write_fetch(database, [worlds.fetched(bars)], None)
    minutes = rows(database, "select * from stocks.intraday_prices order by ts")
    newest = rows(database, "select * from stocks.latest_quotes")
    totals = gauges(database).calls
    assert prune_quotes(database, LIMIT, LIMIT) == Gone(quotes=4, calls=3)
    assert rows(database, "select price::float8 from stocks.live_quotes") == [(20.0,)]
    assert rows(database, "select * from stocks.intraday_prices order by ts") == minutes
    assert rows(database, "select * from stocks.latest_quotes") == newest
    assert rows(
        database,
        "select endpoint, exists (select from stocks.quarantine q where q.fetch_id = f.fetch_id) "
        "from stocks.fetch_log f order by fetch_id",
    ) == [("quote", True), ("quote", False), ("chart", False)]
    assert rows(
        database,
        "select count(*), count(f.fetch_id) from stocks.raw_quotes "
        "left join stocks.fetch_log f using (fetch_id)",
    ) == [(2, 2)]
    assert gauges(database).calls == totals, "counters never fall"
    assert prune_quotes(database, LIMIT, LIMIT) == Gone(0, 0)
    tell(database, asset, LATER + timedelta(minutes=1), 21.0)
    late = LATER + timedelta(days=60)
    assert prune_quotes(database, late, late) == Gone(quotes=1, calls=2)
    assert gauges(database).calls[0].calls == totals[0].calls + 1


def test_a_last_trade_that_is_told_for_months_changes_nothing(
    database: Database, asset: int
) -> None:
    """The quotes of the newest one's minute stay, so that its bar is not made of the last alone."""
    for second, price in ((5, 10.0), (20, 12.0), (40, 11.0)):
        tell(database, asset, NOON + timedelta(seconds=second), price)
    bar = (
        "select open::float8, high::float8, low::float8, close::float8 from stocks.intraday_prices"
    )
    assert rows(database, bar) == [(10.0, 12.0, 10.0, 11.0)]
    assert prune_quotes(database, LIMIT, LIMIT).quotes == 0
    again = tell(database, asset, NOON + timedelta(seconds=40), 11.0, now=LATER)
    assert again.quotes == 0
    assert rows(database, bar) == [(10.0, 12.0, 10.0, 11.0)]


def test_no_bars_come_by_an_endpoint_named_quote() -> None:
    """So stored prices never refer to a call that is pruned."""
    named = {e.name for spec in SOURCES.values() for e in spec.capabilities.endpoints}
    assert "quote" not in named
