"""Storage, measured against bare COPY of the same rows in the same run.

Run: ``python -m stock_platform_tests.benchmarks.storage [--assets N] [--years N] [--json FILE]``.
Without ``--url`` it starts an embedded server of its own and deletes it afterwards; where
STOCK_PLATFORM_TEST_TIMESCALE_URL is set, all is measured there too, and again with every chunk
compressed. Absolute figures swing with the machine; ratios are what to compare. Bare COPY fills
an empty table of raw_quotes' definition, its primary key included, from CSV that is made
beforehand. Figures go to build/bench/storage.json as well.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
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
from pathlib import Path

import numpy as np
import polars as pl
import psycopg
from psycopg import sql

from stock_platform.domain.cells import CellGrid
from stock_platform.pipeline.store import Store
from stock_platform.storage import assets, ledger, readers, writers
from stock_platform.storage.connection import Database, with_database
from stock_platform.storage.embedded import ensure_server, remove_server
from stock_platform.storage.migrate import migrate
from stock_platform_tests.storage import worlds

ROWS_PER_COMMIT = 100_000
MARKET = 6_000
TEN_YEARS = 2_520
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

    def add(self, name: str, rows: int, seconds: float, note: str = "") -> None:
        """One figure: rows (or cells) handled in so many seconds."""
        rate = rows / seconds
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
    copied = bare_copy(db, bars)
    figures.copy_rate = bars.height / copied
    figures.add("bare COPY", bars.height, copied)
    figures.add("fresh load with coverage", bars.height, timed(lambda: write_all(db, bars)))
    figures.add("identical re-load", bars.height, timed(lambda: write_all(db, bars), 2))
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


def end_to_end(db: Database, figures: Figures, cells: int) -> float:
    """Raw, validation, validated, weeks and months, coverage; peak memory of the process in MB."""
    done = subprocess.run(
        [sys.executable, "-m", "stock_platform_tests.benchmarks._end_to_end", db.url,
         str(cells), str(MARKET // 2)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    told = json.loads(done.stdout)
    note = f"peak memory {told['peak_mb']:,.0f} MB"
    figures.add("end to end", told["rows"], told["seconds"], note)
    return float(told["peak_mb"])


def sizes(db: Database, figures: Figures) -> None:
    """Bytes of a row with its indexes."""
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
        figures.rows.append(
            {"server": figures.server, "name": f"bytes a row, {table}", "bytes": each}
        )
        say(f"{f'bytes a row, {table}':44} {found[1]:>11,} {each:>10.1f} bytes")


def reads(db: Database, figures: Figures, ids: list[int]) -> None:
    """The read path, through the store."""
    names = assets.by_id(db, ids)["ticker"].to_list()
    store = Store(db)
    copied = timed(lambda: copy_out(db, ids), 2)
    many = store.prices(names)
    figures.add("bare COPY out, csv, not parsed", many.height, copied)
    figures.add("read all tickers", many.height, timed(lambda: store.prices(names), 3))
    del many
    streamed = sum(part.height for part in store.stream(names))
    seconds = timed(lambda: [part.height for part in store.stream(names)], 2)
    figures.add("read all tickers, streamed", streamed, seconds)
    figures.add("read all tickers, wide", streamed, timed(lambda: store.wide(names), 2))
    one = store.prices(names[0])
    figures.add("read one ticker", one.height, timed(lambda: store.prices(names[0]), 9))
    last = store.latest()
    figures.add("latest close of the market", last.height, timed(store.latest, 3))


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
    seconds = timed(lambda: ledger.missing(db, grid, later), 3)
    figures.add("ledger: missing cells", len(grid), seconds, note)
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


def measure(url: str | None, server: str, chosen: argparse.Namespace) -> list[dict[str, object]]:
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
        peak = end_to_end(db, figures, chosen.cells)
        with db.connect() as connection:
            connection.commit()
            connection.autocommit = True
            connection.execute("vacuum analyze")
            connection.autocommit = False
        sizes(db, figures)
        ten_years = chosen.cells // TEN_YEARS
        long = list(range(MARKET // 2, MARKET // 2 + min(500, ten_years)))
        reads(db, figures, long)
        if compress(db):
            figures.server = f"{server}, compressed"
            say(figures.server)
            sizes(db, figures)
            reads(db, figures, long)
            bars = worlds.raw_bars(ids, days)
            figures.add("identical re-load", bars.height, timed(lambda: write_all(db, bars)))
            sizes(db, figures)
            figures.server = server
        whole_ledger(db, figures)
        seconds = timed(lambda: readers.content_hash(db))
        figures.add("content hash", 2 * chosen.cells, seconds)
    figures.rows.append({"server": server, "name": "peak memory end to end", "mb": peak})
    return figures.rows


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; write them as JSON too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a server on which databases may be created")
    parser.add_argument("--assets", type=int, default=500, help="tickers of the loads")
    parser.add_argument("--years", type=int, default=2, help="years of 252 sessions")
    parser.add_argument("--cells", type=int, default=1_500_000, help="cells end to end")
    parser.add_argument("--json", type=Path, default=DEFAULT_JSON, help="file for the figures")
    chosen = parser.parse_args(arguments)
    rows = measure(chosen.url, "PostgreSQL", chosen)
    timescale = os.environ.get("STOCK_PLATFORM_TEST_TIMESCALE_URL")
    if timescale and not chosen.url:
        rows += measure(timescale, "TimescaleDB", chosen)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"peak memory of this process {peak:,.0f} MB")
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps({"figures": rows, "peak_mb": peak}, indent=1))
    say(f"figures in {chosen.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
