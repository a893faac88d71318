"""The writing transactions: only changes are written, all of it or nothing."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from stock_platform.domain.batches import FetchBatch, ValidatedBatch, WriteReport
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import DatabaseError
from stock_platform.storage import assets, ledger, readers, writers
from stock_platform.storage.connection import Database
from stock_platform_tests.storage import worlds

DAYS = worlds.weekdays(date(2024, 1, 2), 30)


@pytest.fixture
def ids(database: Database) -> list[int]:
    known = assets.register(database, [assets.NewAsset(f"T{i}", "stock", "XNYS") for i in range(6)])
    return sorted(known.values())


def physical(db: Database, table: str) -> list[tuple[object, ...]]:
    """Where the rows lie and which transaction wrote them: equal only if nothing was written."""
    with db.connect() as connection:
        return connection.execute(
            f"select ctid::text, xmin::text, t::text from stocks.{table} t order by 1"
        ).fetchall()


TABLES = (
    "raw_quotes", "splits", "dividends", "coverage_bits", "quarantine", "validated_prices",
    "weekly_prices", "monthly_prices", "indicators",
)  # fmt: skip


def test_writing_again_changes_nothing(database: Database, ids: list[int]) -> None:
    """An identical batch leaves every row in place, not only its values; the call is recorded."""
    bars = worlds.raw_bars(ids, DAYS).with_columns(pl.col("close") * 1.0 / 3.0)  # endless digits
    batch = worlds.fetched(
        bars,
        splits=worlds.splits_of([(ids[0], DAYS[5], 3.0)]),
        dividends=worlds.dividends_of([(ids[1], DAYS[5], 0.1 / 3)]),
        rejected=worlds.aside_of(bars.head(2), "unreadable"),
    )
    judged = worlds.validated(bars, quarantined=worlds.aside_of(bars.tail(1)))
    indicators = bars.select("asset_id", "session").with_columns(
        pl.lit(0.1).alias(name) for name in writers.INDICATORS.compared
    )
    first = writers.write_fetch(database, [batch], "run")
    writers.write_validated(database, judged)
    writers.write_indicators(database, judged.grid, indicators)
    assert (first.inserted, first.marks, first.quarantined) == (180, 180, 2)
    before = {table: physical(database, table) for table in TABLES}
    digest = readers.content_hash(database)

    later = batch.bars.with_columns(pl.col("fetched_at") + timedelta(hours=1))
    again = writers.write_fetch(database, [replace(batch, bars=later)], "run 2")
    assert again == WriteReport(unchanged=180)
    assert writers.write_validated(database, judged) == WriteReport(unchanged=180)
    assert writers.write_indicators(database, judged.grid, indicators) == 0
    assert writers.recompute_periods(database, judged.grid, "weekly") == 0
    assert {table: physical(database, table) for table in TABLES} == before
    assert readers.content_hash(database) == digest
    assert readers.fetch_log(database)["run_id"].to_list() == ["run 2", "run"]


def test_only_what_differs_is_written(database: Database, ids: list[int]) -> None:
    """A changed value updates its row alone, with the new call's stamp; new rows come in."""
    bars = worlds.raw_bars(ids, DAYS[:-1])
    writers.write_fetch(database, [worlds.fetched(bars)], None)
    touched = (pl.col("asset_id") == ids[0]) & (pl.col("session") == DAYS[3])
    stamp = worlds.NOW + timedelta(hours=1)
    changed = worlds.raw_bars(ids, DAYS, fetched_at=stamp).filter(pl.col("session") == DAYS[-1])
    changed = pl.concat(
        [
            bars.with_columns(
                pl.when(touched).then(pl.lit(7.5)).otherwise("close").alias("close"),
                pl.lit(stamp).cast(bars.schema["fetched_at"]).alias("fetched_at"),
            ),
            changed,
        ]
    )
    report = writers.write_fetch(database, [worlds.fetched(changed)], None)
    assert (report.inserted, report.updated, report.unchanged) == (6, 1, 173)
    stored = readers.raw(database, CellGrid.rectangle(ids, DAYS))
    assert stored.filter(touched)["close"].item() == 7.5
    assert stored.filter(pl.col("fetched_at") == stamp).height == 7
    assert stored.filter(pl.col("fetch_id") == 2).height == 7


