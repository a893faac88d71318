"""What comparing prices of several sources found: opinions on quotes, and counts by day.

Belongs here: rows of ``price_checks`` and ``source_checks``. Does not: comparing
(domain/comparing.py), asking (pipeline/reconciling_prices.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl
from psycopg import sql

from stock_platform.domain.bars import UTC_STAMP, Interval
from stock_platform.domain.comparing import CELL, OPINIONS
from stock_platform.storage import quality
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import copy_in, ints, names, read, run
from stock_platform.storage.locks import begin, retried

CHECKS: dict[str, pl.DataType] = {
    **OPINIONS,
    "why": pl.String(),
    "checked_on": pl.Date(),
    "checked_at": UTC_STAMP,
}

COUNTS: dict[str, pl.DataType] = {
    "day": pl.Date(),
    "source": pl.String(),
    "why": pl.String(),
    "agreed": pl.Int64(),
    "outvoted": pl.Int64(),
    "undecided": pl.Int64(),
    "absent": pl.Int64(),
}

_KEY = [*CELL, "source"]


@retried
def record(db: Database, checks: pl.DataFrame, counts: pl.DataFrame, at: datetime) -> None:
    """Keep opinions, the latest of each quote, and add counts to those of the day.

    Args:
        db: the database.
        checks: OPINIONS and why.
        counts: source, why, opinion, cells: what is new.
        at: when, by the market's clock.
    """
    rows = checks.unique(_KEY, keep="last", maintain_order=True).with_columns(
        pl.lit(at.date()).alias("checked_on"), pl.lit(at).cast(UTC_STAMP).alias("checked_at")
    )
    rows = rows.select(list(CHECKS))
    others = [name for name in CHECKS if name not in _KEY]
    with db.connect() as connection:
        begin(connection)
        run(
            connection,
            sql.SQL("select pg_advisory_xact_lock(hashtextextended('stock_platform.checks', 0))"),
        )
        if rows.height:
            run(
                connection,
                sql.SQL(
                    "create temporary table new_checks (like stocks.price_checks) on commit drop"
                ),
            )
            copy_in(connection, sql.SQL("new_checks"), rows)
            daily = rows.filter(pl.col("interval") == str(Interval.DAY))
            quality.touch(connection, daily.select("asset_id", pl.col("session").alias("day")))
            run(
                connection,
                sql.SQL(
                    "insert into stocks.price_checks ({all}) select {all} from new_checks "
                    "on conflict (asset_id, interval, session, source) do update set {set}"
                ).format(
                    all=names(list(CHECKS)),
                    set=sql.SQL(", ").join(
                        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n)) for n in others
                    ),
                ),
            )
        for source, why, opinion, cells in counts.select(
            "source", "why", "opinion", "cells"
        ).iter_rows():
            run(
                connection,
                sql.SQL(
                    "insert into stocks.source_checks as c (day, source, why, {0}) "
                    "values ({1}) on conflict (day, source, why) do update "
                    "set {0} = c.{0} + excluded.{0}"
                ).format(
                    sql.Identifier(opinion),
                    sql.SQL(", ").join(map(sql.Literal, (at.date(), source, why, cells))),
                ),
            )


def of_assets(
    db: Database,
    asset_ids: Sequence[int],
    first: date,
    last: date,
    interval: Interval = Interval.DAY,
) -> pl.DataFrame:
    """CHECKS of assets on sessions from first to last."""
    columns = sql.SQL(", ").join(
        sql.SQL("checked_at at time zone 'UTC'") if n == "checked_at" else sql.Identifier(n)
        for n in CHECKS
    )
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from stocks.price_checks where asset_id = any({}) and interval = {} "
                "and session between {} and {} order by asset_id, session, source"
            ).format(
                columns, ints(list(asset_ids)),
                *map(sql.Literal, (str(interval), first, last)),
            ),
            CHECKS,
        )  # fmt: skip


def compared_on(db: Database, day: date) -> dict[str, int]:
    """By source, how many of its quotes were compared on a market day."""
    with db.connect() as connection:
        found = run(
            connection,
            sql.SQL(
                "select source, sum(agreed + outvoted + undecided)::int from stocks.source_checks "
                "where day = {} group by source"
            ).format(sql.Literal(day)),
        )
        return dict(found.fetchall())


def counts(db: Database, since: date | None = None, source: str | None = None) -> pl.DataFrame:
    """COUNTS by day, source and why; the latest day first."""
    wanted: list[sql.SQL | sql.Composed] = [sql.SQL("true")]
    if since is not None:
        wanted.append(sql.SQL("day >= {}").format(sql.Literal(since)))
    if source is not None:
        wanted.append(sql.SQL("source = {}").format(sql.Literal(source)))
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from stocks.source_checks where {} order by day desc, source, why"
            ).format(names(list(COUNTS)), sql.SQL(" and ").join(wanted)),
            COUNTS,
        )
