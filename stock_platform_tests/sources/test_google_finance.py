"""Google Finance's pages against a site that answers as tests say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.domain.symbols import parse_symbol
from stock_platform.sources.base import Question
from stock_platform.sources.google_finance.config import spellings
from stock_platform.sources.robots import RobotsGate
from stock_platform_tests.sources.vendors import Vendor, source_of

STAMP = 1709931600  # 2024-03-08 16:00 in New York


@pytest.fixture(autouse=True)
def _no_robots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vendors of these tests answer pages alone; test_robots.py has the rest."""
    monkeypatch.setattr(RobotsGate, "allow", lambda self, path, call=None: None)


def page(body: str, name: str | None = "AAPL:NASDAQ", title: str = "Apple Inc (AAPL)") -> str:
    link = f'<link rel="canonical" href="https://www.google.com/finance/quote/{name}">'
    head = f"<title>{title} - Google Finance</title>{link if name else ''}"
    return f"<!doctype html><html><head>{head}</head><body>{body}"


def element(**changes: str | None) -> str:
    attributes = {
        "data-exchange": "NASDAQ",
        "data-currency-code": "USD",
        "data-last-price": "170.73",
        "data-last-normal-market-timestamp": str(STAMP),
    } | changes
    shown = " ".join(f'{k}="{v}"' for k, v in attributes.items() if v is not None)
    return f"<c-wiz><div {shown}><div class='YMlKec'>$170.73</div></div></c-wiz>"


def entity(name: str = "AAPL:NASDAQ", **changes: Any) -> list[Any]:
    ticker, _, exchange = name.partition(":")
    made: list[Any] = [None] * 26
    made[1] = [ticker, exchange] if exchange else None
    made[2], made[3], made[4] = "Apple Inc", 0, "USD" if exchange else None
    made[5] = [170.73, 1.73, 1.02, 2, 2, 2]
    made[7] = 169.0
    made[11] = [STAMP]
    made[15] = [*ticker.split("-"), "x", "y"] if not exchange else None
    made[21] = name
    for at, value in changes.items():
        made[int(at[1:])] = value
    return made


def data(*entities: list[Any], key: str = "ds:2") -> str:
    text = json.dumps([[[one] for one in entities]])
    return (
        f"<script>AF_initDataCallback({{key: '{key}', hash: '9', data:{text}, "
        "sideChannel: {}});</script>"
    )


NOT_FOUND = page("<div>We couldn&#39;t find any match for your search.</div>", None, title="Google")


def ask(*pages: str | httpx.Response, symbol: str = "AAPL") -> tuple[dict[str, Any], list[str]]:
    vendor = Vendor([httpx.Response(200, text=p) if isinstance(p, str) else p for p in pages])
    facts = source_of("google_finance", vendor).ask(Question(Feed.QUOTE, symbol))
    assert facts.requests == len(vendor.asked)
    assert all(request.headers["accept"].startswith("text/html") for request in vendor.asked)
    paths = [request.url.path.removeprefix("/finance/quote/") for request in vendor.asked]
    return facts.frame.row(0, named=True), paths


EXPECTED = {
    "symbol": "AAPL",
    "ts": datetime(2024, 3, 8, 21, tzinfo=UTC),
    "price": 170.73,
    "open": None,
    "high": None,
    "low": None,
    "previous_close": 169.0,
    "volume": None,
    "currency": "USD",
}


@pytest.mark.parametrize(
    "body",
    [
        element() + data(entity()),
        data(entity("MSFT:NASDAQ", _5=[1.0]), entity()),
        data(entity(_21=None)),
        data([], key="ds:5") + data(entity(), key="ds:13"),
        element() + "<div><span><div>Previous close</div><div>The last closing price</div></span>"
        "<div>$169.00</div></div>",
        element(**{"data-currency-code": None}) + data(entity()),
    ],
)
def test_quote_of_either_layout(body: str) -> None:
    """Attributes, the page's data, or both; others' entities are not taken for ours."""
    assert ask(page(body)) == (EXPECTED, ["AAPL:NASDAQ"])


def test_attributes_come_first() -> None:
    """Where both tell a price the element that people see is believed."""
    row, _ = ask(page(element(**{"data-last-price": "171.00"}) + data(entity())))
    assert (row["price"], row["previous_close"]) == (171.0, 169.0)


@pytest.mark.parametrize("symbol", ["EUR/USD", "BTC-USD"])
def test_pairs(symbol: str) -> None:
    """Currencies and coins: the second of the pair is the currency."""
    name = symbol.replace("/", "-")
    base, quote = name.split("-")
    shown = element(
        **{"data-exchange": None, "data-currency-code": None},
        **{"data-source": base, "data-target": quote},
    )
    for body in (data(entity(name)), shown):
        row, paths = ask(page(body, name, "EUR / USD"), symbol=symbol)
        assert (row["symbol"], row["price"], row["currency"]) == (symbol, 170.73, "USD")
        assert paths == [name]


def test_pence_become_pounds() -> None:
    """London's GBX."""
    row, paths = ask(page(data(entity("VOD:LON", _4="GBX")), "VOD:LON"), symbol="VOD.L")
    assert (row["price"], row["previous_close"], row["currency"]) == (1.7073, 1.69, "GBP")
    assert paths == ["VOD:LON"]


