"""Reading many tickers at once gives what reading them one by one gives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import polars as pl
import pytest

from stock_platform.domain.errors import InputError
from stock_platform.pipeline.bulk import as_matrix
from stock_platform.pipeline.store import Store
from stock_platform.storage import assets, writers
from stock_platform.storage.connection import Database
from stock_platform_tests.storage import worlds

DAYS = worlds.weekdays(date(2024, 1, 2), 12)


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    """Three tickers, registered against the alphabet; ZZ has a split and lacks the last day."""
    known = assets.register(
        database, [assets.NewAsset(t, "stock", "XNYS") for t in ("ZZ", "MM", "AA", "NONE")]
    )
    bars = worlds.raw_bars([known[t] for t in ("ZZ", "MM", "AA")], DAYS)
    bars = bars.filter((pl.col("asset_id") != known["ZZ"]) | (pl.col("session") < DAYS[-1]))
    splits = worlds.splits_of([(known["ZZ"], DAYS[6], 2.0)])
    writers.write_fetch(database, [worlds.fetched(bars, splits=splits)], None)
    writers.write_validated(database, worlds.validated(bars))
    with Store(database) as store:
        yield store


def test_a_stream_is_prices_in_parts(store: Store) -> None:
    """Frames together are what ``prices`` gives, adjusted or not, however small they are."""
    for adjust in ("none", "splits", "all"):
        whole = store.prices(["AA", "MM", "ZZ"], adjust=adjust)
        for rows in (1, 20, 10_000):
            parts = list(store.stream(adjust=adjust, rows=rows))
            assert pl.concat(parts).equals(whole)
            assert len(parts) == (3 if rows == 1 else 2 if rows == 20 else 1)
    some = pl.concat(store.stream("zz", DAYS[2], DAYS[3]))
    assert some.equals(store.prices("ZZ", DAYS[2], DAYS[3]))
    assert list(store.stream("NONE")) == []


def test_a_stream_left_early_frees_its_connection(store: Store) -> None:
    """Closing the iterator is enough; the next question is answered."""
    for _ in range(30):  # more than there are connections
        frames = store.stream(rows=1)
        next(frames)
        frames.close()  # type: ignore[attr-defined]
    assert store.latest("AA").height == 1


def test_the_latest_of_all(store: Store) -> None:
    """Every asset's last bar, up to a session where given; those without one are left out."""
    last = store.latest()
    assert last.select("ticker", "session").rows() == [
        ("AA", DAYS[-1]), ("MM", DAYS[-1]), ("ZZ", DAYS[-2]),
    ]  # fmt: skip
    assert last.columns == store.prices("AA").columns
    assert store.latest(["MM"], until=DAYS[3])["session"].to_list() == [DAYS[3]]
    assert store.latest(until="2020-01-01").is_empty()


def test_a_wide_frame(store: Store) -> None:
    """A row a session, a column a ticker in order, null where there is no bar."""
    wide = store.wide(field="volume", adjust="splits")
    assert wide.columns == ["session", "AA", "MM", "ZZ"]
    assert wide["session"].to_list() == DAYS
    assert wide["ZZ"].null_count() == 1
    long = store.prices(["AA", "MM", "ZZ"], adjust="splits").select("ticker", "session", "volume")
    back = wide.unpivot(index="session", variable_name="ticker", value_name="volume")
    back = back.drop_nulls().select("ticker", "session", "volume").sort("ticker", "session")
    assert back.equals(long)
    assert store.wide(["MM"], DAYS[0], DAYS[0]).shape == (1, 2)
    assert store.wide("NONE").columns == ["session"]


def test_a_wide_frame_of_hours(store: Store, database: Database) -> None:
    """A row a stamp, however a ticker's bars are spread over the frames that come."""
    ids = list(assets.resolve(database, ["MM", "AA"]).values())
    bars = pl.concat(
        [
            worlds.intraday_bars(ids[:1], DAYS[:3]),
            worlds.intraday_bars(ids[1:], DAYS[1:4], opens="14:45", bars=9),
        ]
    )
    writers.write_validated(database, worlds.validated(bars))
    wide = store.wide(interval="15m", field="volume")
    long = pl.concat(store.stream(interval="15m", rows=1)).select("ticker", "ts", "volume")
    assert wide.equals(long.pivot("ticker", index="ts", values="volume").sort("ts"))
    assert wide.equals(as_matrix(store.stream(interval="15m", rows=1), "ts", "volume"))


def test_what_is_wrong_is_told_at_once(store: Store) -> None:
    """Before the first frame is asked for."""
    with pytest.raises(InputError, match="use one of"):
        store.wide(field="price")
    with pytest.raises(InputError, match="interval"):
        store.stream(interval="2d")
    with pytest.raises(InputError, match="start"):
        store.stream(start=DAYS[3], end=DAYS[2])
    with pytest.raises(InputError, match="rows"):
        store.stream(rows=0)
    with pytest.raises(InputError, match="ticker"):
        store.latest("AAA")
