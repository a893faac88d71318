"""What is no US share: coins, currencies, indices and futures.

Belongs here: which there are, and their true bars. Does not: a vendor's spelling or stamps.

Every instrument has a calendar: coins trade every UTC
day, currencies Monday to Friday, indices and futures on their exchange's sessions. Coins and
currencies have one path each against the dollar, so that every pair's open and close agree
with every other's (EUR/GBP is EUR/USD over GBP/USD); highs and lows are a pair's own.
Currencies stand still at weekends. Everything is drawn from streams keyed by (seed, symbol),
so each process sees the same, and a later last date adds bars without changing one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cached_property
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.errors import InputError
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.market.frame import Floats, Frame, spread

BARS = {
    "session": pl.Date, "open": pl.Float64, "high": pl.Float64, "low": pl.Float64,
    "close": pl.Float64, "volume": pl.Float64,
}  # fmt: skip
INTRADAY: dict[str, pl.DataType] = {
    "ts": pl.Datetime("us", "UTC"),
    **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64()),
}


class Kind(StrEnum):
    """What kind of thing an instrument is, in the platform's words."""

    CRYPTO = "crypto"
    FX = "fx"
    INDEX = "index"
    COMMODITY = "commodity"


@dataclass(frozen=True)
class _Walk:
    """How something moves: a mean-reverting walk of logarithms around a level."""

    name: str
    level: float
    volatility: float  # of a day's logarithm
    memory: float = 1.0  # of a day for the distance from the level
    gap: float = 0.0  # between a close and the next open
    volume: float = 0.0  # of a usual day
    decimals: int = 2


COINS = {
    "BTC": _Walk("Bitcoin", 42_000.0, 0.022, 0.9995, 1e-5, 24_000.0, 2),
    "ETH": _Walk("Ethereum", 2_600.0, 0.028, 0.9995, 1e-5, 310_000.0, 2),
    "SOL": _Walk("Solana", 96.0, 0.034, 0.9995, 1e-5, 3_900_000.0, 2),
    "XRP": _Walk("XRP", 0.58, 0.030, 0.9995, 1e-5, 260_000_000.0, 4),
    "DOGE": _Walk("Dogecoin", 0.12, 0.034, 0.9995, 1e-5, 900_000_000.0, 5),
    "ADA": _Walk("Cardano", 0.48, 0.030, 0.9995, 1e-5, 190_000_000.0, 4),
    "BNB": _Walk("BNB", 330.0, 0.024, 0.9995, 1e-5, 420_000.0, 2),
    "LTC": _Walk("Litecoin", 74.0, 0.026, 0.9995, 1e-5, 610_000.0, 2),
}
COIN_QUOTES = ("USD", "USDT", "EUR")
_TETHER = _Walk("Tether", 1.0, 0.0003, 0.5)

# Dollars for one unit.
CURRENCIES = {
    "AUD": _Walk("Australian Dollar", 0.668, 0.0062, 0.999),
    "BRL": _Walk("Brazilian Real", 0.198, 0.0090, 0.999),
    "CAD": _Walk("Canadian Dollar", 0.742, 0.0044, 0.999),
    "CHF": _Walk("Swiss Franc", 1.121, 0.0048, 0.999),
    "CNY": _Walk("Chinese Yuan", 0.1402, 0.0024, 0.999),
    "CZK": _Walk("Czech Koruna", 0.0441, 0.0056, 0.999),
    "DKK": _Walk("Danish Krone", 0.1452, 0.0047, 0.999),
    "EUR": _Walk("Euro", 1.086, 0.0047, 0.999),
    "GBP": _Walk("British Pound", 1.268, 0.0053, 0.999),
    "HKD": _Walk("Hong Kong Dollar", 0.1279, 0.0003, 0.99),
    "HUF": _Walk("Hungarian Forint", 0.00281, 0.0070, 0.999),
    "INR": _Walk("Indian Rupee", 0.01204, 0.0026, 0.999),
    "JPY": _Walk("Japanese Yen", 0.00702, 0.0055, 0.999),
    "KRW": _Walk("South Korean Won", 0.000752, 0.0055, 0.999),
    "MXN": _Walk("Mexican Peso", 0.0571, 0.0072, 0.999),
    "NOK": _Walk("Norwegian Krone", 0.0948, 0.0068, 0.999),
    "NZD": _Walk("New Zealand Dollar", 0.615, 0.0063, 0.999),
    "PLN": _Walk("Polish Zloty", 0.2491, 0.0064, 0.999),
    "SEK": _Walk("Swedish Krona", 0.0956, 0.0064, 0.999),
    "SGD": _Walk("Singapore Dollar", 0.7441, 0.0031, 0.999),
    "TRY": _Walk("Turkish Lira", 0.0342, 0.0085, 0.999),
    "ZAR": _Walk("South African Rand", 0.0537, 0.0088, 0.999),
}
FX_PAIRS = (
    "EUR/USD", "GBP/USD", "USD/JPY", "USD/CHF", "AUD/USD", "USD/CAD", "NZD/USD", "EUR/GBP",
    "EUR/JPY", "EUR/CHF", "GBP/JPY", "AUD/JPY", "EUR/AUD", "EUR/CAD", "GBP/CHF", "CAD/JPY",
    "USD/CNY", "USD/SEK", "USD/NOK", "USD/MXN", "USD/INR", "USD/SGD", "USD/HKD", "USD/ZAR",
)  # fmt: skip

