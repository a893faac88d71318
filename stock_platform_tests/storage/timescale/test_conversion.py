"""From plain PostgreSQL to TimescaleDB while others read and write, whoever is killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date

import polars as pl
import psycopg
import pytest

from stock_platform.domain.errors import DatabaseError
from stock_platform.storage import readers, timescale, writers
from stock_platform.storage.connection import Database
from stock_platform.storage.timescale import conversion
from stock_platform.storage.timescale import setup as module
from stock_platform_tests.storage import worlds

pytestmark = pytest.mark.timescale
DAYS = worlds.weekdays(date(2022, 1, 3), 500)
CONVERTER = """
import sys
from stock_platform.storage.timescale import conversion, set_up, setup
setup.IN_PLACE_ROWS, conversion.BATCH_ROWS = 100, 700
print("ready", flush=True)
set_up(sys.argv[1])
"""


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables are copied like large ones, in small batches."""
    monkeypatch.setattr(module, "IN_PLACE_ROWS", 100)
    monkeypatch.setattr(conversion, "BATCH_ROWS", 3_000)


def fill(database: Database) -> pl.DataFrame:
    bars = worlds.raw_bars(list(range(1, 21)), DAYS)
    minutes = worlds.intraday_bars([1, 2], DAYS[:50])
    for frame in (bars, minutes):
        writers.write_fetch(database, [worlds.fetched(frame)], None)
        writers.write_validated(database, worlds.validated(frame))
    return bars


def versions(bars: pl.DataFrame, seed: int) -> Iterator[pl.DataFrame]:
    """Corrections, new assets and removals, for ever: what a writer does meanwhile."""
    chance = random.Random(seed)  # noqa: S311 - which rows, no secret
    for turn in range(1, 10_000):
        asset = chance.randrange(1, 21)
        yield bars.filter(pl.col("asset_id") == asset).with_columns(pl.col("close") + turn / 100)
        yield worlds.raw_bars([100 * seed + turn], DAYS[: chance.randrange(1, 300)], seed=turn)


@contextmanager
def writing(database: Database, bars: pl.DataFrame, seeds: tuple[int, ...]) -> Iterator[list[str]]:
    """Writers and a reader at work; what went wrong for them, and how long they waited most."""
    problems: list[str] = []
    done = threading.Event()

    def work(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311
        for frame in versions(bars, seed):
            if done.is_set():
                return
            began = time.monotonic()
            try:
                writers.write_fetch(database, [worlds.fetched(frame)], None)
                batch = worlds.validated(frame)
                kept = batch.prices if chance.random() < 0.8 else batch.prices.head(7)
                writers.write_validated(database, type(batch)(batch.grid, kept, batch.quarantined))
            except Exception as error:  # noqa: BLE001 - told by the test
                problems.append(repr(error))
                return
            if time.monotonic() - began > 10:
                problems.append(f"a writer waited {time.monotonic() - began:.1f} s")

    def read() -> None:
        while not done.is_set():
            if readers.prices(database, [1]).is_empty():
                problems.append("a reader found nothing")
            with database.connect() as connection:
                connection.execute("select count(*) from stocks.prices_adjusted where asset_id = 1")
            time.sleep(0.01)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in seeds]
    threads.append(threading.Thread(target=read))
    for thread in threads:
        thread.start()
    try:
        yield problems
    finally:
        done.set()
        for thread in threads:
            thread.join()


def true_to_itself(database: Database) -> None:
    """Rows and indexes agree, no key is doubled, weeks are what the days say."""
    with database.connect() as connection:
        for table in timescale.TABLES:
            by_scan, by_key = connection.execute(
                f"select count(*), count(distinct t.*) from stocks.{table} t"
            ).fetchone() or (0, 1)
            assert by_scan == by_key
    assets = readers.prices(database, list(range(1, 21)))["asset_id"].unique().to_list()
    before = readers.weekly(database, assets)
    grid = worlds.validated(worlds.raw_bars(assets, DAYS)).grid
    writers.recompute_periods(database, grid, "weekly")
    assert readers.weekly(database, assets).equals(before)


