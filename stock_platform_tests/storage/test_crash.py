"""kill -9 in the middle of a write: all of the batch is there, or none of it.

``make test-slow`` sets STOCK_PLATFORM_TEST_SEEDS, and with it how many moments are tried.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.batches import FetchBatch, ValidatedBatch
from stock_platform.domain.cells import CellGrid
from stock_platform.storage import assets, ledger, readers, timescale, writers
from stock_platform.storage.connection import Database, with_database
from stock_platform.storage.embedded import ensure_server, remove_server
from stock_platform.storage.embedded.places import read_record
from stock_platform.storage.migrate import migrate
from stock_platform_tests.storage import worlds

pytestmark = pytest.mark.both_servers
ASSETS = list(range(1, 61))
DAYS = worlds.weekdays(date(2024, 1, 2), 100)
SEEDS = int(os.environ.get("STOCK_PLATFORM_TEST_SEEDS", "3"))
ROUNDS = max(4, SEEDS // 2)

WRITER = """
import sys
from stock_platform.storage import writers
from stock_platform.storage.connection import Database, with_database
from stock_platform.storage.embedded import ensure_server, remove_server
from stock_platform.storage.embedded.places import read_record
from stock_platform.storage.migrate import migrate
from stock_platform_tests.storage.test_crash import batches
parts = batches()
with Database(sys.argv[1], "crash", max_size=1) as db:
    print("ready", flush=True)
    for fetch, judged in parts:
        writers.write_fetch(db, [fetch], "crash")
        writers.write_validated(db, judged)
"""


# Counts the statements, COPYs and commits of a write; at the one asked for it kills its own
# process, or the server's processes, of which the victim is told by its postmaster's pid.
STRIKER = """
import os, signal, sys
import psycopg
from stock_platform.storage import writers
from stock_platform.storage.connection import Database
from stock_platform_tests.storage.test_crash import of_seed
url, seed, step, victim = sys.argv[1], *map(int, sys.argv[2:])
fetch, judged = of_seed(seed)
seen, backend = 0, 0
def reach(connection):
    global seen, backend
    backend = connection.info.backend_pid
    seen += 1
    if seen == step:
        for pid in [victim, backend] if victim else [os.getpid()]:
            os.kill(pid, signal.SIGKILL)
def before(kind, name, connection_of):
    method = getattr(kind, name)
    def call(self, *args, **named):
        reach(connection_of(self))
        return method(self, *args, **named)
    setattr(kind, name, call)
def torn(self, data, write=psycopg.Copy.write):
    half = len(data) // 2
    write(self, data[:half])
    reach(self.connection)
    write(self, data[half:])
with Database(url, "crash", max_size=1) as db:
    with db.connect():
        pass
    before(psycopg.Cursor, "execute", lambda cursor: cursor.connection)
    before(psycopg.Cursor, "copy", lambda cursor: cursor.connection)
    before(psycopg.Connection, "commit", lambda connection: connection)
    psycopg.Copy.write = torn
    writers.write_fetch(db, [fetch], "crash")
    writers.write_validated(db, judged)
    print(seen)
