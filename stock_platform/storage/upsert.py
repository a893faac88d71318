"""Writing rows so that only what is new or different is written.

Belongs here: the one way rows get into keyed tables, whichever they are. Does not: which
tables there are and what depends on them (writers.py, periods.py).

For a writer that holds the lock of its assets (locks.py):

1. Assets that have no row within the frame's bounds are COPYed straight into the table, at
   the speed of COPY. On a first load that is everything.
2. The rest goes to a temporary table of the table's own types, so that a value is rounded as
   it would be stored, and is compared with what is there by an anti-join with literal bounds.
   Only rows that are new are inserted and only rows that differ are updated: an identical
   re-load writes nothing, and decompresses nothing where TimescaleDB has compressed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from psycopg import sql

from stock_platform.storage.frames import Connection, copy_in, ints, names, one, read, run

_ANALYZE_ABOVE = 1_000


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
    """

    name: str
    fixed: tuple[str, ...]
    time: str
    day: str
    compared: tuple[str, ...]
    silent: tuple[str, ...] = ()

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


@dataclass(frozen=True)
class Changes:
    """What a write changed; ``days`` has asset_id and day of every row it touched."""

    inserted: int
    updated: int
    unchanged: int
    deleted: int
    days: pl.DataFrame


DAYS: dict[str, pl.DataType] = {"asset_id": pl.Int32(), "day": pl.Date()}


def occupied(connection: Connection, table: Table, bounds: Bounds) -> list[int]:
    """Those of the bounds' assets that have a row within them."""
    rows = run(
        connection,
        sql.SQL(
            "select a from unnest({}) as a cross join lateral ("
            "select from {} r where r.asset_id = a and {} limit 1) as x order by a"
        ).format(ints(bounds.assets), table.identifier, bounds.span(table)),
    )
    return [row[0] for row in rows]


def upsert(
    connection: Connection,
    table: Table,
    frame: pl.DataFrame,
    *,
    replace: Bounds | None = None,
    keep: pl.DataFrame | None = None,
) -> Changes:
    """Bring the table to hold the frame's rows; the caller holds the locks.

    Args:
        connection: in a transaction.
        table: where to.
        frame: the table's columns; keys are unique, fixed columns have one value.
        replace: with ``keep``: also delete rows within these bounds that are not in the frame.
        keep: asset_id and day of the cells that ``replace`` is about; rows of other cells stay.
    """
    if frame.is_empty() and replace is None:
        return Changes(0, 0, 0, 0, pl.DataFrame(schema=DAYS))
    bounds = replace or Bounds.of(table, frame)
    frame = frame.select(table.columns)
    present = occupied(connection, table, bounds)
    there = pl.Series(present, dtype=pl.Int32())
    fresh = frame.filter(~pl.col("asset_id").is_in(there.implode()))
    copy_in(connection, table.identifier, fresh)
    days = [_days(fresh, table)]
    inserted, updated, unchanged, deleted = fresh.height, 0, 0, 0
    if present:
        rest = frame.filter(pl.col("asset_id").is_in(there.implode()))
        stage(connection, table, rest)
        merged = merge(connection, table, bounds, present)
        inserted += merged.inserted
        updated, unchanged = merged.updated, rest.height - merged.inserted - merged.updated
        days.append(merged.days)
        if replace is not None and keep is not None:
            gone = _delete_absent(connection, table, bounds, present, keep)
            deleted = gone.height
            days.append(gone)
        unstage(connection, table)
    return Changes(inserted, updated, unchanged, deleted, pl.concat(days).unique())


