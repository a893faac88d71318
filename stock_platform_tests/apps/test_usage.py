"""Help, versions, exit codes and errors."""

from __future__ import annotations

import pytest

from stock_platform_tests.apps.conftest import Cli

LIGHT = ("market", "plan", "fetch", "prices", "status", "sources", "db", "sandbox", "quarantine")


def test_help_lists_every_command_and_the_exit_codes(bare: Cli) -> None:
    """Without any word, and with --help, the same help; it ends with 0."""
    said = bare("--help")
    assert said.code == 0
    assert said == bare()
    for name in (*LIGHT, "demo", "up", "backfill"):
        assert f" {name} " in said.out
    assert "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 partly done" in said.out


def test_version_is_one_line(bare: Cli) -> None:
    """``--version`` says which version this is."""
    said = bare("--version")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("stock-platform ")
    assert said.out.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param("nonsense", "no such command 'nonsense'", id="command"),
        pytest.param("export", "'TARGET'. (see `stock-platform export --help`)", id="argument"),
        pytest.param("sources show yaho", "did you mean yahoo", id="near-source"),
        pytest.param("rules spikes", "did you mean spike?", id="near-rule"),
        pytest.param("plan AAPL", "missing option '--start'", id="missing-option"),
        pytest.param("plan --strat 1", "no such option", id="option"),
        pytest.param("plan A?C --start 2013-01-02", "ticker: 'A?C' is not allowed", id="ticker"),
        pytest.param(
            "backfill AAPL --start 2013-02-02 --end 2013-01-02",
            "start: '2013-02-02' is not allowed; use a date up to the end, 2013-01-02",
            id="inverted",
        ),
        pytest.param(
            "backfill AAPL --start 2013-01-05 --end 2013-01-06",
            "use a range with a session of XNYS; the next one is 2013-01-07",
            id="weekend",
        ),
        pytest.param(
            "backfill AAPL --start 2013-03-04",
            "use a date up to the last completed session, 2013-03-01",
            id="future",
        ),
        pytest.param(
            "backfill AAPL --start 2012-12-03",
            "use a date from 2013-01-02 on, or set STOCK_PLATFORM_START_DATE",
            id="before-the-first-partition",
        ),
        pytest.param("plan AAPL --start soon", "use a date like 2024-01-31", id="date"),
        pytest.param(
            "backfill AAPL --scope market --start 2013-01-02",
            "scope: 'market' is not allowed; leave out the tickers",
            id="market-with-tickers",
        ),
        pytest.param(
            "backfill --scope market --shards 30-40 --start 2013-01-02",
            "shards: '30-40' is not allowed; use numbers from 0 to 31",
            id="shards",
        ),
        pytest.param(
            "backfill AAPL --shards 1 --start 2013-01-02",
            "shards: '1' is not allowed; use them with --scope market",
            id="shards-of-a-watchlist",
        ),
        pytest.param(
            "backfill --tickers-file nowhere.txt --start 2013-01-02",
            "give a readable text file (No such file or directory)",
            id="tickers-file",
        ),
        pytest.param("prices AAPL --interval 7m", "interval: '7m' is not allowed", id="interval"),
        pytest.param("prices AAPL --adjust some", "adjust: 'some' is not allowed", id="adjust"),
        pytest.param(
            "prices AAPL -o no/such/folder/x.csv", "no/such/folder is no folder", id="output"
        ),
        pytest.param(
            "fetch nope AAPL --start 2013-01-02", "is not allowed; use one of", id="source"
        ),
        pytest.param(
            "fetch polygon AAPL --start 2013-01-02",
            "POLYGON_API_KEY: '' is not allowed; set it to use the source polygon",
            id="missing-key",
        ),
        pytest.param("market --calendar NOPE", "use an exchange's MIC", id="calendar"),
        pytest.param("market --at nope", "use an instant like", id="instant"),
        pytest.param("sandbox --faults {", "faults: '{' is not allowed", id="faults"),
        pytest.param("up --port 70000", "'--port'", id="port"),
        pytest.param("db stop", "only the embedded server is ours to stop", id="stop"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(bare: Cli, words: str, expected: str) -> None:
    """It names what is wrong and what is allowed, before any database is asked."""
    said = bare(*words.split())
    assert said.code == 2, said.err
    assert expected in said.error
    assert said.out == ""


def test_unknown_settings_are_wrong_input(bare: Cli) -> None:
    """A variable's value that is not allowed is named with its variable."""
    said = bare("market", STOCK_PLATFORM_CLOCK_RATE="fast")
    assert said.code == 2
    assert "STOCK_PLATFORM_CLOCK_RATE: 'fast'" in said.error


@pytest.mark.parametrize(
    "words", ["status", "sources", "db info", "db migrate", "prices AAPL", "up --port 0"]
)
def test_an_unreachable_database_is_one_line_without_its_password(bare: Cli, words: str) -> None:
    """Exit code 1, the server named, the password not."""
    said = bare(*words.split())
    assert said.code == 1
    assert "127.0.0.1:9/prices" in said.error
    assert "hidden-word" not in said.err + said.out


def test_where_an_error_comes_from_is_shown_on_demand(bare: Cli) -> None:
    """--debug, wherever it stands, and STOCK_PLATFORM_DEBUG add the traceback."""
    for said in (bare("market", "--at", "x", "--debug"), bare("market", "--at", "x",
                 STOCK_PLATFORM_DEBUG="1")):  # fmt: skip
        assert said.code == 2
        assert "Traceback" in said.err
        assert said.err.strip().splitlines()[-1].startswith("error: at: 'x'")


def test_passwords_are_shown_only_on_demand(bare: Cli) -> None:
    """``db url`` prints asterisks, and the whole URL with --show-password."""
    assert bare("db", "url").out == "postgresql://someone:***@127.0.0.1:9/prices\n"
    assert "hidden-word" in bare("db", "url", "--show-password").out


def test_tickers_come_from_a_file_too(bare: Cli) -> None:
    """One a line, with comments; a bad one is named."""
    (bare.folder / "mine.txt").write_text("ticker\nAAPL # the first\n\nbrk.b\n?!\n")
    said = bare("plan", "--tickers-file", "mine.txt", "--start", "2013-01-02")
    assert said.code == 2
    assert "ticker: '?!' is not allowed" in said.error
