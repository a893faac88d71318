"""Commands that read: tables for people, JSON for programs, and never Dagster."""

from __future__ import annotations

import io
import subprocess
from datetime import date

import numpy as np
import polars as pl
import pytest

from stock_platform.apps.cli.status import gaps
from stock_platform.domain.batches import FetchBatch
from stock_platform.domain.cells import CellGrid
from stock_platform.pipeline.coverage import NAMES
from stock_platform.sandbox.server import SandboxServer
from stock_platform.storage.assets import resolve
from stock_platform.storage.connection import Database
from stock_platform.storage.writers import write_fetch
from stock_platform_tests.apps.conftest import Cli, Fill
from stock_platform_tests.storage import worlds

START, END = date(2013, 1, 2), date(2013, 1, 31)
RANGE = ("--start", str(START), "--end", str(END))
SESSIONS = 21


def test_market_knows_half_days_and_holidays(bare: Cli) -> None:
    """The afternoon before a July 4th is closed, and the next session is the 5th."""
    during = bare("market", "--at", "2024-07-03T16:00Z", "--json").json
    assert during["open"] is True
    assert during["current"] == {
        "session": "2024-07-03",
        "opens": "2024-07-03T13:30:00+00:00",
        "closes": "2024-07-03T17:00:00+00:00",
        "half_day": True,
    }
    after = bare("market", "--at", "2024-07-03T18:00Z", "--json").json
    assert after["open"] is False
    assert after["next"]["session"] == "2024-07-05"
    assert after["last_completed"] == "2024-07-03"
    assert "half day" in bare("market", "--at", "2024-07-03T16:00Z").out


def test_an_empty_database_reads_well(cli: Cli) -> None:
    """Every reading command ends with 0 and its JSON parses."""
    overview = cli("status", "--json").json
    assert overview["watchlist"]["assets"] == 0
    assert overview["last_run"] is None
    assert "nothing is stored yet" in cli("status").err
    assert cli("quarantine", "--json").json == []
    info = cli("db", "info", "--json").json
    assert info["embedded"] is False
    assert {"raw_quotes", "validated_prices"} <= {table["name"] for table in info["tables"]}
    assert cli("db", "migrate", "--json").json["applied"] == []
    for words in (["sources"], ["quarantine"], ["db", "info"], ["db", "migrate"]):
        said = cli(*words)
        assert (said.code, said.err.replace("0 rows\n", "")) == (0, ""), words


def test_lists_without_rows_say_so_and_print_no_table(cli: Cli) -> None:
    """No head without a body; a list that people fill says how."""
    for words, hint in (
        (("quarantine", "list"), "0 rows"),
        (("catalog", "changes"), "0 changes"),
        (("portfolio", "list"), "portfolio buy"),
        (("quotes",), "quotes AAPL --refresh"),
    ):
        said = cli(*words)
        assert (said.code, said.out) == (0, ""), words
        assert hint in said.err, words


def test_a_misspelled_ticker_can_be_let_go(cli: Cli) -> None:
    """``untrack`` takes it off the watchlist; a stranger is told of."""
    assert cli("live", "on", "AAPLE").code == 0
    assert cli("status", "--json").json["watchlist"]["assets"] == 1
    assert "no longer tracked" in cli("untrack", "aaple").out
    assert cli("status", "--json").json["watchlist"]["assets"] == 0
    assert cli("untrack", "NOBODY").code == 2


def test_sources_tell_what_they_lack(cli: Cli) -> None:
    """A source without its key is off and says which variable turns it on."""
    found = {entry["source"]: entry for entry in cli("sources", "--json").json}
    assert found["yahoo"]["on"] is True
    assert found["yahoo"]["quota"]["limits"][0]["left"] > 0
    assert found["polygon"]["state"] == "off: set POLYGON_API_KEY"
    on = cli("sources", "--json", POLYGON_API_KEY="secret-key")
    assert next(e for e in on.json if e["source"] == "polygon")["key_set"] is True
    assert "secret-key" not in on.out