def stage(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    """Put a frame into the temporary table ``staged``, which has the table's own types.

    What is the same throughout is left out, and what is silent goes to a table ``stamps`` of
    its own, of which a row of ``staged`` has the number: there are few, and text is what costs.
    """
    local = (*table.local, *table.compared)
    run(
        connection,
        sql.SQL(
            "create temp table staged on commit drop as "
            "select 0::integer as stamp, {} from {} with no data"
        ).format(names(local), table.identifier),
    )
    if not table.silent:
        copy_in(connection, sql.Identifier("staged"), frame.select(local))
    else:
        stamps = frame.select(table.silent).unique().with_row_index("stamp")
        numbered = frame.join(stamps, on=table.silent, how="left", nulls_equal=True)
        run(
            connection,
            sql.SQL(
                "create temp table stamps on commit drop as "
                "select 0::integer as stamp, {} from {} with no data"
            ).format(names(table.silent), table.identifier),
        )
        copy_in(connection, sql.Identifier("stamps"), stamps)
        copy_in(connection, sql.Identifier("staged"), numbered.select("stamp", *local))
    if frame.height > _ANALYZE_ABOVE:
        run(connection, sql.SQL("analyze staged (asset_id)"))


def unstage(connection: Connection, table: Table) -> None:
    """Drop what ``stage`` made; the transaction's end would too, but there may be more to write."""
    run(connection, sql.SQL("drop table staged, stamps" if table.silent else "drop table staged"))


def merge(connection: Connection, table: Table, bounds: Bounds, assets: list[int]) -> Changes:
    """Insert and update from ``staged`` what differs; ``unchanged`` is not counted."""
    on = _same(table, "r", "s")
    run(
        connection,
        sql.SQL(
            "create temp table differing on commit drop as "
            "select s.*, r.asset_id is not null as present, r.{day} as day_before "
            "from staged s left join {table} r on {on} and {within} "
            "where r.asset_id is null or ({old}) is distinct from ({new})"
        ).format(
            day=sql.Identifier(table.day),
            table=table.identifier,
            on=on,
            within=bounds.where(table, assets=assets),
            old=names(table.compared, "r"),
            new=names(table.compared, "s"),
        ),
    )
    total, updated, first, last = one(
        connection,
        sql.SQL(
            "select count(*), count(*) filter (where present), min({0}), max({0}) from differing"
        ).format(sql.Identifier(table.time)),
    )
    days = pl.DataFrame(schema=DAYS)
    if total:
        days = read(
            connection,
            sql.SQL(
                "select asset_id, {0} from differing "
                "union select asset_id, day_before from differing where day_before <> {0}"
            ).format(sql.Identifier(table.day)),
            DAYS,
        )
    stamped = sql.SQL("differing s join stamps x using (stamp)" if table.silent else "differing s")
    values = sql.SQL(", ").join(
        [
            *(sql.Identifier("s", name) for name in (*table.local, *table.compared)),
            *(sql.Identifier("x", name) for name in table.silent),
        ]
    )
    if updated:
        narrow = Bounds(days["asset_id"].unique().to_list(), first, last, bounds.fixed)
        sets = [sql.SQL("{0} = s.{0}").format(sql.Identifier(n)) for n in table.compared]
        sets += [sql.SQL("{0} = x.{0}").format(sql.Identifier(n)) for n in table.silent]
        run(
            connection,
            sql.SQL("update {} r set {} from {} where {} and s.present and {}").format(
                table.identifier, sql.SQL(", ").join(sets), stamped, on, narrow.where(table)
            ),
        )
    if total > updated:
        columns = [*table.local, *table.compared, *table.silent, *table.fixed]
        fixed = [sql.SQL(", {}").format(sql.Literal(bounds.fixed[n])) for n in table.fixed]
        run(
            connection,
            sql.SQL("insert into {} ({}) select {}{} from {} where not s.present").format(
                table.identifier, names(columns), values, sql.SQL("").join(fixed), stamped
            ),
        )
    run(connection, sql.SQL("drop table differing"))
    return Changes(total - updated, updated, 0, 0, days)


def _same(table: Table, left: str, right: str) -> sql.Composed:
    """The two aliases have one key but for the fixed columns, which the bounds tell."""
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name))
        for name in table.local
    )


def _delete_absent(
    connection: Connection, table: Table, bounds: Bounds, assets: list[int], keep: pl.DataFrame
) -> pl.DataFrame:
    """Delete rows of the cells ``keep`` that are not staged; their asset_id and day."""
    absent = read(
        connection,
        sql.SQL(
            "select r.asset_id, r.{day}, ({time})::text from {table} r where {within} "
            "and not exists (select from staged s where {match})"
        ).format(
            day=sql.Identifier(table.day),
            time=sql.Identifier("r", table.time),
            table=table.identifier,
            within=bounds.where(table, assets=assets),
            match=_same(table, "s", "r"),
        ),
        {**DAYS, "at": pl.String()},
    ).join(keep, on=["asset_id", "day"], how="semi")
    if absent.is_empty():
        return absent.select("asset_id", "day")
    run(
        connection,
        sql.SQL("create temp table absent (asset_id integer, at text) on commit drop"),
    )
    copy_in(connection, sql.Identifier("absent"), absent.select("asset_id", "at"))
    run(
        connection,
        sql.SQL(
            "delete from {table} r using absent a "
            "where r.asset_id = a.asset_id and r.{time} = a.at::{kind} and {within}"
        ).format(
            table=table.identifier,
            time=sql.Identifier(table.time),
            kind=sql.SQL("timestamptz") if table.time == "ts" else sql.SQL("date"),
            within=bounds.where(table, assets=absent["asset_id"].unique().to_list()),
        ),
    )
    run(connection, sql.SQL("drop table absent"))
    return absent.select("asset_id", "day")


def _days(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    return frame.select("asset_id", pl.col(table.day).alias("day"))
