"""The promises of the platform, against a real PostgreSQL and the sandbox's true limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from stock_platform.domain.batches import FetchBatch
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.corporate_actions import SPLITS
from stock_platform.domain.errors import DatabaseError, InputError
from stock_platform.pipeline.report import FetchReport
from stock_platform.pipeline.runtime import Platform
from stock_platform.pipeline.store import Store
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.settings import load_settings
from stock_platform.storage.assets import set_listing
from stock_platform.storage.connection import Database
from stock_platform.storage.embedded import ensure_server, remove_server, server_status
from stock_platform.storage.migrate import migrate
from stock_platform.storage.readers import content_hash, quarantined

NOW = datetime(2013, 3, 2, 12, tzinfo=UTC)  # the Saturday after the last real session
KEY = "sandbox-key-4711"
REAL = ["AAPL", "FB", "GOOG", "IBM", "MSFT"]


SLOWLY = 120.0  # calls come one by one, so that a kill falls between commits


def sandbox(**changes: Any) -> SandboxServer:
    options: dict[str, Any] = {
        "symbols": 60,
        "now": NOW,
        "clock_rate": 600.0,
        "keys": {"polygon": [KEY]},
    }
    return SandboxServer(SandboxConfig(**(options | changes)))


@pytest.fixture
def vendors() -> Iterator[SandboxServer]:
    with sandbox() as server:
        yield server


def environment(
    server: SandboxServer, url: str, home: Path, sources: str = "polygon,yahoo"
) -> dict[str, str]:
    return {
        "DATABASE_URL": url,
        "POLYGON_API_KEY": KEY,
        "STOCK_PLATFORM_HOME": str(home),
        "STOCK_PLATFORM_YAHOO_BASE_URL": server.base_url("yahoo"),
        "STOCK_PLATFORM_POLYGON_BASE_URL": server.base_url("polygon"),
        "STOCK_PLATFORM_MARKET_TIME": NOW.isoformat(),
        "STOCK_PLATFORM_CLOCK_RATE": str(server.report()["clock_rate"]),
        "STOCK_PLATFORM_START_DATE": "2011-01-03",
        "STOCK_PLATFORM_SOURCES": sources,
    }


@pytest.fixture
def platform(
    vendors: SandboxServer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Platform]:
    for name, value in environment(vendors, database_url, tmp_path).items():
        monkeypatch.setenv(name, value)
    with Platform.from_settings(load_settings(_env_file=None)) as built:
        yield built


def fill(platform: Platform, grid: CellGrid) -> FetchReport:
    """Fetch, validate and aggregate, as the assets do."""
    stream = platform.fetch(grid, "test")
    for batches in stream:
        platform.write_fetch(batches, "test")
    for batch in platform.validate(grid):
        platform.write_validated(batch)
    platform.refresh_indicators(grid)
    return stream.report


def watchlist(platform: Platform, *tickers: str) -> CellGrid:
    dates = platform.sessions(date(2011, 3, 1), date(2013, 3, 1))
    return platform.cells(platform.assets_for(tickers), dates)


def test_two_years_of_a_ticker_cost_one_call_and_are_the_truth(
    platform: Platform, vendors: SandboxServer
) -> None:
    """A watchlist ticker's range is one call, and the stored prices are what traded."""
    pytest.importorskip("bokeh_sampledata")
    report = fill(platform, watchlist(platform, *REAL))
    assert report.total_calls == len(REAL)
    assert vendors.report()["calls"] == len(REAL)
    with Store(Database(platform.db.url)) as store:
        for ticker in REAL:
            stored = store.prices(ticker, "2011-03-01", "2013-03-01")
            truth = vendors.market.bars(ticker, date(2011, 3, 1), date(2013, 3, 1))
            columns = ["session", "open", "high", "low", "close", "volume"]
            assert_frame_equal(
                stored.select(columns),
                truth.select(columns).cast({"volume": pl.Float64}),
                rel_tol=1e-6,
                abs_tol=1e-4,
                check_dtypes=False,
            )


def test_a_second_run_makes_no_call_and_changes_no_row(
    platform: Platform, vendors: SandboxServer
) -> None:
    """Running again changes nothing."""
    grid = watchlist(platform, *REAL)
    fill(platform, grid)
    before, calls = content_hash(platform.db), vendors.report()["calls"]
    again = fill(platform, grid)
    assert (again.asked, again.total_calls) == (0, 0)
    assert vendors.report()["calls"] == calls
    assert content_hash(platform.db) == before


def test_a_day_of_the_market_is_one_call(platform: Platform, vendors: SandboxServer) -> None:
    """The whole market's last session costs one call, the catalog's first fill included."""
    market = platform.shard_assets()
    assert market.height > 50
    grid = platform.cells(market, platform.sessions(date(2013, 3, 1), date(2013, 3, 1)))
    fill(platform, grid)
    assert vendors.report()["calls"] == 1
    assert platform.coverage(grid).share == 1.0