def test_what_there_was_is_there(plain: Database, copied: None) -> None:
    """Every row, view, grant, trigger and index; a second run finds nothing to do."""
    fill(plain)
    with plain.connect() as connection:
        connection.execute("create table stocks.seen (n bigint)")
        connection.execute(
            "create function stocks.see() returns trigger language plpgsql as $$ begin "
            "insert into stocks.seen select count(*) from added; return null; end $$"
        )
        connection.execute(
            "create trigger seeing after insert on stocks.raw_quotes referencing new table as "
            "added for each statement execute function stocks.see()"
        )
        connection.execute("create view public.mine as select max(ts) from stocks.raw_quotes")
        connection.execute("comment on table stocks.raw_quotes is 'what they {said}'")
        connection.execute("create index mine on stocks.raw_quotes (session, asset_id)")
        connection.execute("grant select on stocks.raw_quotes, public.mine to pg_monitor")
    before, catalog = readers.content_hash(plain), described(plain)
    seen: list[timescale.Advance] = []
    steps = timescale.set_up(plain.url, on_progress=seen.append)
    assert readers.content_hash(plain) == before
    assert described(plain) == catalog
    assert {t.hypertable for t in timescale.timescale_status(plain.url).tables} == {True}
    assert [s.subject for s in steps if "copied" in s.action] == list(timescale.TABLES)
    assert {a.stage for a in seen} == {"copying", "compressing"}
    assert max(a.done for a in seen if a.table == "raw_quotes") == 10_000
    writers.write_fetch(plain, [worlds.fetched(worlds.raw_bars([77], DAYS))], None)
    with plain.connect() as connection:
        assert connection.execute("select sum(n) from stocks.seen").fetchone() == (500,)
        assert connection.execute("select * from public.mine").fetchone() is not None
        assert connection.execute(
            "select to_regclass('stocks.timescale_conversion')"
        ).fetchone() == (None,)
    again = timescale.set_up(plain.url)
    assert [step.subject for step in again] == ["intraday aggregates"]


def described(database: Database) -> list[object]:
    """Indexes, constraints, grants, triggers and views of the tables of bars."""
    with database.connect() as connection:
        return [
            connection.execute(query).fetchall()
            for query in (
                (
                    "select indexname, indexdef from pg_indexes where schemaname = 'stocks' "
                    "and tablename in ('raw_quotes', 'validated_prices') order by 1"
                ),
                (
                    "select conname, pg_get_constraintdef(oid) from pg_constraint "
                    "where conrelid = 'stocks.raw_quotes'::regclass and contype <> 'n' order by 1"
                ),
                (
                    "select relname, relacl::text, obj_description(oid) from pg_class "
                    "where relnamespace = 'stocks'::regnamespace and relname in ('raw_quotes', "
                    "'validated_prices', 'prices', 'prices_adjusted', 'tickers') order by 1"
                ),
                (
                    "select viewname, definition from pg_views where schemaname in ('stocks', "
                    "'public') and viewname not like 'intraday%' and viewname not like '%chunk%' "
                    "order by 1"
                ),
                (
                    "select column_name, data_type, is_nullable, column_default "
                    "from information_schema.columns where table_schema = 'stocks' "
                    "and table_name = 'raw_quotes' order by ordinal_position"
                ),
            )
        ]


