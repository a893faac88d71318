"""``quotes`` and ``live``: the newest prices, and who is asked for them."""

from __future__ import annotations

from datetime import datetime

from stock_platform_tests.apps.conftest import NOW, Cli


def test_watch_ask_and_show(cli: Cli, ticker: str) -> None:
    """A ticker is watched by the minute, asked for although New York has closed, and shown; an
    unknown one beside it is partly done."""
    empty = cli("quotes")
    assert (empty.code, empty.out) == (0, "")
    assert "no quote is stored" in empty.err
    assert (
        cli("live", "on", ticker, "--every", "1").out == f"{ticker}: every 1 min while it trades\n"
    )
    assert cli("live", "on", "QQQZZ").code == 0
    shown = cli("live", "list", "--json").json
    assert [(row["ticker"], row["every"], row["asked_at"]) for row in shown] == sorted(
        [(ticker, 1, None), ("QQQZZ", 15, None)]
    )
    asked = cli("quotes", ticker, "qqqzz", "--refresh", "--json")
    assert asked.code == 3
    assert "error: QQQZZ: no source has a good quote of it" in asked.err
    (quote,) = asked.json
    assert quote["ticker"] == ticker
    assert quote["price"] > 0
    assert datetime.fromisoformat(quote["quoted_at"]) <= NOW
    table = cli("quotes", ticker).out
    assert ticker in table
    assert max(map(len, table.splitlines())) <= 100


def test_what_is_refused(cli: Cli, ticker: str) -> None:
    """A ticker nobody knows is named; nobody to ask for is an error, too."""
    unknown = cli("quotes", "ZZTOP")
    assert unknown.code == 2
    assert "ZZTOP" in unknown.error
    assert "no ticker is tracked" in cli("quotes", "--refresh").error
    assert cli("live", "on", ticker, "--every", "0").code == 2
