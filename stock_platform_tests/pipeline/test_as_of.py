"""What was known: prices and actions of any moment, by Python and by SQL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from psycopg import sql

from stock_platform.domain.bars import PRICE_COLUMNS, UTC_STAMP, Adjust
from stock_platform.domain.batches import ANSWERED, FetchBatch
from stock_platform.domain.errors import InputError
from stock_platform.pipeline.bulk import as_moment
from stock_platform.pipeline.store import Store
from stock_platform.storage import actions, assets, readers, writers
from stock_platform.storage.connection import Database
from stock_platform_tests.storage import worlds

pytestmark = pytest.mark.both_servers
DAYS = worlds.weekdays(date(2024, 1, 2), 40)
BEGAN = datetime(2024, 3, 1, 22, tzinfo=UTC)
NAMES = ["T0", "T1", "T2"]
WAYS: list[dict[str, Any]] = [
    {"adjust": "none"},
    {"adjust": "splits"},
    {"adjust": "all"},
    {"adjust": "none", "interval": "1wk"},
    {"adjust": "splits", "interval": "1wk"},
    {"adjust": "all", "interval": "1mo"},
]


@pytest.fixture
def ids(database: Database) -> list[int]:
    known = assets.register(database, [assets.NewAsset(n, "stock", "XNYS") for n in NAMES])
    return [known[name] for name in NAMES]


def hour(n: int) -> datetime:
    return BEGAN + timedelta(hours=n)


def at(frame: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    return frame.with_columns(pl.lit(moment).cast(UTC_STAMP).alias("fetched_at"))


def judge(db: Database, bars: pl.DataFrame, moment: datetime, **grid: Any) -> None:
    batch = worlds.validated(bars, **grid)
    writers.write_validated(db, type(batch)(batch.grid, batch.prices, batch.quarantined, at=moment))


def tell(db: Database, moment: datetime, **parts: pl.DataFrame) -> None:
    stamped = {name: at(frame, moment) for name, frame in parts.items()}
    writers.write_fetch(db, [FetchBatch(None, at=moment, **stamped)], None)


def history_rows(db: Database) -> int:
    with db.connect() as connection:
        row = connection.execute("select count(*) from stocks.prices_history").fetchone()
    assert row
    return int(row[0])


def test_a_split_that_comes_later_leaves_the_past_as_it_was(
    database: Database, ids: list[int]
) -> None:
    """As of before the split history is in the old basis; now it is in the new one."""
    judge(database, worlds.raw_bars(ids, DAYS), hour(0))
    store = Store(database)
    before = store.prices("T0", adjust="splits")
    stored = readers.content_hash(database)
    tell(database, hour(5), splits=worlds.splits_of([(ids[0], DAYS[20], 4.0)]))
    assert_frame_equal(store.prices("T0", adjust="splits", as_of=hour(4)), before)
    after = store.prices("T0", adjust="splits")
    np.testing.assert_allclose(after["close"][:20] * 4, before["close"][:20])
    np.testing.assert_allclose(after["volume"][:20], before["volume"][:20] * 4)
    assert_frame_equal(after[20:], before[20:])
    assert_frame_equal(store.prices("T0", adjust="splits", as_of=hour(5)), after)
    assert history_rows(database) == 0
    assert readers.content_hash(database) != stored, "the split is content; the prices are not"


def test_a_corrected_bar_is_kept_as_it_was(database: Database, ids: list[int]) -> None:
    """One former row for one correction, none for loading again; the past reads as it was."""
    bars = worlds.raw_bars(ids, DAYS)
    judge(database, bars, hour(0))
    judge(database, bars, hour(1))
    assert history_rows(database) == 0, "fresh and identical loads keep no history"
    store = Store(database)
    before = store.prices(NAMES)
    bad = (pl.col("asset_id") == ids[1]) & (pl.col("session") == DAYS[3])
    right = bars.with_columns(pl.when(bad).then(1.25).otherwise("low").alias("low"))
    judge(database, right, hour(2))
    assert history_rows(database) == 1
    assert store.prices("T1")["low"].to_list()[3] == 1.25
    assert_frame_equal(store.prices(NAMES, as_of=hour(1)), before)
    assert_frame_equal(store.prices(NAMES, as_of=hour(2)), store.prices(NAMES))
    grid = worlds.validated(bars).grid
    judge(database, right.filter(~bad), hour(3), grid=grid)
    assert store.prices("T1").height == len(DAYS) - 1
    assert store.prices("T1", as_of=hour(2)).height == len(DAYS)
    assert store.prices(NAMES, as_of=hour(0) - timedelta(seconds=1)).is_empty()


def test_the_latest_as_it_was_known(database: Database, ids: list[int]) -> None:
    """``as_of`` is what was known, whatever the session; ``until`` the session, known now."""
    bars = worlds.raw_bars(ids, DAYS)
    early = bars.filter(pl.col("session") < DAYS[30])
    store = Store(database)
    judge(database, early, hour(0))
    before = store.latest()
    judge(database, bars.with_columns(pl.col("close") + 1, pl.col("high") + 1), hour(1))
    assert_frame_equal(store.latest(as_of=hour(0)), before)
    assert set(store.latest(as_of=hour(1))["session"]) == {DAYS[-1]}
    assert_frame_equal(store.latest(as_of=hour(1)), store.latest())
    assert_frame_equal(
        store.latest(as_of=hour(0), until=DAYS[3]),
        store.prices(NAMES, DAYS[3], DAYS[3], as_of=hour(0)),
    )
    assert_frame_equal(store.latest(until=DAYS[3]), store.prices(NAMES, DAYS[3], DAYS[3]))
    assert store.latest(as_of=hour(0) - timedelta(seconds=1)).is_empty()


@pytest.mark.parametrize("seed", range(4))
def test_every_state_can_be_read_again(database: Database, ids: list[int], seed: int) -> None:
    """After any loads, corrections, removals and actions each former state reads as it did."""
    random = np.random.default_rng(seed)
    store = Store(database)
    bars = worlds.raw_bars(ids, DAYS, seed=seed)
    grid = worlds.validated(bars).grid
    states: list[tuple[datetime, list[pl.DataFrame]]] = []
    for step in range(6):
        match random.integers(4):
            case 0:
                keep = pl.Series(random.random(bars.height) > 0.1)
                judge(database, bars.filter(keep), hour(step), grid=grid)
            case 1:
                noise = pl.Series(np.where(random.random(bars.height) < 0.1, 1.01, 1.0))
                bars = bars.with_columns((pl.col("high") * noise).round(2).alias("high"))
                judge(database, bars, hour(step), grid=grid)
            case 2:
                day, source = DAYS[int(random.integers(5, 35))], str(random.choice(["a", "b"]))
                ratio = float(random.choice([2.0, 4.0, 0.1]))
                told = worlds.splits_of([(ids[0], day, ratio)], source)
                tell(database, hour(step), splits=told)
            case _:
                day, cash = DAYS[int(random.integers(5, 35))], float(random.integers(1, 5))
                told = worlds.dividends_of([(ids[1], day, cash)])
                tell(database, hour(step), dividends=told)
        states.append((hour(step), [store.prices(NAMES, **way) for way in WAYS]))
    for moment, frames in states:
        for way, frame in zip(WAYS, frames, strict=True):
            again = store.prices(NAMES, as_of=moment, **way)
            again = again.select(frame.columns)
            assert_frame_equal(again, frame, rel_tol=1e-7, abs_tol=1e-7, check_dtypes=False)


def test_sql_reads_the_past_like_python(database: Database, ids: list[int]) -> None:
    """The functions with as_of, the views, and Store give the same numbers."""
    bars = worlds.raw_bars(ids, DAYS)
    judge(database, bars, hour(0))
    tell(
        database,
        hour(1),
        splits=worlds.splits_of([(ids[0], DAYS[20], 4.0)]),
        dividends=worlds.dividends_of([(ids[0], DAYS[20], 0.5), (ids[1], DAYS[9], 0.7)]),
    )
    judge(database, bars.with_columns(pl.col("close") * 1.001), hour(2))
    tell(database, hour(3), splits=worlds.splits_of([(ids[0], DAYS[20], 5.0)]))
    store = Store(database)
    names = {Adjust.NONE: "prices", Adjust.SPLITS: "prices_split_adjusted"}
    names[Adjust.ALL] = "prices_adjusted"
    for mode, name in names.items():
        for moment in (hour(0), hour(1), hour(2), hour(3), None):
            source: sql.Composable = sql.Identifier("stocks", name)
            if moment is not None:
                source = sql.SQL("{}({})").format(
                    sql.Identifier("stocks", f"{name}_as_of"), sql.Literal(moment)
                )
            columns = sql.SQL(", ").join(
                sql.SQL("{}::float8").format(sql.Identifier(c)) for c in (*PRICE_COLUMNS, "volume")
            )
            with database.connect() as connection:
                rows = connection.execute(
                    sql.SQL("select {} from {} order by asset_id, session").format(columns, source)
                ).fetchall()
            found = store.prices(NAMES, adjust=mode, as_of=moment)
            mine = found.select(*PRICE_COLUMNS, "volume").to_numpy()
            np.testing.assert_allclose(np.array(rows), mine, rtol=1e-12)


def test_a_function_reads_only_what_is_asked_for(database: Database, ids: list[int]) -> None:
    """A condition on the asset reaches the index: the functions are views with a parameter."""
    judge(database, worlds.raw_bars(ids, DAYS), hour(0))
    with database.connect() as connection:
        connection.execute("set enable_seqscan = off")
        plan = connection.execute(
            "explain select * from stocks.prices_adjusted_as_of(now()) where asset_id = 1"
        ).fetchall()
    text = "\n".join(row[0] for row in plan)
    assert "Function Scan" not in text
    assert "validated_prices_pkey" in text


def test_what_a_source_takes_back_ends(database: Database, ids: list[int]) -> None:
    """Not told again in an answer that spans its day: no longer in force, and still on record."""
    judge(database, worlds.raw_bars(ids, DAYS), hour(0))
    rows = [(ids[0], DAYS[5], 2.0), (ids[0], DAYS[30], 3.0), (ids[1], DAYS[5], 2.0)]
    tell(database, hour(1), splits=worlds.splits_of(rows))
    writers.write_fetch(
        database,
        [
            FetchBatch(
                None,
                splits=at(worlds.splits_of([(ids[0], DAYS[30], 3.0)]), hour(2)),
                answered=pl.DataFrame(
                    [(ids[0], "yahoo", "split", DAYS[1], DAYS[35], hour(2))],
                    schema=ANSWERED,
                    orient="row",
                ),
                at=hour(2),
            )
        ],
        None,
    )
    store = Store(database)
    assert store.splits("T0")["ex_date"].to_list() == [DAYS[30]]
    assert store.splits("T0", as_of=hour(1))["ex_date"].to_list() == [DAYS[5], DAYS[30]]
    assert store.splits("T1").height == 1, "another asset's is not touched"
    former = actions.tellings(database, ids).filter(pl.col("known_to").is_not_null())
    assert former.select("ex_date", "value", "known_to").rows() == [(DAYS[5], 2.0, hour(2))]


def test_a_withdrawn_split_is_not_in_its_week(database: Database, ids: list[int]) -> None:
    """Weeks and months follow what is in force, when it comes and when it goes."""
    judge(database, worlds.raw_bars(ids, DAYS), hour(0))
    before = readers.weekly(database, ids)
    tell(database, hour(1), splits=worlds.splits_of([(ids[0], DAYS[11], 2.0)]))
    assert not readers.weekly(database, ids).equals(before)
    answered = pl.DataFrame(
        [(ids[0], "yahoo", "split", DAYS[1], DAYS[35], hour(2))], schema=ANSWERED, orient="row"
    )
    writers.write_fetch(database, [FetchBatch(None, answered=answered, at=hour(2))], None)
    assert readers.weekly(database, ids).equals(before)


def test_a_split_told_twice_a_day_apart_counts_once(database: Database, ids: list[int]) -> None:
    """Sources that differ leave one split in force and a row that says who differs."""
    judge(database, worlds.raw_bars(ids, DAYS), hour(0))
    tell(database, hour(1), splits=worlds.splits_of([(ids[0], DAYS[9], 4.0)], "yahoo"))
    tell(database, hour(2), splits=worlds.splits_of([(ids[0], DAYS[10], 4.0)], "polygon"))
    store = Store(database)
    assert store.splits("T0").select("ex_date", "ratio", "source").rows() == [
        (DAYS[10], 4.0, "polygon")
    ]
    ratio = store.prices("T0")["close"] / store.prices("T0", adjust="splits")["close"]
    np.testing.assert_allclose(ratio, [4.0] * 10 + [1.0] * 30)
    found = actions.conflicts(database, ids)
    assert found.select("source", "told_ex_date", "what").rows() == [("yahoo", DAYS[9], "date")]
    tell(database, hour(3), splits=worlds.splits_of([(ids[0], DAYS[10], 4.0)], "polygon"))
    assert actions.conflicts(database).equals(found)


def test_a_close_long_before_does_not_measure_a_dividend(
    database: Database, ids: list[int]
) -> None:
    """After a hole of weeks the cash has no factor; within ten days it has."""
    hole = pl.col("session").is_between(DAYS[10], DAYS[24])
    judge(database, worlds.raw_bars(ids, DAYS).filter(~hole), hour(0))
    tell(database, hour(1), dividends=worlds.dividends_of([(ids[0], DAYS[25], 1.0)]))
    store = Store(database)
    assert_frame_equal(store.prices("T0", adjust="all"), store.prices("T0"))
    tell(database, hour(2), dividends=worlds.dividends_of([(ids[0], DAYS[16], 1.0)]))
    assert store.prices("T0", adjust="all")["close"][0] < store.prices("T0")["close"][0]


def test_foreign_cash_has_no_factor(database: Database, ids: list[int]) -> None:
    """Pounds are not taken off a price in dollars."""
    judge(database, worlds.raw_bars(ids, DAYS), hour(0))
    with database.connect() as connection:
        connection.execute("update stocks.assets set currency = 'GBP'")
    tell(database, hour(1), dividends=worlds.dividends_of([(ids[0], DAYS[25], 1.0)]))
    store = Store(database)
    assert_frame_equal(store.prices("T0", adjust="all"), store.prices("T0"))
    assert store.dividends("T0")["currency"].to_list() == ["USD"]


def test_moments() -> None:
    """A day ends with its last instant in UTC; a stamp without a zone is UTC."""
    assert as_moment("as_of", None) is None
    assert as_moment("as_of", "2024-01-31") == datetime(2024, 1, 31, 23, 59, 59, 999999, UTC)
    assert as_moment("as_of", "2024-01-31T16:00-05:00") == datetime(2024, 1, 31, 21, tzinfo=UTC)
    assert as_moment("as_of", datetime(2024, 1, 31, 21)) == datetime(2024, 1, 31, 21, tzinfo=UTC)  # noqa: DTZ001
    with pytest.raises(InputError, match="as_of: 'soon'"):
        as_moment("as_of", "soon")
