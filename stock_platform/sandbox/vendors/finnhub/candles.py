"""Finnhub's candles of shares, currencies and coins, for premium keys.

Belongs here: which bars a range selects, and their stamps. Does not: spellings (``wire``).

``t`` is epoch seconds of a bar's start: a share's day at New York's midnight, a currency's at
17:00 in New York of the day before, a coin's at midnight UTC. Days of shares are adjusted for
splits, minutes are not. Minutes are of regular hours, and of the last 31 days of the range.
Running bars are there as far as they have come; a currency's day that is over in New York and
not yet in UTC is left out. https://finnhub.io/docs/api/stock-candles
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stock_platform.sandbox.faults import spoil
from stock_platform.sandbox.market.asset import Floats
from stock_platform.sandbox.market.frame import Frame, join
from stock_platform.sandbox.market.intraday import minutes, so_far
from stock_platform.sandbox.market.timeline import Timeline
from stock_platform.sandbox.vendors.base import Answer, Call
from stock_platform.sandbox.vendors.finnhub.wire import (
    NO_ACCESS,
    PLAN,
    abroad,
    asset_of,
    error,
    good,
    pair_of,
)

MINUTES = {"1": 1, "5": 5, "15": 15, "30": 30, "60": 60}
NAMES = ("open", "high", "low", "close")
ROLLOVER = 7 * 3600
MONTH = 31 * 86_400
DAY = 86_400
NO_DATA = {"s": "no_data"}


def stock(call: Call) -> Answer:
    """``/stock/candle``."""
    return _answer(call, _stock_days, _stock_minutes)


def forex(call: Call) -> Answer:
    """``/forex/candle``."""
    return _answer(call, _currency_days, _other_minutes, "OANDA")


def crypto(call: Call) -> Answer:
    """``/crypto/candle``."""
    return _answer(call, _coin_days, _other_minutes, "BINANCE", "COINBASE")


_Days = Callable[[Call, int, int], Frame]
_Minutes = Callable[[Call, int, int, int], Frame]


def _answer(call: Call, days: _Days, bars: _Minutes, *venues: str) -> Answer:
    if PLAN.get() != "premium":
        return error(403, NO_ACCESS)
    query = call.query
    symbol, resolution = query.get("symbol", "").upper(), query.get("resolution", "")
    if not symbol:
        return error(422, "symbol is required")
    try:
        first, last = int(query["from"]), int(query["to"])
    except (KeyError, ValueError):
        return error(422, "from and to are timestamps in seconds")
    if resolution not in (*MINUTES, "D"):
        return error(422, "resolution is not supported")
    if abroad(symbol):
        return error(403, NO_ACCESS)
    if (venues and symbol.partition(":")[0] not in venues) or (not venues and ":" in symbol):
        return good(NO_DATA)
    if resolution == "D":
        frame = days(call, first, last)
    else:
        frame = bars(call, max(first, last - MONTH), last, MINUTES[resolution])
    keep = (frame.stamps >= first) & (frame.stamps <= last)
    return _document(call, Frame(frame.stamps[keep], frame.prices[:, keep], frame.volume[keep]))


def _document(call: Call, frame: Frame) -> Answer:
    if not len(frame.stamps):
        return good(NO_DATA)
    columns = {n: row.copy() for n, row in zip(NAMES, frame.prices, strict=True)}
    columns["volume"] = frame.volume.copy()
    spoil(columns, call.fault)
    letters = {
        n[0]: [None if np.isnan(x) else round(x, 6) for x in column.tolist()]
        for n, column in columns.items()
    }
    document = {n: letters[n] for n in "chlo"} | {
        "s": "ok",
        "t": frame.stamps.tolist(),
        "v": letters["v"],
    }
    return good(document, len(frame.stamps))


def _stock_days(call: Call, first: int, last: int) -> Frame:
    market, asset = call.market, asset_of(call)
    if asset is None:
        return join([])
    history, time = market.history(asset), market.time
    opened = time.opened(call.now)
    low, high = time.index(_day(first)), time.index(_day(last) + timedelta(days=1))
    sessions = history.traded(max(low, asset.listed), min(high, opened))
    prices, volume = history.values(sessions)
    now = call.now.timestamp()
    if len(sessions) and now < time.closes[sessions[-1]]:
        running = so_far(market, asset, int(sessions[-1]), now)
        keep = slice(None) if len(running.stamps) else slice(-1)
        sessions, prices, volume = sessions[keep], prices[:, keep], volume[keep]
        if len(running.stamps):
            prices[:, -1], volume[-1] = running.prices[:, 0], running.volume[0]
    factor: Floats = history.split_factor(sessions, opened - 1)
    stamps = np.array([Timeline.midnight(time.day(int(s))) for s in sessions], dtype=np.int64)
    return Frame(stamps, prices / factor, np.rint(volume * factor))


def _stock_minutes(call: Call, first: int, last: int, step: int) -> Frame:
    market, asset = call.market, asset_of(call)
    if asset is None:
        return join([])
    time = market.time
    low, high = time.index(_day(first)), time.index(_day(last) + timedelta(days=1))
    frames = []
    for session in range(max(low, asset.listed), min(high, time.opened(call.now))):
        frame = minutes(market, asset, session).before(call.now.timestamp())
        opens = time.opens[session]
        frames.append(frame.grouped(opens + (frame.stamps - opens) // (60 * step) * (60 * step)))
    return join(frames)


def _currency_days(call: Call, first: int, last: int) -> Frame:
    table, now = _others(call, first, last), int(call.now.timestamp())
    starts = [Timeline.midnight(day) - ROLLOVER for day in table["session"]]
    over = [now >= start + DAY for start in starts]
    ends = [_midnight(day) + DAY for day in table["session"]]
    keep = [now >= end or not done for end, done in zip(ends, over, strict=True)]
    return _frame(table.filter(pl.Series(keep, dtype=pl.Boolean)), np.array(starts)[keep])


def _coin_days(call: Call, first: int, last: int) -> Frame:
    table = _others(call, first, last)
    return _frame(table, np.array([_midnight(day) for day in table["session"]]))


def _others(call: Call, first: int, last: int) -> pl.DataFrame:
    """Days of a pair, the running one as far as it has come."""
    others, symbol = call.market.others, pair_of(call.query["symbol"].upper())
    start, end = _day(first) - timedelta(days=1), _day(last) + timedelta(days=1)
    if symbol is None or others.find(symbol) is None:
        return others.bars("EUR/USD").clear()
    return others.bars(symbol, start, end, live=True, now=call.now)


def _other_minutes(call: Call, first: int, last: int, step: int) -> Frame:
    others, symbol = call.market.others, pair_of(call.query["symbol"].upper())
    if symbol is None or others.find(symbol) is None:
        return join([])
    frames = []
    for n in range((_day(last) - _day(first)).days + 1):
        frame = others.minutes(symbol, _day(first) + timedelta(days=n), now=call.now)
        frames.append(frame.grouped(frame.stamps // (60 * step) * (60 * step)))
    return join(frames)


def _frame(table: pl.DataFrame, stamps: NDArray[np.generic]) -> Frame:
    prices = table.select(NAMES).to_numpy().T.reshape(4, table.height)
    return Frame(stamps.astype(np.int64), prices, table["volume"].to_numpy())


def _day(stamp: int) -> date:
    return datetime.fromtimestamp(min(max(stamp, 0), 4_000_000_000), UTC).date()


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
