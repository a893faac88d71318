"""Yahoo's page of a symbol.

Belongs here: the page's frame, the API's answers inside it, the elements that stream. Does
not: what the API says (``yahoo.quotes``).

As recorded: every request that the server made for the page stands in it as
``<script type="application/json" data-sveltekit-fetched data-url="...">`` around a JSON object
whose ``body`` is the answer, as text; ``</`` in it is escaped.
"""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape
from typing import Any
from urllib.parse import quote as quoted

from stock_platform.sandbox.vendors.base import Answer, Call
from stock_platform.sandbox.vendors.pages import HTML, document
from stock_platform.sandbox.vendors.yahoo import quotes

_API = "https://query1.finance.yahoo.com"
_MODULES = "defaultKeyStatistics,assetProfile,price,summaryDetail"
_FUTURES = ("ES=F", 6935.75), ("YM=F", 47842.0)


def lookup(call: Call) -> Answer:
    """Where an unknown ticker is sent."""
    where = f"{call.base}/lookup/?s={quoted(call.path['symbol'])}"
    return Answer(b"", 302, HTML, {"location": where})


def subject(one: quotes.Company, what: str, more: str = "") -> tuple[str, str]:
    """Title and head of a page about a company; ``more`` is the rest of its address."""
    address = f"https://finance.yahoo.com/quote/{one.symbol}/{more}"
    head = (
        f'<link rel="canonical" href="{address}">\n'
        f'<meta property="og:url" content="{address}">\n'
        '<meta name="oath:guce:consent-host" content="guce.yahoo.com">'
    )
    return f"{one.told['longName']} ({one.symbol}) {what} - Yahoo Finance", head


def page(call: Call) -> Answer:
    """Answer ``/quote/{symbol}/``."""
    one = quotes.company(call, call.path["symbol"])
    if one is None:
        return lookup(call)
    title, head = subject(one, "Stock Price, News, Quote & History")
    told = quotes.quote_of(call, one)
    shown = "".join(
        _streamer(one.symbol, field, float(told[field]))
        for field in ("regularMarketPrice", "regularMarketChange")
    )
    futures = "".join(_streamer(name, "regularMarketPrice", at) for name, at in _FUTURES)
    body = (
        f"<header>{futures}</header>\n"
        f'<section data-testid="quote-hdr"><h1>{escape(title)}</h1>\n'
        f'<span class="exchange">{told["fullExchangeName"]} - Delayed Quote &bull; USD</span>\n'
        f"{shown}</section>\n"
        '<fin-streamer data-field="regularMarketPreviousClose" '
        f'data-value="{told["regularMarketPreviousClose"]}"></fin-streamer>\n'
        + "\n".join(_blobs(call, one.symbol))
    )
    return Answer(document(title, head, body), content_type=HTML, cells=1)


def _streamer(symbol: str, field: str, value: float) -> str:
    return (
        f'<fin-streamer class="yf-1fkh63j" data-symbol="{symbol}" data-field="{field}" '
        f'data-trend="none" data-value="{value:g}" active>{value:,.2f}</fin-streamer>\n'
    )


def _blobs(call: Call, symbol: str) -> list[str]:
    def api(query: dict[str, str]) -> Call:
        return replace(call, query=query | {"crumb": quotes.CRUMB}, path={"symbol": symbol})

    answer = quotes.quote(api({"symbols": symbol}))
    made = json.loads(answer.body)
    made["quoteResponse"]["result"] = [
        {k: v if k in _BARE else _dressed(v) for k, v in row.items()}
        for row in made["quoteResponse"]["result"]
    ]
    name = quoted(symbol, safe="")
    summary = quotes.summary(api({"modules": _MODULES})).body.decode()
    return [
        _blob("/xhr/config?name=services", json.dumps({"finance": {}})),
        _blob(
            f"{_API}/v7/finance/quote?fields=longName%2CregularMarketPrice&formatted=true"
            f"&symbols={name}&lang=en-US&region=US&crumb=x",
            json.dumps(made),
        ),
        _blob(
            f"{_API}/v10/finance/quoteSummary/{name}?formatted=true&modules="
            f"{quoted(_MODULES)}&lang=en-US&region=US&crumb=x",
            summary,
        ),
    ]


_BARE = ("gmtOffSetMilliseconds", "firstTradeDateMilliseconds", "sourceInterval", "priceHint",
         "exchangeDataDelayedBy")  # fmt: skip


def _blob(url: str, body: str) -> str:
    text = json.dumps({"status": 200, "statusText": "OK", "headers": {}, "body": body})
    text = text.replace("</", "<\\u002F")
    return (
        '<script type="application/json" data-sveltekit-fetched '
        f'data-url="{escape(url)}" data-ttl="1">{text}</script>'
    )


def _dressed(value: Any) -> Any:
    """A number as the API formats it for pages."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return {"raw": value, "fmt": f"{value:,}"}
