"""``backfill`` through a real Dagster run, and what its exit code tells."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest

from stock_platform.apps.cli.backfill import Naive, exit_code, summary
from stock_platform.sandbox.server import SandboxServer
from stock_platform_tests.apps.conftest import Cli

RANGE = ("--start", "2013-01-02", "--end", "2013-01-31")
SESSIONS = 21


@pytest.mark.parametrize(
    ("success", "settled", "expected", "code"),
    [(True, 5, 5, 0), (True, 0, 0, 0), (True, 3, 5, 3), (True, 0, 5, 1), (False, 5, 5, 1)],
)
def test_exit_codes(success: bool, settled: int, expected: int, code: int) -> None:
    """0 all settled, 3 some, 1 none or the run failed."""
    assert exit_code({"success": success, "settled": settled, "expected": expected}) == code


def test_the_account_compares_with_the_simple_ways() -> None:
    """Calls made against one per ticker, and one per ticker and day."""
    found = summary({"asked": 42, "total_calls": 2}, {"expected": 42, "settled": 42}, Naive(2, 42))
    assert found["total_calls"] == found["one_call_per_ticker"] == 2
    assert found["one_call_per_ticker_and_day"] == 42
    assert summary({"asked": 42}, {}, None)["one_call_per_ticker"] is None


def test_a_backfill_fills_and_a_second_one_asks_nothing(
    cli: Cli, sandbox: SandboxServer, ticker: str
) -> None:
    """Exit code 0 each time; the second run makes no call, and one with --refresh all of them."""
    first = cli("backfill", ticker, *RANGE, "--json")
    assert first.code == 0, first.err
    found = first.json
    assert (found["expected"], found["settled"]) == (SESSIONS, SESSIONS)
    assert found["run_id"]
    assert found["total_calls"] >= 1
    assert "Traceback" not in first.err
    assert "100% of 21 cells" in first.err
    again = cli("backfill", ticker.lower(), *RANGE)
    assert again.code == 0, again.err
    assert "21 of 21 cells" in again.out
    assert found["run_id"] not in again.out
    refreshed = cli("backfill", ticker, *RANGE, "--refresh", "--json")
    assert refreshed.code == 0, refreshed.err
    assert (refreshed.json["asked"], refreshed.json["already"]) == (SESSIONS, 0)
    assert refreshed.json["total_calls"] >= 1
    stored = cli("prices", ticker, *RANGE, "--json").json
    assert len(stored) == SESSIONS
    log: Any = cli("status", "--json").json["last_run"]
    assert log["run_id"] == refreshed.json["run_id"]


def test_a_partly_done_backfill_ends_with_3(cli: Cli, sandbox: SandboxServer, ticker: str) -> None:
    """One ticker is stored, the other's cells wait or failed; the reasons are shown."""
    sandbox.app.faults.add([{"kind": "http_500", "vendor": "yahoo", "symbol": "IBM"}])
    sandbox.app.faults.add([{"kind": "http_500", "vendor": "polygon"}])
    said = cli("backfill", ticker, "IBM", *RANGE, "--json", STOCK_PLATFORM_SOURCES="yahoo")
    assert said.code == 3, said.err
    assert said.json["states"]["stored"] == SESSIONS
    assert said.json["settled"] < said.json["expected"]
    assert said.json["reasons"]


def test_ctrl_c_ends_a_backfill_with_130(cli: Cli, sandbox: SandboxServer, ticker: str) -> None:
    """In the middle of a call, at once, without a traceback."""
    sandbox.app.faults.add([{"kind": "slow", "vendor": "yahoo", "seconds": 60}])
    with cli.start("backfill", ticker, *RANGE, STOCK_PLATFORM_SOURCES="yahoo") as process:
        try:
            for _ in range(600):
                if sandbox.report()["faults"][0]["acted"]:
                    break
                threading.Event().wait(0.1)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=25)
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert "Traceback" not in said
