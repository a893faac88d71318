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
from stock_platform.domain.capabilities import Capabilities, Tile

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

    def close(self) -> None:
        """Let go of connections and files."""
