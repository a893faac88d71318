"""A database that begins on TimescaleDB: partitions, compression, aggregates, retention."""

from __future__ import annotations

import time
from datetime import date, timedelta

import polars as pl
import pytest

from stock_platform.storage import readers, timescale, writers
from stock_platform.storage.connection import Database
from stock_platform.storage.timescale import TimescaleOptions
from stock_platform_tests.storage import worlds

pytestmark = pytest.mark.timescale
DECADE = worlds.weekdays(date(2014, 1, 2), 2_520)


def sizes(database: Database) -> dict[str, int]:
    return {t.name: t.bytes for t in timescale.timescale_status(database.url).tables}


def store(database: Database, bars: pl.DataFrame) -> None:
    writers.write_fetch(database, [worlds.fetched(bars)], None)
    writers.write_validated(database, worlds.validated(bars))


def test_migrating_is_all_it_takes(hyper: Database) -> None:
    """Hypertables, compression policies and aggregates are there; bars are kept for ever."""
    found = timescale.timescale_status(hyper.url)
    assert found.extension.full
    assert {t.name: (t.hypertable, t.compress_after, t.retention) for t in found.tables} == {
        "raw_quotes": (True, "45 days", None),
        "raw_intraday": (True, "14 days", None),
        "validated_prices": (True, "45 days", None),
        "intraday_prices": (True, "14 days", None),
    }
    assert len(found.aggregates) == 2


def test_chunks_are_years_and_weeks(hyper: Database) -> None:
    """Daily bars of ten years lie in eleven chunks at most, two weeks of minutes in three."""
    store(hyper, worlds.raw_bars([1], DECADE))
    store(hyper, worlds.intraday_bars([1], worlds.weekdays(date(2024, 1, 1), 10)))
    chunks = {t.name: t.chunks for t in timescale.timescale_status(hyper.url).tables}
    assert 10 <= chunks["raw_quotes"] == chunks["validated_prices"] <= 11
    assert 2 <= chunks["raw_intraday"] == chunks["intraday_prices"] <= 3


def test_compressed_history(hyper: Database) -> None:
    """At most 45 bytes a row; the same again changes no byte; corrections decompress theirs."""
    bars = worlds.raw_bars(list(range(1, 101)), DECADE)
    store(hyper, bars)
    for _ in range(20):  # the server's own policy may be at some chunks, which are left to it
        timescale.set_up(hyper.url)
        state = {t.name: t for t in timescale.timescale_status(hyper.url).tables}
        if all(t.compressed == t.chunks for t in state.values()):
            break
        time.sleep(0.5)
    for name in ("raw_quotes", "validated_prices"):
        assert state[name].compressed == state[name].chunks
        assert state[name].bytes / bars.height <= 45
    before, content = sizes(hyper), readers.content_hash(hyper)

    again = bars.filter(pl.col("asset_id") <= 19)
    assert again.height > 47_000
    report = writers.write_fetch(hyper, [worlds.fetched(again)], None)
    assert (report.inserted, report.updated, report.unchanged) == (0, 0, again.height)
    report = writers.write_validated(hyper, worlds.validated(again))
    assert (report.inserted, report.updated, report.unchanged) == (0, 0, again.height)
    assert sizes(hyper) == before
    assert readers.content_hash(hyper) == content

    one = bars.filter((pl.col("asset_id") == 3) & (pl.col("session") == DECADE[1_000]))
    changed = one.with_columns(pl.col("close") + 1)
    store(hyper, changed)
    stored = readers.prices(hyper, [3], DECADE[1_000], DECADE[1_000])
    assert stored["close"].to_list() == changed["close"].to_list()
    after = sizes(hyper)
    assert all(after[name] - before[name] < 250_000 for name in after)  # one asset's year
    store(hyper, one)
    assert readers.content_hash(hyper) == content


