"""Directories of symbols, merged into one snapshot, and refused where they cannot be true.

Belongs here: precedence of sources, the test of a directory's size. Does not: reading files
(sources/), what changed (diff.py). Pure.

Which source is believed, column by column, best first:

    is it listed      the first whole directory: nasdaqtrader, polygon, alpha_vantage
    exchange, class   the same order; then nasdaq_screener, financedatabase
    name              the same order; the SEC's, which names the filer and not the security, last
    cik               sec, then polygon
    figi              polygon
    listed_on         alpha_vantage, polygon

``MEMBERSHIP`` names the whole directories: a symbol absent from one is not listed. The others
only add to what is listed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from stock_platform.domain.catalog.names import share_kind, words

SNAPSHOT: dict[str, pl.DataType] = {
    "symbol": pl.String(),  # canonical
    "name": pl.String(),
    "exchange": pl.String(),  # MIC
    "asset_class": pl.String(),
    "kind": pl.String(),  # names.share_kind
    "currency": pl.String(),
    "cik": pl.String(),
    "figi": pl.String(),
    "isin": pl.String(),
    "listed_on": pl.Date(),
    "delisted_on": pl.Date(),
    "active": pl.Boolean(),
    "source": pl.String(),  # whose row it is
}

MEMBERSHIP = ("nasdaqtrader", "polygon", "alpha_vantage")
ORDER = (*MEMBERSHIP, "nasdaq_screener", "financedatabase", "sec")
FIRST_FOR = {
    "cik": ("sec", "polygon"),
    "listed_on": ("alpha_vantage", "polygon"),
}
SHARES = ("stock", "etf", "fund")

LARGEST_LOSS = 0.05
"""Share of a directory's symbols that may vanish in a month, renames included; the US market
loses about 0.8 % a month."""

LOSS_A_MONTH = 0.02
MOST_LOSS = 0.2
LARGEST_GAIN = 0.25
FEW = 10
"""Symbols that may always come and go: a small market's percentages mean nothing."""


@dataclass(frozen=True)
class Sanity:
    """What a directory is measured by.

    Attributes:
        minimum: rows it has at the very least (5,000 of the true vendor; a stand-in's are few).
        days: since the directory that it is compared with; None: there is none.
        largest_loss: share of known symbols that may be missing.
    """

    minimum: int = 1
    days: int | None = None
    largest_loss: float | None = None

    @property
    def loss(self) -> float:
        """The share of known symbols that may be missing."""
        if self.largest_loss is not None:
            return self.largest_loss
        months = max(0.0, (self.days or 0) - 30) / 30
        return min(MOST_LOSS, LARGEST_LOSS + LOSS_A_MONTH * months)


@dataclass(frozen=True)
class Refusal:
    """Why a directory was refused, in words."""

    source: str
    reason: str


def merge(directories: Mapping[str, pl.DataFrame], *, shares_only: bool = True) -> pl.DataFrame:
    """SNAPSHOT of what is listed, sorted by symbol.

    Args:
        directories: LISTINGS by source. The first there is of ``MEMBERSHIP`` says what is
            listed; without any, the union of all.
        shares_only: leave out what is no share (an index in a directory of stocks).
    """
    order = [s for s in ORDER if s in directories] + sorted(set(directories) - set(ORDER))
    rows = [
        directories[source]
        .filter(pl.col("active").fill_null(value=True))
        .with_columns(pl.lit(rank).alias("rank"), pl.lit(source).alias("source"))
        for rank, source in enumerate(order)
        if directories[source].height
    ]
    if not rows:
        return pl.DataFrame(schema=SNAPSHOT)
    everything = pl.concat(rows, how="diagonal").sort("symbol", "rank")
    if shares_only:
        everything = everything.filter(
            pl.col("asset_class").is_null() | pl.col("asset_class").is_in(SHARES)
        )
    whole = next((source for source in MEMBERSHIP if source in order), None)
    if whole is not None:
        listed = directories[whole].filter(pl.col("active").fill_null(value=True)).select("symbol")
        everything = everything.join(listed, on="symbol", how="semi")
    columns = [name for name in SNAPSHOT if name not in ("symbol", "kind")]
    merged = everything.group_by("symbol", maintain_order=True).agg(
        *(_first(name, everything) for name in columns)
    )
    return with_kinds(merged.with_columns(pl.col("asset_class").fill_null("stock"))).sort("symbol")


