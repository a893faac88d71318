"""``stock-platform demo`` as its users start it: one process, a kill -9 and all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stock_platform.apps.demo import account, world
from stock_platform.apps.supervise import answers
from stock_platform.storage.embedded import remove_server, server_status

HOSTILE = {
    "DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/none",
    "POLYGON_API_KEY": "a-real-key",
    "STOCK_PLATFORM_SOURCES": "files",
    "STOCK_PLATFORM_CALENDAR": "XLON",
}


def demo(folder: Path, *options: str) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[2]
    environment = {k: v for k, v in os.environ.items() if k != "CI"}
    return subprocess.Popen(
        [sys.executable, "-m", "stock_platform", "demo", "--no-serve", *options],
        cwd=folder,
        env=environment | HOSTILE | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(folder: Path, *options: str) -> tuple[int, str, str]:
    process = demo(folder, *options)
    said, complained = process.communicate(timeout=300)
    return process.returncode, said, complained


def account_of(folder: Path) -> dict[str, Any]:
    code, said, complained = finished(folder, "--json")
    assert code == 0, (complained, json.loads(said)["problems"] if said else "")
    facts: dict[str, Any] = json.loads(said)
    return facts


@pytest.mark.thorough
def test_a_demo_killed_in_the_middle_is_completed_by_the_next(tmp_path: Path) -> None:
    """Ctrl-C and kill -9 lose nothing and leave nothing behind; once done, nothing is asked.

    The user's own settings, in the environment and in .env, are neither used nor touched.
    """
    (tmp_path / ".env").write_text(
        "STOCK_PLATFORM_FILES_PATH=/nowhere\nSTOCK_PLATFORM_CLOCK_RATE=9\n"
    )
    home = tmp_path / ".stock_platform" / "demo"
    try:
        first = demo(tmp_path)
        wait_for_progress(first)
        first.send_signal(signal.SIGINT)
        _, complained = first.communicate(timeout=60)
        assert (first.returncode, "Traceback" in complained) == (130, False)
        assert server_status(home) is None

        second = demo(tmp_path)
        wait_for_progress(second)
        second.kill()
        second.communicate(timeout=30)
        assert stops_answering(sandbox_of(home)), "a child outlived its parent"

        facts = account_of(tmp_path)
        assert facts["problems"] == []
        assert facts["violations"] == 0
        truth = facts["truth"]
        assert truth["equal"] == truth["bars"] > 20_000, "what one source spoils another gives"
        assert facts["quarantine"]["rows"] > truth["in_quarantine"] == 0
        assert facts["statuses"]["200"] > 0
        assert all(wait["obeyed"] for wait in facts["retry_after"])
        market, watchlist = facts["scopes"]
        assert market["share"] == watchlist["share"] == 1.0
        assert market["needed"] < market["expected"], "what was stored before the kill is kept"
        assert facts["total_calls"] < facts["one_call_per_ticker_and_day"] / 20
        assert server_status(home) is None

        again = account_of(tmp_path)
        assert again["total_calls"] == 0
        assert again["truth"] == truth
        assert [scope["runs"] for scope in again["scopes"]] == [[], []]

        code, _, complained = finished(tmp_path, "--tickers", "41")
        assert code == 2
        assert complained.startswith("error: tickers: 41 is not allowed")
    finally:
        remove_server(home)


def test_the_demo_stays_out_of_a_folder_with_anything_else_in_it(tmp_path: Path) -> None:
    """It never mixes made-up prices with the user's, nor deletes what is not its own."""
    home = tmp_path / ".stock_platform" / "demo"
    home.mkdir(parents=True)
    (home / "precious").write_text("mine")
    code, said, complained = finished(tmp_path, "--fresh")
    assert code == 2
    assert said == ""
    assert complained.count("\n") == 1
    assert complained.startswith("error: STOCK_PLATFORM_HOME: ")
    assert (home / "precious").read_text() == "mine"


def test_obeying_a_429_is_measured_from_the_calls() -> None:
    """A call within Retry-After counts against us, unless it was on its way already."""

    def log(*later: float) -> list[dict[str, Any]]:
        calls = [{"vendor": "polygon", "at": at, "fault": None} for at in later]
        return [{"vendor": "polygon", "at": 0.0, "fault": "http_429"}, *calls]

    wait = world.RETRY_AFTER
    assert account.waits(log(0.1, wait + 0.1))[0]["obeyed"]
    assert not account.waits(log(0.1, wait - 0.5))[0]["obeyed"]
    assert account.waits(log())[0]["obeyed"]


def test_everything_that_falls_short_is_named() -> None:
    """Violations, unsettled cells, failed runs and wrong prices each end the demo with 1."""
    good: dict[str, Any] = {
        "violations": 0,
        "retry_after": [],
        "scopes": [{"scope": "market", "expected": 5, "settled": 5, "error": None}],
        "truth": {"different": 0, "missing": 0, "extra": 0},
    }
    assert account.problems(good) == []
    bad = good | {
        "violations": 2,
        "retry_after": [{"asked": 3.0, "obeyed": False}],
        "scopes": [{"scope": "market", "expected": 5, "settled": 4, "error": "no database"}],
        "truth": {"different": 1, "missing": 2, "extra": 3},
    }
    assert account.problems(bad) == [
        "2 calls beyond a vendor's limit",
        "Retry-After of 3 s was not obeyed",
        "a run of the market scope failed: no database",
        "1 cells of the market scope are not settled",
        "1 prices differ from the truth",
        "2 prices are missing and not in quarantine",
        "3 prices are not in the truth",
    ]


def wait_for_progress(process: subprocess.Popen[str]) -> None:
    """Until calls are being made."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("market:") and "(polygon" in line:
            return
    raise AssertionError("the demo ended early")


def sandbox_of(home: Path) -> str:
    said = (home / "logs" / "sandbox.log").read_text()
    return "http://127.0.0.1:" + said.partition("http://127.0.0.1:")[2].partition("/")[0]


def stops_answering(url: str, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while answers(f"{url}/_sandbox/health"):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
