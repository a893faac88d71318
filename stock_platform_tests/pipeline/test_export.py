"""Exports hold what the store reads, whatever stops them in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stock_platform.domain.errors import InputError
from stock_platform.pipeline import export
from stock_platform.pipeline.export import Request, run_export
from stock_platform.pipeline.export_formats import Kind
from stock_platform.pipeline.store import Store
from stock_platform.storage import assets, writers
from stock_platform.storage.connection import Database
from stock_platform_tests.storage import worlds

TICKERS = ("AA", "BB", "CC", "DD")
DAYS = worlds.weekdays(date(2023, 12, 18), 20)  # two years, and a week in both

RUN = """
import sys, time
from pathlib import Path
from stock_platform.pipeline import export
from stock_platform.storage.connection import Database
from stock_platform_tests.pipeline.test_export import request
export.ROWS_PER_PART = 252
def tell(done, total, rows):
    print(done, flush=True)
    time.sleep(0.02)
with Database(sys.argv[1]) as db:
    export.run_export(db, request(Path(sys.argv[2])), resume="resume" in sys.argv, tell=tell)
"""


def request(target: Path, **changes: Any) -> Request:
    kind = Kind(target.suffix.lstrip(".") or "parquet")
    given: dict[str, Any] = {"kind": kind, "tickers": TICKERS, "start": None, "end": None}
    return Request(target, **(given | changes))


@pytest.fixture
def filled(database: Database) -> Database:
    """Four tickers, one of them with a split and a flag."""
    known = assets.register(database, [assets.NewAsset(t, "stock", "XNYS") for t in TICKERS])
    bars = worlds.raw_bars(sorted(known.values()), DAYS)
    splits = worlds.splits_of([(known["BB"], DAYS[12], 2.0)])
    writers.write_fetch(database, [worlds.fetched(bars, splits=splits)], None)
    judged = worlds.validated(bars)
    flags = pl.Series("flags", [["spike", 'odd "one", \\ too']] + [[]] * (bars.height - 1))
    writers.write_validated(
        database, type(judged)(judged.grid, judged.prices.with_columns(flags), judged.quarantined)
    )
    return database


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part a ticker and year."""
    monkeypatch.setattr(export, "ROWS_PER_PART", 1)


@pytest.mark.parametrize("interval", ["1d", "1wk", "1mo"])
@pytest.mark.parametrize("adjust", ["none", "all"])
def test_every_format_holds_what_the_store_reads(
    filled: Database, tmp_path: Path, interval: str, adjust: str
) -> None:
    """Each row once, a week that lies in two years too; nothing else is left behind."""
    order = ["ticker", "ts" if interval == "1d" else "period"]
    expected = Store(filled).prices(TICKERS, interval=interval, adjust=adjust).sort(order)
    for name in ("all.parquet", "all.csv", "folder"):
        target = tmp_path / name
        made = run_export(filled, request(target, interval=interval, adjust=adjust))
        assert (made.rows, made.parts) == (expected.height, 8)
        if name == "all.csv":
            read = pl.read_csv(target, schema_overrides={"open": pl.Float64, "volume": pl.Float64})
            assert read.sort(order)["close"].equals(expected["close"])
            assert read.columns == ["asset_id", *expected.columns]
        else:
            read = pl.read_parquet(target)
            assert read.select(expected.columns).sort(order).equals(expected)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.csv", "all.parquet", "folder"]
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["year=2023", "year=2024"]


def test_a_range_of_weeks(filled: Database, tmp_path: Path) -> None:
    """The last week is whole although it ends after the range, in the next year even."""
    chosen = {"interval": "1wk", "start": DAYS[1], "end": date(2023, 12, 30)}
    run_export(filled, request(tmp_path / "w.parquet", **chosen))
    expected = Store(filled).prices(TICKERS, DAYS[1], date(2023, 12, 30), interval="1wk")
    read = pl.read_parquet(tmp_path / "w.parquet").drop("asset_id")
    assert read.equals(expected.sort("ticker", "period"))


def test_a_ticker_of_two_companies(filled: Database, tmp_path: Path) -> None:
    """Whoever had it before is exported too, under an asset_id of its own; SQL loads as well."""
    (former,) = assets.resolve(filled, ["AA"]).values()
    assets.set_listing(filled, former, delisted_on=DAYS[-1])
    heir = assets.NewAsset("AA", "stock", "XNYS", listed_on=date(2024, 2, 1))
    (now,) = assets.register(filled, [heir]).values()
    bars = worlds.raw_bars([now], worlds.weekdays(date(2024, 2, 1), 5), seed=9)
    writers.write_validated(filled, worlds.validated(bars))
    pairs = {"tickers": ("AA", "AA", "BB"), "assets": (former, now, former + 1)}
    run_export(filled, request(tmp_path / "all.parquet", **pairs))
    read = pl.read_parquet(tmp_path / "all.parquet")
    assert read.group_by("asset_id", "ticker").len().sort("asset_id").rows() == [
        (former, "AA", len(DAYS)), (former + 1, "BB", len(DAYS)), (now, "AA", 5),
    ]  # fmt: skip
    run_export(filled, request(tmp_path / "mine.parquet", tickers=("AA",)))
    assert pl.read_parquet(tmp_path / "mine.parquet").equals(read.filter(pl.col("asset_id") == now))
    known = assets.universe(filled, delisted=True)
    assert known["asset_id"].to_list() == [former, *range(former + 1, former + 4), now]