def test_a_plan_fetches_and_registers_nothing(cli: Cli, sandbox: SandboxServer) -> None:
    """It counts calls by source against the simple ways, and leaves no trace."""
    found = cli("plan", "AAPL", "IBM", *RANGE, "--json").json
    assert found["expected"] == 2 * SESSIONS
    assert found["one_call_per_ticker"] == 2
    assert found["one_call_per_ticker_and_day"] == 2 * SESSIONS
    assert found["calls"] == sum(found["calls_by_source"].values()) == 2
    assert found["calls_ratio"] >= 1
    assert sandbox.report()["calls"] in (0, {}) or not sandbox.report(log=True)["log"]
    assert cli("status", "--json").json["watchlist"]["assets"] == 0
    assert "one call per ticker" in cli("plan", "AAPL", *RANGE).out


def test_a_plan_says_what_no_source_has(cli: Cli) -> None:
    """Cells that nobody can fill are listed with the reason."""
    found = cli("plan", "AAPL", *RANGE, "--json", STOCK_PLATFORM_SOURCES="polygon").json
    assert found["calls"] == 0
    assert sum(u["cells"] for u in found["uncovered"]) == SESSIONS


def test_prices_come_in_four_formats(cli: Cli, fill: Fill, ticker: str) -> None:
    """Table, CSV, JSON and Parquet hold the same bars; a file's suffix tells its format."""
    fill(ticker, start=START, end=END)
    rows = cli("prices", ticker, *RANGE, "--json").json
    assert len(rows) == SESSIONS
    assert rows[0]["session"] == str(START)
    csv = pl.read_csv(io.StringIO(cli("prices", ticker, *RANGE, "--format", "csv").out))
    assert csv["close"].to_list() == [row["close"] for row in rows]
    said = cli("prices", ticker, "-o", "out.parquet")
    assert (said.code, said.out) == (0, "")
    parquet = pl.read_parquet(cli.folder / "out.parquet")
    assert parquet["close"].to_list() == csv["close"].to_list()
    assert f"{SESSIONS} bars" in cli("prices", ticker, *RANGE).err
    weeks = cli("prices", ticker, "--interval", "1wk", "--adjust", "all", "--json").json
    assert len(weeks) == 5
    assert [path.name for path in cli.folder.iterdir() if path.name.startswith(".")] == []


def test_an_export_of_the_market_has_what_was_delisted(
    cli: Cli, fill: Fill, ticker: str, database_url: str
) -> None:
    """Unless they are left out: who studies those that are left studies the lucky ones."""
    fill(ticker, start=START, end=END)
    with Database(database_url) as db, db.connect() as connection:
        connection.execute("update stocks.assets set active = false")
    made = cli("export", "all.parquet", "--scope", "market", "--json")
    assert (made.json["rows"], made.json["tickers"]) == (SESSIONS, 1)
    assert "market is empty" in cli("export", "x", "--scope", "market", "--no-delisted").error


def test_actions_and_what_was_known(cli: Cli, fill: Fill, ticker: str, database_url: str) -> None:
    """Splits and dividends with who told them; prices as of before anything was loaded: none."""
    fill(ticker, start=START, end=END)
    with Database(database_url) as db:
        asset_id = resolve(db, [ticker])[ticker]
        for source, day in (("polygon", date(2013, 1, 15)), ("yahoo", date(2013, 1, 16))):
            told = worlds.splits_of([(asset_id, day, 4.0)], source)
            write_fetch(db, [FetchBatch(None, splits=told)], None)
    found = cli("actions", ticker, "--json").json
    assert [(s["ex_date"], s["ratio"], s["factor"]) for s in found["splits"]] == [
        ("2013-01-15", 4.0, 0.25)
    ]
    assert found["splits"][0]["sources"] == ["polygon", "yahoo"]
    assert [(c["source"], c["what"]) for c in found["conflicts"]] == [("yahoo", "date")]
    said = cli("actions", ticker, "--history")
    assert "4 for 1" in said.out
    assert "Conflicts" in said.out
    assert max(map(len, said.out.splitlines())) <= 100
    assert cli("actions", ticker, "--as-of", "2012-12-31", "--json").json["splits"] == []
    assert cli("prices", ticker, "--as-of", "2012-12-31", "--json").json == []
    now = cli("prices", ticker, "--adjust", "splits", "--json").json
    assert (
        cli("prices", ticker, "--adjust", "splits", "--as-of", "2100-01-01", "--json").json == now
    )
    assert "as-of: 'soon'" in cli("prices", ticker, "--as-of", "soon").error
    assert "--as-of" in cli("actions", ticker, "--as-of", "2012-12-31", "--refresh").error


