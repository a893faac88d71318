"""From events to what is tracked and queued."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from stock_platform.domain.portfolio import Side, Transaction
from stock_platform.storage import assets
from stock_platform.storage import portfolio as book
from stock_platform.storage.connection import Database
from stock_platform.storage.tracking import follow_events, stop_idle

NOW = datetime(2024, 6, 3, 15, tzinfo=UTC)
GRACE = timedelta(days=30)


@pytest.fixture
def asset(database: Database) -> int:
    return assets.register(database, [assets.NewAsset("AAA", "stock", "XNYS")])["AAA"]


def trade(
    database: Database, asset_id: int, side: str, quantity: str, day: date, user: str = "me"
) -> int:
    at = datetime(day.year, day.month, day.day, 15, tzinfo=UTC)
    made = Transaction(
        user, asset_id, Side(side), Decimal(quantity), Decimal(10), "USD", Decimal(0), at, day
    )
    return book.enter(database, [made]).ids[0]


def tracked(database: Database, asset_id: int) -> dict[str, Any] | None:
    with database.connect() as connection:
        row = connection.execute(
            "select by_hand, holders, history_from, idle_since from stocks.tracked_assets "
            "where asset_id = %s",
            [asset_id],
        ).fetchone()
    names = ("by_hand", "holders", "history_from", "idle_since")
    return None if row is None else dict(zip(names, row, strict=True))


def jobs(database: Database) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(
            "select asset_id, first_day, last_day, state from stocks.backfill_queue order by job_id"
        ).fetchall()


def test_a_purchase_starts_tracking_and_queues_its_history(database: Database, asset: int) -> None:
    """From a year before the first purchase to now."""
    trade(database, asset, "buy", "1", date(2023, 3, 1))
    followed = follow_events(database, NOW)
    assert (followed.events, followed.started, followed.queued) == (1, [asset], [asset])
    assert tracked(database, asset) == {
        "by_hand": False,
        "holders": 1,
        "history_from": date(2022, 3, 1),
        "idle_since": None,
    }
    assert jobs(database) == [(asset, date(2022, 3, 1), NOW.date(), "pending")]
    assert follow_events(database, NOW).events == 0


def test_another_user_only_counts_one_more(database: Database, asset: int) -> None:
    """No job is made for what is tracked already, unless it needs an earlier history."""
    trade(database, asset, "buy", "1", date(2023, 3, 1))
    follow_events(database, NOW)
    with database.connect() as connection:
        connection.execute("update stocks.backfill_queue set state = 'completed'")
    trade(database, asset, "buy", "1", date(2023, 9, 1), user="you")
    assert follow_events(database, NOW).queued == []
    assert (tracked(database, asset) or {})["holders"] == 2
    trade(database, asset, "buy", "1", date(2021, 3, 1), user="you")
    assert follow_events(database, NOW).queued == [asset]
    assert jobs(database)[-1] == (asset, date(2020, 3, 1), date(2022, 2, 28), "pending")


def test_an_open_job_grows(database: Database, asset: int) -> None:
    """There is one open job an asset, and it spans all that is asked for."""
    for day in (date(2023, 3, 1), date(2022, 3, 1)):
        trade(database, asset, "buy", "1", day)
        follow_events(database, NOW)
    assert jobs(database) == [(asset, date(2021, 3, 1), NOW.date(), "pending")]


def test_the_last_sale_stops_tracking_after_the_grace_period(
    database: Database, asset: int
) -> None:
    """Until then it is tracked; a purchase in between keeps it."""
    trade(database, asset, "buy", "2", date(2023, 3, 1))
    follow_events(database, NOW)
    trade(database, asset, "sell", "2", date(2024, 6, 3))
    assert follow_events(database, NOW).idle == [asset]
    assert stop_idle(database, NOW + timedelta(days=29), GRACE) == []
    trade(database, asset, "buy", "1", date(2024, 6, 3), user="you")
    assert follow_events(database, NOW).started == [asset]
    assert stop_idle(database, NOW + timedelta(days=99), GRACE) == []
    trade(database, asset, "sell", "1", date(2024, 6, 3), user="you")
    follow_events(database, NOW)
    assert stop_idle(database, NOW + timedelta(days=30), GRACE) == [asset]
    assert tracked(database, asset) is None


def test_what_is_tracked_by_hand_stays(database: Database, asset: int) -> None:
    """A sale ends no tracking that a person began."""
    assets.track(database, [asset])
    trade(database, asset, "buy", "2", date(2023, 3, 1))
    assert follow_events(database, NOW).queued == [asset]
    trade(database, asset, "sell", "2", date(2024, 6, 3))
    follow_events(database, NOW)
    assert stop_idle(database, NOW + timedelta(days=99), GRACE) == []
    assert (tracked(database, asset) or {})["by_hand"] is True


def test_events_handled_twice_do_no_more_than_once(database: Database, asset: int) -> None:
    """As after a crash that lost the mark but not the effect."""
    trade(database, asset, "buy", "2", date(2023, 3, 1))
    follow_events(database, NOW)
    before = (tracked(database, asset), jobs(database))
    with database.connect() as connection:
        connection.execute("update stocks.portfolio_events set handled_at = null")
    assert follow_events(database, NOW).events == 1
    assert (tracked(database, asset), jobs(database)) == before
