"""Five real histories, with their real splits and dividends.

Belongs here: reading ``bokeh_sampledata`` and the corporate actions of its tickers. Does
not: anything generated.

The package ships AAPL, FB, GOOG, IBM and MSFT: daily OHLCV as traded (not adjusted for
anything) from 2000-03-01, or the listing, to 2013-03-01, and an adjusted close. It names no
corporate action, so those are listed here from the companies' public records; the adjusted
close confirms every date and amount (see the test). Package: https://pypi.org/project/bokeh_sampledata/
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import polars as pl

END = date(2013, 3, 1)

COMPANIES = {
    "AAPL": ("Apple Inc.", "XNAS"),
    "FB": ("Facebook, Inc.", "XNAS"),
    "GOOG": ("Google Inc.", "XNAS"),
    "IBM": ("International Business Machines Corporation", "XNYS"),
    "MSFT": ("Microsoft Corporation", "XNAS"),
}

_SPLITS = {"AAPL": "2000-06-21 2:1, 2005-02-28 2:1", "MSFT": "2003-02-18 2:1"}

_DIVIDENDS = {
    "AAPL": "2.65 2012-08-09 2012-11-07 2013-02-07",
    "MSFT": """
        0.08 2003-02-19; 0.16 2003-10-15; 0.08 2004-08-23; 3.08 2004-11-15
        0.08 2005-02-15 2005-05-16 2005-08-15 2005-11-15
        0.09 2006-02-15 2006-05-15 2006-08-15
        0.10 2006-11-14 2007-02-13 2007-05-15 2007-08-14
        0.11 2007-11-13 2008-02-19 2008-05-13 2008-08-19
        0.13 2008-11-18 2009-02-17 2009-05-19 2009-08-18
        0.13 2009-11-17 2010-02-16 2010-05-18 2010-08-17
        0.16 2010-11-16 2011-02-15 2011-05-17 2011-08-16
        0.20 2011-11-15 2012-02-14 2012-05-15 2012-08-14
        0.23 2012-11-13 2013-02-19""",
    "IBM": """
        0.13 2000-05-08 2000-08-08 2000-11-08 2001-02-07
        0.14 2001-05-08 2001-08-08 2001-11-07 2002-02-06
        0.15 2002-05-08 2002-08-07 2002-11-06 2003-02-06
        0.16 2003-05-07 2003-08-06 2003-11-06 2004-02-06
        0.18 2004-05-06 2004-08-06 2004-11-08 2005-02-08
        0.20 2005-05-06 2005-08-08 2005-11-08 2006-02-08
        0.30 2006-05-08 2006-08-08 2006-11-08 2007-02-07
        0.40 2007-05-08 2007-08-08 2007-11-07 2008-02-06
        0.50 2008-05-07 2008-08-06 2008-11-06 2009-02-06
        0.55 2009-05-06 2009-08-06 2009-11-06 2010-02-08
        0.65 2010-05-06 2010-08-06 2010-11-08 2011-02-08
        0.75 2011-05-06 2011-08-08 2011-11-08 2012-02-08
        0.85 2012-05-08 2012-08-08 2012-11-07 2013-02-06""",
}


@dataclass(frozen=True)
class RealHistory:
    """One ticker's bars as traded (session, open, high, low, close, volume, adj_close)."""

    ticker: str
    bars: pl.DataFrame
    splits: tuple[tuple[date, int, int], ...]
    dividends: tuple[tuple[date, float], ...]


def _file() -> Path | None:
    spec = find_spec("bokeh_sampledata")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_data" / "stocks.csv.gz"
    return path if path.exists() else None


def available() -> bool:
    """Whether the real histories are installed."""
    return _file() is not None


@cache
def load() -> tuple[RealHistory, ...]:
    """The five histories, by ticker; none where the package is not installed."""
    path = _file()
    if path is None:
        return ()
    table = pl.read_csv(gzip.decompress(path.read_bytes()), try_parse_dates=True)
    table.columns = ["ticker", "session", "open", "high", "low", "close", "volume", "adj_close"]
    return tuple(
        RealHistory(
            ticker,
            table.filter(pl.col("ticker") == ticker).drop("ticker").sort("session"),
            _splits(_SPLITS.get(ticker, "")),
            _dividends(_DIVIDENDS.get(ticker, "")),
        )
        for ticker in COMPANIES
    )


def _splits(text: str) -> tuple[tuple[date, int, int], ...]:
    events = []
    for item in filter(None, text.split(", ")):
        day, ratio = item.split()
        new, old = ratio.split(":")
        events.append((date.fromisoformat(day), int(new), int(old)))
    return tuple(events)


def _dividends(text: str) -> tuple[tuple[date, float], ...]:
    events = []
    for line in text.replace(";", "\n").splitlines():
        if line.strip():
            amount, *days = line.split()
            events += [(date.fromisoformat(day), float(amount)) for day in days]
    return tuple(events)