def test_sources_stand_side_by_side(database: Database, ids: list[int]) -> None:
    """One transaction takes batches of several sources and stamps each with its call."""
    batches = [
        worlds.fetched(worlds.raw_bars(ids, DAYS, source=source, seed=seed))
        for seed, source in enumerate(["yahoo", "polygon"])
    ]
    assert writers.write_fetch(database, batches, "r").inserted == 360
    stored = readers.raw(database, CellGrid.rectangle(ids, DAYS))
    pairs = stored.select("source", "fetch_id").unique().sort("fetch_id").rows()
    assert pairs == [("yahoo", 1), ("polygon", 2)]
    assert readers.fetch_summary(database, run_id="r")["rows"].to_list() == [180, 180]


def test_a_number_that_cannot_be_stored_is_put_aside(database: Database, ids: list[int]) -> None:
    """NaN, infinity and numbers beyond NUMERIC become null; the row as it came is kept."""
    bars = worlds.raw_bars(ids[:1], DAYS[:4])
    bad = bars.with_columns(
        pl.Series("high", [float("nan"), float("inf"), 1e300, 5.0]),
        pl.Series("volume", [1.0, 2.0, 3.0, None], dtype=pl.Float64()),
    )
    report = writers.write_fetch(database, [worlds.fetched(bad)], None)
    assert (report.inserted, report.quarantined) == (4, 3)
    stored = readers.raw(database, CellGrid.rectangle(ids[:1], DAYS[:4]))
    assert stored["high"].to_list() == [None, None, None, 5.0]
    aside = readers.quarantined(database)
    assert aside["reasons"].to_list() == [[writers.UNSTORABLE]] * 3
    assert '"high": "inf"' in "".join(aside["row"].to_list())
    assert writers.write_fetch(database, [worlds.fetched(bad)], None) == WriteReport(unchanged=4)


def test_text_that_postgres_cannot_hold_is_mended(database: Database) -> None:
    """NUL characters and rows that are no JSON reach quarantine and stop nothing."""
    frame = worlds.aside_of(worlds.raw_bars([1, 2, 3], DAYS[:1])).with_columns(
        pl.Series("row", ['{"a": NaN}', "not json \0", '"a\\u0000b"']),
        pl.Series("reasons", [['quo"te\\', ""], [], None], dtype=pl.List(pl.String())),
        pl.lit(None, dtype=pl.Int32()).alias("asset_id"),
        pl.Series("ticker", ["A\0", "", None]),
    )
    batch = FetchBatch(worlds.call(error="bad \0 byte", tile="t\0"), rejected=frame)
    assert writers.write_fetch(database, [batch], None).quarantined == 3
    kept = readers.quarantined(database)
    assert set(kept["row"]) == {'{"a": "NaN"}', '"not json "', '"ab"'}
    assert ['quo"te\\', ""] in kept["reasons"].to_list()


def test_a_split_tears_no_week(database: Database, ids: list[int]) -> None:
    """A split found later rewrites the week and the month it lies in, and no price."""
    one = ids[0]
    bars = worlds.raw_bars([one], DAYS).with_columns(
        *(
            pl.when(pl.col("session") < DAYS[6]).then(100.0).otherwise(25.0).alias(name)
            for name in ("open", "high", "low", "close")
        ),
        pl.lit(10.0).alias("volume"),
    )
    writers.write_fetch(database, [worlds.fetched(bars)], None)
    writers.write_validated(database, worlds.validated(bars))
    torn = readers.weekly(database, [one]).filter(pl.col("first_session") <= DAYS[6])
    assert torn["open"].to_list()[-1] == 100.0
    prices = physical(database, "validated_prices")
    split = FetchBatch(None, splits=worlds.splits_of([(one, DAYS[6], 4.0)]))
    assert writers.write_fetch(database, [split], None).buckets == 2
    assert physical(database, "validated_prices") == prices
    week = readers.weekly(database, [one]).filter(
        (pl.col("first_session") <= DAYS[6]) & (pl.col("last_session") >= DAYS[6])
    )
    assert week.select("open", "high", "low", "close").row(0) == (25.0, 25.0, 25.0, 25.0)
    before = sum(week["first_session"].item() <= d < DAYS[6] for d in DAYS)
    assert week["volume"].item() == before * 40.0 + (week["sessions"].item() - before) * 10.0
    month = readers.monthly(database, [one]).row(0, named=True)
    assert (month["open"], month["close"]) == (25.0, 25.0)
    assert writers.write_fetch(database, [split], None).buckets == 0