def test_what_is_wrong_is_put_aside_and_what_fails_is_tried_elsewhere(
    platform: Platform, vendors: SandboxServer
) -> None:
    """429s are obeyed, broken answers retried, wrong bars quarantined; nothing is lost."""
    vendors.app.faults.add(
        [
            {
                "kind": "http_429",
                "vendor": "yahoo",
                "symbol": "AAPL",
                "once": True,
                "retry_after": 1,
            },
            {"kind": "http_500", "vendor": "yahoo", "symbol": "IBM", "once": True},
            {"kind": "truncated", "vendor": "yahoo", "symbol": "MSFT", "once": True},
            {
                "kind": "high_below_low",
                "vendor": "yahoo",
                "symbol": "GOOG",
                "once": True,
                "days": 1,
            },
        ]
    )
    grid = watchlist(platform, *REAL)
    report = fill(platform, grid)
    assert report.rate_limited >= 1
    assert platform.coverage(grid).share == 1.0
    aside = quarantined(platform.db)
    assert aside.height >= 1
    assert any("high_below_low" in reasons for reasons in aside["reasons"].to_list())
    assert vendors.report()["violations"] == 0


def test_an_unknown_ticker_fails_alone_with_its_reason(platform: Platform) -> None:
    """One bad ticker never stops the others, and costs a few calls at the most."""
    grid = watchlist(platform, "AAPL", "QQQQQQ")
    report = fill(platform, grid)
    coverage = platform.coverage(grid)
    assert coverage.counts["stored"] == 504
    assert coverage.counts["failed"] == 504
    assert coverage.reasons["reason"].to_list() == ["unknown symbol"]
    assert report.total_calls <= 4
    assert fill(platform, grid).total_calls == 0, "it is not asked for again at once"


def test_a_source_that_is_off_is_replaced_within_the_run(
    platform: Platform, vendors: SandboxServer
) -> None:
    """Switching the main source off costs seconds, not the run."""
    vendors.app.faults.add([{"kind": "http_503", "vendor": "yahoo"}])
    grid = watchlist(platform, "AAPL", "IBM")
    fill(platform, grid)
    assert platform.coverage(grid).counts["stored"] >= 2 * 500


def test_two_runs_at_once_make_each_call_once(platform: Platform, vendors: SandboxServer) -> None:
    """Concurrent runs of the same cells share their calls and end in the same table."""
    market = platform.shard_assets()
    dates = platform.sessions(date(2013, 2, 1), date(2013, 2, 28))
    grid = platform.cells(market, dates)
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: fill(platform, grid), range(2)))
    assert vendors.report()["vendors"]["polygon"]["repeated"] == 0
    assert sum(r.total_calls for r in reports) == len(dates) + 1, "one more filled the catalog"
    assert platform.coverage(grid).share == 1.0
    before = content_hash(platform.db)
    fill(platform, grid)
    assert content_hash(platform.db) == before


def test_a_dividend_inside_a_week_divides_it(platform: Platform) -> None:
    """Weeks and months adjusted for dividends are those of the adjusted days."""
    fill(platform, watchlist(platform, "AAPL"))
    with Store(Database(platform.db.url)) as store:
        days = store.prices("AAPL", "2012-11-05", "2012-11-09", adjust="all")  # 2.65 on the 7th
        (week,) = store.prices(
            "AAPL", "2012-11-06", "2012-11-07", adjust="all", interval="1wk"
        ).to_dicts()
        assert week["open"] == days["open"][0]
        assert (week["high"], week["low"]) == (days["high"].max(), days["low"].min())
        assert store.prices("AAPL", adjust="all", interval="1mo").height == 25


def test_two_judges_take_turns(platform: Platform) -> None:
    """The slower of two validations cannot undo what the other wrote."""
    grid = watchlist(platform, "AAPL")
    slow = platform.validate(grid)
    before = next(slow)  # read before there is a raw quote
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(fill, platform, grid)
        with pytest.raises(TimeoutError):
            other.result(timeout=3)  # it has fetched, and waits for its turn to judge
        platform.write_validated(before)
        assert next(slow, None) is None
        other.result(timeout=60)
    with Store(Database(platform.db.url)) as store:
        assert store.prices("AAPL").height == len(grid)


def test_a_reused_ticker_brings_no_bars_of_its_new_owner(platform: Platform) -> None:
    """An asset's rows end with its listing, whoever has its ticker now."""
    grid = watchlist(platform, "IBM")
    (asset,) = grid.assets.tolist()
    set_listing(platform.db, asset, delisted_on=date(2012, 6, 29))
    fill(platform, grid)
    with Store(Database(platform.db.url)) as store:
        assert store.prices("IBM")["session"].max() == date(2012, 6, 29)
    assert platform.coverage(grid).counts["not_listed"] > 100


