"""Storage, measured against bare COPY of the same rows in the same run.

Run: ``python -m stock_platform_tests.benchmarks.storage [--assets N] [--years N] [--json FILE]``.
Without ``--url`` it starts an embedded server of its own and deletes it afterwards; where
STOCK_PLATFORM_TEST_TIMESCALE_URL is set, all is measured there too, and again with every chunk
compressed. Absolute figures swing with the machine, and with what else it does: compare ratios.
Bare COPY fills an empty plain table of raw_quotes' definition, its primary key included, from CSV
that is made beforehand; it takes turns with what is compared with it, round by round, and the
median of the rounds counts. What is wanted in seconds is meant for a machine where bare COPY has
500,000 rows a second: how far this one is from it, measured just before, is taken off. What was
missed is listed at the end. Figures go to
build/bench/storage.json as well.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import psycopg
from psycopg import sql

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.validation import Level
from stock_platform.pipeline.store import Store
from stock_platform.pipeline.validating import validate_cells
from stock_platform.storage import assets, ledger, readers, writers
from stock_platform.storage.connection import Database, with_database
from stock_platform.storage.embedded import ensure_server, remove_server
from stock_platform.storage.migrate import migrate
from stock_platform_tests.storage import worlds

ROWS_PER_COMMIT = 100_000
MARKET = 6_000
TEN_YEARS = 2_520
TEN = (date(2014, 1, 2), date(2024, 1, 10))
ROUNDS = 5
NOMINAL = 500_000
"""Rows a second of bare COPY on the machine that what is wanted in seconds is meant for."""
WRITERS = 4
DEFAULT_JSON = Path("build/bench/storage.json")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@dataclass
class Figures:
    """What was measured, printed as it comes."""

    server: str
    rows: list[dict[str, object]] = field(default_factory=list)
    copy_rate: float = 0.0
    missed: list[str] = field(default_factory=list)
    pace: float = 1.0

    def take_pace(self, db: Database) -> None:
        """See how much of the speed that was wanted the machine has just now: by bare COPY."""
        bars = worlds.raw_bars(list(range(1, 101)), worlds.weekdays(date(2022, 1, 3), 500))
        rate = bars.height / statistics.median(bare_copy(db, bars) for _ in range(3))
        self.pace = min(1.0, rate / NOMINAL)
        say(f"{'bare COPY now':44} {bars.height:>11,} {'':13} {rate:>14,.0f}/s")

    def want(self, name: str, value: float, limit: float, *, least: bool, unit: str = "") -> None:
        """Compare with what was wanted: at least, or at most."""
        good = value >= limit if least else value <= limit
        sign = ">=" if least else "<="
        words = f"{self.server}: {name}: {value:,.2f}{unit}, wanted {sign} {limit:,g}{unit}"
        say(f"{'':4}{'reached' if good else 'MISSED'}: {words}")
        if not good:
            self.missed.append(words)

    def add(
        self, name: str, rows: int, seconds: float, note: str = "", ratio: float | None = None
    ) -> None:
        """One figure: rows (or cells) handled in so many seconds."""
        rate = rows / seconds
        if ratio is None:
            ratio = rate / self.copy_rate if self.copy_rate else None
        self.rows.append(
            {
                "server": self.server,
                "name": name,
                "rows": rows,
                "seconds": seconds,
                "rate": rate,
                "of_copy": ratio,
            }
        )
        shown = f"{ratio:8.2f}" if ratio else " " * 8
        say(f"{name:44} {rows:>11,} {seconds * 1000:>10.1f} ms {rate:>14,.0f}/s {shown}  {note}")


def timed(work: Callable[[], object], repeat: int = 1) -> float:
    """The shortest of some runs, in seconds."""
    best = float("inf")
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def chunks(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The frame in parts of one commit."""
    yield from frame.iter_slices(ROWS_PER_COMMIT)


