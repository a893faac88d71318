"""Coverage: the state of every cell, and how states are stored compactly.

Belongs here: states, what settles a cell, the marks a fetch leaves. Does not: SQL
(storage/ledger.py).

The ledger keeps, for an asset, interval, year, state, source and reason, one bit string
of 366 days (bit i is day-of-year i+1, so no calendar is needed to read it). Fifteen
million cells are some 60,000 rows; marking is a bitwise OR, which is idempotent and
commutative, so concurrent writers cannot undo one another.
"""

from __future__ import annotations

from enum import StrEnum

import polars as pl

from stock_platform.domain.bars import UTC_STAMP

SHARDS = 32
"""Number of shards of the market scope. Frozen for ever: partition keys carry it."""


def shard_of(asset_id: int) -> int:
    """The shard of an asset: ids are dense, so the remainder is even to within one asset."""
    return asset_id % SHARDS


class CellStatus(StrEnum):
    """State of a cell. A cell nobody asked about has none: it is missing.

    STORED: a raw quote is in the table.
    NO_DATA: a source that would have it says there is none (halt, no trade).
    NOT_LISTED: before the listing or after the delisting.
    WAITING: out of quota; due again at retry_after.
    FAILED: could not be had; the reason says why; may be tried again at retry_after.
    """

    STORED = "stored"
    NO_DATA = "no_data"
    NOT_LISTED = "not_listed"
    WAITING = "waiting"
    FAILED = "failed"

    @property
    def settled(self) -> bool:
        """Whether the cell needs no further call."""
        return self in SETTLED


OUT_OF_QUOTA = "out of quota"
"""The reason of cells that wait until a source may be asked again."""

UNTOLD = "too many calls, and no word of until when"
"""The reason of cells that wait for a source which refused and did not say for how long."""

SETTLED = frozenset({CellStatus.STORED, CellStatus.NO_DATA, CellStatus.NOT_LISTED})

# What a fetch says of cells: one row a cell.
MARKS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "interval": pl.String(),
    "session": pl.Date(),
    "status": pl.String(),
    "source": pl.String(),  # "" where no source could be asked
    "reason": pl.String(),  # "" where there is nothing to say; stable words, no stamps or ids
    "retry_after": UTC_STAMP,  # null for settled states
}
