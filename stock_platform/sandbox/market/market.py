"""The offline market: every asset, every bar, and the truth to compare a database with.

Belongs here: joining real and generated histories on one timeline; finding assets by
ticker and date; the truth as polars frames. Does not: what a vendor would make of it.

Blocks of generated histories are made when first asked for and kept (20 bytes a bar: 6,000
symbols x 2,520 sessions are 300 MB). ``Market`` may be read from several threads.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import date, datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stock_platform.domain.errors import InputError
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.market import generator, names, real
from stock_platform.sandbox.market.asset import (
    NEVER,
    Asset,
    Dividend,
    History,
    Spell,
    quarterly,
)
from stock_platform.sandbox.market.generator import BLOCK, SCALE, Split
from stock_platform.sandbox.market.others import Others
from stock_platform.sandbox.market.timeline import Timeline

_BARS = {
    "session": pl.Date, "open": pl.Float64, "high": pl.Float64, "low": pl.Float64,
    "close": pl.Float64, "volume": pl.Int64,
}  # fmt: skip


class Market:
    """All assets over one timeline.

    Attributes:
        assets: in order of their numbers: real ones first, then generated.
        time: the sessions and the present.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.histories = real.load() if config.real and _before_end(config.now) else ()
        generated = config.first_date
        start = min([generated, *(h.bars["session"][0] for h in self.histories)])
        self.time = Timeline(start, config.last_date, config.now)
        self._offset = self.time.index(generated)
        self._blocks: dict[int, generator.Bars] = {}
        self._lives: dict[int, generator.Lives] = {}
        self._real: dict[int, History] = {}
        self._dividends: dict[int, tuple[Dividend, ...]] = {}
        self._split_table: NDArray[np.float64] | None = None
        self._lock = threading.RLock()
        self._first_generated = len(self.histories)
        self.assets: list[Asset] = [self._real_asset(n) for n in range(len(self.histories))]
        plain = [] if self.histories else sorted(real.COMPANIES)
        self._plain = len(plain)
        count = config.symbols + len(plain)
        whole_blocks = -(-count // BLOCK) * BLOCK
        self.assets += [self._generated_asset(n, plain) for n in range(whole_blocks)]
        self._reuse_tickers()
        del self.assets[self._first_generated + count :]
        self._by_yahoo: dict[str, list[Asset]] = defaultdict(list)
        self._by_polygon: dict[str, list[Asset]] = defaultdict(list)
        self._by_canonical: dict[str, list[Asset]] = defaultdict(list)
        for asset in self.assets:
            for ticker in {s.ticker for s in asset.spells}:
                self._by_yahoo[ticker.yahoo].append(asset)
                self._by_polygon[ticker.polygon].append(asset)
                self._by_canonical[ticker.canonical].append(asset)

    @cached_property
    def others(self) -> Others:
        """Coins, currencies, indices and futures."""
        return Others(self.config, self.now)

    # --- finding assets -------------------------------------------------------------

    def now(self) -> datetime:
        """The market's time."""
        return self.time.now()

    def carrying(self, ticker: str, session: int, spelling: str = "canonical") -> Asset | None:
        """The asset that carries a ticker on a session, listed or already delisted.

        A ticker whose holder was renamed away, or not yet listed, finds nothing.
        """
        found = None
        for asset in self.spelled(ticker, spelling):
            for spell in asset.spells:
                holds = spell.start <= session < spell.end
                if holds and asset.listed <= session and _spelled(spell, spelling) == ticker:
                    found = asset if found is None or asset.listed > found.listed else found
        return found

    def spelled(self, ticker: str, spelling: str) -> list[Asset]:
        """Every asset that ever carries a ticker, in a vendor's spelling."""
        table = {
            "yahoo": self._by_yahoo, "polygon": self._by_polygon, "canonical": self._by_canonical
        }[spelling]  # fmt: skip
        return table.get(ticker, [])

    # --- histories --------------------------------------------------------------------

    def history(self, asset: Asset) -> History:
        """An asset's bars and actions, the whole horizon (also after ``now``)."""
        number = asset.number
        if number < self._first_generated:
            return self._real_history(number)
        block, row = divmod(number - self._first_generated, BLOCK)
        made = self._block(block)
        prices, volume = made.prices[:, row], made.volume[row]
        if number not in self._dividends:
            life = self._life(block)
            self._dividends[number] = quarterly(
                self._offset, prices, volume,
                int(life.dividend_phase[row]), float(life.dividend_yield[row]),
            )  # fmt: skip
        splits = tuple(
            Split(s.at + self._offset, s.numerator, s.denominator) for s in made.splits[row]
        )
        return History(self._offset, prices, volume, splits, self._dividends[number])

    def day(
        self, session: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """All bars of one session as traded: asset numbers, (4 x n) prices, n volumes."""
        numbers: list[NDArray[np.int64]] = []
        prices: list[NDArray[np.int32]] = []
        volumes: list[NDArray[np.int32]] = []
        for number in range(self._first_generated):
            history = self._real_history(number)
            at = session - history.first
            if 0 <= at < len(history.volume) and history.volume[at]:
                numbers.append(np.array([number]))
                prices.append(history.prices[:, at : at + 1])
                volumes.append(history.volume[at : at + 1])
        count = len(self.assets) - self._first_generated
        at = session - self._offset
        for block in range(-(-count // BLOCK) if at >= 0 else 0):
            made = self._block(block)
            rows = np.flatnonzero(made.volume[: count - block * BLOCK, at])
            numbers.append(rows + (block * BLOCK + self._first_generated))
            prices.append(made.prices[:, rows, at])
            volumes.append(made.volume[rows, at])
        if not numbers:
            return np.empty(0, np.int64), np.empty((4, 0)), np.empty(0)
        return (
            np.concatenate(numbers),
            np.concatenate(prices, axis=1) / float(SCALE),
            np.concatenate(volumes).astype(np.float64),
        )

    def split_factors(
        self, numbers: NDArray[np.int64], session: int, last: int
    ) -> NDArray[np.float64]:
        """For each asset, shares on session ``last`` per share on ``session``."""
        if self._split_table is None:
            rows = [
                (asset.number, split.at, split.ratio)
                for asset in self.assets
                for split in self.history(asset).splits
            ]
            self._split_table = np.array(rows, dtype=np.float64).reshape(-1, 3)
        table = self._split_table
        chosen = table[(table[:, 1] > session) & (table[:, 1] <= last)]
        factor = np.ones(len(self.assets))
        np.multiply.at(factor, chosen[:, 0].astype(np.int64), chosen[:, 2])
        return factor[numbers]

    def warm(self) -> None:
        """Make every block now (about a second a million bars), rather than when asked."""
        for block in range(-(-(len(self.assets) - self._first_generated) // BLOCK)):
            self._block(block)

    @property
    def is_warm(self) -> bool:
        """Whether a whole session can be read without generating anything."""
        return len(self._blocks) * BLOCK >= len(self.assets) - self._first_generated

    # --- the truth ----------------------------------------------------------------------

    def bars(self, symbol: str, start: date | None = None, end: date | None = None) -> pl.DataFrame:
        """The true bars of the asset now called ``symbol``, as traded, up to ``now``.

        Columns: session (exchange's date), open, high, low, close (USD), volume (shares).
        Sessions without a trade have no row; the session in progress is left out.

        Raises:
            InputError: the market has no such symbol.
        """
        history = self.history(self._asset(symbol))
        first = self.time.index(start) if start else 0
        last = self.completed()
        if end is not None:
            last = min(last, self.time.index(end + timedelta(days=1)))
        sessions = history.traded(first, last)
        prices, volume = history.values(sessions)
        values = [self.time.days[sessions], *prices, volume.astype(np.int64)]
        return pl.DataFrame(dict(zip(_BARS, values, strict=True)), schema=_BARS)

    def splits(self, symbol: str) -> pl.DataFrame:
        """True splits up to ``now``: ex_date, ratio (4-for-1 is 4.0)."""
        events = [s for s in self.history(self._asset(symbol)).splits if s.at < self.started()]
        return pl.DataFrame(
            {"ex_date": [self.time.day(s.at) for s in events], "ratio": [s.ratio for s in events]},
            schema={"ex_date": pl.Date, "ratio": pl.Float64},
        )

    def dividends(self, symbol: str) -> pl.DataFrame:
        """True dividends up to ``now``: ex_date, amount (USD a share, as paid)."""
        events = [d for d in self.history(self._asset(symbol)).dividends if d.at < self.started()]
        return pl.DataFrame(
            {
                "ex_date": [self.time.day(d.at) for d in events],
                "amount": [d.amount for d in events],
            },
            schema={"ex_date": pl.Date, "amount": pl.Float64},
        )

    def listing(self) -> pl.DataFrame:
        """Every asset listed by ``now``, one row each.

        Columns: number, symbol (canonical, as of now), yahoo, polygon, name, kind (Polygon's
        type code), exchange (MIC), listed_on, delisted_on (first date without bars; null
        while it trades), former (canonical tickers it carried before), real.
        """
        last = self.started() - 1
        rows = []
        for asset in self.assets:
            if asset.listed > last:
                continue
            ticker = asset.ticker_at(last)
            gone = asset.delisted <= last
            rows.append(
                {
                    "number": asset.number,
                    "symbol": ticker.canonical,
                    "yahoo": ticker.yahoo,
                    "polygon": ticker.polygon,
                    "name": asset.name,
                    "kind": asset.kind,
                    "exchange": asset.exchange,
                    "listed_on": self.time.day(asset.listed),
                    "delisted_on": self.time.day(asset.delisted) if gone else None,
                    "former": [s.ticker.canonical for s in asset.spells if s.end <= last],
                    "real": asset.number < self._first_generated,
                }
            )
        return pl.DataFrame(rows, schema_overrides={"delisted_on": pl.Date})

    def completed(self) -> int:
        """How many sessions have closed by now."""
        return int(np.searchsorted(self.time.closes, self.now().timestamp(), side="right"))

    def started(self) -> int:
        """How many sessions have opened by now."""
        return self.time.opened(self.now())

    # --- building ------------------------------------------------------------------------

    def _asset(self, symbol: str) -> Asset:
        asset = self.carrying(symbol, self.started() - 1)
        if asset is None:
            raise InputError("symbol", symbol, "see Market.listing() for the market's symbols")
        return asset

    def _real_asset(self, number: int) -> Asset:
        history = self.histories[number]
        name, exchange = real.COMPANIES[history.ticker]
        listed = self.time.index(history.bars["session"][0])
        spell = Spell(names.Ticker(history.ticker), 0, NEVER)
        return Asset(number, name, "CS", exchange, (spell,), listed, NEVER)

    def _real_history(self, number: int) -> History:
        if number not in self._real:
            source = self.histories[number]
            at = np.searchsorted(self.time.days, source.bars["session"].to_numpy())
            known = at < len(self.time.days)
            first = int(at[0])
            width = int(at[known][-1]) - first + 1
            prices = np.zeros((4, width), dtype=np.int32)
            volume = np.zeros(width, dtype=np.int32)
            columns = source.bars.select("open", "high", "low", "close").to_numpy().T
            prices[:, at[known] - first] = np.rint(columns[:, known] * SCALE)
            volume[at[known] - first] = source.bars["volume"].to_numpy()[known]
            self._real[number] = History(
                first, prices, volume,
                tuple(Split(self.time.index(day), new, old) for day, new, old in source.splits),
                tuple(Dividend(self.time.index(day), paid) for day, paid in source.dividends),
            )  # fmt: skip
        return self._real[number]

    def _generated_asset(self, place: int, plain: list[str]) -> Asset:
        block, row = divmod(place, BLOCK)
        life = self._life(block)
        shape = max(place - len(plain), 0)
        steady = place < len(plain)
        listed = 0 if steady else int(life.listed[row])
        delisted = NEVER if steady else int(life.delisted[row])
        renamed = NEVER if steady else int(life.renamed[row])
        ticker = names.Ticker(plain[place]) if steady else names.ticker(shape)
        kind = "CS" if steady else names.kind(shape)
        spells: tuple[Spell, ...] = (Spell(ticker, 0, NEVER),)
        if renamed < NEVER and not ticker.suffix and shape not in names.TRAPS:
            at = renamed + self._offset
            spells = (Spell(names.former(shape), 0, at), Spell(ticker, at, NEVER))
        return Asset(
            place + self._first_generated,
            real.COMPANIES[plain[place]][0] if steady else names.company(shape),
            kind,
            names.exchange(shape),
            spells,
            listed + self._offset,
            min(delisted + self._offset, NEVER),
        )

    def _reuse_tickers(self) -> None:
        """Give some dead tickers to newcomers, as exchanges do; at most four in a block."""
        for start in range(self._first_generated, len(self.assets), BLOCK):
            block = self.assets[start : start + BLOCK]
            dead = [a for a in block if a.delisted < NEVER and _simple(a)]
            fresh = [a for a in block if a.listed > self._offset and _simple(a)]
            for old in sorted(dead, key=lambda a: a.delisted)[:4]:
                heirs = [a for a in fresh if a.listed > old.delisted + 40]
                if heirs:
                    heir = min(heirs, key=lambda a: a.listed)
                    fresh.remove(heir)
                    spell = Spell(old.spells[0].ticker, 0, NEVER)
                    self.assets[heir.number] = Asset(
                        heir.number, heir.name, heir.kind, heir.exchange,
                        (spell,), heir.listed, heir.delisted,
                    )  # fmt: skip

    def _life(self, block: int) -> generator.Lives:
        if block not in self._lives:
            self._lives[block] = generator.lives(self.config.seed, block)
        return self._lives[block]

    def _block(self, block: int) -> generator.Bars:
        with self._lock:
            if block not in self._blocks:
                life = self._life(block)
                width = len(self.time.days) - self._offset
                made = generator.bars(self.config.seed, block, self._steady(block, life), width)
                self._blocks[block] = made
            return self._blocks[block]

    def _steady(self, block: int, life: generator.Lives) -> generator.Lives:
        """Generated stand-ins of the real tickers are always listed."""
        if block == 0 and self._plain:
            life.listed[: self._plain] = 0
            life.delisted[: self._plain] = NEVER
        return life


def _before_end(now: datetime | None) -> bool:
    return now is not None and now.date() <= real.END + timedelta(days=7)


def _simple(asset: Asset) -> bool:
    return len(asset.spells) == 1 and not asset.spells[0].ticker.suffix and asset.kind == "CS"


def _spelled(spell: Spell, spelling: str) -> str:
    return str(getattr(spell.ticker, spelling))