def test_a_plan_beside_other_ways_and_over_time(cli: Cli, sandbox: SandboxServer) -> None:
    """A call a ticker and day, a call a ticker, each source alone; and when what is asked."""
    words = ("plan", "--scope", "market", *RANGE, "--compare", "--timeline")
    found = cli(*words, "--json").json
    assert [way["name"] for way in found["compared"]] == [
        "this plan",
        "one call per ticker per day (yahoo)",
        "one call per ticker (yahoo)",
        "polygon alone",
        "yahoo alone",
    ]
    ours, by_day, by_ticker, *_ = found["compared"]
    assert ours["calls"] == found["calls"] == SESSIONS
    assert by_day["calls"] == found["cells"] > by_ticker["calls"] > ours["calls"]
    assert sum(step["calls"] for step in found["timeline"]) == found["calls"]
    said = cli(*words)
    assert "one call per ticker (yahoo)" in said.out
    assert "polygon grouped market 1d" in said.out


def test_status_counts_what_is_stored(cli: Cli, fill: Fill, ticker: str) -> None:
    """By scope and by ticker; an unknown ticker is wrong input."""
    fill(ticker, start=START, end=END)
    found = cli("status", *RANGE, "--json").json
    assert found["watchlist"]["states"] == {"stored": SESSIONS}
    assert found["watchlist"]["tickers"][0]["ticker"] == ticker
    own = cli("status", ticker, *RANGE, "--json").json
    assert own["prices"]["bars"] >= SESSIONS
    assert own["gaps"] == []
    assert own["share"] == 1.0
    assert ticker in cli("status").out
    assert cli("status", ticker).code == 0
    unknown = cli("status", "NOSUCH")
    assert unknown.code == 2
    assert "NOSUCH" in unknown.error


def test_gaps_are_runs_of_sessions_that_need_a_call() -> None:
    """Settled cells part them, and so does a change of state."""
    days = [date(2013, 1, day) for day in (2, 3, 4, 7, 8, 9)]
    states = ("missing", "missing", "stored", "failed", "missing", "no_data")
    codes = np.array([[NAMES.index(state) for state in states]], dtype=np.uint8)
    assert gaps(CellGrid.rectangle([1], days), codes) == [
        {"state": "missing", "start": days[0], "end": days[1], "sessions": 2},
        {"state": "failed", "start": days[3], "end": days[3], "sessions": 1},
        {"state": "missing", "start": days[4], "end": days[4], "sessions": 1},
    ]


def test_a_reader_that_goes_away_is_no_error(cli: Cli, fill: Fill, ticker: str) -> None:
    """``prices | head -1`` says nothing on stderr."""
    fill(ticker, start=START, end=END)
    with cli.start("prices", ticker, "--format", "csv") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "market",
        "plan AAPL --start 2013-01-02",
        "fetch yahoo AAPL --start 2013-01-02 --end 2013-01-04",
        "prices AAPL",
        "status",
        "sandbox --faults x",
        "backfill AAPL --start 2013-01-05 --end 2013-01-06",
    ],
)
def test_reading_does_not_import_dagster(cli: Cli, sandbox: SandboxServer, words: str) -> None:
    """Nor do --help and wrong input; --help imports nothing heavy at all."""
    program = (
        "import sys; from stock_platform.apps.cli import main; main(sys.argv[1:]); "
        "sys.stderr.write('\\n' + ' '.join(sys.modules))"
    )
    command = cli.command(*words.split())
    done = subprocess.run(
        [command[0], "-c", program, *words.split()],
        cwd=cli.folder,
        env=cli.surroundings({}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    modules = set(done.stderr.splitlines()[-1].split())
    assert "stock_platform.apps.cli.app" in modules
    heavy = {"dagster", "pandera"} | ({"polars", "pandas", "numpy"} if words == "--help" else set())
    assert not heavy & modules
