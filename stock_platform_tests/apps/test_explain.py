"""``explain`` and ``quarantine`` as users start them."""

from __future__ import annotations

from datetime import date

from stock_platform.sandbox.server import SandboxServer
from stock_platform_tests.apps.conftest import Cli, Fill


def test_explain_and_quarantine(cli: Cli, sandbox: SandboxServer, ticker: str, fill: Fill) -> None:
    """A price and a broken row are told in 100 columns and as JSON; a row is rejected by name."""
    sandbox.app.faults.add([{"kind": "high_below_low", "symbol": ticker, "share": 0.1}])
    fill(ticker, start=date(2013, 1, 2), end=date(2013, 2, 28))
    rows = cli("quarantine", ticker, "--json").json
    assert rows
    assert rows == cli("quarantine", "list", ticker, "--json").json
    listed = cli("quarantine", ticker).out
    assert " O " in listed
    assert '{"' not in listed
    row = rows[0]
    text = cli("explain", ticker, row["session"])
    assert "There is no price: every quote of that day failed a rule." in text.out
    assert max(map(len, text.out.splitlines())) <= 100
    facts = cli("explain", ticker, row["session"], "--json").json
    assert facts["quotes"][0]["quarantine_id"] == row["quarantine_id"]
    assert facts["quotes"][0]["call"]["status"] == "ok"
    said = cli("quarantine", "accept", row["quarantine_id"][:8], "--reason", "please")
    assert (said.code, "high_below_low" in said.error) == (2, True)
    judged = cli("quarantine", "reject", row["quarantine_id"][:8], "--reason", "broken", "--json")
    assert judged.json["decisions"][0]["verdict"] == "reject"
    shown = cli("quarantine", "show", row["quarantine_id"]).out
    assert "broken" in shown
    assert cli("explain", ticker, "2013-13-01").code == 2
    good = cli("explain", ticker, "2013-01-21")
    assert "is no session of XNYS" in good.out
