"""Transactions in the database: what its triggers refuse, and the outbox."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Thread

import polars as pl
import psycopg
import pytest

from stock_platform.domain.errors import InputError
from stock_platform.domain.portfolio import Side, Transaction
from stock_platform.storage import assets
from stock_platform.storage import portfolio as book
from stock_platform.storage.connection import Database
from stock_platform.storage.performance import digest
from stock_platform.storage.writers import write_validated
from stock_platform_tests.storage import worlds


@pytest.fixture
def ids(database: Database) -> list[int]:
    made = assets.register(database, [assets.NewAsset(t, "stock", "XNYS") for t in ("AAA", "BBB")])
    return [made["AAA"], made["BBB"]]


def trade(
    asset_id: int,
    side: str,
    quantity: str,
    day: int = 1,
    external_id: str | None = None,
    user: str = "me",
) -> Transaction:
    at = datetime(2024, 1, day, 15, tzinfo=UTC)
    return Transaction(
        user, asset_id, Side(side), Decimal(quantity), Decimal(10), "USD", Decimal(0),
        at, at.date(), external_id,
    )  # fmt: skip


def split(database: Database, asset_id: int, day: date, ratio: float) -> None:
    with database.connect() as connection:
        connection.execute(
            "insert into stocks.splits_in_force "
            "(asset_id, ex_date, ratio, source, sources, fetched_at, recorded_at) "
            "values (%s, %s, %s, 'test', '{test}', now(), now())",
            [asset_id, day, ratio],
        )


def test_what_is_entered_is_read_back(database: Database, ids: list[int]) -> None:
    """In the order of execution, with an id."""
    one, two = trade(ids[0], "buy", "10", 2), trade(ids[1], "buy", "0.00000001", 1)
    entered = book.enter(database, [one, two])
    found = book.transactions(database)
    assert [t.transaction_id for t in found] == [entered.ids[1], entered.ids[0]]
    assert [(t.asset_id, t.quantity) for t in found] == [
        (ids[1], Decimal("0.00000001")),
        (ids[0], Decimal(10)),
    ]
    assert book.users(database) == ["me"]


def test_an_external_id_is_entered_once(database: Database, ids: list[int]) -> None:
    """Sent again it has the same id and leaves no event; with other content it is refused."""
    first = book.enter(database, [trade(ids[0], "buy", "10", 1, "x1")])
    again = book.enter(
        database, [trade(ids[0], "buy", "10", 1, "x1"), trade(ids[0], "buy", "3", 2, "x2")]
    )
    assert (again.ids[0], again.repeated) == (first.ids[0], frozenset({0}))
    assert len(book.open_events(database)) == 2
    with pytest.raises(InputError, match="external_id"):
        book.enter(database, [trade(ids[0], "buy", "11", 1, "x1")])
    other = book.enter(database, [trade(ids[0], "buy", "11", 1, "x1", user="you")])
    assert not other.repeated


def test_selling_more_than_is_held_is_refused(database: Database, ids: list[int]) -> None:
    """On whatever day, by whoever inserts; nothing of the list is stored then."""
    book.enter(database, [trade(ids[0], "buy", "10", 5)])
    for wrong in (
        [trade(ids[0], "sell", "11", 9)],
        [trade(ids[0], "sell", "1", 4)],
        [trade(ids[1], "buy", "5", 1), trade(ids[0], "sell", "10.01", 9)],
        [trade(ids[0], "sell", "1", 6, user="you")],
    ):
        with pytest.raises(InputError, match="sell at most what is held"):
            book.enter(database, wrong)
    assert len(book.transactions(database)) == 1
    book.enter(database, [trade(ids[0], "sell", "10", 9), trade(ids[1], "sell", "5", 7),
                    trade(ids[1], "buy", "5", 6)])  # fmt: skip
    with pytest.raises(InputError, match="sell at most"):  # all are sold on the 9th
        book.enter(database, [trade(ids[0], "sell", "1", 8)])


def test_shares_of_before_a_split_can_be_sold_after_it(database: Database, ids: list[int]) -> None:
    """10 before a 7-for-1 are 70 after it, and 71 are too many."""
    split(database, ids[0], date(2024, 1, 10), 7)
    book.enter(database, [trade(ids[0], "buy", "10", 5), trade(ids[0], "sell", "30", 12)])
    with pytest.raises(InputError, match="sell at most"):
        book.enter(database, [trade(ids[0], "sell", "41", 13)])
    book.enter(database, [trade(ids[0], "sell", "40", 13)])


def test_what_was_sold_later_cannot_be_removed(database: Database, ids: list[int]) -> None:
    """The sale goes first; each removal leaves an event."""
    bought, sold = book.enter(
        database, [trade(ids[0], "buy", "10", 5), trade(ids[0], "sell", "10", 6)]
    ).ids
    with pytest.raises(InputError, match="later sales first"):
        book.remove(database, "me", bought)
    with pytest.raises(InputError, match="one of you's"):
        book.remove(database, "you", sold)
    book.remove(database, "me", sold)
    book.remove(database, "me", bought)
    events = book.open_events(database)
    assert [e.kind for e in events] == ["entered", "entered", "removed", "removed"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("quantity", "0"),
        ("quantity", "-1"),
        ("price", "-0.01"),
        ("fee", "-1"),
        ("side", "'hold'"),
        ("currency", "'usd'"),
        ("user_id", "''"),
        ("executed_at", "now() + interval '1 day'"),
    ],
)
def test_plain_sql_is_checked_too(
    database: Database, ids: list[int], column: str, value: str
) -> None:
    """Another system's INSERT cannot store what the API would refuse."""
    row = {
        "user_id": "'me'", "asset_id": str(ids[0]), "side": "'buy'", "quantity": "1",
        "price": "1", "executed_at": "'2024-01-05 15:00Z'",
    } | {column: value}  # fmt: skip
    with database.connect() as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            f"insert into stocks.portfolio_transactions ({', '.join(row)}) "
            f"values ({', '.join(row.values())})"
        )


