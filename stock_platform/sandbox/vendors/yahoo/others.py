"""The chart of what is no US share: BTC-USD, EURUSD=X, ^GSPC, GC=F.

Belongs here: Yahoo's spelling of them, their meta and stamps. Does not: shares (``chart``).

As recorded: a day is stamped with its local midnight (coins in UTC, currencies in London,
futures in New York) or, for an index, with its exchange's opening; the day in progress with
the market's time. Coins' volume is in the quote currency, currencies have none. There are no
events, and adjclose is the close.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from stock_platform.domain.calendar import get_calendar
from stock_platform.sandbox.faults import spoil
from stock_platform.sandbox.market.frame import Floats, Frame, empty, join
from stock_platform.sandbox.market.others import Instrument, Kind, Others
from stock_platform.sandbox.vendors.base import Answer, Call
from stock_platform.sandbox.vendors.yahoo.chart import (
    DAY,
    INTRADAY,
    Window,
    answer,
    failure,
    floats,
    integers,
    read_window,
)
from stock_platform.sandbox.vendors.yahoo.meta import RANGES

_QUOTES = ("USD", "EUR")
_KINDS = {
    Kind.CRYPTO: ("CRYPTOCURRENCY", "CCC", "CCC"),
    Kind.FX: ("CURRENCY", "CCY", "CCY"),
    Kind.INDEX: ("INDEX", "SNP", "SNP"),
    Kind.COMMODITY: ("FUTURE", "CMX", "COMEX"),
}
_EXCHANGES = {
    "^DJI": ("DJI", "DJI"), "^IXIC": ("NIM", "Nasdaq GIDS"), "^RUT": ("WCB", "Chicago Options"),
    "^VIX": ("WCB", "Cboe Indices"), "^FTSE": ("FGI", "FTSE Index"), "^N225": ("OSA", "Osaka"),
    "CL=F": ("NYM", "NY Mercantile"), "NG=F": ("NYM", "NY Mercantile"),
}  # fmt: skip
_ZONES = {
    Kind.CRYPTO: "UTC", Kind.FX: "Europe/London",
    Kind.COMMODITY: "America/New_York",
}  # fmt: skip
_COLUMNS = ("close", "low", "volume", "open", "high")


def find(others: Others, spelling: str) -> Instrument | None:
    """The instrument of Yahoo's spelling; None where Yahoo or the market has none."""
    symbol = spelling.upper()
    if symbol.endswith("=X"):
        pair = symbol[:-2] if len(symbol) == 8 else f"USD{symbol[:-2]}"
        return others.find(f"{pair[:3]}/{pair[3:]}")
    found = others.find(symbol)
    if found is None or found.asset_class is Kind.FX:
        return None
    coin = found.asset_class is Kind.CRYPTO
    return None if coin and found.quote not in _QUOTES else found


def chart(call: Call, instrument: Instrument) -> Answer:
    """Answer one chart request."""
    window = read_window(call)
    if isinstance(window, Answer):
        return window
    return _Chart(call, instrument, window).answer()


