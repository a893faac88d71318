"""kill -9 in the middle of a write: all of the batch is there, or none of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import date

import polars as pl

from stock_platform.domain.batches import FetchBatch, ValidatedBatch
from stock_platform.domain.cells import CellGrid
from stock_platform.storage import ledger, readers, writers
from stock_platform.storage.connection import Database
from stock_platform_tests.storage import worlds

ASSETS = list(range(1, 61))
DAYS = worlds.weekdays(date(2024, 1, 2), 100)
ROUNDS = 12

WRITER = """
import sys
from stock_platform.storage import writers
from stock_platform.storage.connection import Database
from stock_platform_tests.storage.test_crash import batches
parts = batches()
with Database(sys.argv[1], max_size=1) as db:
    print("ready", flush=True)
    for fetch, judged in parts:
        writers.write_fetch(db, [fetch], "crash")
        writers.write_validated(db, judged)
"""


def batches() -> list[tuple[FetchBatch, ValidatedBatch]]:
    """The same ten batches whenever asked."""
    parts = []
    for first in range(0, len(ASSETS), 6):
        bars = worlds.raw_bars(ASSETS[first : first + 6], DAYS, seed=first)
        parts.append((worlds.fetched(bars), worlds.validated(bars)))
    return parts


def consistent(db: Database) -> None:
    """Rows and coverage tell the same; aggregates are those of the prices there are."""
    grid = CellGrid.rectangle(ASSETS, DAYS)
    stored = readers.raw(db, grid).select("asset_id", "session").rows()
    covered = grid.mask & ~ledger.missing(db, grid, worlds.NOW).mask
    assert set(stored) == set(grid.with_mask(covered).pairs())
    for period in ("weekly", "monthly"):
        before = readers.periods(db, ASSETS, period)
        writers.recompute_periods(db, grid, "weekly" if period == "weekly" else "monthly")
        assert readers.periods(db, ASSETS, period).equals(before)
    rows = readers.fetch_log(db)["rows"].sum()
    assert rows >= len(stored)


def test_kill_9_in_mid_transaction(database: Database, database_url: str) -> None:
    """After each of many kills the tables agree; running on ends where no kill leads."""
    chance = random.Random(7)  # noqa: S311 - moments to kill at, no secret
    for fetch, judged in batches():
        writers.write_fetch(database, [fetch], None)
        writers.write_validated(database, judged)
    undisturbed = readers.content_hash(database)
    with database.connect() as connection:
        connection.execute(
            "truncate stocks.raw_quotes, stocks.coverage_bits, stocks.validated_prices, "
            "stocks.weekly_prices, stocks.monthly_prices, stocks.fetch_log"
        )
    killed = 0
    for _ in range(ROUNDS):
        worker = subprocess.Popen(
            [sys.executable, "-c", WRITER, database_url],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert worker.stdout is not None
        worker.stdout.readline()
        with suppress(subprocess.TimeoutExpired):
            worker.wait(chance.uniform(0.02, 0.5))
        killed += worker.poll() is None
        os.kill(worker.pid, signal.SIGKILL)
        worker.communicate()
        consistent(database)
    assert killed
    for fetch, judged in batches():
        writers.write_fetch(database, [fetch], None)
        writers.write_validated(database, judged)
    assert readers.content_hash(database) == undisturbed
    assert readers.prices(database, ASSETS).select(pl.len()).item() == len(ASSETS) * len(DAYS)
