"""Alpha Vantage's series of days and minutes.

Belongs here: which bars a function selects, and their stamps. Does not: how they are written
(``wire``).

Days are as traded and come once they are over: the last 100, all of them only on a premium
plan; coins' days are about a year's. Minutes are premium: a month's regular hours, stamped
with the bar's start on New York's clock, adjusted for splits and dividends unless
``adjusted=false``.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np

from stock_platform.sandbox.market.intraday import join, minutes
from stock_platform.sandbox.market.timeline import ZONE
from stock_platform.sandbox.vendors.alpha_vantage.wire import (
    FULL,
    PREMIUM,
    asset_of,
    bad_call,
    bars,
    complaint,
    completed,
    entitled,
)
from stock_platform.sandbox.vendors.base import Answer, Call

COMPACT = 100
COIN_DAYS = 350
INTERVALS = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "60min": 60}
EASTERN = "US/Eastern"


def premium(_call: Call) -> Answer:
    """A function of paid plans alone."""
    return complaint("Information", PREMIUM)


def daily(call: Call) -> Answer:
    """TIME_SERIES_DAILY."""
    whole = call.query.get("outputsize") == "full"
    if whole and not entitled(call):
        return complaint("Information", FULL.format("TIME_SERIES_DAILY"))
    asset = asset_of(call)
    if asset is None:
        return bad_call(call)
    market = call.market
    history = market.history(asset)
    sessions = history.traded(asset.listed, completed(call))[0 if whole else -COMPACT :]
    prices, volume = history.values(sessions)
    days = [str(day) for day in market.time.days[sessions]]
    meta = [
        ("Information", "Daily Prices (open, high, low, close) and Volumes"),
        ("Symbol", call.query["symbol"]),
        ("Last Refreshed", days[-1] if days else ""),
        ("Output Size", "Full size" if whole else "Compact"),
        ("Time Zone", EASTERN),
    ]
    return bars(call, meta, "Time Series (Daily)", days, prices, volume, (4, 0))


def intraday(call: Call) -> Answer:
    """TIME_SERIES_INTRADAY, of ``month`` or of the last 30 days."""
    if not entitled(call):
        return premium(call)
    asset, interval = asset_of(call), call.query.get("interval", "")
    span = _span(call)
    if asset is None or interval not in INTERVALS or span is None:
        return bad_call(call)
    market, history = call.market, call.market.history(asset)
    opened = market.time.opened(call.now)
    low, high = (market.time.index(day) for day in span)
    adjusted = call.query.get("adjusted", "true") != "false"
    frames, step = [], INTERVALS[interval] * 60
    for session in range(max(low, asset.listed), min(high, opened)):
        frame = minutes(market, asset, session).before(call.now.timestamp())
        opens = market.time.opens[session]
        frame = frame.grouped(opens + (frame.stamps - opens) // step * step)
        at = np.array([session])
        if adjusted:
            frame.prices[:] *= history.dividend_factor(at, opened - 1)[0]
            frame.prices[:] /= history.split_factor(at, opened - 1)[0]
            frame.volume[:] *= history.split_factor(at, opened - 1)[0]
        frames.append(frame)
    whole = join(frames)
    whole_size = call.query.get("outputsize") == "full"
    first = 0 if whole_size else max(0, len(whole.stamps) - COMPACT)
    stamps = [
        datetime.fromtimestamp(stamp, ZONE).strftime("%Y-%m-%d %H:%M:%S")
        for stamp in whole.stamps[first:].tolist()
    ]
    meta = [
        ("Information", f"Intraday ({interval}) open, high, low, close prices and volume"),
        ("Symbol", call.query["symbol"]),
        ("Last Refreshed", stamps[-1] if stamps else ""),
        ("Interval", interval),
        ("Output Size", "Full size" if whole_size else "Compact"),
        ("Time Zone", EASTERN),
    ]
    prices, volume = whole.prices[:, first:], whole.volume[first:]
    return bars(call, meta, f"Time Series ({interval})", stamps, prices, volume, (4, 0))


def _span(call: Call) -> tuple[date, date] | None:
    """The days [from, to) of ``month``; None where it is none."""
    today = call.now.astimezone(ZONE).date()
    month = call.query.get("month")
    if month is None:
        return today - timedelta(days=30), today + timedelta(days=1)
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError:
        return None
    return first, (first + timedelta(days=31)).replace(day=1)


def fx_daily(call: Call) -> Answer:
    """FX_DAILY: UTC days, no volume."""
    base, quote = (call.query.get(n, "").upper() for n in ("from_symbol", "to_symbol"))
    whole = call.query.get("outputsize") == "full"
    if whole and not entitled(call):
        return complaint("Information", FULL.format("FX_DAILY"))
    if call.market.others.find(f"{base}/{quote}") is None:
        return bad_call(call)
    table = call.market.others.bars(f"{base}/{quote}", now=call.now)
    table = table if whole else table.tail(COMPACT)
    days = [str(day) for day in table["session"]]
    meta = [
        ("Information", "Forex Daily Prices (open, high, low, close)"),
        ("From Symbol", base),
        ("To Symbol", quote),
        ("Output Size", "Full size" if whole else "Compact"),
        ("Last Refreshed", days[-1] if days else ""),
        ("Time Zone", "UTC"),
    ]
    prices = table.select("open", "high", "low", "close").to_numpy().T
    return bars(call, meta, "Time Series FX (Daily)", days, prices, None, (5, 0))


def coin_daily(call: Call) -> Answer:
    """DIGITAL_CURRENCY_DAILY: UTC days, the running one as far as it has come."""
    coin, market = (call.query.get(n, "").upper() for n in ("symbol", "market"))
    found = call.market.others.find(f"{coin}-{market}")
    if found is None:
        return bad_call(call)
    table = call.market.others.bars(found.symbol, live=True, now=call.now).tail(COIN_DAYS)
    days = [str(day) for day in table["session"]]
    meta = [
        ("Information", "Daily Prices and Volumes for Digital Currency"),
        ("Digital Currency Code", coin),
        ("Digital Currency Name", found.name.rpartition(" ")[0]),
        ("Market Code", market),
        ("Market Name", market),
        ("Last Refreshed", f"{days[-1]} 00:00:00" if days else ""),
        ("Time Zone", "UTC"),
    ]
    prices = table.select("open", "high", "low", "close").to_numpy().T
    volume = table["volume"].to_numpy()
    name = "Time Series (Digital Currency Daily)"
    return bars(call, meta, name, days, prices, volume, (8, 8))
