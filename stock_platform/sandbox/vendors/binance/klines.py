"""Binance's candles.

Belongs here: which candles a question selects, and their rows. Does not: prices (``ticker``).

Twelve columns: opening in milliseconds; open, high, low, close and volume as text; the last
millisecond; volume in the quote currency; trades; what takers bought, in both; "0". With
``startTime`` the first that exist from there on, else the latest; 500 unless ``limit`` says,
1,000 at the most. The candle in progress is there too. Days, weeks (from Monday) and months
are UTC's.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stock_platform.sandbox.faults import spoil
from stock_platform.sandbox.market.frame import Floats, Frame, join
from stock_platform.sandbox.market.others import Instrument
from stock_platform.sandbox.vendors.base import Answer, Call, dump
from stock_platform.sandbox.vendors.binance.wire import JSON_TYPE, amount, failure, find

MINUTES = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360,
    "8h": 480, "12h": 720,
}  # fmt: skip
DAYS = {"1d": 1, "3d": 3, "1w": 7}
DAY = 86_400
MOST = 1000


def klines(call: Call) -> Answer:
    """``/api/v3/klines``."""
    instrument = find(call)
    if isinstance(instrument, Answer):
        return instrument
    interval = call.query.get("interval", "")
    if not interval:
        said = "Mandatory parameter 'interval' was not sent, was empty/null, or malformed."
        return failure(400, -1102, said)
    if interval not in MINUTES and interval not in DAYS and interval != "1M":
        return failure(400, -1120, "Invalid interval.")
    numbers = _numbers(call)
    if isinstance(numbers, Answer):
        return numbers
    limit = min(numbers.get("limit", 500), MOST)
    since, until = numbers.get("startTime"), numbers.get("endTime")
    end = call.now.timestamp() if until is None else min(until / 1000, call.now.timestamp())
    start = None if since is None else since / 1000
    frame, ends = _frame(call, instrument, interval, start, end, limit)
    inside = frame.stamps <= end
    if start is not None:
        inside &= frame.stamps >= start
    chosen = np.flatnonzero(inside)
    chosen = chosen[-limit:] if start is None else chosen[:limit]
    return _answer(call, frame, ends, chosen)


def _numbers(call: Call) -> dict[str, int] | Answer:
    made = {}
    for key in ("limit", "startTime", "endTime"):
        text = call.query.get(key)
        if text is None:
            continue
        if not text.isdigit() or (key == "limit" and int(text) < 1):
            said = (
                f"Illegal characters found in parameter '{key}'; legal range is '^[0-9]{{1,20}}$'."
            )
            return failure(400, -1100, said)
        made[key] = int(text)
    return made


def _frame(
    call: Call, instrument: Instrument, interval: str, start: float | None, end: float, limit: int
) -> tuple[Frame, NDArray[np.int64]]:
    """Enough candles to choose from, and the first instant after each."""
    others, symbol = call.market.others, instrument.symbol
    if interval in MINUTES:
        step = MINUTES[interval] * 60
        reach = timedelta(seconds=(limit + 1) * step)
        first = max(_day(start or end - reach.total_seconds()), others.config.first_date)
        last = _day(end)
        if start is not None:
            last = min(last, first + reach + timedelta(days=1))
        frames = []
        for n in range((last - first).days + 1):
            frame = others.minutes(symbol, first + timedelta(days=n), now=call.now)
            frames.append(frame.grouped(frame.stamps // step * step))
        made = join(frames)
        return made, made.stamps + step
    bars = others.bars(symbol, live=True, now=call.now)
    days = bars["session"].to_numpy().astype("datetime64[D]")
    if interval == "1M":
        months = days.astype("datetime64[M]")
        starts = months.astype("datetime64[s]").astype(np.int64)
        following = (months + 1).astype("datetime64[s]").astype(np.int64)
    else:
        size = DAYS[interval]
        shift = 4 if size == 7 else 0  # the first day of all was a Thursday
        number = days.astype(np.int64)
        starts = ((number - shift) // size * size + shift) * DAY
        following = starts + size * DAY
    prices = np.stack([bars[n].to_numpy() for n in ("open", "high", "low", "close")])
    stamps = days.astype(np.int64) * DAY
    frame = Frame(stamps, prices, bars["volume"].to_numpy()).grouped(starts)
    ends = dict(zip(starts.tolist(), following.tolist(), strict=True))
    return frame, np.array([ends[stamp] for stamp in frame.stamps.tolist()], dtype=np.int64)


def _day(instant: float) -> date:
    return datetime.fromtimestamp(instant, UTC).date()


def _answer(call: Call, frame: Frame, ends: NDArray[np.int64], chosen: NDArray[np.int64]) -> Answer:
    columns: dict[str, Floats] = {
        "open": frame.prices[0, chosen], "high": frame.prices[1, chosen],
        "low": frame.prices[2, chosen], "close": frame.prices[3, chosen],
        "volume": frame.volume[chosen],
    }  # fmt: skip
    spoil(columns, call.fault)
    table = pl.DataFrame(
        {"opens": frame.stamps[chosen] * 1000, "ends": ends[chosen] * 1000 - 1, **columns}
    ).filter(pl.col("close").is_not_nan())
    rows = []
    for opens, closes, first, high, low, last, volume in table.iter_rows():
        middle = (first + high + low + last) / 4
        rows.append(
            [
                opens, amount(first), amount(high), amount(low), amount(last), amount(volume),
                closes, amount(volume * middle), int(abs(volume) ** 0.5 * 20) + 1,
                amount(volume * 0.49), amount(volume * 0.49 * middle), "0",
            ]
        )  # fmt: skip
    return Answer(dump(rows), 200, JSON_TYPE, cells=len(rows))