def bare_copy(db: Database, bars: pl.DataFrame) -> float:
    """Seconds that COPY alone needs for the rows, a transaction a part."""
    texts = [part.write_csv(include_header=False).encode() for part in chunks(bars)]
    columns = sql.SQL(", ").join(map(sql.Identifier, bars.columns))
    with db.connect() as connection:
        connection.execute("create table bare (like stocks.raw_quotes including all)")

    def load() -> None:
        for text in texts:
            with (
                db.connect() as connection,
                connection.cursor() as cursor,
                cursor.copy(sql.SQL("copy bare ({}) from stdin (format csv)").format(columns)) as c,
            ):
                c.write(text)

    seconds = timed(load)
    with db.connect() as connection:
        connection.execute("drop table bare")
    return seconds


def write_all(db: Database, bars: pl.DataFrame) -> None:
    """Fetches that bring all rows, a transaction a part."""
    for part in chunks(bars):
        writers.write_fetch(db, [worlds.fetched(part)], None)


def validate_all(db: Database, bars: pl.DataFrame) -> None:
    """Validations that accept all rows, a transaction a part."""
    for part in chunks(bars):
        writers.write_validated(db, worlds.validated(part))


def loads(db: Database, figures: Figures, ids: list[int], days: list[date]) -> None:
    """The write path, from an empty table on."""
    bars = worlds.raw_bars(ids, days)
    shares = [bars.filter(pl.col("asset_id") % ROUNDS == n) for n in range(ROUNDS)]
    copied, fresh = [], []
    for share in shares:
        before = bare_copy(db, share)
        fresh.append(timed(partial(write_all, db, share)))
        copied.append((before + bare_copy(db, share)) / 2)
    again = [timed(partial(write_all, db, share)) for share in shares]
    figures.copy_rate = bars.height / sum(copied)
    figures.add("bare COPY", bars.height, sum(copied))
    share_of = statistics.median(c / f for c, f in zip(copied, fresh, strict=True))
    figures.add("fresh load with coverage", bars.height, sum(fresh), ratio=share_of)
    figures.want("fresh load of COPY", share_of, 0.6, least=True)
    share_of = statistics.median(c / f for c, f in zip(copied, again, strict=True))
    figures.add("identical re-load", bars.height, sum(again), ratio=share_of)
    figures.want("identical re-load of COPY", share_of, 1.0, least=True)
    some = bars.with_columns(
        pl.when(pl.int_range(pl.len()) % 100 == 0)
        .then(pl.col("close") + 0.01)
        .otherwise("close")
        .alias("close")
    )
    figures.add("re-load with 1 % changed", bars.height, timed(lambda: write_all(db, some)))
    figures.add("validated, weeks and months", bars.height, timed(lambda: validate_all(db, some)))
    figures.add("validated, identical", bars.height, timed(lambda: validate_all(db, some)))
    with db.connect() as connection:
        connection.execute("analyze")
    concurrent(db, figures, bars)
    one = bars.filter(pl.col("asset_id") == ids[0]).with_columns(pl.lit("other").alias("source"))
    batch = worlds.fetched(one)
    seconds = timed(lambda: writers.write_fetch(db, [batch], None))
    figures.add("one ticker's years, new source", one.height, seconds)
    seconds = timed(lambda: writers.write_fetch(db, [batch], None), 3)
    figures.add("one ticker's years, again", one.height, seconds)


def one_day(db: Database, figures: Figures, ids: list[int], day: date) -> None:
    """A column answer: the whole market on one session."""
    bars = worlds.raw_bars(ids, [day], source="polygon")
    batch = worlds.fetched(bars)
    judged = worlds.validated(bars)
    for label in ("one day of the market, new", "one day of the market, again"):
        seconds = timed(lambda: writers.write_fetch(db, [batch], None))
        figures.add(label, bars.height, seconds)
        seconds = timed(lambda: writers.write_validated(db, judged))
        figures.add(f"{label}, validated", bars.height, seconds)


