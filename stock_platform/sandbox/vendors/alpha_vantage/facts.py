"""What Alpha Vantage tells besides series: quotes, companies, directories.

Belongs here: GLOBAL_QUOTE, CURRENCY_EXCHANGE_RATE, OVERVIEW, LISTING_STATUS, SYMBOL_SEARCH.
Does not: how they are written (``wire``).

An unknown symbol is an empty quote, and an empty overview; so is a fund's overview. The
directory is of the last session, or of a ``date``; the delisted are those gone by then.
"""

from __future__ import annotations

from datetime import date, timedelta

from stock_platform.sandbox.market.asset import Asset
from stock_platform.sandbox.market.generator import NEVER
from stock_platform.sandbox.market.others import COINS, CURRENCIES
from stock_platform.sandbox.vendors.alpha_vantage.wire import (
    asset_of,
    bad_call,
    completed,
    document,
    lines,
    spelled,
)
from stock_platform.sandbox.vendors.base import Answer, Call

_EXCHANGES = {"XNYS": "NYSE", "XNAS": "NASDAQ", "XASE": "NYSE MKT", "ARCX": "NYSE ARCA"}
_HEADER = ["symbol", "name", "exchange", "assetType", "ipoDate", "delistingDate", "status"]
_EARLIEST = date(2010, 1, 1)


def quote(call: Call) -> Answer:
    """GLOBAL_QUOTE: the last session that is over, and its change."""
    asset = asset_of(call)
    if asset is None:
        return document({"Global Quote": {}})
    history = call.market.history(asset)
    sessions = history.traded(asset.listed, completed(call))[-2:]
    if len(sessions) < 2:
        return document({"Global Quote": {}})
    prices, volume = history.values(sessions)
    before, (start, high, low, end) = prices[3, 0], prices[:, 1]
    values = {
        "symbol": call.query["symbol"],
        "open": f"{start:.4f}",
        "high": f"{high:.4f}",
        "low": f"{low:.4f}",
        "price": f"{end:.4f}",
        "volume": f"{volume[1]:.0f}",
        "latest trading day": str(call.market.time.days[sessions[1]]),
        "previous close": f"{before:.4f}",
        "change": f"{end - before:.4f}",
        "change percent": f"{(end / before - 1) * 100:.4f}%",
    }
    if call.query.get("datatype") == "csv":
        names = [name.replace("latest trading day", "latestDay") for name in values]
        return lines([names, list(values.values())])
    return document({"Global Quote": {f"{n:02d}. {k}": v for n, (k, v) in _numbered(values)}})


def rate(call: Call) -> Answer:
    """CURRENCY_EXCHANGE_RATE of two currencies, or of a coin in one."""
    base, money = (call.query.get(n, "").upper() for n in ("from_currency", "to_currency"))
    others = call.market.others
    found = others.find(f"{base}/{money}") or others.find(f"{base}-{money}")
    if found is None:
        return bad_call(call)
    price = others.bars(found.symbol, live=True, now=call.now)["close"].tail(1).to_list()
    if not price:
        return bad_call(call)
    values = {
        "From_Currency Code": base,
        "From_Currency Name": _name(base),
        "To_Currency Code": money,
        "To_Currency Name": _name(money),
        "Exchange Rate": f"{price[0]:.8f}",
        "Last Refreshed": f"{call.now:%Y-%m-%d %H:%M:%S}",
        "Time Zone": "UTC",
        "Bid Price": f"{price[0] * 0.9999:.8f}",
        "Ask Price": f"{price[0] * 1.0001:.8f}",
    }
    numbered = {f"{n}. {k}": v for n, (k, v) in _numbered(values)}
    return document({"Realtime Currency Exchange Rate": numbered})


def overview(call: Call) -> Answer:
    """OVERVIEW of a company."""
    asset = asset_of(call)
    if asset is None or asset.kind != "CS":
        return document({})
    history = call.market.history(asset)
    sessions = history.traded(asset.listed, completed(call))[-1:]
    shares = 10_000_000 + asset.number * 70_001
    price = float(history.values(sessions)[0][3, 0]) if len(sessions) else 0.0
    values = {
        "Symbol": call.query["symbol"],
        "AssetType": "Common Stock",
        "Name": asset.name,
        "Description": f"{asset.name} is a company of the sandbox.",
        "CIK": str(100_000 + asset.number),
        "Exchange": _EXCHANGES.get(asset.exchange, asset.exchange),
        "Currency": "USD",
        "Country": "USA",
        "Sector": "TECHNOLOGY",
        "Industry": "None",
        "OfficialSite": "None",
        "FiscalYearEnd": "December",
        "MarketCapitalization": f"{shares * price:.0f}",
        "EBITDA": "None",
        "PERatio": "-",
        "SharesOutstanding": str(shares),
        "DividendDate": "None",
    }
    return document(values)


def listing(call: Call) -> Answer:
    """LISTING_STATUS, ``active`` or ``delisted``, as of ``date``."""
    state = call.query.get("state", "active").lower()
    time = call.market.time
    try:
        day = date.fromisoformat(call.query.get("date") or str(call.now.date()))
    except ValueError:
        return bad_call(call)
    if state not in ("active", "delisted") or day < _EARLIEST:
        return bad_call(call)
    at = min(time.index(day + timedelta(days=1)), time.opened(call.now)) - 1
    rows = []
    for asset in call.market.assets:
        gone = asset.delisted <= at
        if asset.listed > at or gone != (state == "delisted"):
            continue
        last = asset.delisted - 1 if gone else at
        rows.append(
            [
                spelled(asset.ticker_at(last)),
                asset.name,
                _EXCHANGES.get(asset.exchange, asset.exchange),
                "ETF" if asset.kind == "ETF" else "Stock",
                str(time.days[asset.listed]),
                str(time.days[asset.delisted]) if gone and asset.delisted < NEVER else "null",
                "Delisted" if gone else "Active",
            ]
        )
    return lines([_HEADER, *sorted(rows)])


def search(call: Call) -> Answer:
    """SYMBOL_SEARCH: up to ten that begin with ``keywords``."""
    word = call.query.get("keywords", "").upper()
    if not word:
        return bad_call(call)
    last = call.market.time.opened(call.now) - 1
    found: list[tuple[float, str, Asset]] = []
    for asset in call.market.assets:
        symbol = spelled(asset.ticker_at(last))
        if asset.alive(last) and (symbol.startswith(word) or asset.name.upper().startswith(word)):
            found.append((len(word) / max(len(symbol), len(word)), symbol, asset))
    matches = [
        {
            "1. symbol": symbol,
            "2. name": asset.name,
            "3. type": "Equity",
            "4. region": "United States",
            "5. marketOpen": "09:30",
            "6. marketClose": "16:00",
            "7. timezone": "UTC-04",
            "8. currency": "USD",
            "9. matchScore": f"{score:.4f}",
        }
        for score, symbol, asset in sorted(found, key=lambda one: (-one[0], one[1]))[:10]
    ]
    return document({"bestMatches": matches})


def _numbered(values: dict[str, str]) -> list[tuple[int, tuple[str, str]]]:
    return list(enumerate(values.items(), 1))


def _name(code: str) -> str:
    known = {**COINS, **CURRENCIES}
    return known[code].name if code in known else {"USD": "United States Dollar"}.get(code, code)
