"""What a source is, and what it answers.

Belongs here: the protocol every vendor's client fulfils, the answer and its schemas.
Does not: anything of one vendor, HTTP (http.py), limits (quota.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

import polars as pl

from stock_platform.domain.bars import PARSED_BARS, UTC_STAMP, Basis, empty
from stock_platform.domain.capabilities import Capabilities, Feed, Tile

# One share before becomes ratio shares from ex_date on (4-for-1: 4.0).
PARSED_SPLITS: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "ex_date": pl.Date(),
    "ratio": pl.Float64(),
}

# Cash per share as paid, in the currency's major unit; capital gains of funds included.
PARSED_DIVIDENDS: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "ex_date": pl.Date(),
    "amount": pl.Float64(),
    "currency": pl.String(),
}

# Rows that could not be read; ``row`` is the row as it came, as JSON text.
REJECTED: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "ts": UTC_STAMP,
    "session": pl.Date(),
    "row": pl.String(),
    "reasons": pl.List(pl.String()),
}


# What a source says of the present: one row a symbol. ``ts`` is the exchange's stamp.
QUOTES: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "ts": UTC_STAMP,
    "price": pl.Float64(),
    "open": pl.Float64(),  # of the session, like high, low and volume
    "high": pl.Float64(),
    "low": pl.Float64(),
    "previous_close": pl.Float64(),
    "volume": pl.Float64(),
    "currency": pl.String(),
}

# Who a company, a fund or a coin is: one row a symbol; what a vendor does not tell is null.
PROFILES: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "name": pl.String(),
    "exchange": pl.String(),
    "asset_class": pl.String(),
    "currency": pl.String(),
    "country": pl.String(),
    "sector": pl.String(),
    "industry": pl.String(),
    "website": pl.String(),
    "listed_on": pl.Date(),
    "shares_outstanding": pl.Float64(),
    "market_cap": pl.Float64(),  # in the currency's major unit
    "cik": pl.String(),  # ten digits
    "isin": pl.String(),
    "figi": pl.String(),
}

# A directory of symbols: one row an instrument.
LISTINGS: dict[str, pl.DataType] = {
    "symbol": pl.String(),  # canonical
    "vendor_symbol": pl.String(),  # as the vendor writes it (CoinGecko: the coin's id)
    "name": pl.String(),
    "exchange": pl.String(),  # MIC where it is known, else the vendor's word
    "asset_class": pl.String(),
    "currency": pl.String(),
    "listed_on": pl.Date(),
    "delisted_on": pl.Date(),
    "active": pl.Boolean(),
    "cik": pl.String(),  # ten digits
    "figi": pl.String(),
}

# Observations of an economic series; a missing value is null. ``realtime_*`` is the span of
# days over which this value was the one published.
SERIES: dict[str, pl.DataType] = {
    "series_id": pl.String(),
    "date": pl.Date(),
    "value": pl.Float64(),
    "realtime_start": pl.Date(),
    "realtime_end": pl.Date(),
}

SERIES_INFO: dict[str, pl.DataType] = {
    "series_id": pl.String(),
    "title": pl.String(),
    "units": pl.String(),
    "frequency": pl.String(),
    "seasonal_adjustment": pl.String(),
    "first_date": pl.Date(),
    "last_date": pl.Date(),
    "updated_at": UTC_STAMP,
    "notes": pl.String(),
}

# A chain of options: one row a contract; prices per share of the underlying.
OPTIONS: dict[str, pl.DataType] = {
    "symbol": pl.String(),  # of the underlying
    "contract": pl.String(),
    "kind": pl.String(),  # call, put
    "expiry": pl.Date(),
    "strike": pl.Float64(),
    "last": pl.Float64(),
    "bid": pl.Float64(),
    "ask": pl.Float64(),
    "volume": pl.Float64(),
    "open_interest": pl.Float64(),
    "implied_volatility": pl.Float64(),  # 0.25 is 25 % a year
    "in_the_money": pl.Boolean(),
    "last_trade_at": UTC_STAMP,
    "currency": pl.String(),
}

FEED_SCHEMAS: dict[Feed, dict[str, pl.DataType]] = {
    Feed.QUOTE: QUOTES,
    Feed.PROFILE: PROFILES,
    Feed.LISTING: LISTINGS,
    Feed.SPLITS: PARSED_SPLITS,
    Feed.DIVIDENDS: PARSED_DIVIDENDS,
    Feed.SERIES: SERIES,
    Feed.SERIES_INFO: SERIES_INFO,
    Feed.OPTIONS: OPTIONS,
}


@dataclass(frozen=True)
class Question:
    """What is asked of a feed.

    Attributes:
        feed: which.
        symbol: canonical ticker, or a series' id; None for the whole directory.
        start, end: inclusive dates, where the feed has a time; None is the vendor's all.
        expiry: of an option chain; None is the nearest.
        symbols: of a quote, several tickers at once, up to the source's ``live.at_once``; those
            it has no quote of are left out of the answer. In place of ``symbol``.
        top: of a directory, only so many, the largest first, where the vendor ranks them.
    """

    feed: Feed
    symbol: str | None = None
    start: date | None = None
    end: date | None = None
    expiry: date | None = None
    top: int | None = None
    symbols: tuple[str, ...] = ()

    def describe(self) -> str:
        """``listing``, ``quote AAPL``; no secrets, stable."""
        span = f" {self.start or ''}..{self.end or ''}" if self.start or self.end else ""
        who = self.symbol or (f"top {self.top}" if self.top else "all")
        if self.symbols:
            more = len(self.symbols) - 1
            who = f"{self.symbols[0]}+{more}" if more else self.symbols[0]
        return f"{self.feed} {who}{span}"


@dataclass(frozen=True)
class Facts:
    """A vendor's good answer to a question.

    Attributes:
        frame: of ``FEED_SCHEMAS[feed]``.
        rejected: REJECTED; rows that could not be read.
        requests, rate_limited, http_status, latency_ms, cached, received_at: as in Answer.
    """

    feed: Feed
    frame: pl.DataFrame
    rejected: pl.DataFrame = field(default_factory=lambda: empty(REJECTED))
    requests: int = 1
    rate_limited: int = 0
    http_status: int | None = None
    latency_ms: int = 0
    cached: bool = False
    received_at: datetime | None = None


@dataclass(frozen=True)
class Answer:
    """A vendor's good answer to one tile.

    Attributes:
        bars: PARSED_BARS, sorted by (symbol, ts), one row a bar. A daily bar's ``ts`` is
            its session's opening, whatever the vendor stamped, so that sources agree.
            May hold more than the tile asked for (later sessions of a ``to_now`` call,
            every symbol of a column); symbols nobody knows stay in.
        basis: what the prices are adjusted for; None is as the endpoint declares.
        splits: PARSED_SPLITS. dividends: PARSED_DIVIDENDS.
        rejected: REJECTED; rows that could not be read. Their sessions may have traded:
            that they are absent from ``bars`` does not make them ``no_data``.
        unfinished: sessions the vendor has no final bar of yet (a live bar was left out,
            or the day is not published): ask again later.
        listed_from: first session of the listing, where the vendor tells.
        currency: of the prices, after conversion to the major unit (GBp is GBP here).
        requests: HTTP requests made, as counted against the quota (0: all from the cache).
        rate_limited: how many of them were answered with "too many calls".
        http_status: of the last one. latency_ms: of all, without waiting for the quota.
        cached: whether all of it came from the cache.
        received_at: when the vendor gave it, by the market's clock (earlier than the call
            where it was cached): split-adjusted prices are adjusted as of then.
    """

    bars: pl.DataFrame = field(default_factory=lambda: empty(PARSED_BARS))
    basis: Basis | None = None
    splits: pl.DataFrame = field(default_factory=lambda: empty(PARSED_SPLITS))
    dividends: pl.DataFrame = field(default_factory=lambda: empty(PARSED_DIVIDENDS))
    rejected: pl.DataFrame = field(default_factory=lambda: empty(REJECTED))
    unfinished: frozenset[date] = frozenset()
    listed_from: date | None = None
    currency: str | None = None
    requests: int = 1
    rate_limited: int = 0
    http_status: int | None = None
    latency_ms: int = 0
    cached: bool = False
    received_at: datetime | None = None


class Source(Protocol):
    """A vendor, ready to be asked. Safe to use from several threads at once."""

    @property
    def capabilities(self) -> Capabilities:
        """What can be asked, and how often."""

    def fetch(self, tile: Tile) -> Answer:
        """Ask for one tile; waits for the quota for a short while at the most.

        Raises:
            SourceError: any of domain/errors.py; its ``requests`` counts the HTTP requests
                made before giving up.
        """

    def ask(self, question: Question) -> Facts:
        """Ask for something else than bars.

        Raises:
            InputError: not one of the source's feeds, or it lacks a symbol.
            SourceError: as for ``fetch``.
        """

    def close(self) -> None:
        """Let go of connections and files."""
