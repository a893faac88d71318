"""Yahoo's ``/v8/finance/chart/{symbol}``.

Belongs here: which bars an interval and a range select, and the answer's shape. Does not:
the ``meta`` block (``meta``), the histories (``market``).

As recorded: open, high, low, close and volume are adjusted for every split up to the moment
of the call, adjclose for dividends too; values are 32-bit floats widened; a daily bar is
stamped with its session's opening, a week's or month's with its first local midnight, and
the bar of today with the market's time. ``period2`` is exclusive. ``range=max`` at ``1d``
comes back as ``3mo``. Delisted symbols are a 404, or (one in four) an empty 200 with
``currency: null``. Days without a trade are missing, or (one symbol in three) a row of nulls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stock_platform.sandbox.faults import spoil
from stock_platform.sandbox.market.asset import Asset, Floats, History
from stock_platform.sandbox.market.intraday import Frame, join, minutes, so_far
from stock_platform.sandbox.market.timeline import Timeline
from stock_platform.sandbox.vendors.base import Answer, Call, dump
from stock_platform.sandbox.vendors.yahoo import meta

JSON_TYPE = "application/json;charset=utf-8"
HEADERS = {
    "cache-control": "public, max-age=10, stale-while-revalidate=20",
    "vary": "Origin,Accept-Encoding",
    "x-content-type-options": "nosniff",
}
INTRADAY = {"1m": 1, "2m": 2, "5m": 5, "15m": 15, "30m": 30, "60m": 60, "90m": 90, "1h": 60,
            "4h": 240}  # fmt: skip
DAILY = ("1d", "1wk", "1mo", "3mo")
_DEPTH = {"1m": 30, "60m": 730, "1h": 730, "4h": 730}
_MONTHS = {"1mo": 1, "3mo": 3, "6mo": 6, "1y": 12, "2y": 24, "5y": 60, "10y": 120}
DAY = 86_400


def failure(status: int, code: str, description: str) -> Answer:
    """An error as the chart words it."""
    body = {"chart": {"result": None, "error": {"code": code, "description": description}}}
    return Answer(dump(body), status, JSON_TYPE, HEADERS)


@dataclass(frozen=True)
class Window:
    """What was asked: [start, end) in epoch seconds, the interval, and ``range`` as given."""

    start: int
    end: int
    interval: str
    range: str


def chart(call: Call) -> Answer:
    """Answer one chart request."""
    window = read_window(call)
    if isinstance(window, Answer):
        return window
    market, symbol = call.market, call.path["symbol"].upper()
    started = market.time.opened(call.now)
    asset = market.carrying(symbol, started - 1, "yahoo")
    if asset is None:
        return failure(404, "Not Found", "No data found, symbol may be delisted")
    if asset.delisted < started:
        if asset.number % 4:
            return failure(404, "Not Found", "No data found, symbol may be delisted")
        body: dict[str, Any] = {"meta": meta.delisted(call, symbol, window)}
        return answer(body | {"indicators": {"quote": [{}], "adjclose": [{}]}}, 0)
    first = int(market.time.opens[asset.listed])
    if window.end <= first or window.start > call.now.timestamp():
        return failure(
            400,
            "Bad Request",
            f"Data doesn't exist for startDate = {window.start}, endDate = {window.end}",
        )
    history = market.history(asset)
    return _Chart(call, asset, history, window, started).answer()


def read_window(call: Call) -> Window | Answer:
    """Read the query; the errors are Yahoo's."""
    query = call.query
    now = int(call.now.timestamp())
    chosen = query.get("range", "" if "period1" in query else "1d")
    interval = query.get("interval", "1m" if chosen == "1d" else "1d")
    if interval not in INTRADAY and interval not in DAILY:
        return failure(
            422,
            "Unprocessable Entity",
            f"Invalid input - interval={interval} is not supported. Valid intervals: "
            f"[{', '.join((*INTRADAY, *DAILY))}]",
        )
    if "period1" in query:
        try:
            start, end = int(float(query["period1"])), int(float(query.get("period2", now)))
        except ValueError:
            return failure(400, "Bad Request", "Invalid input - period1 or period2 is no number")
        if start > end:
            return failure(
                400,
                "Bad Request",
                "Invalid input - start date cannot be after end date. "
                f"startDate = {start}, endDate = {end}",
            )
        chosen = ""
    else:
        if chosen not in meta.RANGES:
            return failure(
                422,
                "Unprocessable Entity",
                f"Invalid input - range={chosen} is not supported. Valid ranges: "
                f"[{', '.join(meta.RANGES)}]",
            )
        start, end = _range_start(call, chosen), now + 1
    if interval in INTRADAY:
        refusal = _too_deep(interval, start, end, now)
        if refusal is not None:
            return refusal
    elif chosen == "max" and interval == "1d":
        interval = "3mo"
    return Window(start, end, interval, chosen)