"""


def of_seed(seed: int) -> tuple[FetchBatch, ValidatedBatch]:
    """A write that meets what earlier seeds left: new rows, other values, rows that go, a split."""
    chance = random.Random(seed)  # noqa: S311 - made-up prices, no secret
    ids = sorted(chance.sample(ASSETS[:12], 6))
    first = chance.randrange(40)
    days = DAYS[first : first + 60]
    bars = worlds.raw_bars(ids, days, seed=seed // 2)
    kept = bars.filter(pl.int_range(pl.len()) % (5 + seed % 3) != 0)
    splits = worlds.splits_of([(ids[0], days[20], float(2 + seed % 3))])
    return worlds.fetched(bars, splits=splits), worlds.validated(kept, CellGrid.from_frame(bars))


def register(db: Database) -> None:
    """The assets of ``of_seed``, whose splits need them."""
    new = [assets.NewAsset(f"T{i}", "stock", "XNYS") for i in range(12)]
    assert sorted(assets.register(db, new).values()) == ASSETS[:12]


def compress(db: Database) -> None:
    """Compress what there is, where there is TimescaleDB."""
    if timescale.timescale_status(db.url).extension.usable:
        timescale.set_up(db.url)


def batches() -> list[tuple[FetchBatch, ValidatedBatch]]:
    """The same ten batches whenever asked."""
    parts = []
    for first in range(0, len(ASSETS), 6):
        bars = worlds.raw_bars(ASSETS[first : first + 6], DAYS, seed=first)
        parts.append((worlds.fetched(bars), worlds.validated(bars)))
    return parts


def settled(db: Database) -> None:
    """Wait until the server is through with a killed client: its last words may be a commit."""
    for _ in range(600):
        with db.connect() as connection:
            left = connection.execute(
                "select pid from pg_stat_activity where application_name = 'crash' "
                "and datname = current_database()"
            ).fetchall()
        if not left:
            return
        time.sleep(0.05)
    raise AssertionError(f"{left} are still at it")


def consistent(db: Database) -> None:
    """Rows and coverage tell the same; aggregates are those of the prices there are."""
    settled(db)
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


@pytest.fixture
def own_server(extension_dir: Path | None) -> Iterator[Path]:
    """The home of a server that may be killed, and starts again as it was."""
    with tempfile.TemporaryDirectory(prefix="stock_platform_crash_") as folder:
        home = Path(folder)
        try:
            ensure_server(home, extension_dir=extension_dir)
            yield home
        finally:
            remove_server(home)


def write_and_die(url: str, seed: int, step: int, victim: int) -> str:
    """Write the seed's batch in a process of its own; what it printed, if it lived to."""
    done = subprocess.run(
        [sys.executable, "-c", STRIKER, url, str(seed), str(step), str(victim)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("victim", ["client", "server"])
@pytest.mark.timeout(3600)
def test_kill_9_at_each_step(own_server: Path, victim: str) -> None:
    """Before any statement, in any COPY, before any commit: the tables agree after it."""
    url = ensure_server(own_server).url
    migrate(url)
    undisturbed = with_database(url, "undisturbed")
    with Database(url) as db, db.connect() as connection:
        connection.commit()
        connection.autocommit = True
        connection.execute("create database undisturbed")
    migrate(undisturbed)
    for each in (url, undisturbed):
        with Database(each) as db:
            register(db)
    steps = int(write_and_die(undisturbed, 0, -1, 0))
    chance = random.Random(11)  # noqa: S311 - moments to kill at, no secret
    killed = 0
    for seed in range(SEEDS):
        url = ensure_server(own_server).url
        struck = 0 if victim == "client" else postmaster(own_server)
        step = 1 + (seed * steps) // SEEDS + chance.randrange(max(1, steps // SEEDS))
        killed += write_and_die(url, seed, step, struck) == ""
        with Database(ensure_server(own_server).url) as db:
            consistent(db)
            if seed % 3 == 0:
                compress(db)  # the next one meets compressed chunks
            fetch, judged = of_seed(seed)
            if seed % 2:  # half of them are never made good
                writers.write_fetch(db, [fetch], None)
                writers.write_validated(db, judged)
                consistent(db)
    assert killed >= SEEDS - 1 - SEEDS // 10  # a write of a seed can have fewer steps


def postmaster(home: Path) -> int:
    """The pid of the server's first process."""
    record = read_record(home)
    assert record is not None
    return int(Path(record.data_dir, "postmaster.pid").read_text().split()[0])


@pytest.mark.timeout(3600)
def test_two_writers_of_the_same_cells(database: Database, database_url: str) -> None:
    """Round after round, whoever comes first: the tables are as if one had written."""
    register(database)
    for seed in range(max(6, 2 * SEEDS)):
        fetch, judged = of_seed(seed)
        errors: list[BaseException] = []
        start = threading.Barrier(2)

        def work(
            fetch: FetchBatch = fetch,
            judged: ValidatedBatch = judged,
            start: threading.Barrier = start,
            errors: list[BaseException] = errors,
        ) -> None:
            try:
                with Database(database_url, max_size=1) as own:
                    start.wait()
                    writers.write_fetch(own, [fetch], None)
                    writers.write_validated(own, judged)
            except BaseException as error:  # noqa: BLE001 - told by the test
                errors.append(error)

        workers = [threading.Thread(target=work) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert errors == []
        if seed % 4 == 0:
            compress(database)
        before = readers.content_hash(database)
        consistent(database)
        writers.write_fetch(database, [fetch], None)
        writers.write_validated(database, judged)
        assert readers.content_hash(database) == before
