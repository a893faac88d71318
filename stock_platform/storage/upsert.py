"""Writing rows so that only what is new or different is written.

Belongs here: the one way rows get into keyed tables, whichever they are. Does not: which
tables there are and what depends on them (writers.py, periods.py).

For a writer that holds the lock of its assets (locks.py):

1. The rows that are there are read in blocks (blocks.py) and compared in polars (compare.py):
   reading is quicker than loading the frame into a temporary table would be, so an identical
   re-load takes less time than COPY would, and needs no catalog, WAL or disk.
2. New rows are COPYed straight into the table. On a first load that is everything.
3. Rows that are not the same for certain go to a temporary table of the table's own types, so
   that a value is rounded as it would be stored, and are compared again, exactly, by a join
   with literal bounds. Only rows that differ are updated: an identical re-load writes nothing,
   and decompresses nothing where TimescaleDB has compressed.
4. Where a table keeps its history, rows that are about to be changed or deleted are copied
   there first, with the moment until which they were known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl
from psycopg import sql

from stock_platform.storage.compare import compare
from stock_platform.storage.frames import Connection, copy_in, names, one, read, run
from stock_platform.storage.keyed import DAYS, Bounds, Table

_ANALYZE_ABOVE = 1_000


@dataclass(frozen=True)
class Changes:
    """What a write changed.

    Attributes:
        inserted, updated, unchanged, deleted: rows.
        days: asset_id and day of every row that was touched.
        alone: whether the table is known to have no rows within the bounds but the frame's.
    """

    inserted: int
    updated: int
    unchanged: int
    deleted: int
    days: pl.DataFrame
    alone: bool = False


def upsert(
    connection: Connection,
    table: Table,
    frame: pl.DataFrame,
    *,
    replace: Bounds | None = None,
    keep: pl.DataFrame | None = None,
    at: datetime | None = None,
) -> Changes:
    """Bring the table to hold the frame's rows; the caller holds the locks.

    Args:
        connection: in a transaction.
        table: where to.
        frame: the table's columns; keys are unique, fixed columns have one value.
        replace: with ``keep``: also delete rows within these bounds that are not in the frame.
        keep: asset_id and day of the cells that ``replace`` is about; rows of other cells stay.
        at: until when deleted rows were known, for a table that keeps its history; None: now.
    """
    if frame.is_empty() and replace is None:
        return Changes(0, 0, 0, 0, pl.DataFrame(schema=DAYS))
    bounds = replace or Bounds.of(table, frame)
    frame = frame.select(table.columns)
    differences = compare(connection, table, frame, bounds, None if replace is None else keep)
    copy_in(connection, table.identifier, differences.new)
    days = [_days(differences.new, table)]
    updated = 0
    if not differences.doubtful.is_empty():
        stage(connection, table, differences.doubtful)
        merged = merge(
            connection, table, bounds, differences.doubtful["asset_id"].unique().to_list()
        )
        unstage(connection, table)
        updated = merged.updated
        days.append(merged.days)
    if not differences.absent.is_empty():
        delete(connection, table, bounds, differences.absent, at)
        days.append(_days(differences.absent, table))
    inserted, deleted = differences.new.height, differences.absent.height
    unchanged = frame.height - inserted - updated
    told = pl.concat(days).unique()
    return Changes(inserted, updated, unchanged, deleted, told, differences.alone)


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


def merge(
    connection: Connection,
    table: Table,
    bounds: Bounds,
    assets: list[int],
    *,
    tell_days: bool = True,
) -> Changes:
    """Insert and update from ``staged`` what differs; ``unchanged`` is not counted.

    ``days`` stay empty where nobody is to be told.
    """
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
    if total and tell_days:
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
        touched = days["asset_id"].unique().to_list() if tell_days else assets
        narrow = Bounds(touched, first, last, bounds.fixed)
        if table.history:
            until = sql.Identifier("x", table.since)
            _remember(connection, table, stamped, on, until, narrow.where(table))
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


def delete(
    connection: Connection,
    table: Table,
    bounds: Bounds,
    absent: pl.DataFrame,
    at: datetime | None = None,
) -> None:
    """Delete the rows within the bounds with the keys of ``absent``, known until ``at``."""
    run(
        connection,
        sql.SQL("create temp table absent on commit drop as select {} from {} with no data").format(
            names(table.local), table.identifier
        ),
    )
    copy_in(connection, sql.Identifier("absent"), absent.select(table.local))
    match = _same(table, "a", "r")
    within = bounds.where(table, assets=absent["asset_id"].unique().to_list())
    if table.history:
        moment = sql.SQL("{}::timestamptz").format(sql.Literal(at or datetime.now(UTC)))
        _remember(connection, table, sql.SQL("absent a"), match, moment, within)
    run(
        connection,
        sql.SQL("delete from {table} r using absent a where {match} and {within}").format(
            table=table.identifier, match=match, within=within
        ),
    )
    run(connection, sql.SQL("drop table absent"))


def _remember(
    connection: Connection,
    table: Table,
    others: sql.Composable,
    match: sql.Composable,
    until: sql.Composable,
    within: sql.Composable,
) -> None:
    """Copy rows ``r`` of the table to its history, before they are changed or deleted."""
    run(
        connection,
        sql.SQL(
            "insert into {history} ({columns}, known_to) "
            "select {rows}, greatest({until}, r.{since}) from {table} r, {others} "
            "where {within} and {match}"
        ).format(
            history=sql.Identifier("stocks", table.history),
            columns=names(table.columns),
            rows=names(table.columns, "r"),
            until=until,
            since=sql.Identifier(table.since),
            table=table.identifier,
            others=others,
            within=within,
            match=match,
        ),
    )


def _days(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    return frame.select("asset_id", pl.col(table.day).alias("day"))
