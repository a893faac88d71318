"""Polygon's aggregates: one date of the whole market, or a range of one ticker.

Belongs here: grouped daily, range and previous close, and what the free plan may see. Does
not: wording (``wire``), reference data.

As recorded: a grouped bar's ``t`` is its session's close, a range's the start of its span
(New York midnight for days), both in milliseconds. Grouped rows come in no order, under the
ticker of that date; small issues lack ``vw`` and ``n``. ``adjusted`` is true unless asked,
and means splits up to now. The free plan sees two years back, and a day once it is over in
New York; a range is cut to what it may see (then ``DELAYED``), and refused when nothing is
left. A day without bars is 200 with no ``results``. Coins (``X:BTCUSD``) and currencies
(``C:EURUSD``) have UTC days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stock_platform.sandbox.faults import spoil
from stock_platform.sandbox.market.asset import Asset, Floats, Spell
from stock_platform.sandbox.market.intraday import Frame, join, minutes
from stock_platform.sandbox.market.others import Instrument, Others
from stock_platform.sandbox.market.timeline import Timeline
from stock_platform.sandbox.vendors.base import Answer, Call, dump
from stock_platform.sandbox.vendors.polygon.wire import (
    BAD_TIME,
    SAME_DAY,
    TIMEFRAME,
    count,
    error,
    flag,
    not_authorized,
    pack,
    price_text,
    read_time,
    request_id,
    unpack,
    volume_text,
)

MINUTES = {"minute": 1, "hour": 60}
SPANS = (*MINUTES, "day", "week", "month", "quarter", "year")
_MARKS = ("X:", "C:")
_SMALL = 1_500


def oldest(call: Call) -> date:
    """The first date the free plan sees: two years before today."""
    today = Timeline.local(call.now).date()
    day = min(today.day, 28) if today.month == 2 else today.day
    return date(today.year - 2, today.month, day)


def newest(call: Call) -> date:
    """The last date the free plan sees: the last one that is over."""
    hours = timedelta(hours=call.config.same_day_hours)
    return (Timeline.local(call.now).replace(tzinfo=None) - hours).date()


def _visible(call: Call) -> int:
    """The number after the last session the free plan sees."""
    return call.market.time.index(newest(call) + timedelta(days=1))


def grouped(call: Call) -> Answer:
    """``/v2/aggs/grouped/locale/us/market/stocks/{date}``."""
    asked = read_time(call.path["date"])
    if asked is None or asked[1] is not None:
        return error(400, BAD_TIME.format("date"))
    day = asked[0]
    if newest(call) < day <= Timeline.local(call.now).date():
        return not_authorized(SAME_DAY)
    if day > newest(call) or day < oldest(call):
        return not_authorized(TIMEFRAME)
    market = call.market
    adjusted = flag(call.query, "adjusted", True)
    session = market.time.find(day)
    if session is None:
        return _no_bars(None, adjusted, "OK")
    numbers, prices, volume = market.day(session)
    if adjusted:
        factor = market.split_factors(numbers, session, _visible(call) - 1)
        prices, volume = prices / factor, np.rint(volume * factor)
    order = np.random.default_rng(session).permutation(len(numbers))
    numbers, prices, volume = numbers[order], prices[:, order], volume[order]
    stamp = int(market.time.closes[session]) * 1000
    tickers = [market.assets[n].ticker_at(session).polygon for n in numbers.tolist()]
    columns, keep = _spoilt(prices, volume, call)
    tickers = [t for t, kept in zip(tickers, keep.tolist(), strict=True) if kept]
    rows = _rows(columns, [stamp] * len(tickers), tickers)
    last = session == _visible(call) - 1
    return _answer(None, rows, adjusted, "DELAYED" if last else "OK")


def previous(call: Call) -> Answer:
    """``/v2/aggs/ticker/{symbol}/prev``: the last session that is over."""
    adjusted = flag(call.query, "adjusted", True)
    symbol, last = call.path["symbol"], _visible(call) - 1
    asset = call.market.carrying(symbol, last, "polygon")
    history = call.market.history(asset) if asset else None
    sessions = history.traded(last, last + 1) if history else np.empty(0, np.int64)
    if history is None or not len(sessions):
        return _no_bars(symbol, adjusted, "OK")
    prices, volume = history.values(sessions)
    columns, _ = _spoilt(prices, volume, call)
    rows = _rows(columns, [int(call.market.time.closes[last]) * 1000], [symbol])
    return _answer(symbol, rows, adjusted, "OK")


@dataclass(frozen=True)
class _Range:
    """A range as asked: dates inclusive; ``since`` and ``until`` are milliseconds."""

    start: date
    end: date
    since: int | None
    until: int | None


def range_(call: Call) -> Answer:
    """``/v2/aggs/ticker/{symbol}/range/{multiplier}/{span}/{start}/{end}``."""
    query = unpack(call.query)
    if isinstance(query, Answer):
        return query
    symbol, span = call.path["symbol"], call.path["span"]
    if span not in SPANS:
        return error(400, f"The 'timespan' parameter is invalid: {span}")
    if not call.path["multiplier"].isdigit() or not int(call.path["multiplier"]):
        return error(400, "The 'multiplier' parameter must be a positive number")
    limit = count(query, 5_000, 50_000)
    if isinstance(limit, Answer):
        return limit
    asked = _read_range(call)
    if isinstance(asked, Answer):
        return asked
    adjusted = flag(query, "adjusted", True)
    first, last = max(asked.start, oldest(call)), min(asked.end, newest(call))
    if first > last:
        return not_authorized(TIMEFRAME)
    status = "DELAYED" if asked.end > newest(call) else "OK"
    inside = _Range(first, last, asked.since, asked.until)
    frame = _bars(call, symbol, inside, int(call.path["multiplier"]), span, adjusted)
    newest_first = query.get("sort", "asc") == "desc"
    order = np.arange(len(frame.stamps))[:: -1 if newest_first else 1]
    page, rest = order[:limit], order[limit:]
    if not len(page):
        return _no_bars(symbol, adjusted, status)
    columns, keep = _spoilt(frame.prices[:, page], frame.volume[page], call)
    decimals = 8 if symbol[:2] in _MARKS else 4
    rows = _rows(columns, (frame.stamps[page][keep] * 1000).tolist(), None, decimals)
    following = None
    if len(rest):
        stamp = int(frame.stamps[rest[0]]) * 1000
        start, end = call.path["start"], call.path["end"]
        between = f"{start}/{stamp}" if newest_first else f"{stamp}/{end}"
        cursor = pack(
            {"adjusted": str(adjusted).lower(), "limit": limit, "sort": query.get("sort", "asc")}
        )
        following = (
            f"{call.base}/v2/aggs/ticker/{symbol}/range/{call.path['multiplier']}/{span}/"
            f"{between}?cursor={cursor}"
        )
    return _answer(symbol, rows, adjusted, status, following)


def _read_range(call: Call) -> _Range | Answer:
    start, end = read_time(call.path["start"]), read_time(call.path["end"])
    if start is None:
        return error(400, BAD_TIME.format("from"))
    if end is None:
        return error(400, BAD_TIME.format("to"))
    if start[0] > end[0]:
        return error(400, "The parameter 'to' cannot be a time that occurs before 'from'")
    return _Range(start[0], end[0], start[1], end[1])


def _bars(
    call: Call, symbol: str, asked: _Range, multiplier: int, span: str, adjusted: bool
) -> Frame:
    """The bars of everything that carried the ticker in the range, in order."""
    time = call.market.time
    instrument = other(call.market.others, symbol)
    if instrument is not None:
        frame = _other_bars(call, instrument, asked, span)
    else:
        low, high = time.index(asked.start), time.index(asked.end + timedelta(days=1))
        frames = [
            _spell_bars(call, asset, spell, (low, high), span, adjusted)
            for asset in call.market.spelled(symbol, "polygon")
            for spell in asset.spells
            if spell.ticker.polygon == symbol
        ]
        frame = join(sorted((f for f in frames if len(f.stamps)), key=lambda f: int(f.stamps[0])))
    frame = frame.grouped(_starts(frame.stamps, multiplier, span, utc=instrument is not None))
    keep = np.ones(len(frame.stamps), dtype=bool)
    if asked.since is not None:
        keep &= frame.stamps * 1000 >= asked.since
    if asked.until is not None:
        keep &= frame.stamps * 1000 <= asked.until
    return Frame(frame.stamps[keep], frame.prices[:, keep], frame.volume[keep])


def other(others: Others, ticker: str) -> Instrument | None:
    """The coin or currency of Polygon's spelling; None for a share."""
    mark, pair = ticker[:2], ticker[2:]
    if mark == "C:" and len(pair) == 6:
        return others.find(f"{pair[:3]}/{pair[3:]}")
    if mark == "X:":
        return next(
            (found for end in (3, 4) if (found := others.find(f"{pair[:-end]}-{pair[-end:]}"))),
            None,
        )
    return None


