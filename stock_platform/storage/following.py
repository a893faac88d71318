"""Weeks and months that follow a change of daily bars, in the transaction of the change.

Belongs here: reading as little as is needed, and deriving in polars what comes out exactly as in
SQL. Does not: the derivation that is the rule (periods.py), daily bars (writers.py).

Deriving in the database costs more than loading the days does, and in polars a tenth of it. A
first, a highest, a lowest and a last price are the days' own numbers, and a sum of whole numbers
is exact in a double up to 2**53: so polars gives what SQL would. Assets with a split in the span
or with volumes in fractions are left to SQL, and so are writes of few days. Days that were just
written need not be read again: those around them, of the first and the last month, are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl
from psycopg import sql

from stock_platform.domain.aggregates import to_periods
from stock_platform.domain.bars import PRICE_COLUMNS
from stock_platform.domain.corporate_actions import SPLITS
from stock_platform.storage.blocks import Blocks, read_blocks, stream_blocks
from stock_platform.storage.frames import Connection, ints, run
from stock_platform.storage.keyed import Bounds
from stock_platform.storage.periods import (
    EVERY,
    LONGEST,
    PERIOD_PRICES,
    PERIODS,
    TABLES,
    ZONES,
    Period,
    periods_of,
    recompute,
)
from stock_platform.storage.upsert import upsert

EXACT = 2.0**53
FEW_DAYS = 5
"""With fewer days an asset SQL is quicker: a month's other days would all have to be read."""

_BAR: dict[str, pl.DataType] = {
    "session": pl.Date(),
    **dict.fromkeys((*PRICE_COLUMNS, "volume"), pl.Float64()),
}
_PERIOD = {name: PERIOD_PRICES[name] for name in TABLES["weekly"].columns}
_PERIOD_AS = [pl.col(name).cast(kind) for name, kind in _PERIOD.items()]


@dataclass(frozen=True)
class Known:
    """Daily bars that are all the table has of these assets within the bounds."""

    bars: pl.DataFrame
    bounds: Bounds


def follow(connection: Connection, days: pl.DataFrame, known: Known | None = None) -> int:
    """Derive the weeks and months of ``days`` (asset_id, day) again; rows that changed.

    The caller holds the locks of the assets. ``known`` saves reading.
    """
    if days.is_empty():
        return 0
    touched = {period: periods_of(days, period) for period in PERIODS}
    if days.height < FEW_DAYS * days["asset_id"].n_unique():
        return sum(recompute(connection, period, touched[period]) for period in PERIODS)
    named: list[date] = pl.concat([f["period"] for f in touched.values()]).sort().to_list()
    first, last = _midnight(named[0]) - ZONES, _midnight(named[-1]) + LONGEST + ZONES
    left = _split(connection, days["asset_id"].unique(), named[0], last.date())
    derived: dict[Period, list[pl.DataFrame]] = {period: [] for period in PERIODS}
    wanted = days.filter(~pl.col("asset_id").is_in(left.implode()))["asset_id"].unique().sort()
    for bars in _bars(connection, wanted, first, last, known):
        fractions = _fractions(bars)
        left = pl.concat([left, fractions])
        whole = bars.filter(~pl.col("asset_id").is_in(fractions.implode()))
        for period in PERIODS:
            found = to_periods(whole, pl.DataFrame(schema=SPLITS), EVERY[period])
            derived[period].append(
                found.join(touched[period], on=["asset_id", "period"], how="semi")
            )
    changed = 0
    for period, frames in derived.items():
        of_sql = pl.col("asset_id").is_in(left.implode())
        changed += recompute(connection, period, touched[period].filter(of_sql))
        changed += _bring(connection, period, touched[period].filter(~of_sql), frames)
    return changed


def _bring(
    connection: Connection, period: Period, touched: pl.DataFrame, frames: list[pl.DataFrame]
) -> int:
    """Bring the touched periods to what was derived; one without days goes."""
    if touched.is_empty():
        return 0
    table = TABLES[period]
    frame = pl.concat([pl.DataFrame(schema=_PERIOD), *(f.select(_PERIOD_AS) for f in frames)])
    changes = upsert(
        connection,
        table,
        frame,
        replace=Bounds.of(table, touched),
        keep=touched.rename({"period": "day"}),
    )
    return changes.inserted + changes.updated + changes.deleted


def _split(connection: Connection, assets: pl.Series, start: date, end: date) -> pl.Series:
    """Assets with a split in force from the first to the last day."""
    rows = run(
        connection,
        sql.SQL(
            "select distinct asset_id from stocks.splits_in_force "
            "where asset_id = any({}) and ex_date between {} and {}"
        ).format(ints(assets), sql.Literal(start), sql.Literal(end)),
    ).fetchall()
    return pl.Series("asset_id", [row[0] for row in rows], dtype=pl.Int32())


def _fractions(bars: pl.DataFrame) -> pl.Series:
    """Assets whose volumes could not be added up exactly."""
    volume = pl.col("volume")
    return (
        bars.group_by("asset_id")
        .agg(
            ((volume != volume.floor()).any() | (volume.sum() >= EXACT)).alias("_inexact"),
        )
        .filter("_inexact")["asset_id"]
    )


def _bars(
    connection: Connection, assets: pl.Series, first: datetime, last: datetime, known: Known | None
) -> Iterator[pl.DataFrame]:
    """asset_id and _BAR of the assets' days, whole assets a frame."""
    if assets.is_empty():
        return
    columns = ["asset_id", *_BAR]
    if known is None:
        for frame in stream_blocks(connection, _blocks(assets, _between(first, last))):
            yield frame.select(columns)
        return
    around = [known.bars.filter(pl.col("asset_id").is_in(assets.implode())).select(columns)]
    for start, end in ((first, known.bounds.start), (known.bounds.end, last)):
        if start < end:
            beside = sql.SQL("{} and not ({})").format(
                _between(start, end), _between(known.bounds.start, known.bounds.end)
            )
            around.append(read_blocks(connection, _blocks(assets, beside)).select(columns))
    yield pl.concat(around)


def _blocks(assets: pl.Series, condition: sql.Composed) -> Blocks:
    return Blocks(
        sql.Identifier("stocks", "validated_prices"),
        _BAR,
        assets,
        sql.SQL("r.interval = '1d' and {}").format(condition),
        order=("ts",),
    )


def _between(first: datetime, last: datetime) -> sql.Composed:
    return sql.SQL("r.ts between {} and {}").format(sql.Literal(first), sql.Literal(last))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
