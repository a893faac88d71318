"""``stock-platform reconcile``, as people type it."""

from __future__ import annotations

from datetime import date

from stock_platform.sandbox.server import SandboxServer
from stock_platform_tests.apps.conftest import Cli, Fill


def test_a_second_opinion(cli: Cli, sandbox: SandboxServer, ticker: str, fill: Fill) -> None:
    """The plan first, without a call; then the comparison; then nothing is left to ask."""
    fill(ticker, start=date(2013, 1, 2), end=date(2013, 2, 28))
    before = sandbox.app.report()["calls"]
    words = ("reconcile", ticker, "--start", "2013-01-02")
    plan = cli(*words, "--dry-run", "--json").json
    assert any(text.startswith("polygon") for text in plan["planned"])
    assert not plan["calls"]
    assert sandbox.app.report()["calls"] == before
    done = cli(*words, "--json")
    assert done.code == 0, done.err
    assert done.json["by_source"]["polygon"]["agreed"] > 0
    again = cli(*words)
    assert again.code == 0
    assert "0 sampled, 0 disputed" in again.out + again.err
    wrong = cli("reconcile", "--share", "2")
    assert wrong.code == 2
    assert "share" in wrong.error