def _other_bars(call: Call, instrument: Instrument, asked: _Range, unit: str) -> Frame:
    """Days that are over, or minutes, of a coin or a currency; days are UTC's."""
    others, symbol = call.market.others, instrument.symbol
    bars = others.bars(symbol, asked.start, asked.end, now=call.now)
    if unit in MINUTES:
        return join([others.minutes(symbol, day, now=call.now) for day in bars["session"]])
    prices = np.stack([bars[name].to_numpy() for name in ("open", "high", "low", "close")])
    stamps = bars["session"].cast(pl.Datetime("us")).dt.epoch("s").to_numpy()
    return Frame(stamps.astype(np.int64), prices, bars["volume"].to_numpy())


def _spell_bars(
    call: Call, asset: Asset, spell: Spell, span: tuple[int, int], unit: str, adjusted: bool
) -> Frame:
    market = call.market
    history = market.history(asset)
    low, high = max(span[0], spell.start, asset.listed), min(span[1], spell.end, asset.delisted)
    sessions = history.traded(low, high)
    factor = np.ones(len(sessions))
    if adjusted:
        factor = history.split_factor(sessions, _visible(call) - 1)
    if unit in MINUTES:
        frames = []
        for session, ratio in zip(sessions.tolist(), factor.tolist(), strict=True):
            one = minutes(market, asset, session)
            frames.append(Frame(one.stamps, one.prices / ratio, np.rint(one.volume * ratio)))
        return join(frames)
    prices, volume = history.values(sessions)
    days = [Timeline.midnight(market.time.day(s)) for s in sessions.tolist()]
    return Frame(np.array(days, dtype=np.int64), prices / factor, np.rint(volume * factor))