def expected_periods(bars: pl.DataFrame, every: str) -> pl.DataFrame:
    """Periods of unsplit bars, the slow and simple way."""
    return (
        bars.sort("asset_id", "session")
        .group_by("asset_id", pl.col("session").dt.truncate(every).alias("period"))
        .agg(
            pl.col("open").first(), pl.col("high").max(), pl.col("low").min(),
            pl.col("close").last(), pl.col("volume").sum(),
            pl.len().cast(pl.Int64).alias("sessions"),
            pl.col("session").min().alias("first_session"),
            pl.col("session").max().alias("last_session"),
        )
        .sort("asset_id", "period")
    )  # fmt: skip


def test_periods_follow_every_change(database: Database, ids: list[int]) -> None:
    """After inserts, changes and removals weeks and months equal a full recomputation."""
    bars = worlds.raw_bars(ids, DAYS)
    for part in (
        bars.filter(pl.col("session") < DAYS[12]),
        bars.filter(pl.col("session") >= DAYS[12]),
    ):
        writers.write_validated(database, worlds.validated(part))
    fewer = bars.filter(~pl.col("session").is_in(DAYS[:4])).with_columns(
        pl.when(pl.col("session") == DAYS[9]).then(pl.lit(999.0)).otherwise("high").alias("high")
    )
    grid = CellGrid.rectangle(ids, DAYS)
    report = writers.write_validated(database, worlds.validated(fewer, grid))
    assert report.updated == 6 + 4 * 6  # changed and removed
    for period, every in (("weekly", "1w"), ("monthly", "1mo")):
        found = readers.periods(database, ids, period).drop("session")
        assert found.equals(expected_periods(fewer, every))
    writers.write_validated(database, worlds.validated(bars.head(0), grid))
    assert readers.weekly(database, ids).is_empty()
    assert readers.monthly(database, ids).is_empty()


def test_validation_replaces_its_cells_only(database: Database, ids: list[int]) -> None:
    """Prices and entries of judged cells go when they are no longer there; others stay."""
    bars = worlds.raw_bars(ids, DAYS[:10])
    everything = ValidatedBatch(
        CellGrid.from_frame(bars), worlds.validated(bars).prices, worlds.aside_of(bars)
    )
    writers.write_validated(database, everything)
    cell = CellGrid.from_pairs([(ids[0], DAYS[0]), (ids[2], DAYS[2])])
    nothing = ValidatedBatch(cell, everything.prices.head(0), everything.quarantined.head(0))
    writers.write_validated(database, nothing)
    left = readers.prices(database, ids).select("asset_id", "session")
    assert left.height == 58
    assert (ids[0], DAYS[0]) not in left.rows()
    assert (ids[2], DAYS[2]) not in left.rows()
    assert readers.quarantined(database).height == 58


def test_a_bar_whose_stamp_moves_is_one_bar(database: Database, ids: list[int]) -> None:
    """Another source may stamp the same session differently: the session keeps one price."""
    bars = worlds.raw_bars(ids[:1], DAYS[:3])
    writers.write_validated(database, worlds.validated(bars))
    moved = bars.with_columns(pl.col("ts") - timedelta(hours=9))
    writers.write_validated(database, worlds.validated(moved))
    assert readers.prices(database, ids)["ts"].to_list() == moved["ts"].to_list()