def concurrent(db: Database, figures: Figures, bars: pl.DataFrame) -> None:
    """Writers of four sources' answers at once, of shares of the assets and of the same."""
    mine = [bars.filter(pl.col("asset_id") % WRITERS == n) for n in range(WRITERS)]
    mine = [part.with_columns(pl.lit("polygon").alias("source")) for part in mine]
    same = [mine[0].with_columns(pl.lit("tiingo").alias("source"))] * WRITERS

    def together(shares: list[pl.DataFrame]) -> None:
        threads = [threading.Thread(target=write_all, args=(db, share)) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    rows = sum(part.height for part in mine)
    figures.add("four writers, each its assets", rows, timed(lambda: together(mine)))
    rows = sum(part.height for part in same)
    figures.add("four writers of the same cells", rows, timed(lambda: together(same)))


def end_to_end(db: Database, figures: Figures, cells: int, level: Level, first: int) -> float:
    """Raw, validation, validated, weeks and months, coverage; peak memory of the process in MB."""
    done = subprocess.run(
        [sys.executable, "-m", "stock_platform_tests.benchmarks._end_to_end", db.url,
         str(cells), str(first), str(level)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    told = json.loads(done.stdout)
    note = f"peak memory {told['peak_mb']:,.0f} MB"
    name = f"end to end, {level}"
    figures.add(name, told["rows"], told["seconds"], note, told["of_copy"])
    figures.want(f"{name}, of COPY", told["of_copy"], 0.2, least=True)
    figures.want(f"{name}, memory of {told['rows']:,} cells", told["peak_mb"], 1_000, least=False,
                 unit=" MB")  # fmt: skip
    return float(told["peak_mb"])


def sizes(db: Database, figures: Figures) -> dict[str, int]:
    """Bytes of a row with its indexes; bytes of each table."""
    total: dict[str, int] = {}
    for table in ("raw_quotes", "validated_prices"):
        with db.connect() as connection:
            hyper = connection.execute(
                "select to_regproc('hypertable_size') is not null"
            ).fetchone()
            size = "hypertable_size" if hyper and hyper[0] else "pg_total_relation_size"
            found = connection.execute(
                f"select {size}('stocks.{table}'), count(*) from stocks.{table}".encode()
            ).fetchone()
        assert found is not None
        each = found[0] / found[1]
        total[table] = int(found[0])
        figures.rows.append(
            {"server": figures.server, "name": f"bytes a row, {table}", "bytes": each}
        )
        say(f"{f'bytes a row, {table}':44} {found[1]:>11,} {each:>10.1f} bytes")
    return total


def reads(db: Database, figures: Figures, ids: list[int]) -> None:
    """The read path, through the store."""
    figures.take_pace(db)
    names = assets.by_id(db, ids)["ticker"].to_list()
    store = Store(db)
    copied = timed(lambda: copy_out(db, ids), 2)
    many = store.prices(names)
    figures.add("bare COPY out, csv, not parsed", many.height, copied)
    seconds = timed(lambda: store.prices(names), 5)
    figures.add("read all tickers", many.height, seconds)
    rate = many.height / seconds / figures.pace
    figures.want("rows a second to polars, at that pace", rate, 1e6, least=True)
    del many
    streamed = sum(part.height for part in store.stream(names))
    seconds = timed(lambda: [part.height for part in store.stream(names)], 2)
    figures.add("read all tickers, streamed", streamed, seconds)
    figures.add("read all tickers, wide", streamed, timed(lambda: store.wide(names), 2))
    one = store.prices(names[0])
    seconds = timed(lambda: store.prices(names[0]), 15)
    figures.add("read one ticker", one.height, seconds)
    took = seconds * 1e3 * figures.pace
    figures.want("ten years of a ticker, at that pace", took, 15, least=False, unit=" ms")
    latest(db, figures)


def latest(db: Database, figures: Figures) -> None:
    """The last close of every ticker."""
    store = Store(db)
    last = store.latest()
    seconds = timed(store.latest, 7)
    figures.add("latest close of the market", last.height, seconds)
    took = seconds * figures.pace
    name = f"latest close of {last.height:,}, at that pace"
    figures.want(name, took, 0.15, least=False, unit=" s")


def copy_out(db: Database, ids: list[int]) -> None:
    """The rows as COPY gives them, thrown away."""
    with db.connect() as connection, connection.cursor() as cursor:
        statement = sql.SQL(
            "copy (select * from stocks.validated_prices where interval = '1d' "
            "and asset_id = any({})) to stdout (format csv)"
        ).format(sql.Literal(ids))
        with cursor.copy(statement) as copy:
            for _ in copy:
                pass


def whole_ledger(db: Database, figures: Figures) -> None:
    """Fifteen million cells: marks, missing cells, states."""
    days = worlds.weekdays(date(2016, 1, 4), TEN_YEARS)
    with db.connect() as connection:
        connection.execute("truncate stocks.coverage_bits")
    grid = CellGrid.rectangle(range(1, MARKET + 1), days)

    def fill() -> None:
        for part in grid.row_chunks(1_000_000):
            with db.connect() as connection:
                ledger.mark(connection, worlds.marks_of(part.to_frame()))

    figures.add("ledger: mark cells", len(grid), timed(fill))
    later = worlds.NOW
    odd = grid.with_mask(np.arange(grid.mask.size).reshape(grid.mask.shape) % 97 == 0)
    with db.connect() as connection:
        connection.execute("analyze stocks.coverage_bits")
        size = connection.execute(
            "select pg_total_relation_size('stocks.coverage_bits') / 1e6"
        ).fetchone()
    assert size is not None
    note = f"{size[0]:.0f} MB in the table"
    figures.take_pace(db)
    times = [timed(lambda: ledger.missing(db, grid, later)) for _ in range(ROUNDS)]
    seconds = statistics.median(times)
    figures.add("ledger: missing cells", len(grid), seconds, note)
    took = seconds * figures.pace
    name = "missing of 15 million cells, at that pace"
    figures.want(name, took, 0.5, least=False, unit=" s")
    figures.add("ledger: states", len(grid), timed(lambda: ledger.states(db, grid), 3))
    row = CellGrid.rectangle([17], days)
    figures.add(
        "ledger: missing, one ticker", len(row), timed(lambda: ledger.missing(db, row, later), 5)
    )
    shard = CellGrid.rectangle(range(32, MARKET + 1, 32), days)
    seconds = timed(lambda: ledger.missing(db, shard, later), 3)
    figures.add("ledger: missing, one shard", len(shard), seconds)
    column = CellGrid.rectangle(range(1, MARKET + 1), days[-1:])
    seconds = timed(lambda: ledger.missing(db, column, later), 3)
    figures.add("ledger: missing, one session", len(column), seconds)
    with db.connect() as connection:
        marks = worlds.marks_of(odd.trimmed().to_frame().head(100_000))
        figures.add(
            "ledger: mark again", marks.height, timed(lambda: ledger.mark(connection, marks))
        )


@contextmanager
def database(url: str | None) -> Iterator[Database]:
    """A fresh, migrated database, dropped at the end."""
    home = Path(tempfile.mkdtemp(prefix="stock_platform_bench_"))
    try:
        server = url or ensure_server(home).url
        name = f"stock_platform_bench_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        try:
            migrate(with_database(server, name))
            with Database(with_database(server, name), "stock_platform_bench") as db:
                yield db
        finally:
            with psycopg.connect(server, autocommit=True) as admin:
                admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    finally:
        if url is None:
            remove_server(home)
        shutil.rmtree(home, ignore_errors=True)


def compress(db: Database) -> bool:
    """Compress every chunk there is; False where nothing can be."""
    with db.connect() as connection:
        there = connection.execute(
            "select to_regclass('timescaledb_information.hypertables') is not null"
        ).fetchone()
        if not there or not there[0]:
            return False
        able = connection.execute(
            "select format('%I.%I', hypertable_schema, hypertable_name) "
            "from timescaledb_information.hypertables "
            "where compression_enabled and hypertable_schema = 'stocks'"
        ).fetchall()
        for (table,) in able:
            connection.execute(
                "select compress_chunk(c, true) from show_chunks(%s::regclass) c", [table]
            )
    return bool(able)


def refetch(db: Database, figures: Figures, ids: list[int]) -> None:
    """An identical answer of 48,000 compressed rows, and what it does to the tables' sizes."""
    days = get_calendar("XNYS").sessions(*TEN).astype(object).tolist()
    bars = worlds.raw_bars(ids, days).head(48_000)
    before = sizes(db, figures)
    seconds = timed(lambda: write_all(db, bars))
    figures.add("identical re-fetch of compressed rows", bars.height, seconds)
    clock, grid = FixedClock(worlds.NOW), CellGrid.from_frame(bars)

    def judge() -> None:
        for verdict in validate_cells(db, grid, clock, {}, Level.STANDARD):
            writers.write_validated(db, verdict)

    figures.add("and judging them again", bars.height, timed(judge))
    for table, size in sizes(db, figures).items():
        figures.want(f"growth of {table}", size - before[table], 0, least=False, unit=" bytes")


def measure(url: str | None, server: str, chosen: argparse.Namespace) -> Figures:
    """All figures of one server."""
    figures = Figures(server)
    say(f"{server:44} {'rows':>11} {'time':>13} {'rate':>16} {'of COPY':>8}")
    with database(url) as db:
        new = [assets.NewAsset(f"T{i}", "stock", "XNYS") for i in range(MARKET)]
        figures.add("register the market", MARKET, timed(lambda: assets.register(db, new)))
        ids = list(range(1, chosen.assets + 1))
        days = worlds.weekdays(date(2022, 1, 3), 252 * chosen.years)
        loads(db, figures, ids, days)
        next_day = worlds.weekdays(date(2022, 1, 3), 252 * chosen.years + 1)[-1]
        one_day(db, figures, list(range(1, MARKET + 1)), next_day)
        figures.take_pace(db)
        latest(db, figures)
        whole_ledger(db, figures)
    with database(url) as db:
        assets.register(db, new)
        peak = end_to_end(db, figures, chosen.cells, Level.STANDARD, 1)
        end_to_end(db, figures, max(chosen.cells // 5, 100_000), Level.STRICT, MARKET // 2)
        with db.connect() as connection:
            connection.commit()
            connection.autocommit = True
            connection.execute("vacuum analyze")
            connection.autocommit = False
        sizes(db, figures)
        long = list(range(1, 1 + min(500, chosen.cells // TEN_YEARS)))
        reads(db, figures, long)
        if compress(db):
            compressed(db, figures, long)
        seconds = timed(lambda: readers.content_hash(db))
        figures.add("content hash", chosen.cells * 12 // 5, seconds)
    figures.rows.append({"server": server, "name": "peak memory end to end", "mb": peak})
    return figures


def compressed(db: Database, figures: Figures, ids: list[int]) -> None:
    """Ten years of each ticker, all compressed: size, reads, and the same again."""
    server, figures.server = figures.server, f"{figures.server}, compressed"
    say(figures.server)
    for table, size in sizes(db, figures).items():
        with db.connect() as connection:
            count = connection.execute(f"select count(*) from stocks.{table}".encode())
            rows = int((count.fetchone() or (1,))[0])
        figures.want(f"bytes a row of {table}", size / rows, 45, least=False)
    reads(db, figures, ids)
    refetch(db, figures, ids[:40])
    days = worlds.weekdays(date(2022, 1, 3), 504)
    more = worlds.raw_bars(list(range(MARKET - 200, MARKET)), days)
    figures.add("fresh load beside it", more.height, timed(lambda: write_all(db, more)))
    figures.server = server


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; write them as JSON too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a server on which databases may be created")
    parser.add_argument("--assets", type=int, default=500, help="tickers of the loads")
    parser.add_argument("--years", type=int, default=2, help="years of 252 sessions")
    parser.add_argument("--cells", type=int, default=1_500_000, help="cells end to end")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="file for the figures")
    chosen = parser.parse_args(arguments)
    measured = [measure(chosen.url, "PostgreSQL", chosen)]
    timescale = os.environ.get("STOCK_PLATFORM_TEST_TIMESCALE_URL")
    if timescale and not chosen.url:
        measured.append(measure(timescale, "TimescaleDB", chosen))
    rows = [row for figures in measured for row in figures.rows]
    missed = [words for figures in measured for words in figures.missed]
    say(f"missed: {len(missed)}")
    for words in missed:
        say(f"  {words}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"peak memory of this process {peak:,.0f} MB")
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(
        json.dumps({"figures": rows, "missed": missed, "peak_mb": peak}, indent=1)
    )
    say(f"figures in {chosen.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