def test_a_split_after_the_load_rewrites_nothing(platform: Platform) -> None:
    """Adjusted reads are right at once, and no stored price changes."""
    grid = watchlist(platform, "AAPL")
    fill(platform, grid)
    with Store(Database(platform.db.url)) as store:
        stored = store.prices("AAPL", adjust="none")
        before = store.prices("AAPL", adjust="splits")
        later = datetime(2014, 6, 9, 12, tzinfo=UTC)
        split = pl.DataFrame(
            {
                "asset_id": [int(grid.assets[0])],
                "ex_date": [date(2014, 6, 9)],
                "source": ["yahoo"],
                "ratio": [7.0],
                "fetched_at": [later],
            },
            schema=SPLITS,
        )
        platform.write_fetch([FetchBatch(call=None, splits=split)], "test")
        assert_frame_equal(store.prices("AAPL", adjust="none"), stored)
        after = store.prices("AAPL", adjust="splits")
    assert_frame_equal(after.select(pl.col("close") * 7), before.select("close"))
    for batch in platform.validate(grid):
        assert platform.write_validated(batch).updated == 0


def test_keys_appear_nowhere(platform: Platform, tmp_path: Path) -> None:
    """A key is in no table and in no file."""
    market = platform.shard_assets()
    fill(platform, platform.cells(market, platform.sessions(date(2013, 2, 26), date(2013, 3, 1))))
    with platform.db.connect() as connection:
        rows = connection.execute("select f::text from stocks.fetch_log f").fetchall()
    assert rows
    assert not [row for row in rows if KEY in row[0]]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


def test_bad_input_is_refused_before_anything_is_fetched(
    platform: Platform, vendors: SandboxServer
) -> None:
    """Inverted dates, a weekend, the future and rubbish name the parameter and the value."""
    for start, end, parameter in [
        (date(2013, 2, 1), date(2013, 1, 1), "start"),
        (date(2013, 2, 23), date(2013, 2, 24), "start..end"),
        (date(2013, 3, 4), date(2013, 3, 5), "start"),
    ]:
        with pytest.raises(InputError, match=parameter):
            platform.sessions(start, end)
    with pytest.raises(InputError, match="ticker"):
        platform.assets_for(["../etc/passwd"])
    assert vendors.report()["calls"] == 0


def test_an_unreachable_database_is_one_clear_line() -> None:
    """The error names the server and not the password."""
    settings = load_settings(
        database_url="postgresql://me:secret@127.0.0.1:1/nowhere", _env_file=None
    )
    with pytest.raises(DatabaseError) as caught, Platform.from_settings(settings) as platform:
        platform.shard_assets()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- kill -9 ----

SPAN = ("2012-12-03", "2013-03-01")


def start_backfill(variables: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stock_platform_tests.pipeline.backfill_process", *SPAN],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> int:
    """The calls of a backfill that is let run to its end."""
    try:
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, output
    return int(output.split()[-1])


def read_lines(process: subprocess.Popen[str], count: int) -> None:
    assert process.stdout is not None
    for _ in range(count):
        if not process.stdout.readline():
            process.kill()
            pytest.fail("the backfill ended too soon")


def undisturbed(url: str, home: Path) -> tuple[str, int]:
    with sandbox() as server:
        calls = finish(start_backfill(environment(server, url, home, "polygon")))
    with Database(url) as db:
        return content_hash(db), calls


@pytest.mark.slow
def test_kill_9_of_the_run_loses_nothing_that_was_committed(
    empty_database_url: str, database_url: str, tmp_path: Path
) -> None:
    """Killed at any moment, the same command completes to the same tables."""
    migrate(empty_database_url)
    expected, _ = undisturbed(empty_database_url, tmp_path / "a")
    with sandbox(clock_rate=SLOWLY) as server:
        variables = environment(server, database_url, tmp_path / "b", "polygon")
        for lines in (2, 6, 8):
            with start_backfill(variables) as process:
                read_lines(process, lines)
                process.kill()
        finish(start_backfill(variables))
        report = server.report()
    with Database(database_url) as db:
        assert content_hash(db) == expected
        with db.connect() as connection:
            kept = connection.execute("select count(*) from stocks.fetch_log").fetchone()
    assert kept
    lost = report["calls"] - kept[0]  # in flight at a kill, or not committed yet
    assert report["vendors"]["polygon"]["repeated"] <= lost, "a call that was kept is made again"
    assert report["violations"] == 0


@pytest.mark.slow
def test_kill_9_of_postgresql_loses_nothing_that_was_committed(
    database_url: str, tmp_path: Path
) -> None:
    """The server recovers, and the same command completes to the same tables."""
    expected, _ = undisturbed(database_url, tmp_path / "a")
    home = tmp_path / "b"
    try:
        ensure_server(home)
        with sandbox(clock_rate=SLOWLY) as server:
            variables = environment(server, "", home, "polygon")
            with start_backfill(variables) as process:
                read_lines(process, 8)
                running = server_status(home)
                assert running is not None
                os.kill(running.pid, signal.SIGKILL)
            finish(start_backfill(variables))
            assert server.report()["violations"] == 0
        with Database(ensure_server(home).url) as db:
            assert content_hash(db) == expected
    finally:
        remove_server(home)
