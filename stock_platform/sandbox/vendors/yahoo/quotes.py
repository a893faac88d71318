"""Yahoo's ``/v7/finance/quote`` and ``/v10/finance/quoteSummary/{symbol}``.

Belongs here: what Yahoo says of a symbol now, and of its company. Does not: bars (``chart``),
options (``options``).

Both want the crumb of ``/v1/test/getcrumb`` and are 401 without it. An unknown symbol is
missing from a quote's result, and a 404 of quoteSummary. Delisted symbols are unknown here.
With ``formatted=false`` numbers are bare, else ``{"raw": 1.5, "fmt": "1.5"}``. What the market
does not know of a company (shares, sector) follows from its number: stable, not true.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stock_platform.sandbox.market.asset import Asset, History
from stock_platform.sandbox.market.intraday import so_far
from stock_platform.sandbox.market.timeline import ZONE_NAME
from stock_platform.sandbox.vendors.base import Answer, Call, dump
from stock_platform.sandbox.vendors.yahoo import meta
from stock_platform.sandbox.vendors.yahoo.chart import HEADERS, JSON_TYPE, Window

CRUMB = "sAnDb0xCrUm"
_SECTORS = (
    ("Technology", "Software - Application"), ("Healthcare", "Biotechnology"),
    ("Financial Services", "Banks - Regional"), ("Industrials", "Specialty Industrial Machinery"),
    ("Energy", "Oil & Gas E&P"), ("Consumer Cyclical", "Specialty Retail"),
    ("Utilities", "Utilities - Regulated Electric"), ("Basic Materials", "Specialty Chemicals"),
)  # fmt: skip


@dataclass(frozen=True)
class Company:
    """A symbol that trades, and what it does now."""

    asset: Asset
    history: History
    symbol: str
    told: dict[str, Any]
    open: float

    @property
    def shares(self) -> int:
        """Outstanding."""
        return (20 + self.asset.number * 7919 % 3000) * 1_000_000

    @property
    def price(self) -> float:
        """The last one."""
        return float(self.told["regularMarketPrice"])

    @property
    def kind(self) -> str:
        """``EQUITY`` or ``ETF``."""
        return str(self.told["instrumentType"])


def company(call: Call, symbol: str) -> Company | None:
    """The company that carries a symbol now; None for unknown and delisted ones."""
    market, symbol = call.market, symbol.upper()
    started = market.time.opened(call.now)
    asset = market.carrying(symbol, started - 1, "yahoo") if started else None
    if asset is None or asset.delisted < started:
        return None
    history, time = market.history(asset), market.time
    last = int(history.traded(asset.listed, started)[-1])
    today = Window(int(time.opens[last]), int(call.now.timestamp()) + 1, "1d", "1d")
    told = meta.traded(call, asset, history, today, 1)
    prices, _ = history.values(np.array([last]))
    if call.now.timestamp() < time.closes[last]:
        partial = so_far(market, asset, last, call.now.timestamp())
        if len(partial.stamps):
            prices = partial.prices[:, :1]
    factor = history.split_factor(np.array([last]), started - 1)[0]
    return Company(asset, history, symbol, told, round(float(prices[0, 0] / factor), 4))


def refusal(call: Call) -> Answer | None:
    """The 401 of a call without the crumb."""
    if call.query.get("crumb") == CRUMB:
        return None
    error = {"code": "Unauthorized", "description": "Invalid Crumb"}
    body = {"finance": {"result": None, "error": error}}
    return Answer(dump(body), 401, JSON_TYPE, HEADERS)


def answer(envelope: str, result: list[Any], cells: int = 0) -> Answer:
    """A good answer."""
    body = {envelope: {"result": result, "error": None}}
    return Answer(dump(body), 200, JSON_TYPE, HEADERS, cells)


def failure(envelope: str, status: int, code: str, description: str) -> Answer:
    """An error in an envelope."""
    error = {"code": code, "description": description}
    return Answer(dump({envelope: {"result": None, "error": error}}), status, JSON_TYPE, HEADERS)


def quote(call: Call) -> Answer:
    """Answer ``/v7/finance/quote?symbols=A,B``."""
    refused = refusal(call)
    if refused is not None:
        return refused
    symbols = [s for s in call.query.get("symbols", "").split(",") if s]
    if not symbols:
        return failure(
            "quoteResponse", 400, "Bad Request", "Missing required query parameter=symbols"
        )
    found = [company(call, symbol) for symbol in symbols]
    return answer("quoteResponse", [quote_of(call, one) for one in found if one is not None])


def quote_of(call: Call, one: Company) -> dict[str, Any]:
    """The quote of a company, as in ``quoteResponse`` and beside a chain of options."""
    told, price = one.told, one.price
    before = float(told["chartPreviousClose"])
    opens = call.now.timestamp() < told["currentTradingPeriod"]["regular"]["end"]
    begun = call.now.timestamp() >= told["currentTradingPeriod"]["regular"]["start"]
    low, high = told["regularMarketDayLow"], told["regularMarketDayHigh"]
    return {
        "language": "en-US",
        "region": "US",
        "quoteType": one.kind,
        "typeDisp": "ETF" if one.kind == "ETF" else "Equity",
        "quoteSourceName": "Nasdaq Real Time Price",
        "triggerable": True,
        "currency": "USD",
        "shortName": told["shortName"],
        "longName": told["longName"],
        "marketState": "REGULAR" if opens and begun else "CLOSED",
        "regularMarketChange": round(price - before, 4),
        "regularMarketChangePercent": round((price / before - 1) * 100, 6),
        "regularMarketPrice": price,
        "regularMarketTime": told["regularMarketTime"],
        "regularMarketDayHigh": high,
        "regularMarketDayRange": f"{low} - {high}",
        "regularMarketDayLow": low,
        "regularMarketVolume": told["regularMarketVolume"],
        "regularMarketPreviousClose": before,
        "regularMarketOpen": one.open,
        "fullExchangeName": told["fullExchangeName"],
        "financialCurrency": "USD",
        "fiftyTwoWeekLow": told["fiftyTwoWeekLow"],
        "fiftyTwoWeekHigh": told["fiftyTwoWeekHigh"],
        "exchange": told["exchangeName"],
        "exchangeTimezoneName": ZONE_NAME,
        "exchangeTimezoneShortName": told["timezone"],
        "gmtOffSetMilliseconds": told["gmtoffset"] * 1000,
        "market": "us_market",
        "esgPopulated": False,
        "sharesOutstanding": one.shares,
        "marketCap": round(one.shares * price),
        "sourceInterval": 15,
        "exchangeDataDelayedBy": 0,
        "hasPrePostMarketData": True,
        "firstTradeDateMilliseconds": told["firstTradeDate"] * 1000,
        "priceHint": told["priceHint"],
        "tradeable": False,
        "cryptoTradeable": False,
        "symbol": one.symbol,
    }


def summary(call: Call) -> Answer:
    """Answer ``/v10/finance/quoteSummary/{symbol}?modules=A,B``."""
    refused = refusal(call)
    if refused is not None:
        return refused
    asked = [m for m in call.query.get("modules", "").split(",") if m]
    if not asked:
        return failure(
            "quoteSummary", 400, "Bad Request", "Missing required query parameter=modules"
        )
    symbol = call.path["symbol"]
    one = company(call, symbol)
    if one is None:
        return failure(
            "quoteSummary", 404, "Not Found", f"Quote not found for symbol: {symbol.upper()}"
        )
    modules = _modules(quote_of(call, one), one)
    plain = call.query.get("formatted", "true").lower() == "false"
    result = {
        name: {k: v if plain else _dressed(v) for k, v in modules[name].items()} | {"maxAge": 1}
        for name in asked
        if name in modules
    }
    return answer("quoteSummary", [result])


def timeseries(call: Call) -> Answer:
    """Answer ``/ws/fundamentals-timeseries/...``: the sandbox has no fundamentals."""
    kinds = [kind for kind in call.query.get("type", "").split(",") if kind]
    symbol = call.path["symbol"].upper()
    return answer("timeseries", [{"meta": {"symbol": [symbol], "type": [k]}} for k in kinds])


def _modules(now: dict[str, Any], one: Company) -> dict[str, dict[str, Any]]:
    """What quoteSummary knows, by module."""
    sector, industry = _SECTORS[one.asset.number % len(_SECTORS)]
    place: dict[str, Any] = {
        "address1": "1 Market Street",
        "city": "New York",
        "state": "NY",
        "country": "United States",
        "website": f"https://www.{one.symbol.lower().replace('-', '')}.example",
        "longBusinessSummary": f"{one.asset.name} is a company of the sandbox.",
    }
    if one.kind == "EQUITY":
        place |= {"sector": sector, "industry": industry, "companyOfficers": []}
    names = ("symbol", "shortName", "longName", "quoteType", "exchange")
    named = {name: now[name] for name in names}
    prices = [
        "regularMarketPrice", "regularMarketTime", "regularMarketOpen", "regularMarketDayHigh",
        "regularMarketDayLow", "regularMarketPreviousClose", "regularMarketVolume", "currency",
        "marketState", "marketCap",
    ]  # fmt: skip
    return {
        "assetProfile": place,
        "summaryProfile": place,
        "price": named
        | {name: now[name] for name in prices}
        | {"exchangeName": now["fullExchangeName"], "currencySymbol": "$"},
        "summaryDetail": {
            "previousClose": now["regularMarketPreviousClose"],
            "open": now["regularMarketOpen"],
            "dayLow": now["regularMarketDayLow"],
            "dayHigh": now["regularMarketDayHigh"],
            "volume": now["regularMarketVolume"],
            "marketCap": now["marketCap"],
            "fiftyTwoWeekLow": now["fiftyTwoWeekLow"],
            "fiftyTwoWeekHigh": now["fiftyTwoWeekHigh"],
            "currency": "USD",
        },
        "defaultKeyStatistics": {"sharesOutstanding": one.shares, "lastSplitFactor": None},
        "quoteType": named
        | {
            "underlyingSymbol": one.symbol,
            "firstTradeDateEpochUtc": one.told["firstTradeDate"],
            "timeZoneFullName": ZONE_NAME,
            "timeZoneShortName": one.told["timezone"],
            "gmtOffSetMilliseconds": now["gmtOffSetMilliseconds"],
        },
    }


def _dressed(value: Any) -> Any:
    """A number as Yahoo formats it; other values as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return {"raw": value, "fmt": f"{value:,}"}
