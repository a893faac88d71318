"""The two transactions that write prices: a fetch's, and a validation's.

Belongs here: what is committed together, and in which order locks are taken. Does not: how rows
are compared (upsert.py), the ledger's rules (marking.py), periods (periods.py).

Every function is one transaction. It takes the locks of its assets first (locks.py), so that
writers of the same cells take turns, and writes only what is new or different: writing the same
again changes no row but adds the record of the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from psycopg import sql

from stock_platform.domain.bars import (
    PRICE_COLUMNS,
    RAW_QUOTES,
    UTC_STAMP,
    VALIDATED_PRICES,
    Interval,
    conform,
)
from stock_platform.domain.batches import (
    QUARANTINE,
    CallRecord,
    FetchBatch,
    ValidatedBatch,
    WriteReport,
)
from stock_platform.domain.cells import CellGrid
from stock_platform.storage import (
    actions,
    decisions,
    ledger,
    periods,
    quality,
    quarantine,
    rejudging,
)
from stock_platform.storage.connection import Database
from stock_platform.storage.following import Known, follow
from stock_platform.storage.frames import Connection, copy_in, ints, read, run
from stock_platform.storage.keyed import Bounds, Table
from stock_platform.storage.locks import Kind, begin, lock_assets, retried
from stock_platform.storage.tables import CELL, FROM_QUOTES, price_table, raw_table
from stock_platform.storage.upsert import Changes, upsert

RAW = Table(
    name="raw_quotes",
    fixed=("interval", "source"),
    time="ts",
    day="session",
    compared=("session", *PRICE_COLUMNS, "volume", "vwap", "trades", "basis"),
    silent=("fetched_at", "fetch_id"),
)
VALIDATED = Table(
    name="validated_prices",
    fixed=("interval",),
    time="ts",
    day="session",
    compared=("session", *PRICE_COLUMNS, "volume", "vwap", "source", "flags"),
    silent=("validated_at",),
    since="validated_at",
    history="prices_history",
)
INDICATORS = Table(
    name="indicators",
    fixed=(),
    time="session",
    day="session",
    compared=("simple_return", "log_return", "volatility_21", "volatility_63"),
    silent=("updated_at",),
    decimals=None,
)

UNSTORABLE = "unstorable_number"
"""The reason of a quarantined row with a number that no NUMERIC column holds."""

_CEILING = {**dict.fromkeys((*PRICE_COLUMNS, "vwap"), 1e12), "volume": 1e16}
_PAD = timedelta(days=2)
"""A bar's stamp lies within this of its session's midnight in UTC, whatever the exchange."""


@retried
def write_fetch(db: Database, batches: Sequence[FetchBatch], run_id: str | None) -> WriteReport:
    """Commit the outcome of some calls: rows, actions, coverage and records together.

    Numbers that cannot be stored (NaN, infinite, beyond NUMERIC) become null; the row as it
    came goes to quarantine.

    Args:
        db: the database.
        batches: in the order they came; of rows with one key the last stands.
        run_id: of the Dagster run, or None; kept in the fetch log.

    Raises:
        DatabaseError: nothing was written.
    """
    assets = quarantine.assets_of(
        frame
        for b in batches
        for frame in (b.bars, b.splits, b.dividends, b.marks, b.rejected, b.answered)
    )
    with db.connect() as connection:
        begin(connection)
        lock_assets(connection, Kind.RAW, assets)
        ids = log_calls(connection, [b.call for b in batches], run_id)
        bars, rejected = _fetched(batches, ids)
        report = WriteReport()
        for group in bars.partition_by("interval", "source") if not bars.is_empty() else []:
            table = replace(RAW, name=raw_table(group["interval"][0]))
            report += _report(upsert(connection, table, group))
        torn = actions.write_told(
            connection,
            {
                "split": pl.concat([b.splits for b in batches]),
                "dividend": pl.concat([b.dividends for b in batches]),
            },
            pl.concat([b.answered for b in batches]),
            max([b.at for b in batches if b.at is not None], default=datetime.now(UTC)),
        )
        marked = ledger.mark(connection, pl.concat([b.marks for b in batches]))
        put = quarantine.put(connection, "parse", rejected, rejected["fetch_id"])
        buckets = 0
        if not torn.is_empty():
            lock_assets(connection, Kind.VALIDATED, torn["asset_id"].to_list())
            buckets = follow(connection, torn)
    return report + WriteReport(quarantined=put, marks=marked, buckets=buckets)


@retried
def write_validated(db: Database, batch: ValidatedBatch) -> WriteReport:
    """Commit what validation made of some cells, and the weeks and months they touch.

    Prices and open quarantine entries of the batch's cells that are no longer in it are
    removed; rows that are equal are left alone, and so are minutes of live quotes in sessions of
    which the batch has no price. Prices that change or go are kept as they were
    in ``prices_history``.

    Raises:
        DatabaseError: nothing was written.
    """
    grid = batch.grid.trimmed()
    if not grid:
        with db.connect() as connection:
            begin(connection)
            _remember(connection, batch)
        return WriteReport()
    at = batch.at or datetime.now(UTC)
    prices = conform(batch.prices, VALIDATED_PRICES).with_columns(
        pl.lit(at).cast(UTC_STAMP).alias("validated_at"),
        pl.col("flags").fill_null([]),
    )
    prices = prices.unique(VALIDATED.key, keep="last", maintain_order=True)
    cells = grid.to_frame()
    bounds = Bounds(
        grid.assets.tolist(),
        _midnight(grid.sessions[0]) - _PAD,
        _midnight(grid.sessions[-1]) + _PAD,
        {"interval": str(grid.interval)},
    )
    with db.connect() as connection:
        begin(connection)
        lock_assets(connection, Kind.VALIDATED, grid.assets.tolist())
        replaced = cells
        if grid.interval is Interval.MINUTE:
            told = _of_quotes(connection, bounds).join(prices, on=list(CELL), how="anti")
            replaced = cells.join(told, on=list(CELL), how="anti")
        changes = upsert(
            connection,
            replace(VALIDATED, name=price_table(grid.interval)),
            prices,
            replace=bounds,
            keep=replaced.rename({"session": "day"}),
            at=at,
        )
        cleared = quarantine.clear(connection, grid, batch.quarantined)
        put = quarantine.put(connection, "validation", batch.quarantined)
        decisions.void(connection, batch.void, at)
        _remember(connection, batch)
        buckets = 0
        if grid.interval is Interval.DAY:
            known = Known(prices, bounds) if changes.alone else None
            buckets = follow(connection, changes.days, known)
            quality.touch(
                connection,
                cells.rename({"session": "day"}) if put or cleared else changes.days,
            )
    return _report(changes) + WriteReport(quarantined=put + cleared, buckets=buckets)


def _of_quotes(connection: Connection, bounds: Bounds) -> pl.DataFrame:
    """CELL of the sessions whose minutes are all of live quotes: no raw bar brings them back."""
    return read(
        connection,
        sql.SQL(
            "select asset_id, session from stocks.intraday_prices where asset_id = any({}) "
            "and interval = '1m' and ts >= {} and ts < {} group by asset_id, session "
            "having bool_and({} = any(flags))"
        ).format(
            ints(bounds.assets),
            *map(sql.Literal, (bounds.start, bounds.end, FROM_QUOTES)),
        ),
        CELL,
    )


def _remember(connection: Connection, batch: ValidatedBatch) -> None:
    """What the next verdicts need to know of these."""
    news = batch.news
    rejudging.forget_actions(connection, news.actions)
    rejudging.write_open(connection, batch.grid.interval, news.looked_at, news.open)


@retried
def write_indicators(db: Database, grid: CellGrid, frame: pl.DataFrame) -> int:
    """Bring the indicators of the grid's cells to what the frame says; rows that changed.

    Args:
        db: the database.
        grid: the cells derived; indicators of theirs that are not in the frame are removed.
        frame: asset_id, session, simple_return, log_return, volatility_21, volatility_63.

    Raises:
        DatabaseError: nothing was written.
    """
    grid = grid.trimmed()
    if not grid:
        return 0
    first, last = grid.sessions[0].astype(object), grid.sessions[-1].astype(object)
    ready = frame.with_columns(
        pl.col(name).cast(pl.Float64).fill_nan(None) for name in INDICATORS.compared
    ).with_columns(pl.lit(datetime.now(UTC)).cast(UTC_STAMP).alias("updated_at"))
    with db.connect() as connection:
        begin(connection)
        lock_assets(connection, Kind.INDICATORS, grid.assets.tolist())
        changes = upsert(
            connection,
            INDICATORS,
            ready.unique(INDICATORS.key, keep="last", maintain_order=True),
            replace=Bounds(grid.assets.tolist(), first, last, {}),
            keep=grid.to_frame().rename({"session": "day"}),
        )
    return changes.inserted + changes.updated + changes.deleted


@retried
def recompute_periods(db: Database, grid: CellGrid, period: periods.Period) -> int:
    """Derive the weeks or months that the grid's cells fall in again; rows that changed.

    Raises:
        DatabaseError: nothing was written.
    """
    with db.connect() as connection:
        begin(connection)
        lock_assets(connection, Kind.VALIDATED, grid.assets.tolist())
        days = grid.to_frame().rename({"session": "day"})
        return periods.recompute(connection, period, periods.periods_of(days, period))


def log_calls(
    connection: Connection, calls: Sequence[CallRecord | None], run_id: str | None
) -> list[int | None]:
    """Append calls to the fetch log; their ids, None where there was no call."""
    made = [call for call in calls if call is not None]
    if not made:
        return [None] * len(calls)
    numbers = run(
        connection,
        sql.SQL(
            "select nextval(pg_get_serial_sequence('stocks.fetch_log', 'fetch_id')) "
            "from generate_series(1, {})"
        ).format(sql.Literal(len(made))),
    )
    ids = sorted(int(row[0]) for row in numbers)
    rows: list[dict[str, Any]] = [asdict(call) for call in made]
    frame = pl.DataFrame(rows, infer_schema_length=None).with_columns(
        pl.Series("fetch_id", ids, dtype=pl.Int64()),
        pl.lit(run_id, dtype=pl.String()).alias("run_id"),
        *(
            pl.col(name).cast(pl.String()).str.replace_all("\0", "", literal=True)
            for name in ("tile", "error")
        ),
    )
    copy_in(connection, sql.Identifier("stocks", "fetch_log"), frame)
    remaining = iter(ids)
    return [None if call is None else next(remaining) for call in calls]


def _fetched(
    batches: Sequence[FetchBatch], ids: Sequence[int | None]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bars ready to store and rows to put aside, of all batches, with their fetch_id."""
    bars = pl.concat(
        conform(b.bars, RAW_QUOTES).with_columns(_id(i)) for b, i in zip(batches, ids, strict=True)
    )
    rejected = pl.concat(
        conform(b.rejected, QUARANTINE).with_columns(_id(i))
        for b, i in zip(batches, ids, strict=True)
    )
    bad = pl.any_horizontal(
        (pl.col(name).is_not_null() & ~(pl.col(name).abs() < ceiling))
        for name, ceiling in _CEILING.items()
    )
    unstorable = bars.filter(bad)
    if not unstorable.is_empty():
        bars = bars.with_columns(
            pl.when(pl.col(name).abs() < ceiling).then(pl.col(name)).alias(name)
            for name, ceiling in _CEILING.items()
        )
        rejected = pl.concat([rejected, _aside(unstorable)])
    keys = list(RAW.key)
    if not bars.select(keys).is_unique().all():
        bars = bars.unique(keys, keep="last", maintain_order=True)
    return bars, rejected


def _aside(bars: pl.DataFrame) -> pl.DataFrame:
    """Quarantine rows of bars with numbers that cannot be stored, as they came."""
    shown = bars.with_columns(pl.col(name).cast(pl.String()) for name in _CEILING)
    text = pl.struct("ts", "session", *_CEILING, "trades", "basis").struct.json_encode()
    return conform(
        bars.with_columns(
            shown.select(text.alias("row"))["row"],
            pl.lit([UNSTORABLE], dtype=pl.List(pl.String())).alias("reasons"),
        ),
        {**QUARANTINE, "fetch_id": pl.Int64()},
    )


def _id(fetch_id: int | None) -> pl.Expr:
    return pl.lit(fetch_id, dtype=pl.Int64()).alias("fetch_id")


def _report(changes: Changes) -> WriteReport:
    return WriteReport(changes.inserted, changes.updated + changes.deleted, changes.unchanged)


def _midnight(session: Any) -> datetime:
    day = session.astype(object)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
