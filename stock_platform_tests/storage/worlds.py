"""Made-up bars, marks and batches for the tests and benchmarks of storage."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from stock_platform.domain.bars import (
    PRICE_COLUMNS,
    RAW_QUOTES,
    UTC_STAMP,
    VALIDATED_PRICES,
    Interval,
    conform,
)
from stock_platform.domain.batches import QUARANTINE, CallRecord, FetchBatch, ValidatedBatch
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.corporate_actions import DIVIDENDS, SPLITS
from stock_platform.domain.coverage import MARKS
from stock_platform.storage.connection import Database
from stock_platform.storage.tables import PRICE_TABLES, RAW_TABLES

NOW = datetime(2026, 1, 2, 22, tzinfo=UTC)


def weekdays(start: date, count: int) -> list[date]:
    """So many weekdays from a day on."""
    days = np.busday_offset([start], np.arange(count), roll="forward")
    listed: list[date] = days.astype(object).tolist()
    return listed


def raw_bars(
    assets: list[int],
    sessions: list[date],
    *,
    source: str = "yahoo",
    seed: int = 0,
    fetched_at: datetime = NOW,
) -> pl.DataFrame:
    """RAW_QUOTES of plain random bars, one a cell."""
    random = np.random.default_rng(seed)
    rows, days = len(assets), len(sessions)
    close = 50.0 * np.exp(np.cumsum(random.normal(0, 0.02, (rows, days)), axis=1))
    open_ = close * (1 + random.normal(0, 0.005, (rows, days)))
    frame = pl.DataFrame(
        {
            "asset_id": np.repeat(np.array(assets, dtype=np.int32), days),
            "session": pl.Series(sessions * rows, dtype=pl.Date()),
            "open": open_.ravel().round(2),
            "close": close.ravel().round(2),
            "volume": random.integers(1_000, 10_000_000, rows * days).astype(float),
        }
    ).with_columns(
        (pl.max_horizontal("open", "close") * 1.01).round(2).alias("high"),
        (pl.min_horizontal("open", "close") * 0.99).round(2).alias("low"),
        pl.col("session").cast(pl.Datetime("us")).dt.offset_by("14h30m")
        .dt.replace_time_zone("UTC").alias("ts"),
        pl.lit("1d").alias("interval"),
        pl.lit(source).alias("source"),
        pl.lit("as_traded").alias("basis"),
        pl.lit(fetched_at).cast(UTC_STAMP).alias("fetched_at"),
    )  # fmt: skip
    return conform(frame, RAW_QUOTES)


def intraday_bars(
    assets: list[int],
    sessions: list[date],
    *,
    interval: Interval = Interval.MINUTES_15,
    opens: str = "14:30",
    bars: int = 26,
    source: str = "yahoo",
    seed: int = 0,
) -> pl.DataFrame:
    """RAW_QUOTES of so many bars a session from ``opens`` (UTC) on."""
    hours, minutes = opens.split(":")
    first = timedelta(hours=int(hours), minutes=int(minutes))
    frame = pl.DataFrame(
        {"asset_id": pl.Series(assets, dtype=pl.Int32())}
    ).join(pl.DataFrame({"session": sessions}), how="cross").join(
        pl.DataFrame({"number": range(bars)}), how="cross"
    )  # fmt: skip
    random = np.random.default_rng(seed)
    price = (50 + random.normal(0, 1, frame.height).cumsum() / 10).clip(1).round(2)
    return conform(
        frame.with_columns(
            (
                pl.col("session").cast(pl.Datetime("us"))
                + first
                + pl.col("number") * interval.length
            ).dt.replace_time_zone("UTC").alias("ts"),
            pl.lit(str(interval)).alias("interval"),
            pl.lit(source).alias("source"),
            pl.Series("open", price),
            pl.Series("high", (price + 0.25).round(2)),
            pl.Series("low", (price - 0.25).round(2)),
            pl.Series("close", (price + random.normal(0, 0.05, frame.height)).round(2)),
            pl.Series("volume", random.integers(100, 10_000, frame.height)),
            pl.lit("as_traded").alias("basis"),
            pl.lit(NOW).cast(UTC_STAMP).alias("fetched_at"),
        ),
        RAW_QUOTES,
    )  # fmt: skip


def counts(database: Database) -> dict[str, int]:
    """The number of rows of each table of bars."""
    with database.connect() as connection:
        found = connection.execute(
            " union all ".join(
                f"select {table!r}, count(*) from stocks.{table}"
                for table in (*RAW_TABLES, *PRICE_TABLES)
            )
        ).fetchall()
    return {str(name): int(count) for name, count in found}


def _interval(frame: pl.DataFrame) -> Interval:
    given = "interval" in frame.columns and frame.height
    return Interval(frame["interval"][0]) if given else Interval.DAY


def marks_of(
    cells: pl.DataFrame,
    status: str = "stored",
    source: str = "yahoo",
    reason: str = "",
    retry_after: datetime | None = None,
) -> pl.DataFrame:
    """MARKS of one state for the cells of a frame with asset_id and session."""
    return conform(
        cells.select("asset_id", "session")
        .unique(maintain_order=True)
        .with_columns(
            pl.lit(str(_interval(cells))).alias("interval"),
            pl.lit(status).alias("status"),
            pl.lit(source).alias("source"),
            pl.lit(reason).alias("reason"),
            pl.lit(retry_after).cast(UTC_STAMP).alias("retry_after"),
        ),
        MARKS,
    )


def call(rows: int = 0, **changes: Any) -> CallRecord:
    """The record of a call that went well."""
    given: dict[str, Any] = {
        "source": "yahoo",
        "endpoint": "chart",
        "tile": "yahoo chart A 1d",
        "status": "ok",
        "requests": 1,
        "rows": rows,
        "latency_ms": 12,
        "started_at": NOW,
        "finished_at": NOW,
        "http_status": 200,
    }
    return CallRecord(**(given | changes))


def fetched(bars: pl.DataFrame, **parts: pl.DataFrame) -> FetchBatch:
    """The batch of a call that brought these bars, with every cell marked stored."""
    source = bars["source"][0] if bars.height else "yahoo"
    given: dict[str, Any] = {"bars": bars, "marks": marks_of(bars, source=source)} | parts
    return FetchBatch(call=call(bars.height, source=source), **given)


def validated(
    bars: pl.DataFrame, grid: CellGrid | None = None, **parts: pl.DataFrame
) -> ValidatedBatch:
    """The batch that accepts these raw bars."""
    prices = conform(
        bars.with_columns(pl.lit([], dtype=pl.List(pl.String())).alias("flags")), VALIDATED_PRICES
    )
    given: dict[str, Any] = {"quarantined": pl.DataFrame(schema=QUARANTINE)} | parts
    given_grid = grid or CellGrid.from_frame(bars, _interval(bars))
    return ValidatedBatch(grid=given_grid, prices=prices, **given)


def splits_of(rows: list[tuple[int, date, float]], source: str = "yahoo") -> pl.DataFrame:
    """SPLITS."""
    frame = pl.DataFrame(
        rows, schema={k: SPLITS[k] for k in ("asset_id", "ex_date", "ratio")}, orient="row"
    )
    return conform(
        frame.with_columns(
            pl.lit(source).alias("source"), pl.lit(NOW).cast(UTC_STAMP).alias("fetched_at")
        ),
        SPLITS,
    )


def dividends_of(rows: list[tuple[int, date, float]], source: str = "yahoo") -> pl.DataFrame:
    """DIVIDENDS in dollars."""
    frame = pl.DataFrame(
        rows, schema={k: DIVIDENDS[k] for k in ("asset_id", "ex_date", "amount")}, orient="row"
    )
    return conform(
        frame.with_columns(
            pl.lit("USD").alias("currency"),
            pl.lit(source).alias("source"),
            pl.lit(NOW).cast(UTC_STAMP).alias("fetched_at"),
        ),
        DIVIDENDS,
    )


def aside_of(bars: pl.DataFrame, reason: str = "high_below_low") -> pl.DataFrame:
    """QUARANTINE entries of raw bars."""
    row = pl.struct(*PRICE_COLUMNS).struct.json_encode().alias("row")
    return conform(
        bars.with_columns(row, pl.lit([reason], dtype=pl.List(pl.String())).alias("reasons")),
        QUARANTINE,
    )