def test_a_correction_of_much_history(hyper: Database) -> None:
    """More rows than TimescaleDB lets one transaction decompress by default are corrected."""
    bars = worlds.raw_bars(list(range(1, 44)), DECADE)
    store(hyper, bars)
    timescale.set_up(hyper.url)
    changed = bars.with_columns(pl.col("close") + pl.lit(0.01))
    report = writers.write_fetch(hyper, [worlds.fetched(changed)], None)
    assert (report.updated, report.unchanged) == (bars.height, 0)
    assert bars.height > 100_000
    grid = worlds.validated(bars).grid
    raw = readers.raw(hyper, grid)
    assert raw["close"].to_list() == changed.sort("asset_id", "ts")["close"].round(8).to_list()


def test_new_and_gone_rows_of_compressed_chunks(hyper: Database) -> None:
    """Gaps of the past are filled, and prices that are no longer accepted go."""
    bars = worlds.raw_bars([1, 2, 3], DECADE)
    gap = (pl.col("asset_id") == 2) & (pl.col("session").dt.year() == 2016)
    store(hyper, bars.filter(~gap))
    timescale.set_up(hyper.url)
    report = writers.write_fetch(hyper, [worlds.fetched(bars)], None)
    assert report.inserted == bars.filter(gap).height
    grid = worlds.validated(bars).grid
    kept = bars.filter(pl.col("asset_id") != 3)
    writers.write_validated(hyper, worlds.validated(kept, grid))
    assert readers.prices(hyper, [1, 2, 3]).height == kept.height
    timescale.set_up(hyper.url)
    assert readers.prices(hyper, [1, 2, 3]).height == kept.height


def test_aggregates_are_what_plain_views_are(hyper: Database, database: Database) -> None:
    """Live, refreshed, and after a late correction: as on plain PostgreSQL."""
    bars = pl.concat(
        [
            worlds.intraday_bars([1, 2], worlds.weekdays(date(2024, 1, 2), 8)),
            worlds.intraday_bars([3], worlds.weekdays(date(2024, 1, 2), 3), opens="22:10"),
        ]
    )
    for world in (hyper, database):
        store(world, bars)
    plain_views = views(database)
    assert views(hyper) == plain_views
    timescale.set_up(hyper.url)
    assert views(hyper) == plain_views
    late = bars.filter(pl.col("session") == date(2024, 1, 3)).with_columns(
        pl.col("close") + 0.01, pl.col("high") + 0.01
    )
    for world in (hyper, database):
        store(world, late)
    timescale.set_up(hyper.url)
    assert views(hyper) == views(database) != plain_views


def views(database: Database) -> list[object]:
    with database.connect() as connection:
        return [
            connection.execute(
                f"select * from stocks.{view} order by asset_id, interval, ts"
            ).fetchall()
            for view in ("intraday_hourly", "intraday_daily")
        ]


def test_retention_keeps_the_hours(hyper: Database) -> None:
    """Dropped minutes leave the hours and days that were made of them."""
    today = date.today()  # noqa: DTZ011 - the server's own clock decides
    days = [today - timedelta(days=n) for n in (60, 59, 3, 2)]
    store(hyper, worlds.intraday_bars([1], sorted(days)))
    timescale.set_up(hyper.url)
    before = views(hyper)
    options = TimescaleOptions(retention_days={"raw_intraday": 30, "intraday_prices": 30})
    timescale.set_up(hyper.url, options)
    state = {t.name: t.retention for t in timescale.timescale_status(hyper.url).tables}
    assert state["raw_intraday"] == state["intraday_prices"] == "30 days"
    assert state["raw_quotes"] is None
    with hyper.connect() as connection:
        jobs = connection.execute(
            "select job_id from timescaledb_information.jobs where config ? 'drop_after'"
        ).fetchall()
        for (job,) in jobs:
            connection.execute("call run_job(%s)", [job])
    assert worlds.counts(hyper)["intraday_prices"] == 52
    timescale.set_up(hyper.url, options)
    assert views(hyper) == before
    timescale.set_up(hyper.url)
    assert {t.retention for t in timescale.timescale_status(hyper.url).tables} == {None}
