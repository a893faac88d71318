"""The ``meta`` block of Yahoo's chart.

Belongs here: its keys, in the recorded order. Does not: bars.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from stock_platform.sandbox.market.asset import Asset, History
from stock_platform.sandbox.market.intraday import so_far
from stock_platform.sandbox.market.timeline import ZONE, ZONE_NAME, Timeline
from stock_platform.sandbox.vendors.base import Call

if TYPE_CHECKING:
    from stock_platform.sandbox.vendors.yahoo.chart import Window

RANGES = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]
_EXCHANGES = {
    "XNYS": ("NYQ", "NYSE"), "XNAS": ("NMS", "NasdaqGS"), "ARCX": ("PCX", "NYSEArca"),
    "XASE": ("ASE", "NYSE American"),
}  # fmt: skip
_SHORT = {"1m", "2m", "5m", "15m", "30m", "60m", "90m", "1h", "4h"}


def traded(call: Call, asset: Asset, history: History, window: Window, rows: int) -> dict[str, Any]:
    """Of a symbol that trades."""
    time, now = call.market.time, call.now
    last = time.opened(now) - 1
    year = history.traded(max(asset.listed, last - 251), last + 1)
    if not len(year):
        year = history.traded(asset.listed, last + 1)[-1:]
    prices, volume = history.values(year)
    if now.timestamp() < time.closes[last] and year[-1] == last:
        partial = so_far(call.market, asset, last, now.timestamp())
        if len(partial.stamps):
            prices[:, -1], volume[-1] = partial.prices[:, 0], partial.volume[0]
    prices = prices / history.split_factor(year, last)
    before = int(np.searchsorted(time.opens, window.start))
    previous = _close(history, before, last)
    if previous is None:
        previous = _close(history, asset.listed + 1, last)
    short, full = _EXCHANGES[asset.exchange]
    ticker = asset.ticker_at(last)
    zone, offset = _zone(now)
    out: dict[str, Any] = {
        "currency": "USD",
        "symbol": ticker.yahoo,
        "exchangeName": short,
        "fullExchangeName": full,
        "instrumentType": "ETF" if asset.kind == "ETF" else "EQUITY",
        "firstTradeDate": int(time.opens[asset.listed]),
        "regularMarketTime": min(int(now.timestamp()), int(time.closes[last]) + 1),
        "hasPrePostMarketData": True,
        "gmtoffset": offset,
        "timezone": zone,
        "exchangeTimezoneName": ZONE_NAME,
        "regularMarketPrice": _price(prices[3, -1]),
        "fiftyTwoWeekHigh": _price(prices[1].max()),
        "fiftyTwoWeekLow": _price(prices[2].min()),
        "regularMarketDayHigh": _price(prices[1, -1]),
        "regularMarketDayLow": _price(prices[2, -1]),
        "regularMarketVolume": int(volume[-1]),
        "longName": asset.name,
        "shortName": asset.name[:31],
        "chartPreviousClose": previous,
    }
    if window.interval in _SHORT:
        out |= {"previousClose": _close(history, last, last) or previous, "scale": 3}
    out["priceHint"] = 2 if prices[3, -1] >= 1 else 4
    out["currentTradingPeriod"] = _periods(time, call)
    if window.interval in _SHORT and rows:
        out["tradingPeriods"] = [[out["currentTradingPeriod"]["regular"]]]
    return out | {
        "dataGranularity": window.interval,
        "range": window.range,
        "validRanges": RANGES,
    }


def delisted(call: Call, symbol: str, window: Window) -> dict[str, Any]:
    """Of a symbol that Yahoo keeps without data."""
    zone, offset = _zone(call.now)
    return {
        "currency": None,
        "symbol": symbol,
        "exchangeName": "YHD",
        "fullExchangeName": "YHD",
        "instrumentType": "MUTUALFUND",
        "firstTradeDate": None,
        "regularMarketTime": None,
        "hasPrePostMarketData": False,
        "gmtoffset": offset,
        "timezone": zone,
        "exchangeTimezoneName": ZONE_NAME,
        "priceHint": 2,
        "currentTradingPeriod": _periods(call.market.time, call),
        "dataGranularity": window.interval,
        "range": window.range,
        "validRanges": RANGES,
    }


def _close(history: History, before: int, last: int) -> float | None:
    """The split-adjusted close of the last bar before a session."""
    found = history.traded(0, before)[-1:]
    if not len(found):
        return None
    close = history.values(found)[0][3] / history.split_factor(found, last)
    return round(float(close[0]), 3)


def _price(value: float) -> float:
    return round(float(value), 2 if value >= 1 else 4)


def _zone(now: datetime) -> tuple[str, int]:
    local = now.astimezone(ZONE)
    return local.strftime("%Z"), int((local.utcoffset() or timedelta()).total_seconds())


def _periods(time: Timeline, call: Call) -> dict[str, Any]:
    _, opens, closes = time.trading_period(call.now)
    zone, offset = _zone(call.now)

    def period(start: int, end: int) -> dict[str, Any]:
        return {"timezone": zone, "start": start, "end": end, "gmtoffset": offset}

    return {
        "pre": period(opens - 19_800, opens),
        "regular": period(opens, closes),
        "post": period(closes, closes + 14_400),
    }