INDICES = {
    "^GSPC": _Walk("S&P 500", 4_480.0, 0.0098, 0.9999, 0.0021, 3.9e9, 2),
    "^DJI": _Walk("Dow Jones Industrial Average", 34_900.0, 0.0093, 0.9999, 0.0020, 3.4e8, 2),
    "^IXIC": _Walk("NASDAQ Composite", 13_900.0, 0.0128, 0.9999, 0.0027, 4.8e9, 2),
    "^RUT": _Walk("Russell 2000", 1_960.0, 0.0136, 0.9999, 0.0025, 3.9e9, 2),
    "^VIX": _Walk("CBOE Volatility Index", 18.5, 0.065, 0.97, 0.012, 0.0, 2),
    "^FTSE": _Walk("FTSE 100", 7_550.0, 0.0082, 0.9999, 0.0012, 8.2e8, 2),
    "^N225": _Walk("Nikkei 225", 32_700.0, 0.0121, 0.9999, 0.0041, 9.8e7, 2),
}
_ABROAD = {"^FTSE": ("XLON", "GBP"), "^N225": ("XTKS", "JPY")}
FUTURES = {
    "GC=F": _Walk("Gold", 1_990.0, 0.0092, 0.9998, 0.0011, 180_000.0, 1),
    "SI=F": _Walk("Silver", 24.1, 0.0171, 0.9995, 0.0020, 52_000.0, 3),
    "CL=F": _Walk("Crude Oil", 77.0, 0.0215, 0.997, 0.0020, 330_000.0, 2),
    "NG=F": _Walk("Natural Gas", 3.1, 0.0345, 0.996, 0.0040, 140_000.0, 3),
    "HG=F": _Walk("Copper", 3.95, 0.0131, 0.9995, 0.0014, 61_000.0, 4),
}


@dataclass(frozen=True)
class Instrument:
    """One of them.

    Attributes:
        symbol: canonical. calendar: by ``domain.calendar.get_calendar``.
        base, quote: what is priced and in which currency; an index or future is its own base.
        decimals: of a price. lot: the smallest part of a volume.
    """

    symbol: str
    asset_class: Kind
    name: str
    base: str
    quote: str
    calendar: str
    decimals: int
    lot: float


@dataclass(frozen=True)
class _Line:
    """Opens, closes, and how far the day reaches beyond them, one a day."""

    opens: Floats
    closes: Floats


