"""Bars shorter than a day: tables of their own, the same code, their hours and days."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import psycopg

from stock_platform.domain.bars import Interval
from stock_platform.domain.batches import QUARANTINE
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.live import QUOTED
from stock_platform.storage import assets, quotes, readers, writers
from stock_platform.storage import migrate as module
from stock_platform.storage.connection import Database
from stock_platform.storage.migrate import migrate
from stock_platform_tests.storage import worlds

DAYS = worlds.weekdays(date(2024, 1, 2), 3)


def test_intraday_bars_are_kept_apart(database: Database) -> None:
    """Daily and shorter bars of the same cells are written, read and replaced independently."""
    daily = worlds.raw_bars([1, 2], DAYS)
    minutes = worlds.intraday_bars([1, 2], DAYS)
    for bars in (daily, minutes):
        writers.write_fetch(database, [worlds.fetched(bars)], None)
        writers.write_validated(database, worlds.validated(bars))
    assert worlds.counts(database) == {
        "raw_quotes": daily.height,
        "raw_intraday": minutes.height,
        "validated_prices": daily.height,
        "intraday_prices": minutes.height,
    }
    grid = CellGrid.rectangle([1, 2], DAYS, Interval.MINUTES_15)
    raw = readers.raw(database, grid)
    assert raw.drop("fetch_id").equals(minutes.sort("asset_id", "ts"))
    stored = readers.prices(database, [1, 2], interval=Interval.MINUTES_15)
    assert stored["close"].equals(raw["close"])
    last = readers.latest(database, [1], Interval.MINUTES_15)
    assert last["ts"].to_list() == [minutes.filter(pl.col("asset_id") == 1)["ts"].max()]
    assert readers.prices(database, [1, 2]).height == daily.height
    again = writers.write_fetch(database, [worlds.fetched(minutes)], None)
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, minutes.height)
    emptied = worlds.validated(minutes.clear(), grid)
    writers.write_validated(database, emptied)
    assert worlds.counts(database)["intraday_prices"] == 0
    assert worlds.counts(database)["validated_prices"] == daily.height


def test_hours_and_days_of_intraday_bars(database: Database) -> None:
    """Open is the first bar's, close the last's, of each clock hour and of each session."""
    bars = worlds.intraday_bars([1, 2], DAYS)
    writers.write_validated(database, worlds.validated(bars))
    for view, keys in (
        ("intraday_hourly", ["asset_id", "session", pl.col("ts").dt.truncate("1h")]),
        ("intraday_daily", ["asset_id", "session"]),
    ):
        expected = (
            bars.sort("asset_id", "ts")
            .group_by(keys, maintain_order=True)
            .agg(
                pl.col("open").first(),
                pl.col("high").max(),
                pl.col("low").min(),
                pl.col("close").last(),
                pl.col("volume").sum(),
                pl.len().cast(pl.Int64).alias("bars"),
            )
        )
        with database.connect() as connection:
            found = connection.execute(
                "select open::float8, high::float8, low::float8, close::float8, "
                f"volume::float8, bars from stocks.{view} order by asset_id, ts"
            ).fetchall()
        assert found == expected.select("open", "high", "low", "close", "volume", "bars").rows()


def test_a_session_across_midnight_is_one_day(database: Database) -> None:
    """Days go by session, not by the date in UTC."""
    bars = worlds.intraday_bars([1], DAYS[:1], opens="22:30", bars=12)
    assert bars["ts"].dt.date().n_unique() == 2
    writers.write_validated(database, worlds.validated(bars))
    with database.connect() as connection:
        rows = connection.execute("select session, bars from stocks.intraday_daily").fetchall()
    assert rows == [(DAYS[0], 12)]


def test_the_adjusted_views_have_every_interval(database: Database) -> None:
    """A split divides the minutes before it as it divides the days."""
    asset = assets.register(database, [assets.NewAsset("A", "stock", "XNYS")])["A"]
    bars = worlds.intraday_bars([asset], DAYS)
    writers.write_validated(database, worlds.validated(bars))
    empty = bars.clear()
    split = worlds.splits_of([(asset, DAYS[1], 2.0)])
    writers.write_fetch(database, [worlds.fetched(empty, splits=split)], None)
    with database.connect() as connection:
        rows = connection.execute(
            "select s.close / p.close from stocks.prices_split_adjusted s "
            "join stocks.prices p using (asset_id, interval, ts) where s.interval = '15m' "
            "group by 1, s.session order by s.session"
        ).fetchall()
    assert [float(row[0]) for row in rows] == [0.5, 1, 1]


def test_the_migration_moves_what_there_is(empty_database_url: str) -> None:
    """Bars of a database from before are all there after, each in its table."""
    files = sorted(module.SQL_FOLDER.glob("*.sql"))
    with psycopg.connect(empty_database_url) as connection:
        for path in files[: [path.stem for path in files].index("0003_intraday")]:
            connection.execute(path.read_bytes())
        connection.execute("create table stocks.alembic_version (version_num varchar(32))")
        connection.execute("insert into stocks.alembic_version values ('0002')")
        connection.execute(
            "insert into stocks.raw_quotes (asset_id, interval, source, ts, session, close, "
            "basis, fetched_at) select 1, i, 'yahoo', '2024-01-02 14:30Z', '2024-01-02', 5, "
            "'as_traded', now() from unnest(array['1d', '1m', '1h']) as i"
        )
        connection.execute(
            "insert into stocks.validated_prices (asset_id, interval, ts, session, open, high, "
            "low, close, source) select 1, i, '2024-01-02 14:30Z', '2024-01-02', 5, 5, 5, 5, "
            "'yahoo' from unnest(array['1d', '1m', '1h']) as i"
        )
    migrate(empty_database_url)
    with Database(empty_database_url) as database:
        assert worlds.counts(database) == {
            "raw_quotes": 1,
            "raw_intraday": 2,
            "validated_prices": 1,
            "intraday_prices": 2,
        }
        hour = readers.prices(database, [1], interval=Interval.HOUR)
        assert hour["ts"].to_list() == [datetime(2024, 1, 2, 14, 30, tzinfo=UTC)]
        assert hour["session"].to_list() == [date(2024, 1, 2)]


def test_minutes_of_live_quotes_outlive_an_empty_answer(database: Database) -> None:
    """Judging a session of which no vendor has minutes keeps what quotes told; bars replace it."""
    (asset,) = assets.register(database, [assets.NewAsset("AAA", "stock", "XNYS")]).values()
    at = datetime(2024, 1, 2, 15, 0, 30, tzinfo=UTC)
    told = dict.fromkeys(QUOTED) | {
        "asset_id": asset, "source": "yahoo", "quoted_at": at, "session": at.date(),
        "price": 10.0, "fetched_at": at,
    }  # fmt: skip
    judged = pl.DataFrame([told], schema=QUOTED).with_columns(
        pl.lit([], pl.List(pl.String())).alias("reasons")
    )
    quotes.store(database, worlds.call(), judged, pl.DataFrame(schema=QUARANTINE), at)
    cell = CellGrid.rectangle([asset], DAYS, Interval.MINUTE)
    bars = worlds.intraday_bars([asset], DAYS[:1]).with_columns(pl.lit("1m").alias("interval"))
    writers.write_validated(database, worlds.validated(bars.clear(), cell))
    found = readers.prices(database, [asset], interval=Interval.MINUTE)
    assert found["close"].to_list() == [10]
    writers.write_validated(database, worlds.validated(bars, cell))
    found = readers.prices(database, [asset], interval=Interval.MINUTE)
    assert found["ts"].to_list() == bars.sort("ts")["ts"].to_list()
    writers.write_validated(database, worlds.validated(bars.clear(), cell))
    assert readers.prices(database, [asset], interval=Interval.MINUTE).is_empty()