def test_two_writers_make_the_table_of_one(database: Database, ids: list[int]) -> None:
    """Thirty rounds of two writers of the same cells end as one writer would."""
    bars = worlds.raw_bars(ids, DAYS)
    splits = worlds.splits_of([(i, DAYS[7], 2.0) for i in ids])
    batch = worlds.fetched(bars, splits=splits)
    judged = worlds.validated(bars, quarantined=worlds.aside_of(bars.tail(3)))
    writers.write_fetch(database, [batch], None)
    writers.write_validated(database, judged)
    alone = readers.content_hash(database)
    failures: list[BaseException] = []

    def work(meet: threading.Barrier, *, backwards: bool) -> None:
        parts = [batch, worlds.fetched(bars.reverse(), splits=splits)]
        try:
            meet.wait()
            writers.write_fetch(database, parts[::-1] if backwards else parts, None)
            writers.write_validated(database, judged)
        except BaseException as error:  # noqa: BLE001 - reported by the test's thread
            failures.append(error)

    for _ in range(30):
        with database.connect() as connection:
            connection.execute("truncate " + ", ".join(f"stocks.{t}" for t in TABLES))
        meet = threading.Barrier(2)
        threads = [
            threading.Thread(target=work, args=(meet,), kwargs={"backwards": b})
            for b in (False, True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert readers.content_hash(database) == alone


def test_an_error_leaves_nothing(database: Database, ids: list[int]) -> None:
    """A batch that cannot be written whole is not written at all."""
    bars = worlds.raw_bars(ids, DAYS)
    batch = worlds.fetched(bars, splits=worlds.splits_of([(999_999, DAYS[0], 2.0)]))
    with pytest.raises(Exception, match="999999"):
        writers.write_fetch(database, [batch], None)
    grid = CellGrid.rectangle(ids, DAYS)
    assert readers.raw(database, grid).is_empty()
    assert len(ledger.missing(database, grid, worlds.NOW)) == 180
    assert readers.fetch_log(database).is_empty()


def test_empty_batches_are_welcome(database: Database) -> None:
    """Nothing in, nothing out."""
    assert writers.write_fetch(database, [FetchBatch(None)], None) == WriteReport()
    grid = CellGrid.rectangle([], [])
    empty = worlds.raw_bars([1], DAYS[:1]).head(0)
    assert writers.write_validated(database, worlds.validated(empty, grid)) == WriteReport()
    assert writers.write_indicators(database, grid, empty) == 0


def test_marks_without_a_call(database: Database) -> None:
    """Cells can be settled without a call: nothing goes to the fetch log."""
    cells = pl.DataFrame(
        {"asset_id": [1], "session": [DAYS[0]]}, schema_overrides={"asset_id": pl.Int32()}
    )
    marks = worlds.marks_of(cells, "not_listed", "", "outside the listing")
    assert writers.write_fetch(database, [FetchBatch(None, marks=marks)], None).marks == 1
    assert readers.fetch_log(database).is_empty()


def test_an_unreachable_database_is_one_clear_error() -> None:
    """DatabaseError, before anything else."""
    with (
        Database("postgresql://nobody@127.0.0.1:9/none") as nowhere,
        pytest.raises(DatabaseError, match=r"127\.0\.0\.1:9"),
    ):
        writers.write_fetch(nowhere, [FetchBatch(None)], None)


def test_stamps_survive_the_trip(database: Database, ids: list[int]) -> None:
    """What is read is what was written, to the microsecond and the eighth decimal."""
    bars = worlds.raw_bars(ids, DAYS).with_columns(
        pl.col("fetched_at") + timedelta(microseconds=123_457),
        pl.lit(1.23456789).alias("vwap"),
        pl.lit(12, dtype=pl.Int64()).alias("trades"),
    )
    writers.write_fetch(database, [worlds.fetched(bars)], None)
    stored = readers.raw(database, CellGrid.rectangle(ids, DAYS)).drop("fetch_id")
    assert stored.equals(bars.sort("asset_id", "interval", "source", "ts"))
    assert isinstance(stored["ts"][0], datetime)