def _starts(
    stamps: NDArray[np.int64], multiplier: int, span: str, *, utc: bool
) -> NDArray[np.int64]:
    """The start of each bar's span, epoch seconds; longer ones begin at local midnight."""
    if span in MINUTES:
        step = 60 * MINUTES[span] * multiplier
        return stamps // step * step
    if span == "day" and multiplier == 1:
        return stamps
    days = ((stamps - (0 if utc else 5 * 3600)) // 86_400).astype("datetime64[D]")
    number = days.astype(np.int64)
    if span == "day":
        first = ((number - number[:1]) // multiplier * multiplier + number[:1]).astype(
            "datetime64[D]"
        )
    elif span == "week":
        week = 7 * multiplier
        first = ((number + 4) // week * week - 4).astype("datetime64[D]")
    else:
        size = {"month": 1, "quarter": 3, "year": 12}[span] * multiplier
        months = days.astype("datetime64[M]").astype(np.int64) // size * size
        first = months.astype("datetime64[M]").astype("datetime64[D]")
    if utc:
        return first.astype("datetime64[s]").astype(np.int64)
    unique, inverse = np.unique(first, return_inverse=True)
    made = np.array([Timeline.midnight(day) for day in unique.tolist()], dtype=np.int64)
    return made[inverse] if len(made) else stamps


def _spoilt(
    prices: Floats, volume: Floats, call: Call
) -> tuple[dict[str, Floats], NDArray[np.bool_]]:
    """Columns after the call's fault; a row with a null is left out, and ``keep`` says so."""
    columns = {
        "open": prices[0].copy(), "high": prices[1].copy(), "low": prices[2].copy(),
        "close": prices[3].copy(), "volume": volume.copy(),
    }  # fmt: skip
    spoil(columns, call.fault)
    keep = ~np.isnan(columns["close"])
    return {name: values[keep] for name, values in columns.items()}, keep


def _rows(
    columns: dict[str, Floats], stamps: list[int], tickers: list[str] | None, decimals: int = 4
) -> list[str]:
    """The rows as JSON texts."""
    names = ("open", "high", "low", "close", "volume")
    heads = [f'"T":"{t}",' for t in tickers] if tickers is not None else [""] * len(stamps)
    rows = []
    for head, stamp, *values in zip(
        heads, stamps, *(columns[name].tolist() for name in names), strict=True
    ):
        v = values.pop()
        o, h, low, c = (price_text(value, decimals) for value in values)
        extra, tail = "", ""
        if v >= _SMALL or not head:
            extra = f',"vw":{price_text(sum(values[1:]) / 3, decimals)}'
            tail = f',"n":{int(v / 110) + 1}'
        rows.append(
            f'{{{head}"v":{volume_text(v)}{extra},"o":{o},"c":{c},"h":{h},"l":{low},'
            f'"t":{stamp}{tail}}}'
        )
    return rows


def _answer(
    symbol: str | None, rows: list[str], adjusted: bool, status: str, following: str | None = None
) -> Answer:
    head = f'"ticker":"{symbol}",' if symbol is not None else ""
    tail = f',"next_url":"{following}"' if following else ""
    text = (
        f'{{{head}"queryCount":{len(rows)},"resultsCount":{len(rows)},'
        f'"adjusted":{str(adjusted).lower()},"results":[{",".join(rows)}],'
        f'"status":"{status}","request_id":"{request_id()}","count":{len(rows)}{tail}}}'
    )
    return Answer(text.encode(), cells=len(rows))


def _no_bars(symbol: str | None, adjusted: bool, status: str) -> Answer:
    head = {"ticker": symbol} if symbol is not None else {}
    body = {"queryCount": 0, "resultsCount": 0, "adjusted": adjusted, "status": status}
    return Answer(dump(head | body | {"request_id": request_id(), "count": 0}))
