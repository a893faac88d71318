"""Alpaca's bars of several symbols or of one, with pages, and snapshots.

Belongs here: parameters, pages, what the free plan may see. Does not: keys and limits.

A bar's ``t`` is its start in UTC, a day's New York's midnight. Bars come symbol by symbol in
alphabetical order, and a page ends after ``limit`` bars, wherever that is. A symbol is
today's: its bars reach back through renames, and one that nothing carries has none. History
begins in 2016. A day that is not over is served as it stands. ``adjustment`` raw and split.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from stock_platform.sandbox.faults import spoil
from stock_platform.sandbox.market.asset import Asset
from stock_platform.sandbox.market.intraday import Frame, empty, join, minutes, so_far
from stock_platform.sandbox.market.timeline import ZONE, Timeline
from stock_platform.sandbox.vendors.base import Answer, Call, dump

FIRST = date(2016, 1, 1)
DELAY = timedelta(minutes=15)
MOST = 10_000
DEFAULT = 1_000
RECENT = "subscription does not permit querying recent SIP data"
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]*(\.[A-Z]+)*")
_TIMEFRAME = re.compile(r"(\d+)(Min|T|Hour|H|Day|D)")
_MINUTES = {"Min": 1, "T": 1, "Hour": 60, "H": 60}


@dataclass(frozen=True)
class _Asked:
    """A request for bars, read; ``minutes`` is 0 for days."""

    symbols: list[str]
    start: datetime
    end: datetime
    minutes: int
    limit: int
    adjusted: bool
    newest_first: bool
    after: tuple[str, int] | None


def error(status: int, text: str) -> Answer:
    """An error under ``message``."""
    return Answer(dump({"message": text}), status)


def several(call: Call) -> Answer:
    """``/v2/stocks/bars``: by symbol; symbols without bars are absent."""
    given = [name for name in call.query.get("symbols", "").split(",") if name]
    if not given:
        return error(400, "symbols is required")
    asked = _read(call, given)
    if isinstance(asked, Answer):
        return asked
    found, token = _page(call, asked)
    body = {"bars": found, "next_page_token": token}
    return Answer(dump(body), cells=sum(map(len, found.values())))


def single(call: Call) -> Answer:
    """``/v2/stocks/{symbol}/bars``: an array, or null."""
    symbol = call.path["symbol"]
    asked = _read(call, [symbol])
    if isinstance(asked, Answer):
        return asked
    found, token = _page(call, asked)
    rows = found.get(symbol)
    return Answer(
        dump({"bars": rows, "symbol": symbol, "next_page_token": token}), cells=len(rows or ())
    )


def snapshot(call: Call) -> Answer:
    """``/v2/stocks/{symbol}/snapshot``: the last minute, the last day, and the day before."""
    symbol = call.path["symbol"]
    refused = _refused(call, [symbol])
    if refused is not None:
        return refused
    found = _snapshot(call, symbol)
    if found is None:
        return error(404, f"no snapshot found for {symbol}")
    return Answer(dump({"symbol": symbol, **found}))


def snapshots(call: Call) -> Answer:
    """``/v2/stocks/snapshots``: by symbol; null for one that has not traded, nothing if unknown."""
    given = [name for name in call.query.get("symbols", "").split(",") if name]
    refused = error(400, "symbols is required") if not given else _refused(call, given)
    if refused is not None:
        return refused
    last = call.market.time.opened(call.now) - 1
    known = [s for s in sorted(set(given)) if call.market.carrying(s, last, "canonical")]
    return Answer(dump({s: _snapshot(call, s) for s in known}), cells=len(known))


def _refused(call: Call, symbols: list[str]) -> Answer | None:
    """What is no symbol, or not of the free plan."""
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            return error(400, f"invalid symbol: {symbol}")
    if call.query.get("feed", "iex") == "sip":
        return error(403, RECENT)
    return None


def _snapshot(call: Call, symbol: str) -> dict[str, Any] | None:
    """The last trade, minute and day, and the day before; None where there are none."""
    market, now = call.market, call.now.timestamp()
    last = market.time.opened(call.now) - 1
    asset = market.carrying(symbol, last, "canonical")
    if asset is None:
        return None
    traded = market.history(asset).traded(max(last - 30, 0), last + 1).tolist()
    days = [_day(call, asset, session) for session in traded[-2:]]
    tick = minutes(market, asset, traded[-1]).before(now) if traded else empty()
    if len(days) < 2 or not len(tick.stamps):
        return None
    at = min(int(tick.stamps[-1]) + 59, int(now))
    minute = next(_rows(tick))
    return {
        "latestTrade": {
            "t": f"{_text(at)[:-1]}.123456789Z", "x": "V", "p": float(tick.prices[3, -1]),
            "s": 100, "c": ["@"], "i": 1, "z": "C",
        },
        "minuteBar": minute,
        "dailyBar": next(_rows(days[1])),
        "prevDailyBar": next(_rows(days[0])),
    }  # fmt: skip


def _read(call: Call, symbols: list[str]) -> _Asked | Answer:
    query = call.query
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            return error(400, f"invalid symbol: {symbol}")
    frame = _TIMEFRAME.fullmatch(query.get("timeframe", "1Day"))
    if frame is None or not int(frame[1]) or (frame[2][0] == "D" and frame[1] != "1"):
        return error(400, f"invalid timeframe: {query.get('timeframe')}")
    limit = query.get("limit", str(DEFAULT))
    if not limit.isdigit() or not 1 <= int(limit) <= MOST:
        return error(400, f"invalid limit: should be between 1 and {MOST}")
    if query.get("adjustment", "raw") not in ("raw", "split"):
        return error(400, f"invalid adjustment: {query['adjustment']}")
    if query.get("feed", "sip") not in ("sip", "iex"):
        return error(400, f"invalid feed: {query['feed']}")
    if query.get("sort", "asc") not in ("asc", "desc"):
        return error(400, f"invalid sort: {query['sort']}")
    today = Timeline.local(call.now).date()
    start = _time(query.get("start", today.isoformat()), last=False)
    end = _time(query["end"], last=True) if "end" in query else call.now - DELAY
    after = _unpack(query.get("page_token", ""))
    for name, value in (("start", start), ("end", end), ("page_token", after)):
        if value is None:
            return error(400, f"invalid {name}: {query.get(name)}")
    if start is None or end is None or after is None:
        raise AssertionError("refused above")
    if end < start:
        return error(400, "end should not be before start")
    if end > call.now - DELAY and query.get("feed", "sip") == "sip":
        return error(403, RECENT)
    return _Asked(
        symbols=sorted(set(symbols)),
        start=start,
        end=end,
        minutes=int(frame[1]) * _MINUTES[frame[2]] if frame[2] in _MINUTES else 0,
        limit=int(limit),
        adjusted=query.get("adjustment", "raw") == "split",
        newest_first=query.get("sort", "asc") == "desc",
        after=after or None,
    )


def _page(call: Call, asked: _Asked) -> tuple[dict[str, list[dict[str, Any]]], str | None]:
    """The bars after the token, at most ``limit``, and the token of the next page."""
    found: dict[str, list[dict[str, Any]]] = {}
    left = asked.limit
    last: tuple[str, int] | None = None
    for symbol in asked.symbols:
        if asked.after and symbol < asked.after[0]:
            continue
        frame = _spoilt(_bars(call, asked, symbol), call)
        stamps, rows = frame.stamps.tolist(), list(_rows(frame))
        if asked.newest_first:
            stamps, rows = stamps[::-1], rows[::-1]
        if asked.after and symbol == asked.after[0]:
            done = stamps.index(asked.after[1]) + 1 if asked.after[1] in stamps else 0
            stamps, rows = stamps[done:], rows[done:]
        if rows and not left and last:
            return found, _pack(*last)
        if rows:
            found[symbol] = rows[:left]
            last = (symbol, stamps[min(left, len(rows)) - 1])
        if len(rows) > left and last:
            return found, _pack(*last)
        left -= len(rows)
    return found, None


def _bars(call: Call, asked: _Asked, symbol: str) -> Frame:
    """The bars of one symbol that start in the range, as far as the tape tells by its end."""
    market = call.market
    opened = market.time.opened(call.now)
    asset = market.carrying(symbol, opened - 1, "canonical")
    if asset is None:
        return empty()
    start = max(asked.start, datetime(FIRST.year, 1, 1, tzinfo=ZONE))
    first = market.time.index(start.astimezone(ZONE).date())
    last = market.time.index(asked.end.astimezone(ZONE).date() + timedelta(days=1))
    sessions = market.history(asset).traded(first, min(last, opened)).tolist()
    horizon = min(asked.end, call.now).timestamp()
    frames = []
    for session in sessions:
        if asked.minutes:
            fine = minutes(market, asset, session).before(horizon)
            step = 60 * asked.minutes
            made = fine.grouped(fine.stamps // step * step)
        elif horizon < market.time.closes[session]:
            made = _stamped(so_far(market, asset, session, horizon), market.time.day(session))
        else:
            made = _day(call, asset, session)
        if asked.adjusted and len(made.stamps):
            factor = market.history(asset).split_factor(np.array([session]), opened - 1)[0]
            made = Frame(made.stamps, made.prices / factor, made.volume * factor)
        frames.append(made)
    frame = join(frames)
    keep = (frame.stamps >= start.timestamp()) & (frame.stamps <= horizon)
    return Frame(frame.stamps[keep], frame.prices[:, keep], frame.volume[keep])


def _day(call: Call, asset: Asset, session: int) -> Frame:
    """A daily bar, of a session in progress as it stands."""
    market = call.market
    if call.now.timestamp() < market.time.closes[session]:
        made = so_far(market, asset, session, call.now.timestamp())
    else:
        prices, volume = market.history(asset).values(np.array([session]))
        made = Frame(np.zeros(1, np.int64), prices, volume)
    return _stamped(made, market.time.day(session))


def _stamped(frame: Frame, day: date) -> Frame:
    return Frame(np.full(len(frame.stamps), Timeline.midnight(day)), frame.prices, frame.volume)


def _spoilt(frame: Frame, call: Call) -> Frame:
    """The bars after the call's fault; a bar with a null is left out."""
    columns = {
        "open": frame.prices[0].copy(), "high": frame.prices[1].copy(),
        "low": frame.prices[2].copy(), "close": frame.prices[3].copy(),
        "volume": frame.volume.copy(),
    }  # fmt: skip
    spoil(columns, call.fault)
    keep = ~np.isnan(columns["close"])
    prices = np.stack([columns[name] for name in ("open", "high", "low", "close")])
    return Frame(frame.stamps[keep], prices[:, keep], columns["volume"][keep])