def test_the_next_exchange_only_when_not_found() -> None:
    """IBM is not at NASDAQ: NYSE is asked, and the next time NYSE alone."""
    good = page(data(entity("IBM:NYSE")), "IBM:NYSE", "IBM (IBM)")
    vendor = Vendor([httpx.Response(200, text=p) for p in (NOT_FOUND, good)])
    source = source_of("google_finance", vendor)
    facts = source.ask(Question(Feed.QUOTE, "IBM"))
    assert (facts.requests, facts.frame["price"][0]) == (2, 170.73)
    assert source.ask(Question(Feed.QUOTE, "IBM")).requests == 1
    names = [request.url.path.rpartition("/")[2] for request in vendor.asked]
    assert names == ["IBM:NASDAQ", "IBM:NYSE", "IBM:NYSE"]


def test_unknown_everywhere() -> None:
    """Four exchanges, four requests, then the symbol is unknown."""
    for answer in (httpx.Response(200, text=NOT_FOUND), httpx.Response(404, text="<html></html>")):
        vendor = Vendor([answer])
        with pytest.raises(UnknownSymbol, match="NYSEAMERICAN") as caught:
            source_of("google_finance", vendor).ask(Question(Feed.QUOTE, "QQQZZ"))
        assert (len(vendor.asked), caught.value.requests) == (4, 4)


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (page(data(entity("MSFT:NASDAQ")), "MSFT:NASDAQ"), Malformed, "was given MSFT:NASDAQ"),
        (page(element(), "MSFT:NASDAQ"), Malformed, "was given MSFT:NASDAQ"),
        (page(element(**{"data-exchange": "NYSE"})), Malformed, "without a quote"),
        (page(element(**{"data-last-price": "dear"})), Malformed, "dear"),
        (page(data(entity(_5=[None]))), Malformed, "no price of AAPL:NASDAQ"),
        (page(data(entity(_11=["soon"]))), Malformed, "soon"),
        (page(data(entity())[:-60]), Malformed, "cut short"),
        (page("hello"), Malformed, "without a quote"),
        ("<html><title>Error 400 (Not Found)!!1</title></html>", Malformed, "Error 400"),
        ("", Malformed, "empty"),
        ('// [{"t": "MSFT"}]', Malformed, "text instead of a page"),
        ("{}", Malformed, "JSON instead of a page"),
        (httpx.Response(400, text="<html></html>"), Malformed, "HTTP 400"),
        (httpx.Response(403, text="<html></html>"), Unavailable, "HTTP 403"),
        (
            httpx.Response(302, headers={"location": "https://consent.google.com/m"}),
            Unavailable,
            "consent.google.com",
        ),
        (
            "<html><title>Before you continue</title><form></form></html>",
            Unavailable,
            "consent page",
        ),
        (
            "<html>Our systems have detected unusual traffic from your network</html>",
            Unavailable,
            "unusual-traffic",
        ),
        (httpx.Response(429, text="x", headers={"retry-after": "9999"}), RateLimited, "too many"),
    ],
)
def test_errors_by_their_meaning(
    answer: str | httpx.Response, kind: type[SourceError], said: str
) -> None:
    """No second exchange is tried for anything but a symbol that is not found."""
    given = httpx.Response(200, text=answer) if isinstance(answer, str) else answer
    vendor = Vendor([given])
    with pytest.raises(kind, match=said):
        source_of("google_finance", vendor).ask(Question(Feed.QUOTE, "AAPL"))
    assert {request.url.path for request in vendor.asked} == {"/finance/quote/AAPL:NASDAQ"}


@pytest.mark.parametrize(
    ("symbol", "names"),
    [
        ("AAPL", ("AAPL:NASDAQ", "AAPL:NYSE", "AAPL:NYSEARCA", "AAPL:NYSEAMERICAN")),
        ("BRK.B", ("BRK.B:NYSE", "BRK.B:NASDAQ")),
        ("VFINX", ("VFINX:MUTF",)),
        ("^GSPC", (".INX:INDEXSP",)),
        ("7203.T", ("7203:TYO",)),
        ("SAP.DE", ("SAP:ETR",)),
        ("EUR/USD", ("EUR-USD",)),
        ("BTC-USD", ("BTC-USD",)),
    ],
)
def test_spellings(symbol: str, names: tuple[str, ...]) -> None:
    """How Google writes a symbol, in the order to try."""
    assert spellings(parse_symbol(symbol)) == names


@pytest.mark.parametrize("symbol", ["GC=F", "BAC.PRB", "ACHR.WS", "^KLSE"])
def test_symbols_without_a_known_name(symbol: str) -> None:
    """Are unknown, without a request."""
    vendor = Vendor([])
    with pytest.raises(UnknownSymbol):
        source_of("google_finance", vendor).ask(Question(Feed.QUOTE, symbol))
    assert vendor.asked == []


def test_feeds_and_symbols() -> None:
    """Quotes alone; off by default, on standby."""
    source = source_of("google_finance", Vendor([]))
    with pytest.raises(InputError, match="profile"):
        source.ask(Question(Feed.PROFILE, "AAPL"))
    with pytest.raises(InputError, match="symbol"):
        source.ask(Question(Feed.QUOTE))
    capabilities = source.capabilities
    assert (capabilities.default_on, capabilities.standby) == (False, True)
    assert capabilities.endpoints == ()