@dataclass(frozen=True)
class _Chart:
    call: Call
    instrument: Instrument
    window: Window

    def answer(self) -> Answer:
        """The answer: bars and meta."""
        sessions = self._sessions()
        window, now = self.window, self.call.now.timestamp()
        if sessions.is_empty() or window.end <= sessions["stamp"][0] or window.start > now:
            return failure(
                400,
                "Bad Request",
                f"Data doesn't exist for startDate = {window.start}, endDate = {window.end}",
            )
        if window.range in ("1d", "5d"):
            first = int(sessions["stamp"][-min(int(window.range[0]), sessions.height)])
            window = replace(window, start=first)
        inside = sessions.filter(
            (pl.col("stamp") + (DAY if window.interval in INTRADAY else 0) >= window.start)
            & (pl.col("stamp") < window.end)
        )
        intraday = window.interval in INTRADAY
        frame = self._intraday(inside, window) if intraday else self._daily(inside)
        result: dict[str, Any] = {"meta": self._meta(sessions, window)}
        if not len(frame.stamps):
            blank: dict[str, Any] = {"quote": [{}]}
            return answer(
                result | {"indicators": blank if intraday else blank | {"adjclose": [{}]}}, 0
            )
        columns: dict[str, Floats] = {
            "open": frame.prices[0].copy(), "high": frame.prices[1].copy(),
            "low": frame.prices[2].copy(), "close": frame.prices[3].copy(), "volume": frame.volume,
        }  # fmt: skip
        spoil(columns, self.call.fault)
        result["timestamp"] = frame.stamps.tolist()
        quote = {n: (integers if n == "volume" else floats)(columns[n]) for n in _COLUMNS}
        indicators: dict[str, Any] = {"quote": [quote]}
        if not intraday and self.call.query.get("includeAdjustedClose") != "false":
            indicators["adjclose"] = [{"adjclose": floats(columns["close"])}]
        result["indicators"] = indicators
        return answer(result, int(np.count_nonzero(~np.isnan(columns["close"]))))

    # --- time -------------------------------------------------------------------------------

    @property
    def _zone(self) -> ZoneInfo:
        named = _ZONES.get(self.instrument.asset_class)
        return ZoneInfo(named or get_calendar(self.instrument.calendar).zone)

    def _midnight(self, day: date) -> int:
        return int(datetime.combine(day, time(), self._zone).timestamp())

    def _sessions(self) -> pl.DataFrame:
        """Sessions begun by now, with ``stamp`` and ``end`` (epoch seconds)."""
        hours = self.call.market.others.hours(self.instrument.symbol)
        stamp = pl.col("opens")
        if self.instrument.asset_class is not Kind.INDEX:
            local = pl.col("session").cast(pl.Datetime("us"))
            stamp = local.dt.replace_time_zone(self._zone.key).dt.epoch("s")
        return hours.select(
            "session", stamp.alias("stamp"), (pl.col("opens") + pl.col("length")).alias("end")
        ).filter(pl.col("stamp") <= int(self.call.now.timestamp()))

    # --- bars -------------------------------------------------------------------------------

    def _daily(self, inside: pl.DataFrame) -> Frame:
        """Days, weeks or months; today's bar is stamped with the market's time."""
        now = self.call.now
        bars = self.call.market.others.bars(self.instrument.symbol, live=True, now=now)
        table = inside.join(bars, on="session", how="inner", maintain_order="left")
        if table.is_empty():
            return empty()
        frame = self._frame(table["stamp"].to_numpy().astype(np.int64), table)
        last = table["session"][-1]
        live = last == now.astimezone(self._zone).date()
        market_time = self._market_time(table["stamp"][-1], table["end"][-1])
        if self.window.interval == "1d":
            if live:
                frame.stamps[-1] = market_time
            return frame
        days = table["session"].to_numpy().astype("datetime64[D]")
        if self.window.interval == "1wk":
            first = ((days.astype(np.int64) - 4) // 7 * 7 + 4).astype("datetime64[D]")
        else:
            size = 3 if self.window.interval == "3mo" else 1
            months = days.astype("datetime64[M]").astype(np.int64) // size * size
            first = months.astype("datetime64[M]").astype("datetime64[D]")
        starts = np.array([self._midnight(day) for day in first.tolist()], dtype=np.int64)
        made = frame.grouped(starts)
        if not live:
            return made
        today = Frame(np.array([market_time]), frame.prices[:, -1:], frame.volume[-1:])
        return join([made, today])

    def _intraday(self, inside: pl.DataFrame, window: Window) -> Frame:
        step, others = INTRADAY[window.interval], self.call.market.others
        frames = []
        for day in inside["session"].to_list():
            table = others.intraday(self.instrument.symbol, day, step, now=self.call.now)
            stamps = table["ts"].dt.epoch("s").to_numpy().astype(np.int64)
            keep = (stamps >= window.start) & (stamps < window.end)
            frames.append(self._frame(stamps[keep], table.filter(pl.Series(keep))))
        return join(frames)

    def _frame(self, stamps: Any, table: pl.DataFrame) -> Frame:
        prices = np.stack([table[n].to_numpy() for n in ("open", "high", "low", "close")])
        volume = table["volume"].to_numpy().copy()
        if self.instrument.asset_class is Kind.FX:
            volume[:] = 0.0
        elif self.instrument.asset_class is Kind.CRYPTO:
            volume = np.rint(volume * prices[3])
        return Frame(stamps.copy(), prices, volume)

    def _market_time(self, stamp: int, end: int) -> int:
        """Of the last trade: now, or the session's end on its own date."""
        own = stamp + DAY - 60 if self.instrument.asset_class is not Kind.INDEX else end + 1
        return min(int(self.call.now.timestamp()), own)

    # --- meta -------------------------------------------------------------------------------

    def _meta(self, sessions: pl.DataFrame, window: Window) -> dict[str, Any]:
        instrument, call = self.instrument, self.call
        local = call.now.astimezone(self._zone)
        kind, short, full = _KINDS[instrument.asset_class]
        short, full = _EXCHANGES.get(instrument.symbol, (short, full))
        bars = call.market.others.bars(instrument.symbol, live=True, now=call.now)
        last, year = bars.row(-1, named=True), bars.tail(365)
        before = bars.join(sessions, on="session").filter(pl.col("stamp") < window.start)
        market_time = self._market_time(sessions["stamp"][-1], sessions["end"][-1])
        names = {"longName": instrument.name} if kind != "FUTURE" else {}
        volume = {"CURRENCY": 0.0, "CRYPTOCURRENCY": last["volume"] * last["close"]}
        out: dict[str, Any] = {
            "currency": instrument.quote,
            "symbol": call.path["symbol"].upper(),
            "exchangeName": short,
            "fullExchangeName": full,
            "instrumentType": kind,
            "firstTradeDate": int(sessions["stamp"][0]),
            "regularMarketTime": market_time,
            "hasPrePostMarketData": False,
            "gmtoffset": int((local.utcoffset() or timedelta()).total_seconds()),
            "timezone": local.strftime("%Z"),
            "exchangeTimezoneName": self._zone.key,
            "regularMarketPrice": last["close"],
            "fiftyTwoWeekHigh": year["high"].max(),
            "fiftyTwoWeekLow": year["low"].min(),
            "regularMarketDayHigh": last["high"],
            "regularMarketDayLow": last["low"],
            "regularMarketVolume": int(volume.get(kind, last["volume"])),
            **names,
            "shortName": instrument.name,
            "chartPreviousClose": (before if before.height else bars)["close"][-1],
        }
        if self.window.interval in INTRADAY:
            out |= {"previousClose": bars["close"][-min(2, bars.height)], "scale": 3}
        out["priceHint"] = 4 if kind == "CURRENCY" or last["close"] < 1 else 2
        out["currentTradingPeriod"] = self._periods(local)
        if self.window.interval in INTRADAY:
            out["tradingPeriods"] = [[out["currentTradingPeriod"]["regular"]]]
        return out | {
            "dataGranularity": self.window.interval,
            "range": self.window.range,
            "validRanges": RANGES,
        }

    def _periods(self, local: datetime) -> dict[str, Any]:
        """The session of today, or else the next; round the clock it ends at 23:59."""
        calendar = get_calendar(self.instrument.calendar)
        day = calendar.next_session(local.date() - timedelta(days=1))
        start = self._midnight(day)
        end = self._midnight(day + timedelta(days=1)) - 60
        if self.instrument.asset_class is Kind.INDEX:
            start, end = (int(t.timestamp()) for t in calendar.open_close(day))
        head = {"timezone": local.strftime("%Z")}
        tail = {"gmtoffset": int((local.utcoffset() or timedelta()).total_seconds())}
        spans = {"pre": (start, start), "regular": (start, end), "post": (end, end)}
        return {n: head | {"start": a, "end": b} | tail for n, (a, b) in spans.items()}
