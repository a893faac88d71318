"""The database against the sandbox's truth, bar by bar.

Belongs here: the comparison. Does not: the truth itself (sandbox/market).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from stock_platform.domain.bars import PRICE_COLUMNS
from stock_platform.pipeline.store import Store
from stock_platform.sandbox.market.market import Market
from stock_platform.storage import assets, readers
from stock_platform.storage.connection import Database

TOLERANCE = 1e-6
"""Relative: prices are stored with eight decimals, Yahoo sends float32."""

_KEY = ["ticker", "session"]
_VALUES = (*PRICE_COLUMNS, "volume")
_TRUTH: dict[str, type[pl.DataType]] = {
    "ticker": pl.String,
    "session": pl.Date,
    **dict.fromkeys(_VALUES, pl.Float64),
    "borne": pl.Boolean,
}


@dataclass(frozen=True)
class Comparison:
    """What was found.

    Attributes:
        bars: true bars that were looked for, or found beyond. equal: with the same values.
        withheld: not there, and in quarantine.
        different: found with other values. missing: not there for no reason known.
        extra: there and not true.
    """

    bars: int = 0
    equal: int = 0
    withheld: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing is wrong and nothing is lost in silence."""
        return not (self.different or self.missing or self.extra)

    def __add__(self, other: Comparison) -> Comparison:
        return Comparison(
            self.bars + other.bars,
            self.equal + other.equal,
            self.withheld + other.withheld,
            self.different + other.different,
            self.missing + other.missing,
            self.extra + other.extra,
        )


def compare(db: Database, market: Market, tickers: list[str], start: date, end: date) -> Comparison:
    """The validated prices of tickers on sessions start..end, against the truth.

    A company's bars from before it took its ticker may be there (a source that answers for one
    ticker gives them) or not (a whole-market answer has them under the former one).
    """
    true = truth(market, tickers, start, end)
    stored = Store(db).prices(tickers, start, end).select(*_KEY, *_VALUES)
    both = true.join(stored, on=_KEY, how="inner", suffix="_stored")
    off = [
        ((pl.col(f"{name}_stored") - pl.col(name)).abs() > TOLERANCE * pl.col(name).abs())
        .fill_null(value=True)
        .alias(name)
        for name in _VALUES
    ]
    different = int(both.select(pl.any_horizontal(off)).to_series().sum())
    absent = true.filter("borne").join(stored, on=_KEY, how="anti")
    ids = assets.resolve(db, tickers)
    names = pl.DataFrame(
        {"ticker": list(ids), "asset_id": list(ids.values())},
        schema={"ticker": pl.String(), "asset_id": pl.Int32()},
    )
    held = readers.quarantined(db, list(ids.values()), start, end, limit=1_000_000).select(
        "asset_id", "session"
    )
    withheld = absent.join(names, on="ticker").join(held, on=["asset_id", "session"], how="semi")
    return Comparison(
        bars=both.height + absent.height,
        equal=both.height - different,
        withheld=withheld.height,
        different=different,
        missing=absent.height - withheld.height,
        extra=stored.join(true, on=_KEY, how="anti").height,
    )


def truth(market: Market, tickers: list[str], start: date, end: date) -> pl.DataFrame:
    """True bars of whoever bore each ticker on each session, or bears it now.

    Columns ticker, session, open, high, low, close, volume, and borne: whether the company
    bore the ticker that day.
    """
    first = market.time.index(start)
    last = min(market.completed(), market.time.index(end + timedelta(days=1)))
    parts = [pl.DataFrame(schema=_TRUTH)]
    for ticker in tickers:
        owners = {s: market.carrying(ticker, s) for s in range(first, last)}
        present = market.carrying(ticker, last)
        for asset in market.spelled(ticker, "canonical"):
            history = market.history(asset)
            sessions = [
                s
                for s in history.traded(first, last).tolist()
                if owners[s] is asset or (asset is present and owners[s] is None)
            ]
            at = np.asarray(sessions, dtype=np.int64)
            prices, volume = history.values(at)
            values = {
                "ticker": [ticker] * len(at),
                "session": market.time.days[at],
                **dict(zip(PRICE_COLUMNS, prices, strict=True)),
                "volume": volume.astype(np.float64),
                "borne": [owners[s] is asset for s in sessions],
            }
            parts.append(pl.DataFrame(values, schema=_TRUTH))
    return pl.concat(parts)


def all_bars(market: Market, start: date, end: date) -> int:
    """How many bars the whole market has on sessions start..end."""
    first = market.time.index(start)
    last = min(market.completed(), market.time.index(end + timedelta(days=1)))
    return sum(len(market.history(asset).traded(first, last)) for asset in market.assets)
