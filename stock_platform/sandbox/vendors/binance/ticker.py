"""Binance's prices, pairs and clock.

Belongs here: the 24 hours' ticker, the last price, exchangeInfo, time. Does not: candles
(``klines``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from stock_platform.sandbox.market.frame import Frame, join
from stock_platform.sandbox.market.others import Instrument
from stock_platform.sandbox.vendors.base import Answer, Call, dump
from stock_platform.sandbox.vendors.binance.wire import JSON_TYPE, amount, find, name, pairs

_ORDERS = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]


def day(call: Call) -> Answer:
    """``/api/v3/ticker/24hr``: of one pair, or of all."""
    return _each(call, lambda one: _ticker(call, one))


def price(call: Call) -> Answer:
    """``/api/v3/ticker/price``."""

    def last(instrument: Instrument) -> dict[str, Any]:
        close = float(_last_day(call, instrument).prices[3, -1])
        return {"symbol": name(instrument), "price": amount(close)}

    return _each(call, last)


def exchange_info(call: Call) -> Answer:
    """``/api/v3/exchangeInfo``."""
    chosen = pairs(call.market.others)
    if "symbol" in call.query:
        found = find(call)
        if isinstance(found, Answer):
            return found
        chosen = [found]
    limits = [("REQUEST_WEIGHT", "MINUTE", 1, 6000), ("ORDERS", "SECOND", 10, 100),
              ("ORDERS", "DAY", 1, 200_000), ("RAW_REQUESTS", "MINUTE", 5, 61_000)]  # fmt: skip
    keys = ("rateLimitType", "interval", "intervalNum", "limit")
    return _good(
        {
            "timezone": "UTC",
            "serverTime": _milliseconds(call),
            "rateLimits": [dict(zip(keys, limit, strict=True)) for limit in limits],
            "exchangeFilters": [],
            "symbols": [_pair(instrument) for instrument in chosen],
        }
    )


def time(call: Call) -> Answer:
    """``/api/v3/time``."""
    return _good({"serverTime": _milliseconds(call)})


def ping(_call: Call) -> Answer:
    """``/api/v3/ping``."""
    return _good({})


def _each(call: Call, make: Callable[[Instrument], dict[str, Any]]) -> Answer:
    if "symbol" not in call.query:
        return _good([make(one) for one in pairs(call.market.others)])
    found = find(call)
    return found if isinstance(found, Answer) else _good(make(found))


def _good(document: Any) -> Answer:
    return Answer(dump(document), 200, JSON_TYPE)


def _milliseconds(call: Call) -> int:
    return int(call.now.timestamp() * 1000)


def _last_day(call: Call, instrument: Instrument) -> Frame:
    """The minutes of the last 24 hours."""
    others, today = call.market.others, call.now.date()
    days = [today - timedelta(days=1), today]
    frame = join([others.minutes(instrument.symbol, one, now=call.now) for one in days])
    keep = frame.stamps >= call.now.timestamp() - 86_400
    return Frame(frame.stamps[keep], frame.prices[:, keep], frame.volume[keep])


def _ticker(call: Call, instrument: Instrument) -> dict[str, Any]:
    frame = _last_day(call, instrument)
    first, last = float(frame.prices[0, 0]), float(frame.prices[3, -1])
    volume = float(frame.volume.sum())
    value = float((frame.volume * frame.prices[3]).sum())
    closes = _milliseconds(call)
    return {
        "symbol": name(instrument),
        "priceChange": amount(last - first),
        "priceChangePercent": f"{(last / first - 1) * 100:.3f}",
        "weightedAvgPrice": amount(value / volume if volume else last),
        "prevClosePrice": amount(first),
        "lastPrice": amount(last),
        "lastQty": amount(0.01),
        "bidPrice": amount(last * 0.9999),
        "bidQty": amount(1.0),
        "askPrice": amount(last * 1.0001),
        "askQty": amount(1.0),
        "openPrice": amount(first),
        "highPrice": amount(float(frame.prices[1].max())),
        "lowPrice": amount(float(frame.prices[2].min())),
        "volume": amount(volume),
        "quoteVolume": amount(value),
        "openTime": closes - 86_400_000,
        "closeTime": closes,
        "firstId": 28_385,
        "lastId": 28_385 + len(frame.stamps),
        "count": len(frame.stamps) + 1,
    }


def _pair(instrument: Instrument) -> dict[str, Any]:
    tick = amount(10.0**-instrument.decimals)
    return {
        "symbol": name(instrument),
        "status": "TRADING",
        "baseAsset": instrument.base,
        "baseAssetPrecision": 8,
        "quoteAsset": instrument.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": _ORDERS,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000",
                "tickSize": tick,
            },
            {
                "filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000",
                "stepSize": "0.00001000",
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }  # fmt: skip