def test_plain_sql_leaves_an_event(database: Database, ids: list[int]) -> None:
    """An INSERT of another system is an event in the same commit; the trade date is filled in."""
    with database.connect() as connection:
        connection.execute(
            "insert into stocks.portfolio_transactions "
            "(user_id, asset_id, side, quantity, price, executed_at) "
            "values ('me', %s, 'buy', 1, 1, '2024-01-05 23:00-05')",
            [ids[0]],
        )
    (event,) = book.open_events(database)
    assert (event.kind, event.asset_id, event.trade_date) == ("entered", ids[0], date(2024, 1, 6))


def test_an_event_is_taken_by_one_and_given_back_by_a_rollback(
    database: Database, ids: list[int]
) -> None:
    """Two readers share events without waiting; a reader that dies leaves its own for the next."""
    book.enter(database, [trade(ids[0], "buy", "1", 1)])
    with database.connect() as first:
        assert len(book.take_events(first)) == 1
        book.enter(database, [trade(ids[1], "buy", "1", 1)])
        with database.connect() as second:
            assert [e.asset_id for e in book.take_events(second)] == [ids[1]]
        first.rollback()
    assert [e.asset_id for e in book.open_events(database)] == [ids[0]]
    with database.connect() as third:
        assert [e.asset_id for e in book.take_events(third)] == [ids[0]]
    assert book.open_events(database) == []


def test_two_sales_at_once_cannot_sell_the_same_shares(database: Database, ids: list[int]) -> None:
    """Of ten sellers of all that is held, one succeeds."""
    book.enter(database, [trade(ids[0], "buy", "10", 5)])
    outcomes: list[str] = []

    def sell(number: int) -> None:
        try:
            with database.connect() as connection:
                connection.execute(
                    "insert into stocks.portfolio_transactions "
                    "(user_id, asset_id, side, quantity, price, executed_at) "
                    "values ('me', %s, 'sell', 10, 1, '2024-01-06')",
                    [ids[0]],
                )
            outcomes.append("sold")
        except psycopg.errors.CheckViolation:
            outcomes.append("refused")

    threads = [Thread(target=sell, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 5 + ["sold"]
    held = pl.DataFrame(
        [(str(t.side), t.quantity) for t in book.transactions(database)], orient="row"
    )
    assert held.height == 2


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_pages_are_the_whole_in_order(database: Database, ids: list[int], limit: int) -> None:
    """Each transaction comes once, of this user alone, also among those of one moment."""
    ours = [trade(ids[n % 2], "buy", "5", 1 + n // 4) for n in range(12)]
    ours += [trade(ids[0], "sell", "1", day) for day in (1, 2, 3)]
    book.enter(database, [*ours, *(trade(ids[0], "buy", "1", 2, user="you") for _ in range(5))])
    whole = book.transactions(database, "me")
    assert len(whole) == 15
    seen: list[Transaction] = []
    while page := book.transactions(
        database, "me", after=book.Place.of(seen[-1]) if seen else None, limit=limit
    ):
        assert len(page) <= limit
        seen += page
    assert seen == whole


def test_a_page_reads_its_own_rows(database: Database, ids: list[int]) -> None:
    """The index leads to them: other rows of the user are not touched."""
    book.enter(database, [trade(ids[0], "buy", "1", 1 + n % 28) for n in range(500)])
    with database.connect() as connection:
        connection.execute("analyze stocks.portfolio_transactions")
        plan = connection.execute(
            "explain (analyze, format json) select * from stocks.portfolio_transactions t "
            "where user_id = 'me' and (executed_at, side, transaction_id) > "
            "('2024-01-15T15:00Z'::timestamptz, 'buy', 0) "
            "order by executed_at, side, transaction_id limit 10"
        ).fetchone()
    assert plan is not None
    found = plan[0][0]["Plan"]["Plans"][0]
    assert found["Index Name"] == "portfolio_transactions_in_order"
    assert found["Actual Rows"] == 10
    assert book.has_any(database, "me")
    assert not book.has_any(database, "you")


def test_a_price_under_the_same_stamp_counts(database: Database, ids: list[int]) -> None:
    """A stored account is not taken for current after a change that no stamp tells of."""
    at, day = datetime(2024, 3, 1, tzinfo=UTC), [date(2024, 2, 1)]
    found = set()
    for seed in (1, 2, 2):
        bars = worlds.raw_bars(ids[:1], day, seed=seed)
        write_validated(database, replace(worlds.validated(bars), at=at))
        found.add(digest(database, "me", ids))
    assert len(found) == 2
