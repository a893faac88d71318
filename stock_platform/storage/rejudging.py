"""What makes verdicts among neighbours worth making again: open levels, actions that came later.

Belongs here: tables ``open_levels`` and ``unjudged_actions``, and which cells carry marks of
series rules. Does not: which cells are judged again (pipeline/rejudging.py), rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import polars as pl
from psycopg import sql

from stock_platform.domain.bars import Interval
from stock_platform.domain.batches import BLOCK
from stock_platform.domain.reconciling import Kind
from stock_platform.domain.validation.context import REPAIRED
from stock_platform.domain.validation.neighbours import SERIES_RULES
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, copy_in, ints, read, run
from stock_platform.storage.tables import CELL, price_table

# Actions that came after prices had been judged; ``day`` is the ex-date.
UNJUDGED: dict[str, pl.DataType] = {
    "action_id": pl.Int64(),
    "asset_id": pl.Int32(),
    "kind": pl.String(),
    "day": pl.Date(),
}

_MARKS = sorted({*SERIES_RULES, REPAIRED})


def open_levels(db: Database, asset_ids: Sequence[int], interval: Interval) -> pl.DataFrame:
    """The open blocks of assets: BLOCK."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select asset_id, block from stocks.open_levels "
                "where asset_id = any({}) and interval = {} order by 1, 2"
            ).format(ints(list(asset_ids)), sql.Literal(str(interval))),
            BLOCK,
        )


def unjudged(
    db: Database, interval: Interval, asset_ids: Sequence[int] | None = None
) -> pl.DataFrame:
    """Actions that came after prices of the interval had been judged, of some assets or all."""
    whose: sql.Composable = sql.SQL("true")
    if asset_ids is not None:
        whose = sql.SQL("asset_id = any({})").format(ints(list(asset_ids)))
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select action_id, asset_id, kind, day from stocks.unjudged_actions "
                "where interval = {} and {} order by 1"
            ).format(sql.Literal(str(interval)), whose),
            UNJUDGED,
        )


def unjudged_intervals(db: Database) -> list[Interval]:
    """The intervals of which actions wait."""
    with db.connect() as connection:
        rows = run(connection, sql.SQL("select distinct interval from stocks.unjudged_actions"))
        return [Interval(row[0]) for row in rows]


def marked(
    db: Database, interval: Interval, asset_ids: Sequence[int], first: date, last: date
) -> pl.DataFrame:
    """Cells of sessions first..last with a mark of a series rule, or a row in quarantine: CELL."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select asset_id, session from stocks.{prices} where asset_id = any({ids}) "
                "and interval = {interval} and session between {first} and {last} "
                "and ts >= {first}::date - 2 and ts < {last}::date + 3 and flags && {marks} "
                "union select asset_id, session from stocks.quarantine "
                "where stage = 'validation' and asset_id = any({ids}) and interval = {interval} "
                "and session between {first} and {last}"
            ).format(
                prices=sql.Identifier(price_table(interval)),
                ids=ints(list(asset_ids)),
                interval=sql.Literal(str(interval)),
                first=sql.Literal(first),
                last=sql.Literal(last),
                marks=sql.SQL("{}::text[]").format(sql.Literal(_MARKS)),
            ),
            CELL,
        )


def note_actions(connection: Connection, kind: Kind, days: pl.DataFrame) -> None:
    """Remember actions that changed (asset_id, day), for intervals of which bars are stored."""
    if days.is_empty():
        return
    run(
        connection,
        sql.SQL(
            "create temporary table changed_actions (asset_id integer, day date) on commit drop"
        ),
    )
    copy_in(connection, sql.Identifier("changed_actions"), days.select("asset_id", "day").unique())
    run(
        connection,
        sql.SQL(
            "insert into stocks.unjudged_actions (asset_id, interval, kind, day) "
            "select distinct a.asset_id, c.interval, {}, a.day from changed_actions a "
            "join stocks.coverage_bits c on c.asset_id = a.asset_id and c.status = 'stored'"
        ).format(sql.Literal(kind)),
    )
    run(connection, sql.SQL("drop table changed_actions"))


def forget_actions(connection: Connection, action_ids: Iterable[int]) -> None:
    """Actions that verdicts have been made with."""
    ids = list(action_ids)
    if ids:
        run(
            connection,
            sql.SQL("delete from stocks.unjudged_actions where action_id = any({})").format(
                sql.Literal(ids)
            ),
        )


def write_open(
    connection: Connection, interval: Interval, looked_at: pl.DataFrame, found: pl.DataFrame
) -> None:
    """Bring the open blocks among those looked at (BLOCK) to what was found (BLOCK)."""
    if looked_at.is_empty():
        return
    spans = looked_at.group_by("asset_id").agg(pl.col("block").alias("blocks"))
    known = read(
        connection,
        sql.SQL(
            "select asset_id, block from stocks.open_levels "
            "where interval = {} and asset_id = any({})"
        ).format(sql.Literal(str(interval)), ints(spans["asset_id"])),
        BLOCK,
    )
    key = list(BLOCK)
    found = found.unique().join(looked_at, on=key, how="semi")
    gone = known.join(looked_at, on=key, how="semi").join(found, on=key, how="anti")
    new = found.join(known, on=key, how="anti").with_columns(
        pl.lit(str(interval)).alias("interval")
    )
    if gone.height:
        run(
            connection,
            sql.SQL(
                "delete from stocks.open_levels o using unnest({}, {}) as g(asset_id, block) "
                "where o.interval = {} and o.asset_id = g.asset_id and o.block = g.block"
            ).format(ints(gone["asset_id"]), ints(gone["block"]), sql.Literal(str(interval))),
        )
    if new.height:
        copy_in(connection, sql.Identifier("stocks", "open_levels"),
                new.select("asset_id", "interval", "block").sort("asset_id", "block"))  # fmt: skip
