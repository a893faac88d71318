"""``quality`` as users start it."""

from __future__ import annotations

from datetime import date

from stock_platform_tests.apps.conftest import Cli, Fill


def test_quality_of_all_and_of_one(cli: Cli, ticker: str, fill: Fill) -> None:
    """Scored on demand, in 100 columns and as JSON; one ticker is told as of now."""
    fill(ticker, start=date(2013, 1, 2), end=date(2013, 3, 1))
    own = cli("quality", ticker, "--json").json  # before any scoring
    assert own["scores"]["completeness"] == 100
    assert own["scores"]["last_session"] == "2013-02-28"  # the source is late
    assert own["years"][0]["priced"] == own["scores"]["expected"]
    every = cli("quality", "--refresh", "--json").json
    assert {row["scope"] for row in every["scopes"]} >= {"watchlist"}
    assert every["changed_since"] == 0
    assert (every["tickers"], every["worst_tickers"]) == (1, [])  # it scores 100
    assert every["sources"][0]["source"] == "yahoo"
    filled = cli("quality", ticker, "--fill", "--json").json["fill"]
    assert filled["open_cells"] == {"never_asked": 0, "said_none": 0}
    for words in (("quality",), ("quality", ticker)):
        said = cli(*words)
        assert said.code == 0, said.err
        assert max(map(len, said.out.splitlines())) <= 100