def _range_start(call: Call, chosen: str) -> int:
    time = call.market.time
    local = Timeline.local(call.now)
    if chosen == "max":
        return 0
    if chosen == "ytd":
        return Timeline.midnight(date(local.year, 1, 1))
    if chosen in ("1d", "5d"):
        last = time.opened(call.now) - int(chosen[0])
        return int(time.opens[max(last, 0)])
    return int(_months_back(local, _MONTHS[chosen]).timestamp())


def _months_back(instant: datetime, months: int) -> datetime:
    year, month = divmod(instant.year * 12 + instant.month - 1 - months, 12)
    following = date(year + month // 11, (month + 1) % 12 + 1, 1)
    last = (following - timedelta(days=1)).day
    return instant.replace(year=year, month=month + 1, day=min(instant.day, last))


def _too_deep(interval: str, start: int, end: int, now: int) -> Answer | None:
    days = _DEPTH.get(interval, 60)
    head = f"{interval} data not available for startTime={start} and endTime={end}. "
    if start < now - days * DAY:
        tail = f"The requested range must be within the last {days} days."
    elif interval == "1m" and end - start > 8 * DAY:
        tail = "Only 8 days worth of 1m granularity data are allowed to be fetched per request."
    else:
        return None
    return failure(422, "Unprocessable Entity", head + tail)


@dataclass(frozen=True)
class _Chart:
    call: Call
    asset: Asset
    history: History
    window: Window
    started: int

    def answer(self) -> Answer:
        frame, adjusted = self._intraday() if self._is_intraday else self._daily()
        result: dict[str, Any] = {
            "meta": meta.traded(self.call, self.asset, self.history, self.window, len(frame.stamps))
        }
        if not len(frame.stamps):
            empty: dict[str, Any] = {"quote": [{}]}
            if not self._is_intraday:
                empty["adjclose"] = [{}]
            return answer(result | {"indicators": empty}, 0)
        columns = {
            "close": frame.prices[3], "low": frame.prices[2], "volume": frame.volume,
            "open": frame.prices[0], "high": frame.prices[1],
        }  # fmt: skip
        spoil(columns, self.call.fault)
        result["timestamp"] = frame.stamps.tolist()
        events = self._events(frame)
        if events:
            result["events"] = events
        quote = {
            name: integers(values) if name == "volume" else floats(values)
            for name, values in columns.items()
        }
        indicators: dict[str, Any] = {"quote": [quote]}
        if not self._is_intraday and self.call.query.get("includeAdjustedClose") != "false":
            adjusted = np.where(np.isnan(columns["close"]), np.nan, adjusted)
            indicators["adjclose"] = [{"adjclose": floats(adjusted)}]
        result["indicators"] = indicators
        return answer(result, int(np.count_nonzero(~np.isnan(columns["close"]))))

    @property
    def _is_intraday(self) -> bool:
        return self.window.interval in INTRADAY

    def _span(self) -> tuple[int, int]:
        """Sessions whose opening lies in the window, that have opened, in the asset's life."""
        opens = self.call.market.time.opens
        low = int(np.searchsorted(opens, self.window.start))
        high = int(np.searchsorted(opens, self.window.end))
        return max(low, self.asset.listed), min(high, self.started, self.asset.delisted)

    def _daily(self) -> tuple[Frame, Floats]:
        time, now = self.call.market.time, self.call.now
        low, high = self._span()
        if self.asset.number % 3 == 0:
            sessions = np.arange(low, high)
        else:
            sessions = self.history.traded(low, high)
        prices, volume = self.history.values(sessions)
        quiet = volume == 0
        prices[:, quiet] = np.nan
        volume[quiet] = np.nan
        stamps = time.opens[sessions]
        last = self.started - 1
        live = bool(len(sessions)) and sessions[-1] == last and _is_today(time, last, now)
        if live and now.timestamp() < time.closes[last] and not quiet[-1]:
            partial = so_far(self.call.market, self.asset, last, now.timestamp())
            if len(partial.stamps):
                prices[:, -1], volume[-1] = partial.prices[:, 0], partial.volume[0]
        factor = self.history.split_factor(sessions, last)
        prices /= factor
        volume = np.rint(volume * factor)
        adjusted = prices[3] * self.history.dividend_factor(sessions, last)
        if live:
            stamps = stamps.copy()
            stamps[-1] = min(int(now.timestamp()), int(time.closes[last]) + 1)
        frame = Frame(stamps, prices, volume)
        if self.window.interval == "1d" or not len(sessions):
            return frame, adjusted
        return self._grouped(frame, adjusted, sessions)

    def _grouped(
        self, frame: Frame, adjusted: Floats, sessions: NDArray[np.int64]
    ) -> tuple[Frame, Floats]:
        """Weeks, months or quarters; today's bar stands once more, live, behind them."""
        keep = ~np.isnan(frame.prices[3])
        whole = Frame(frame.stamps[keep], frame.prices[:, keep], frame.volume[keep])
        sessions, adjusted = sessions[keep], adjusted[keep]
        if not len(sessions):
            return whole, adjusted
        starts = _group_starts(self.call.market.time, sessions, self.window.interval)
        made = whole.grouped(starts)
        ends = np.r_[np.flatnonzero(starts[1:] != starts[:-1]), len(starts) - 1]
        adjusted_made = adjusted[ends]
        if sessions[-1] == self.started - 1:
            close = int(self.call.market.time.closes[self.started - 1]) + 1
            today = replace(whole, stamps=np.array([min(int(self.call.now.timestamp()), close)]),
                            prices=whole.prices[:, -1:], volume=whole.volume[-1:])  # fmt: skip
            made = join([made, today])
            adjusted_made = np.r_[adjusted_made, adjusted[-1]]
        return made, adjusted_made

    def _intraday(self) -> tuple[Frame, Floats]:
        time, market = self.call.market.time, self.call.market
        first = int(np.searchsorted(time.closes, self.window.start))
        _, high = self._span()
        step = INTRADAY[self.window.interval] * 60
        frames = []
        for session in range(max(first, self.asset.listed), high):
            frame = minutes(market, self.asset, session).before(self.call.now.timestamp())
            opens = time.opens[session]
            frame = frame.grouped(opens + (frame.stamps - opens) // step * step)
            keep = (frame.stamps >= self.window.start) & (frame.stamps < self.window.end)
            factor = self.history.split_factor(np.array([session]), self.started - 1)[0]
            frames.append(
                Frame(
                    frame.stamps[keep],
                    frame.prices[:, keep] / factor,
                    np.rint(frame.volume[keep] * factor),
                )
            )
        return join(frames), np.empty(0)

    def _events(self, frame: Frame) -> dict[str, Any]:
        asked = {w.strip() for w in self.call.query.get("events", "").replace("|", ",").split(",")}
        time = self.call.market.time
        low, high = self._span()
        out: dict[str, Any] = {}
        if asked & {"div", "dividends"}:
            found = {}
            for paid in self.history.dividends:
                if low <= paid.at < high:
                    factor = self.history.split_factor(np.array([paid.at]), self.started - 1)[0]
                    stamp = int(time.opens[paid.at])
                    found[self._key(frame, paid.at)] = {
                        "amount": round(paid.amount / factor, 6), "date": stamp,
                    }  # fmt: skip
            if found:
                out["dividends"] = found
        if asked & {"split", "splits"}:
            found = {}
            for split in self.history.splits:
                if low <= split.at < high:
                    found[self._key(frame, split.at)] = {
                        "date": int(time.opens[split.at]),
                        "numerator": split.numerator,
                        "denominator": split.denominator,
                        "splitRatio": f"{split.numerator}:{split.denominator}",
                    }
            if found:
                out["splits"] = found
        return out

    def _key(self, frame: Frame, session: int) -> str:
        """The stamp of the bar that holds a session, as events are keyed."""
        opens = int(self.call.market.time.opens[session])
        if self.window.interval in ("1wk", "1mo", "3mo"):
            at = int(np.searchsorted(frame.stamps, opens, side="right")) - 1
            return str(int(frame.stamps[max(at, 0)]))
        return str(opens)


def _is_today(time: Timeline, session: int, now: datetime) -> bool:
    return Timeline.local(now).date() == time.day(session)


def _group_starts(time: Timeline, sessions: NDArray[np.int64], interval: str) -> NDArray[np.int64]:
    days = time.days[sessions]
    if interval == "1wk":
        monday = (days.astype(np.int64) - 4) // 7 * 7 + 4
        first = monday.astype("datetime64[D]")
    else:
        months = days.astype("datetime64[M]").astype(np.int64)
        size = 3 if interval == "3mo" else 1
        first = (months // size * size).astype("datetime64[M]").astype("datetime64[D]")
    unique, inverse = np.unique(first, return_inverse=True)
    stamps = np.array([Timeline.midnight(day) for day in unique.tolist()], dtype=np.int64)
    return stamps[inverse]


def floats(values: Floats) -> list[float | None]:
    """As 32-bit floats widened, NaN as null."""
    made: list[float] = values.astype(np.float32).astype(np.float64).tolist()
    return [None if isnan(v) else v for v in made] if np.isnan(values).any() else list(made)


def integers(values: Floats) -> list[int | None]:
    """Whole numbers, NaN as null."""
    if np.isnan(values).any():
        return [None if isnan(v) else int(v) for v in values.tolist()]
    made: list[int | None] = values.astype(np.int64).tolist()
    return made


def answer(result: dict[str, Any], cells: int) -> Answer:
    """A good answer; ``cells`` is how many bars it carries."""
    body = {"chart": {"result": [result], "error": None}}
    return Answer(dump(body), 200, JSON_TYPE, HEADERS, cells)