def _first(name: str, frame: pl.DataFrame) -> pl.Expr:
    """The best source's value of a column."""
    if name not in frame.columns:
        return pl.lit(None, dtype=SNAPSHOT[name]).alias(name).first()
    known = pl.col(name).drop_nulls()
    best = [
        pl.col(name).filter(pl.col("source") == source).drop_nulls().first()
        for source in FIRST_FOR.get(name, ())
    ]
    return pl.coalesce(*best, known.first()).alias(name)


def with_kinds(frame: pl.DataFrame) -> pl.DataFrame:
    """SNAPSHOT, with ``kind`` told from ticker, name and class."""
    kinds = [
        share_kind(symbol, name, kind)
        for symbol, name, kind in frame.select("symbol", "name", "asset_class").iter_rows()
    ]
    made = frame.with_columns(
        pl.Series("kind", kinds, dtype=pl.String),
        *(
            pl.lit(None, dtype=dtype).alias(name)
            for name, dtype in SNAPSHOT.items()
            if name not in (*frame.columns, "kind")
        ),
    )
    return made.select(pl.col(name).cast(dtype) for name, dtype in SNAPSHOT.items())


def judge(directory: pl.DataFrame, known: pl.DataFrame, sanity: Sanity) -> str | None:
    """Why a directory cannot be true, or None.

    Args:
        directory: LISTINGS.
        known: what the last directory had: symbol, name, exchange.
        sanity: what it is measured by.
    """
    rows = directory.height
    if rows < sanity.minimum:
        return f"suspiciously short: {rows:,} symbols, of {sanity.minimum:,} at least"
    if known.is_empty():
        return None
    days = f" in {sanity.days} days" if sanity.days is not None else ""
    gone = known.join(directory, on="symbol", how="anti")
    share = gone.height / known.height
    if gone.height > FEW and share > sanity.loss:
        return (
            f"suspiciously large change: {gone.height:,} of {known.height:,} symbols "
            f"({share:.0%}) would vanish{days}, more than {sanity.loss:.0%}"
        )
    fresh = directory.join(known, on="symbol", how="anti").height
    if fresh > max(FEW * 10, LARGEST_GAIN * known.height):
        return (
            f"suspiciously large change: {fresh:,} new symbols{days} beside {known.height:,} known"
        )
    lost = _lost_exchange(gone, known)
    if lost is not None:
        return f"suspiciously large change: nearly all of {lost} would vanish{days}"
    return _shuffled(directory, known)


def _lost_exchange(gone: pl.DataFrame, known: pl.DataFrame) -> str | None:
    """An exchange most of whose symbols are missing (half of the files), or None.

    Symbols that moved to another exchange are not missing.
    """
    sizes = known.drop_nulls("exchange").group_by("exchange").len("had")
    lost = gone.drop_nulls("exchange").group_by("exchange").len("lost")
    bad = sizes.join(lost, on="exchange").filter(
        (pl.col("had") > FEW * 2) & (pl.col("lost") > pl.col("had") / 2)
    )
    return None if bad.is_empty() else str(bad["exchange"][0])


def _shuffled(directory: pl.DataFrame, known: pl.DataFrame) -> str | None:
    both = known.join(directory, on="symbol", suffix="_now").drop_nulls(["name", "name_now"])
    if both.height <= FEW:
        return None
    other = sum(
        words(a).split()[:1] != words(b).split()[:1]
        for a, b in both.select("name", "name_now").iter_rows()
    )
    if other > max(FEW, both.height * 0.25):
        return f"suspiciously large change: {other:,} of {both.height:,} symbols have other names"
    return None
