"""NASDAQ Trader and the SEC in the sandbox: their files; and our adapters against them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import httpx
import polars as pl
import pytest

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import Malformed, NotEntitled, RateLimited, UnknownSymbol
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sources.base import Facts, Question
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions

NOW = datetime(2018, 3, 3, 12, tzinfo=UTC)
CONFIG = SandboxConfig(
    symbols=300, now=NOW, start=date(2014, 1, 2), limits={"nasdaqtrader": [], "sec": []}
)
AGENT = "Jane Doe jane@doe.example"
FOLDER = "/dynamic/SymDir"


@pytest.fixture(scope="module")
def _running() -> Iterator[SandboxServer]:
    with SandboxServer(CONFIG) as server:
        yield server


@pytest.fixture
def sandbox(_running: SandboxServer) -> Iterator[SandboxServer]:
    _running.app.reset()
    _running.market.time.freeze(NOW)
    yield _running
    _running.app.reset()
    _running.market.time.freeze(NOW)


def ask(sandbox: SandboxServer, name: str, symbol: str | None = None, agent: str = AGENT) -> Facts:
    source = build(
        Setup(
            SOURCES[name].capabilities,
            MemoryQuota(),
            FixedClock(NOW),
            base_url=sandbox.base_url(name),
            http=HttpOptions(backoff=0.01, user_agent=agent, max_wait=1.0),
        )
    )
    try:
        return source.ask(Question(Feed.LISTING, symbol))
    finally:
        source.close()


def living(sandbox: SandboxServer) -> pl.DataFrame:
    listing = sandbox.market.listing()
    return listing.filter(pl.col("delisted_on").is_null()).sort("symbol")


def get(sandbox: SandboxServer, vendor: str, path: str, agent: str = AGENT) -> httpx.Response:
    return httpx.get(sandbox.base_url(vendor) + path, headers={"user-agent": agent})


def test_our_directory_is_the_true_one(sandbox: SandboxServer) -> None:
    """Every symbol that is listed, its exchange, its name, and whether it is a fund."""
    truth = living(sandbox)
    facts = ask(sandbox, "nasdaqtrader")
    assert facts.rejected.is_empty()
    assert facts.frame["symbol"].to_list() == truth["symbol"].to_list()
    assert facts.frame["exchange"].to_list() == truth["exchange"].to_list()
    funds = facts.frame["asset_class"] == "etf"
    assert funds.to_list() == (truth["kind"] == "ETF").to_list()
    assert {"TRUE", "NAN"} <= set(facts.frame["symbol"])
    suffixes = {s.partition(".")[2] for s in facts.frame["symbol"]}
    assert {"B", "PRA", "WS", "U"} <= suffixes


def test_the_directory_is_of_the_present(sandbox: SandboxServer) -> None:
    """A year before, other symbols were listed."""
    sandbox.market.time.freeze(datetime(2016, 3, 3, 20, tzinfo=UTC))
    before = set(ask(sandbox, "nasdaqtrader").frame["symbol"])
    assert before == set(living(sandbox)["symbol"])
    sandbox.market.time.freeze(NOW)
    assert before != set(ask(sandbox, "nasdaqtrader").frame["symbol"])


def test_three_files(sandbox: SandboxServer) -> None:
    """NASDAQ's and the others' add up to both; each ends with its time in New York."""
    texts = {
        name: get(sandbox, "nasdaqtrader", f"{FOLDER}/{name}.txt").text
        for name in ("nasdaqtraded", "nasdaqlisted", "otherlisted")
    }
    lines = {name: text.split("\r\n") for name, text in texts.items()}
    assert all(rows[-1] == "" for rows in lines.values())
    assert {rows[-2].rstrip("|") for rows in lines.values()} == {
        "File Creation Time: 0303201807:00"
    }
    assert all(len({row.count("|") for row in rows[:-1]}) == 1 for rows in lines.values())
    count = {name: len(rows) - 3 for name, rows in lines.items()}
    assert count["nasdaqtraded"] == count["nasdaqlisted"] + count["otherlisted"]
    assert count["nasdaqtraded"] == living(sandbox).height + 5
    assert "ZVZZT|NASDAQ TEST STOCK|Q|Y|N|100|N|N" in lines["nasdaqlisted"]
    preferred = next(row for row in lines["otherlisted"] if "$A|" in row)
    act, _, _, cqs, *_, nasdaq = preferred.split("|")
    assert (cqs, nasdaq) == (act.replace("$", "p"), act.replace("$", "-"))


def test_our_filers_are_the_true_ones(sandbox: SandboxServer) -> None:
    """All but funds, with their CIK."""
    truth = living(sandbox).filter(pl.col("kind") != "ETF")
    facts = ask(sandbox, "sec")
    assert facts.rejected.is_empty()
    assert facts.frame["symbol"].to_list() == truth["symbol"].to_list()
    assert facts.frame["vendor_symbol"].to_list() == truth["yahoo"].to_list()
    assert facts.frame["name"].to_list() == truth["name"].to_list()
    assert facts.frame["cik"].to_list() == [f"{1_000_000 + n:010d}" for n in truth["number"]]
    assert sandbox.report()["violations"] == 0


def test_both_forms_of_the_secs_file(sandbox: SandboxServer) -> None:
    """Rows by number, and fields once."""
    rows = get(sandbox, "sec", "/files/company_tickers.json").json()
    assert list(rows)[:2] == ["0", "1"]
    assert list(rows["0"]) == ["cik_str", "ticker", "title"]
    body = get(sandbox, "sec", "/files/company_tickers_exchange.json").json()
    assert body["fields"] == ["cik", "name", "ticker", "exchange"]
    assert len(body["data"]) == len(rows)
    assert {row[3] for row in body["data"]} <= {"Nasdaq", "NYSE", "CBOE"}


def test_the_sec_wants_to_know_who_asks(sandbox: SandboxServer) -> None:
    """403 and a page for a User-Agent without an address; our adapter says what to do."""
    answer = get(sandbox, "sec", "/files/company_tickers.json", "python-httpx/0.28")
    assert (answer.status_code, answer.headers["content-type"]) == (403, "text/html")
    with pytest.raises(NotEntitled, match="set STOCK_PLATFORM_USER_AGENT to 'name e-mail'"):
        ask(sandbox, "sec", agent="stock_platform/0.1")


@pytest.mark.parametrize(("name", "calls"), [("sec", 10), ("nasdaqtrader", 30)])
def test_limits(name: str, calls: int) -> None:
    """Ten a second for a caller of the SEC; thirty a minute for an address."""
    config = replace(CONFIG, symbols=3, limits={}, clock_rate=0.01)
    path = "/files/company_tickers.json" if name == "sec" else f"{FOLDER}/otherlisted.txt"
    with SandboxServer(config) as server:
        found = [get(server, name, path).status_code for _ in range(calls + 1)]
    assert found == [*[200] * calls, 429]


@pytest.mark.parametrize("name", ["nasdaqtrader", "sec"])
@pytest.mark.parametrize("kind", ["html", "truncated", "empty"])
def test_faults_that_spoil_the_answer(sandbox: SandboxServer, name: str, kind: str) -> None:
    """What is not the documented form is Malformed, whole."""
    sandbox.app.faults.add([{"kind": kind, "vendor": name}])
    with pytest.raises(Malformed):
        ask(sandbox, name)


@pytest.mark.parametrize("name", ["nasdaqtrader", "sec"])
def test_faults_that_pass(sandbox: SandboxServer, name: str) -> None:
    """A 503 that befalls one call costs a try; an error in a 200 is known for one."""
    sandbox.app.faults.add([{"kind": "http_503", "vendor": name, "once": True}])
    assert ask(sandbox, name).requests == 2
    sandbox.app.faults.add([{"kind": "error_200", "vendor": name}])
    with pytest.raises(RateLimited if name == "sec" else Malformed):
        ask(sandbox, name)


def test_one_symbol(sandbox: SandboxServer) -> None:
    """Of either directory; and paths there are not."""
    for name in ("nasdaqtrader", "sec"):
        assert ask(sandbox, name, "TRUE").frame["symbol"].to_list() == ["TRUE"]
        with pytest.raises(UnknownSymbol):
            ask(sandbox, name, "QQQZZ")
        assert get(sandbox, name, "/nowhere").status_code == 404