class Others:
    """All of them, from ``config.first_date`` to ``config.last_date``.

    Args:
        config: its seed and dates.
        now: the present; default the configuration's.
    """

    def __init__(self, config: SandboxConfig, now: Callable[[], datetime] | None = None) -> None:
        self.config = config
        self.now = now or (lambda: config.now or datetime.now(UTC))
        self._lines: dict[str, _Line] = {}
        self._whole: dict[str, tuple[pl.DataFrame, Frame]] = {}
        self._lock = threading.RLock()

    # --- which there are ----------------------------------------------------------------

    def symbols(self) -> list[Instrument]:
        """Those commonly asked for; ``find`` knows every pair of the currencies besides."""
        return list(self._listed.values())

    def find(self, symbol: str) -> Instrument | None:
        """The instrument of a canonical symbol; None where there is none."""
        known = self._listed.get(symbol)
        if known is not None:
            return known
        base, _, quote = symbol.partition("/")
        money = {*CURRENCIES, "USD"}
        return self._fx(symbol) if base in money and quote in money and base != quote else None

    @cached_property
    def _listed(self) -> dict[str, Instrument]:
        made = [self._coin(coin, quote) for coin in COINS for quote in COIN_QUOTES]
        made += [self._fx(pair) for pair in FX_PAIRS]
        for table, kind in ((INDICES, Kind.INDEX), (FUTURES, Kind.COMMODITY)):
            for symbol, walk in table.items():
                usual = "XNYS" if kind is Kind.INDEX else "CMES"
                calendar, money = _ABROAD.get(symbol, (usual, "USD"))
                made.append(
                    Instrument(symbol, kind, walk.name, symbol, money, calendar, walk.decimals, 1.0)
                )
        return {instrument.symbol: instrument for instrument in made}

    @staticmethod
    def _coin(coin: str, quote: str) -> Instrument:
        walk = COINS[coin]
        name = f"{walk.name} {quote}"
        return Instrument(
            f"{coin}-{quote}", Kind.CRYPTO, name, coin, quote, "24/7", walk.decimals, 1e-5
        )

    @staticmethod
    def _fx(pair: str) -> Instrument:
        base, _, quote = pair.partition("/")
        ratio = _level(base) / _level(quote)
        decimals = 3 if ratio > 20 else 5 if ratio > 0.02 else 7
        return Instrument(pair, Kind.FX, pair, base, quote, "24/5", decimals, 1.0)

    # --- the truth ------------------------------------------------------------------------

    def bars(
        self,
        symbol: str,
        start: date | None = None,
        end: date | None = None,
        *,
        live: bool = False,
        now: datetime | None = None,
    ) -> pl.DataFrame:
        """The true daily bars up to now, as traded; ``start`` and ``end`` inclusive.

        Columns: session, open, high, low, close (in the quote currency), volume (coins,
        contracts; of currencies the number of quotes).

        Args:
            symbol: canonical.
            start: the first session.
            end: the last.
            live: whether the session in progress is there too, as far as it has come.
            now: in place of the present.

        Raises:
            InputError: no such instrument.
        """
        instrument = self._instrument(symbol)
        instant = (now or self.now()).timestamp()
        hours, frame = self._history(instrument)
        keep = frame.stamps + hours["length"].to_numpy() <= instant
        table = _table(hours["session"], frame).filter(pl.Series(keep))
        if live:
            running = hours.filter(pl.Series(~keep & (frame.stamps <= instant)))
            for day, opens in running.select("session", "opens").iter_rows():
                so_far = self.minutes(symbol, day, now=now)
                if len(so_far.stamps):
                    one = so_far.grouped(np.full(len(so_far.stamps), opens))
                    table = pl.concat([table, _table(pl.Series([day]), one)])
        if start is not None:
            table = table.filter(pl.col("session") >= start)
        return table if end is None else table.filter(pl.col("session") <= end)

    def hours(self, symbol: str) -> pl.DataFrame:
        """Columns session, opens and length (epoch seconds, seconds) of every session."""
        return self._history(self._instrument(symbol))[0]

    def intraday(
        self, symbol: str, day: date, minutes: int = 1, *, now: datetime | None = None
    ) -> pl.DataFrame:
        """The bars of ``minutes`` minutes of one session that began before now.

        Their open, high, low, close and volume add up to the day's. Columns: ts (UTC, the
        bar's start), open, high, low, close, volume; a bar in progress is as far as it has
        come.

        Raises:
            InputError: no such instrument.
        """
        frame = self.minutes(symbol, day, now=now)
        opens = frame.stamps[:1]
        frame = frame.grouped(opens + (frame.stamps - opens) // (60 * minutes) * (60 * minutes))
        stamps = pl.Series(frame.stamps * 1_000_000).cast(pl.Datetime("us", "UTC"))
        values = [stamps, *frame.prices, frame.volume]
        return pl.DataFrame(dict(zip(INTRADAY, values, strict=True)), schema=INTRADAY)

    def minutes(self, symbol: str, day: date, *, now: datetime | None = None) -> Frame:
        """The one-minute bars of one session that began before now; none on other days."""
        instrument = self._instrument(symbol)
        hours = self._history(instrument)[0]
        at = int(np.searchsorted(hours["session"].to_numpy(), np.datetime64(day)))
        there = at < hours.height and hours["session"][at] == day
        return self._minutes(instrument, at if there else None).before(
            (now or self.now()).timestamp()
        )

    # --- making ---------------------------------------------------------------------------

    def _instrument(self, symbol: str) -> Instrument:
        found = self.find(symbol)
        if found is None:
            raise InputError("symbol", symbol, "see Others.symbols() for the market's symbols")
        return found

    def _minutes(self, instrument: Instrument, at: int | None) -> Frame:
        hours, frame = self._history(instrument)
        if at is None:
            return Frame(frame.stamps[:0], frame.prices[:, :0], frame.volume[:0])
        day: date = hours["session"][at]
        return spread(
            np.random.default_rng([*self._seed(instrument.symbol), day.toordinal()]),
            frame.prices[:, at],
            float(frame.volume[at]),
            int(frame.stamps[at]),
            int(hours["length"][at]) // 60,
            decimals=instrument.decimals,
            lot=instrument.lot,
        )

    def _seed(self, name: str) -> list[int]:
        return [self.config.seed, crc32(name.encode())]

    def _history(self, instrument: Instrument) -> tuple[pl.DataFrame, Frame]:
        """Sessions with their hours, and their bars, the whole horizon (also after now)."""
        with self._lock:
            if instrument.symbol not in self._whole:
                self._whole[instrument.symbol] = self._made(instrument)
            return self._whole[instrument.symbol]

    def _made(self, instrument: Instrument) -> tuple[pl.DataFrame, Frame]:
        config = self.config
        calendar = get_calendar(instrument.calendar)
        opens, closes = (pl.col(name).dt.epoch("s") for name in ("opens", "closes"))
        hours = calendar.table(config.first_date, config.last_date).select(
            "session", opens.alias("opens"), (closes - opens).alias("length")
        )
        days = hours["session"].to_numpy().astype("datetime64[D]")
        line, walk = self._line_of(instrument, days)
        count = len(days)
        rng = np.random.default_rng([*self._seed(instrument.symbol), 1])
        drawn = np.abs(rng.standard_normal((count, 3)))  # by rows: later days change no earlier
        reach = walk.volatility * 0.6
        high = np.maximum(line.opens, line.closes) * np.exp(reach * drawn[:, 0])
        low = np.minimum(line.opens, line.closes) * np.exp(-reach * drawn[:, 1])
        prices = np.round(np.stack((line.opens, high, low, line.closes)), instrument.decimals)
        volume = np.round(
            walk.volume * (0.5 + 0.6 * drawn[:, 2]) * self._activity(instrument, days), 5
        )
        if instrument.lot == 1.0:
            volume = np.rint(volume)
        return hours, Frame(hours["opens"].to_numpy(), prices, volume)

    @staticmethod
    def _activity(instrument: Instrument, days: NDArray[np.datetime64]) -> Floats:
        """Coins are traded less at weekends."""
        quiet = instrument.asset_class is Kind.CRYPTO
        return np.where(np.is_busday(days) | (not quiet), 1.0, 0.7)

    def _line_of(self, instrument: Instrument, days: NDArray[np.datetime64]) -> tuple[_Line, _Walk]:
        """Open and close of each day, and how its range and volume are drawn."""
        pair = instrument.base, instrument.quote
        if instrument.base == instrument.symbol:
            walk = {**INDICES, **FUTURES}[instrument.symbol]
            return self._line(instrument.symbol, walk, np.ones(len(days))), walk
        every = np.arange(
            np.datetime64(self.config.first_date), np.datetime64(self.config.last_date) + 1
        )
        base, quote = (self._dollars(name, every) for name in pair)
        at = np.searchsorted(every, days)
        line = _Line(base.opens[at] / quote.opens[at], base.closes[at] / quote.closes[at])
        if pair[0] in COINS:
            return line, COINS[pair[0]]
        moving = [CURRENCIES[name].volatility for name in pair if name != "USD"]
        return line, _Walk(instrument.symbol, 1.0, max(moving), volume=110_000.0)

    def _dollars(self, name: str, days: NDArray[np.datetime64]) -> _Line:
        """Dollars for one unit of a coin or a currency, on every day of the week."""
        if name == "USD":
            return _Line(np.ones(len(days)), np.ones(len(days)))
        if name in COINS:
            return self._line(name, COINS[name], np.ones(len(days)))
        if name == "USDT":
            return self._line(name, _TETHER, np.ones(len(days)))
        return self._line(name, CURRENCIES[name], np.is_busday(days).astype(np.float64))

    def _line(self, name: str, walk: _Walk, moves: Floats) -> _Line:
        """A path; it stands still on days whose ``moves`` is 0."""
        if name not in self._lines:
            rng = np.random.default_rng(self._seed(name))
            drawn = rng.standard_normal((len(moves), 2))
            steps = drawn[:, 0] * walk.volatility * moves
            distance, at = np.empty(len(moves)), 0.0
            for day, step in enumerate(steps.tolist()):
                at = at * (walk.memory if moves[day] else 1.0) + step
                distance[day] = at
            before = np.r_[0.0, distance[:-1]]
            opens = before + drawn[:, 1] * walk.gap * moves
            self._lines[name] = _Line(walk.level * np.exp(opens), walk.level * np.exp(distance))
        return self._lines[name]


def _level(currency: str) -> float:
    return 1.0 if currency == "USD" else CURRENCIES[currency].level


def _table(sessions: pl.Series, frame: Frame) -> pl.DataFrame:
    values = [sessions, *frame.prices, frame.volume]
    return pl.DataFrame(dict(zip(BARS, values, strict=True)), schema=BARS)
