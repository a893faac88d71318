"""What travels from a fetch to the writer in one transaction.

Belongs here: the batch of a fetch, the batch of a validation, the record of a call.
Does not: making them (pipeline/), writing them (storage/writers.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from stock_platform.domain.bars import RAW_QUOTES, UTC_STAMP, empty
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.corporate_actions import DIVIDENDS, SPLITS
from stock_platform.domain.coverage import MARKS

# Rows to put aside; ``row`` is the row as it came, as JSON text.
QUARANTINE: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "ticker": pl.String(),
    "interval": pl.String(),
    "source": pl.String(),
    "ts": UTC_STAMP,
    "session": pl.Date(),
    "row": pl.String(),
    "reasons": pl.List(pl.String()),
}

# Over which days a source has told every action of an asset: one it told before and does not
# tell now is withdrawn.
ANSWERED: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "source": pl.String(),
    "kind": pl.String(),  # split, dividend
    "first_day": pl.Date(),
    "last_day": pl.Date(),
    "fetched_at": UTC_STAMP,
}

# A block of days of an asset, by its number (domain/validation/findings.py).
BLOCK: dict[str, pl.DataType] = {"asset_id": pl.Int32(), "block": pl.Int32()}


@dataclass(frozen=True)
class CallRecord:
    """One tile's call, as stocks.fetch_log keeps it (no secrets, UTC stamps)."""

    source: str
    endpoint: str
    tile: str
    status: str
    requests: int
    rows: int
    latency_ms: int
    started_at: datetime
    finished_at: datetime
    http_status: int | None = None
    cached: bool = False
    error: str | None = None


@dataclass(frozen=True)
class FetchBatch:
    """The outcome of one call: rows, actions, coverage and the record, committed together.

    Attributes:
        call: the record of the call; None for marks that no call was made for.
        bars: RAW_QUOTES.
        splits: SPLITS. dividends: DIVIDENDS (as paid).
        marks: MARKS; the state of every cell the call was to cover, and of surplus cells.
        rejected: QUARANTINE; rows that could not be read.
        answered: ANSWERED.
        at: when, by the market's clock: from then on it is known; None: now.
    """

    call: CallRecord | None
    bars: pl.DataFrame = field(default_factory=lambda: empty(RAW_QUOTES))
    splits: pl.DataFrame = field(default_factory=lambda: empty(SPLITS))
    dividends: pl.DataFrame = field(default_factory=lambda: empty(DIVIDENDS))
    marks: pl.DataFrame = field(default_factory=lambda: empty(MARKS))
    rejected: pl.DataFrame = field(default_factory=lambda: empty(QUARANTINE))
    answered: pl.DataFrame = field(default_factory=lambda: empty(ANSWERED))
    at: datetime | None = None


@dataclass(frozen=True)
class News:
    """What later verdicts need to know of some verdicts.

    Attributes:
        actions: ids of splits and dividends that came later, and were judged with now.
        looked_at: BLOCK; blocks of days that were looked at for open levels.
        open: BLOCK; those where a level is left open (validation/context.py).
    """

    actions: tuple[int, ...] = ()
    looked_at: pl.DataFrame = field(default_factory=lambda: empty(BLOCK))
    open: pl.DataFrame = field(default_factory=lambda: empty(BLOCK))


@dataclass(frozen=True)
class ValidatedBatch:
    """The outcome of validating some cells, committed together.

    Attributes:
        prices: VALIDATED_PRICES; every accepted bar of the cells.
        quarantined: QUARANTINE; every raw row of the cells that failed a rule.
        grid: the cells judged. A validated price or an open quarantine entry of theirs that
            is no longer in these frames is removed.
        at: when, by the market's clock: from then on it is known; None: now.
        void: people's decisions that no longer hold: their raw quote has changed.
        news: what later verdicts need to know of these.
    """

    grid: CellGrid
    prices: pl.DataFrame
    quarantined: pl.DataFrame
    at: datetime | None = None
    void: tuple[int, ...] = ()
    news: News = field(default_factory=News)


@dataclass(frozen=True)
class WriteReport:
    """What one transaction changed, in rows."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    quarantined: int = 0
    marks: int = 0
    buckets: int = 0

    def __add__(self, other: WriteReport) -> WriteReport:
        return WriteReport(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.quarantined + other.quarantined,
            self.marks + other.marks,
            self.buckets + other.buckets,
        )
