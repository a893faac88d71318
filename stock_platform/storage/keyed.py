"""Tables of rows keyed by asset and time, and where the rows of one write can be.

Belongs here: their description. Does not: which there are (writers.py, periods.py), writing
them (upsert.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from psycopg import sql

from stock_platform.storage.frames import ints

DAYS: dict[str, pl.DataType] = {"asset_id": pl.Int32(), "day": pl.Date()}


@dataclass(frozen=True)
class Table:
    """A table of rows keyed by asset and time.

    Attributes:
        name: within the schema ``stocks``.
        fixed: key columns that have one value throughout a write (interval, source).
        time: the key's time column.
        day: the column that tells the date a row belongs to.
        compared: a difference in one of these is a change.
        silent: written with a change, and no change by themselves.
        decimals: of its NUMERIC columns; None: it has double precision ones.
        since: the silent column that tells from when on a row was known; with ``history``.
        history: the table that former rows go to, which has ``known_to`` besides.
        every: days from one row of an asset to the next, at most, where there is no gap.
    """

    name: str
    fixed: tuple[str, ...]
    time: str
    day: str
    compared: tuple[str, ...]
    silent: tuple[str, ...] = ()
    decimals: int | None = 8
    since: str = ""
    history: str = ""
    every: int = 1

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key."""
        return ("asset_id", *self.fixed, self.time)

    @property
    def local(self) -> tuple[str, ...]:
        """The columns of the primary key that vary within a write."""
        return ("asset_id", self.time)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is written."""
        return (*self.key, *self.compared, *self.silent)

    @property
    def identifier(self) -> sql.Identifier:
        """The qualified name, quoted."""
        return sql.Identifier("stocks", self.name)


@dataclass(frozen=True)
class Bounds:
    """Where the rows of one write can be, as literals for the planner."""

    assets: list[int]
    start: Any
    end: Any
    fixed: dict[str, str]

    @classmethod
    def of(cls, table: Table, frame: pl.DataFrame) -> Bounds:
        """The bounds of a frame that is not empty; its fixed columns hold one value each."""
        return cls(
            frame["asset_id"].unique().sort().to_list(),
            frame[table.time].min(),
            frame[table.time].max(),
            {name: frame[name][0] for name in table.fixed},
        )

    def where(
        self, table: Table, alias: str = "r", assets: list[int] | None = None
    ) -> sql.Composed:
        """``alias`` lies within the bounds."""
        chosen = self.assets if assets is None else assets
        return sql.SQL("{} = any({}) and {}").format(
            sql.Identifier(alias, "asset_id"), ints(chosen), self.span(table, alias)
        )

    def span(self, table: Table, alias: str = "r") -> sql.Composed:
        """``alias`` lies within the bounds but for the assets."""
        time = sql.Identifier(alias, table.time)
        parts = [
            sql.SQL("{} = {}").format(sql.Identifier(alias, name), sql.Literal(value))
            for name, value in self.fixed.items()
        ]
        parts.append(sql.SQL("{} >= {}").format(time, sql.Literal(self.start)))
        parts.append(sql.SQL("{} <= {}").format(time, sql.Literal(self.end)))
        return sql.SQL(" and ").join(parts)