def _rows(frame: Frame) -> Iterator[dict[str, Any]]:
    """Bars as Alpaca writes them, oldest first."""
    prices = np.round(frame.prices, 4).tolist()
    for stamp, o, h, low, c, v in zip(
        frame.stamps.tolist(), *prices, frame.volume.tolist(), strict=True
    ):
        yield {
            "t": _text(stamp),
            "o": o,
            "h": h,
            "l": low,
            "c": c,
            "v": round(v),
            "n": int(v / 110) + 1,
            "vw": round((h + low + c) / 3, 6),
        }


def _text(stamp: float) -> str:
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str, *, last: bool) -> datetime | None:
    """An RFC 3339 instant, or a date: its first or last moment in New York."""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = datetime.fromisoformat(text).replace(tzinfo=ZONE)
            return day + timedelta(days=1, seconds=-1) if last else day
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def _pack(symbol: str, stamp: int) -> str:
    return base64.b64encode(f"{symbol}|{stamp}".encode()).decode()


def _unpack(token: str) -> tuple[str, int] | tuple[()] | None:
    """Where the last page ended; empty for the first page, None for no token of ours."""
    if not token:
        return ()
    try:
        symbol, _, stamp = base64.b64decode(token, validate=True).decode().partition("|")
        return symbol, int(stamp)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
