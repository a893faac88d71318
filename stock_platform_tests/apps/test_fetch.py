"""``fetch`` and ``sandbox``: one source asked, nothing stored."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request

import pytest

from stock_platform.sandbox.server import SandboxServer
from stock_platform_tests.apps.conftest import Cli

RANGE = ("--start", "2013-01-02", "--end", "2013-01-31")


@pytest.mark.parametrize("source", ["yahoo", "polygon"])
def test_fetch_prints_a_sources_bars_and_stores_none(
    cli: Cli, sandbox: SandboxServer, ticker: str, source: str
) -> None:
    """One request, the truth's closes, in the exchange's dates; the database stays empty."""
    said = cli("fetch", source, ticker.lower(), *RANGE, "--json")
    rows = said.json
    assert {row["source"] for row in rows} == {source}
    assert {row["ticker"] for row in rows} == {ticker}
    assert (rows[0]["session"], rows[-1]["session"]) == ("2013-01-02", "2013-01-31")
    assert "1 request" in said.err
    tables = cli("db", "info", "--json").json["tables"]
    assert all(t["rows"] == 0 for t in tables if t["name"] in ("raw_quotes", "assets"))


def test_fetch_prints_tables_and_csv(cli: Cli, sandbox: SandboxServer, ticker: str) -> None:
    """The formats of ``prices``."""
    assert "close" in cli("fetch", "yahoo", ticker, *RANGE).out
    csv = cli("fetch", "yahoo", ticker, *RANGE, "--format", "csv").out.splitlines()
    assert csv[0].startswith("ticker,interval,ts,session,open")
    assert len(csv) == 22


def test_fetch_names_what_a_source_has_instead(cli: Cli, sandbox: SandboxServer) -> None:
    """An interval or a kind of asset that a source lacks is wrong input."""
    (cli.folder / "AAPL.csv").write_text("date,open,high,low,close,volume\n")
    mine = str(cli.folder)
    said = cli("fetch", "files", "AAPL", *RANGE, "--interval", "5m", STOCK_PLATFORM_FILES_PATH=mine)
    assert said.code == 2
    assert "interval: '5m' is not allowed; files has 1d" in said.error
    said = cli("fetch", "polygon", "GC=F", "--start", "2013-01-02", "--end", "2013-01-04")
    assert said.code == 2
    assert "ticker: 'GC=F' is not allowed; polygon has" in said.error


def test_fetch_of_an_unknown_ticker_fails_in_one_line(cli: Cli, sandbox: SandboxServer) -> None:
    """The vendor's answer, exit code 1."""
    said = cli("fetch", "yahoo", "ZZZZZ", *RANGE)
    assert said.code == 1
    assert "yahoo: ZZZZZ" in said.error


def test_sandbox_serves_until_ctrl_c(cli: Cli) -> None:
    """It prints the settings to use it by, answers, and ends with 0."""
    words = ("--port", "0", "--symbols", "3", "--now", "2013-03-01T23:00Z", "--clock-rate", "60")
    with cli.start("sandbox", *words) as process:
        try:
            given = settings_said(process)
            root = given["STOCK_PLATFORM_YAHOO_BASE_URL"].rpartition("/")[0]
            with urllib.request.urlopen(f"{root}/_sandbox/report", timeout=10) as answer:  # noqa: S310 - our own http address
                assert not json.load(answer)["violations"]
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert given["STOCK_PLATFORM_CLOCK_RATE"] == "60"
    assert given["STOCK_PLATFORM_MARKET_TIME"] == "2013-03-01T23:00:00+00:00"
    assert (process.returncode, said) == (0, "")


def settings_said(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout
    given = {}
    for line in process.stdout:
        if line.startswith("#"):
            break
        name, _, value = line.removeprefix("export ").strip().partition("=")
        given[name] = value
    return given


def test_sandbox_on_a_taken_port_fails_in_one_line(cli: Cli, sandbox: SandboxServer) -> None:
    """Exit code 1."""
    port = sandbox.url.rpartition(":")[2]
    said = cli("sandbox", "--port", port, "--symbols", "3")
    assert said.code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in said.error
    assert "--port 0" in said.error