def test_others_go_on(plain: Database, copied: None) -> None:
    """Writers and readers meet no error, and no write is lost that was made meanwhile."""
    bars = fill(plain)
    with writing(plain, bars, (1, 2)) as problems:
        timescale.set_up(plain.url)
    assert problems == []
    true_to_itself(plain)
    with psycopg.connect(plain.url) as connection:
        rows = connection.execute(
            "select l.asset_id from (select asset_id, count(*) n from stocks.raw_quotes group by 1)"
            " r full join (select asset_id, sum(bit_count(sessions)) n from stocks.coverage_bits "
            "where interval = '1d' group by 1) l using (asset_id) where r.n is distinct from l.n"
        ).fetchall()
    assert rows == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_kill_9(plain: Database, seed: int) -> None:
    """Killed again and again with writers at work, it ends with what a plain database has."""
    chance = random.Random(seed)  # noqa: S311 - moments to kill at, no secret
    bars = fill(plain)
    killed, finished = 0, False
    with writing(plain, bars, (seed + 1,)) as problems:
        for _ in range(40):
            worker = subprocess.Popen(
                [sys.executable, "-c", CONVERTER, plain.url],
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            assert worker.stdout is not None
            worker.stdout.readline()
            with suppress(subprocess.TimeoutExpired):
                worker.wait(chance.uniform(0.05, 0.6))
            finished = worker.poll() == 0
            killed += worker.poll() is None
            worker.kill()
            worker.communicate()
            if finished:
                break
    assert problems == []
    assert killed
    timescale.set_up(plain.url)
    true_to_itself(plain)
    with plain.connect() as connection:
        left = connection.execute(
            "select relname from pg_class where relnamespace = 'stocks'::regnamespace "
            "and (relname like '%_hypertable%' or relname like 'timescale_conversion%')"
        ).fetchall()
    assert left == []


def test_giving_up(plain: Database, copied: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unfinished copy is dropped; the tables are as they were, and can be written."""
    bars = fill(plain)
    before = readers.content_hash(plain)

    class Enough(Exception):
        pass

    def stop(advance: timescale.Advance) -> None:
        if advance.table == "raw_quotes" and advance.done >= 6_000:
            raise Enough

    with pytest.raises(Enough):
        timescale.set_up(plain.url, on_progress=stop)
    state = timescale.timescale_status(plain.url).tables[0]
    assert (state.hypertable, state.converting) == (False, 6_000)
    assert timescale.cancel(plain.url) == ["raw_quotes"]
    assert timescale.cancel(plain.url) == []
    assert readers.content_hash(plain) == before
    changed = bars.with_columns(pl.col("close") + 1)
    assert writers.write_fetch(plain, [worlds.fetched(changed)], None).updated == bars.height


def test_what_cannot_be_taken_along_is_named(plain: Database, copied: None) -> None:
    """A materialized view of the user's own stops the conversion before it begins."""
    fill(plain)
    with plain.connect() as connection:
        connection.execute(
            "create materialized view public.closes as select close from stocks.raw_quotes"
        )
    with pytest.raises(DatabaseError, match=r"drop materialized view (public\.)?closes first"):
        timescale.set_up(plain.url)
    with plain.connect() as connection:
        connection.execute("drop materialized view public.closes")
    timescale.set_up(plain.url)


def test_one_at_a_time(plain: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second conversion is told of the first."""
    monkeypatch.setattr(module, "GONE_SECONDS", 0.5)
    with psycopg.connect(plain.url) as other:
        other.execute("select pg_advisory_lock(%s)", [module.LOCK_KEY])
        with pytest.raises(DatabaseError, match="another process is converting"):
            timescale.set_up(plain.url)


def test_a_table_in_use_for_long_is_not_queued_at(
    plain: Database, copied: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds the table for long makes us give up, and nobody waits behind us."""
    bars = fill(plain)
    monkeypatch.setattr(conversion, "PATIENCE_SECONDS", 1)
    monkeypatch.setattr(conversion, "LOCK_SECONDS", 0.5)
    with psycopg.connect(plain.url) as other:
        other.execute("update stocks.raw_quotes set close = close where asset_id = 1")
        with pytest.raises(DatabaseError, match="was in use for"):
            timescale.set_up(plain.url)
        writers.write_fetch(plain, [worlds.fetched(bars)], None)
    timescale.set_up(plain.url)
