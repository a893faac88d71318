"""Health of sources in a real PostgreSQL: shared, exact, forgotten when told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from stock_platform.domain.health import FIRST_PAUSE, TRIES_TO_OPEN, Circuit, Health
from stock_platform.domain.symbols import AssetClass
from stock_platform.storage.assets import NewAsset, register
from stock_platform.storage.connection import Database
from stock_platform.storage.health import ENTITLED_AGAIN, KNOWN_AGAIN, HealthBook
from stock_platform.storage.quota import PostgresQuota

NOON = datetime(2024, 3, 8, 12, tzinfo=UTC)


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(database: Database, clock: Clock) -> HealthBook:
    return HealthBook(database, clock)


def test_what_is_kept_is_what_was_computed(book: HealthBook) -> None:
    """A row is the domain's record, column by column."""
    expected = Health()
    for _ in range(3):
        expected = expected.failed(NOON, "unavailable: HTTP 503", 2)
        book.failed("yahoo", "unavailable: HTTP 503", 2)
    assert book.all() == {"yahoo": expected}
    assert book.succeeded("yahoo", 1.5, calls=3) == expected.succeeded(NOON, 1.5, 3)


def test_failures_of_many_threads_all_count(book: HealthBook) -> None:
    """Changes of one source are made one after the other."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: book.failed("yahoo", "x", 1), range(24)))
    health = book.all()["yahoo"]
    assert (health.bad, health.failures_in_row, health.opened) == (24, 24, 1)


def test_of_all_who_ask_one_may_try(book: HealthBook, clock: Clock) -> None:
    """Nobody while it is open; one when its time is up; all once it has answered."""
    assert book.may_try("yahoo")
    for _ in range(TRIES_TO_OPEN):
        book.failed("yahoo", "x", 1)
    assert not book.may_try("yahoo")
    clock.now += FIRST_PAUSE
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: book.may_try("yahoo"), range(16))) == 1
    book.succeeded("yahoo", 0.2)
    assert all(book.may_try("yahoo") for _ in range(3))


def test_refusals_expire(book: HealthBook, clock: Clock) -> None:
    """A plan may be changed, so what it lacked is asked again after a week."""
    book.not_entitled("finnhub", "candle", "You don't have access to this resource.")
    (refusal,) = book.refusals()
    assert (refusal.source, refusal.endpoint) == ("finnhub", "candle")
    clock.now += ENTITLED_AGAIN + timedelta(seconds=1)
    assert book.refusals() == []


def test_unknown_assets_expire(book: HealthBook, clock: Clock, database: Database) -> None:
    """A vendor may come to know an asset; until then it is not asked."""
    (asset,) = register(database, [NewAsset("AAA", AssetClass.STOCK, "XNYS")]).values()
    book.unknown_to("finnhub", [asset])
    book.unknown_to("finnhub", [asset])
    assert book.unknown() == {("finnhub", asset)}
    clock.now += KNOWN_AGAIN + timedelta(seconds=1)
    assert book.unknown() == set()


def test_reset_forgets(book: HealthBook, database: Database) -> None:
    """The record, the refusals and the block; other sources stay."""
    quota = PostgresQuota(database)
    for source in ("yahoo", "polygon"):
        for _ in range(TRIES_TO_OPEN):
            book.failed(source, "x", 1)
        book.not_entitled(source, "chart", "no")
        quota.block(source, 1000)
    book.reset("yahoo", "yahoo")
    assert list(book.all()) == ["polygon"]
    assert [r.source for r in book.refusals()] == ["polygon"]
    assert quota.state("yahoo", ()).blocked_seconds == 0
    assert quota.state("polygon", ()).blocked_seconds > 0


def test_accuracy_is_blended(book: HealthBook) -> None:
    """The first share counts whole; later ones by their weight."""
    book.agreed("yahoo", 1.0, 10)
    book.agreed("yahoo", 0.5, 500)
    assert book.all()["yahoo"].accuracy == pytest.approx(0.75)


def test_the_server_tells_the_time(database: Database) -> None:
    """Hosts with different clocks agree."""
    book = HealthBook(database)
    assert abs((book.now() - datetime.now(UTC)).total_seconds()) < 60
    book.failed("yahoo", "x" * 1000, 1)
    assert book.all()["yahoo"].circuit(book.now()) is Circuit.CLOSED