def test_sql_loads(filled: Database, tmp_path: Path) -> None:
    """What psql would run: a table, its rows by COPY, lists as arrays."""
    run_export(filled, request(tmp_path / "all.sql"))
    text = (tmp_path / "all.sql").read_text()
    head, _, rest = text.partition("copy prices")
    columns, _, rest = rest.partition(" from stdin (format csv);\n")
    rows, _, end = rest.partition("\\.\n")
    assert end.split() == ["commit;"]
    with filled.connect() as connection:
        connection.execute(head.partition("begin;")[2].encode())
        with (
            connection.cursor() as cursor,
            cursor.copy(f"copy prices {columns} from stdin (format csv)".encode()) as copy,
        ):
            copy.write(rows)
        found = connection.execute("select count(*), sum(close), max(flags) from prices").fetchone()
    expected = Store(filled).prices(TICKERS)
    assert found is not None
    assert found[0] == expected.height
    assert found[1] == pytest.approx(expected["close"].sum())
    assert found[2] == ["spike", 'odd "one", \\ too']


def test_an_export_that_was_killed_goes_on(
    filled: Database, database_url: str, tmp_path: Path
) -> None:
    """After kill -9 at any part only what is missing is read; the result is as if undisturbed."""
    for target in (tmp_path / "folder", tmp_path / "one.csv"):
        undisturbed = request(tmp_path / f"calm_{target.name}")
        run_export(filled, undisturbed)
        words = [sys.executable, "-c", RUN, database_url, str(target)]
        for parts in (1, 4, 7):
            worker = subprocess.Popen(
                words,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            assert worker.stdout is not None
            while int(worker.stdout.readline()) < parts:
                pass
            time.sleep(0.01)
            os.kill(worker.pid, signal.SIGKILL)
            worker.communicate()
            with pytest.raises(InputError, match="--resume"):
                run_export(filled, request(target))
            with pytest.raises(InputError, match="options that began"):
                run_export(filled, request(target, adjust="all"), resume=True)
            words = [*words[:5], "resume"]
        made = run_export(filled, request(target), resume=True)
        assert made.resumed >= 7
        assert made.rows == len(TICKERS) * len(DAYS)
        if target.suffix:
            assert target.read_bytes() == undisturbed.target.read_bytes()
        else:
            for path in target.rglob("*.parquet"):
                other = undisturbed.target / path.relative_to(target)
                assert path.read_bytes() == other.read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {
        "folder", "calm_folder", "one.csv", "calm_one.csv",
    }  # fmt: skip


def test_nothing_is_overwritten_unasked(filled: Database, tmp_path: Path) -> None:
    """Targets in the way are named before anything is written; what is not ours is kept."""
    folder, file = tmp_path / "folder", tmp_path / "a.csv"
    for target in (folder, file):
        run_export(filled, request(target))
        with pytest.raises(InputError, match="--overwrite"):
            run_export(filled, request(target))
        with pytest.raises(InputError, match="nothing to resume"):
            run_export(filled, request(target), resume=True)
        run_export(filled, request(target, end=DAYS[3]), overwrite=True)
    assert pl.read_parquet(folder)["session"].max() == DAYS[3]
    (folder / "thesis.doc").write_text("mine")
    for wrong, hint in (
        (request(folder), "no export wrote"),
        (request(tmp_path / "none" / "a.csv"), "no folder"),
        (Request(tmp_path / "x", Kind.SQL, TICKERS, None, None), "ends in .sql"),
        (request(tmp_path / "b.csv", tickers=("NOPE",)), "NOPE"),
    ):
        with pytest.raises(InputError, match=hint):
            run_export(filled, wrong, overwrite=True)
    assert (folder / "thesis.doc").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "folder"]


def test_no_prices(filled: Database, tmp_path: Path) -> None:
    """A range without any gives a file with the columns alone."""
    made = run_export(filled, request(tmp_path / "a.parquet", start=date(2030, 1, 1)))
    assert made.rows == 0
    columns = ["asset_id", *Store(filled).prices("AA").columns]
    assert pl.read_parquet(tmp_path / "a.parquet").columns == columns
    assert json.loads(json.dumps(made.as_dict()))["parts"] == 0
