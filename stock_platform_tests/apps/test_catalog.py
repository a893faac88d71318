"""``stock-platform catalog`` against the sandbox's directories, as people type it."""

from __future__ import annotations

import pytest

from stock_platform.sandbox.server import SandboxServer
from stock_platform_tests.apps.conftest import Cli


@pytest.fixture
def directory(cli: Cli, sandbox: SandboxServer) -> Cli:
    """The command with NASDAQ Trader's files to read."""
    cli.environment |= {
        "STOCK_PLATFORM_SOURCES": "nasdaqtrader",
        "STOCK_PLATFORM_NASDAQTRADER_BASE_URL": sandbox.base_url("nasdaqtrader"),
    }
    return cli


def test_refresh_show_search_changes(directory: Cli, sandbox: SandboxServer) -> None:
    """A dry run writes nothing, a refresh fills, the others read; a web page changes nothing."""
    dry = directory("catalog", "refresh", "--dry-run", "--json")
    assert dry.code == 0, dry.err
    assert dry.json["assets"] == 0
    made = directory("catalog", "refresh", "--json")
    assert made.code == 0, made.err
    shares = next(d for d in made.json["directories"] if d["directory"] == "shares")
    assert shares["status"] == "applied"
    assert made.json["assets"] >= 15
    listing = sandbox.market.listing()
    ticker = next(
        str(s) for s, gone in listing.select("symbol", "delisted_on").iter_rows()
        if str(s).isalpha() and gone is None
    )  # fmt: skip
    (asset,) = directory("catalog", "show", ticker, "--json").json
    assert asset["tickers"][-1]["ticker"] == ticker
    assert ticker in directory("catalog", "show", ticker).out
    found = directory("catalog", "search", ticker, "--json").json
    assert ticker in {row["ticker"] for row in found}
    assert directory("catalog", "changes", "--json").json == []

    sandbox.app.faults.add([{"vendor": "nasdaqtrader", "kind": "html"}])
    refused = directory("catalog", "refresh", STOCK_PLATFORM_HOME=str(directory.folder / "other"))
    assert refused.code == 1
    assert "nothing was changed" in refused.out + refused.err
    assert directory("catalog", "show", ticker, "--json").json == [asset]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "ZZZZZQ"), "ticker"),
        (("changes", "--kind", "vanished"), "kind"),
        (("search", " "), "text"),
    ],
)
def test_wrong_usage(cli: Cli, words: tuple[str, ...], said: str) -> None:
    """Exit code 2, and one line that names the parameter."""
    done = cli("catalog", *words)
    assert done.code == 2
    assert said in done.error
