"""What Finnhub tells besides candles: quotes, companies, the directory.

Belongs here: ``/quote``, ``/stock/profile2``, ``/stock/symbol``, ``/search``. Does not: how
errors are worded (``wire``).

An unknown symbol has a quote of zeros and a profile of ``{}``; funds have no profile. Markets
abroad are for other plans. ``/stock/symbol`` of the United States redirects to a signed file.
What the market does not know of a company (its shares) follows from its number.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import numpy as np

from stock_platform.sandbox.market.asset import Asset
from stock_platform.sandbox.market.intraday import minutes, so_far
from stock_platform.sandbox.vendors.base import Answer, Call
from stock_platform.sandbox.vendors.finnhub.wire import (
    NO_ACCESS,
    NOT_SUPPORTED,
    SIGNATURE,
    abroad,
    asset_of,
    error,
    good,
    pair_of,
)

FILE = "/file/publicdatany/symbol/US.json"
UNKNOWN = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}
_EXCHANGES = {
    "XNYS": "NEW YORK STOCK EXCHANGE, INC.",
    "XNAS": "NASDAQ NMS - GLOBAL MARKET",
    "XASE": "NYSE MKT LLC",
    "ARCX": "NYSE ARCA",
}
_TYPES = {"CS": "Common Stock", "ETF": "ETP", "PFD": "PUBLIC", "WARRANT": "Equity WRT"}
_FILTERS = {"mic": "mic", "securityType": "type", "currency": "currency"}


def quote(call: Call) -> Answer:
    """``/quote``: the last price, and the session's."""
    symbol = call.query.get("symbol", "").upper()
    if symbol.startswith("OANDA:") or abroad(symbol):
        return error(403, NO_ACCESS)
    if ":" in symbol:
        return _coin(call, symbol)
    asset = asset_of(call)
    if asset is None:
        return good(UNKNOWN)
    market, history = call.market, call.market.history(asset)
    opened, now = market.time.opened(call.now), call.now.timestamp()
    traded = history.traded(asset.listed, opened)
    running = so_far(market, asset, int(traded[-1]), now) if len(traded) else None
    if running is None or not len(running.stamps):
        traded = traded[:-1]
    if len(traded) < 2:
        return good(UNKNOWN)
    (before, last), close = traded[-2:], market.time.closes[traded[-1]]
    prices = history.values(np.array([last]))[0][:, 0]
    at = int(close)
    if now < close:
        prices = so_far(market, asset, int(last), now).prices[:, 0]
        at = int(minutes(market, asset, int(last)).before(now).stamps[-1])
    factor = float(history.split_factor(np.array([before]), int(last))[0])
    previous = float(history.values(np.array([before]))[0][3, 0]) / factor
    return good(_quoted(prices.tolist(), previous, at))


def _coin(call: Call, symbol: str) -> Answer:
    pair, others = pair_of(symbol), call.market.others
    if pair is None or others.find(pair) is None:
        return error(400, NOT_SUPPORTED)
    bars = others.bars(pair, live=True, now=call.now).tail(2)
    prices = [bars[name].to_list() for name in ("open", "high", "low", "close")]
    return good(_quoted([p[-1] for p in prices], prices[3][0], int(call.now.timestamp()) - 1))


def _quoted(prices: list[float], previous: float, at: int) -> dict[str, Any]:
    start, high, low, price = (round(p, 4) for p in prices)
    return {
        "c": price,
        "d": round(price - previous, 4),
        "dp": round((price / previous - 1) * 100, 4),
        "h": high,
        "l": low,
        "o": start,
        "pc": round(previous, 4),
        "t": at,
    }


def profile(call: Call) -> Answer:
    """``/stock/profile2``."""
    if abroad(call.query.get("symbol", "").upper()):
        return error(403, NO_ACCESS)
    asset = asset_of(call)
    if asset is None or asset.kind != "CS":
        return good({})
    market = call.market
    history, opened = market.history(asset), market.time.opened(call.now)
    sessions = history.traded(asset.listed, opened)[-1:]
    price = float(history.values(sessions)[0][3, 0]) if len(sessions) else 0.0
    shares = 20 + asset.number * 7919 % 3000
    symbol = call.query["symbol"].upper()
    return good(
        {
            "country": "US",
            "currency": "USD",
            "estimateCurrency": "USD",
            "exchange": _EXCHANGES.get(asset.exchange, asset.exchange),
            "finnhubIndustry": "Technology",
            "ipo": str(market.time.days[asset.listed]),
            "logo": f"https://static2.finnhub.io/file/sandbox/stock_logo/{symbol}.png",
            "marketCapitalization": shares * price,
            "name": asset.name,
            "phone": "12025550100",
            "shareOutstanding": float(shares),
            "ticker": symbol,
            "weburl": f"https://{symbol.lower().replace('.', '-')}.example/",
        }
    )


def symbols(call: Call) -> Answer:
    """``/stock/symbol``: a redirect to the file of the United States; others are empty."""
    if call.query.get("exchange", "").upper() != "US":
        return good([])
    wanted = {name: call.query[name] for name in _FILTERS if call.query.get(name)}
    target = f"{call.base}{FILE}?{urlencode({**wanted, 'signature': SIGNATURE})}"
    page = f'<a href="{target}">Found</a>.'
    return Answer(page.encode(), 302, "text/html; charset=utf-8", {"location": target})


def file(call: Call) -> Answer:
    """The file itself, for who has its signature."""
    if call.query.get("signature") != SIGNATURE:
        return Answer(b"Forbidden\n", 403, "text/plain")
    rows = _directory(call)
    for name, field in _FILTERS.items():
        if name in call.query:
            rows = [row for row in rows if row[field] == call.query[name]]
    return good(rows)


def search(call: Call) -> Answer:
    """``/search``: what begins with the words, the nearest first."""
    words = call.query.get("q", "").upper()
    if not words:
        return error(422, "q is required")
    found = [
        {key: row[key] for key in ("description", "displaySymbol", "symbol", "type")}
        for row in _directory(call)
        if row["symbol"].startswith(words) or row["description"].startswith(words)
    ]
    found.sort(key=lambda row: (len(row["symbol"]), row["symbol"]))
    return good({"count": len(found), "result": found})


def _directory(call: Call) -> list[dict[str, Any]]:
    last = call.market.time.opened(call.now) - 1
    return [_listed(asset, last) for asset in call.market.assets if asset.alive(last)]


def _listed(asset: Asset, last: int) -> dict[str, Any]:
    symbol = asset.ticker_at(last).canonical
    figi = f"BBG{asset.number:09d}"
    return {
        "currency": "USD",
        "description": asset.name.upper(),
        "displaySymbol": symbol,
        "figi": figi,
        "figiComposite": figi,
        "isin": "",
        "mic": asset.exchange,
        "shareClassFIGI": f"BBG1{asset.number:08d}",
        "symbol": symbol,
        "symbol2": "",
        "type": _TYPES.get(asset.kind, "Unit" if asset.kind == "UNIT" else ""),
    }
