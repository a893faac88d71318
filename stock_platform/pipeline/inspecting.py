"""What is wrong with a file's prices, or with the stored quotes of a ticker.

Belongs here: bringing bars and what is known of them to the domain's findings. Does not: rules
(domain/validation), storing: nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.validation import FINDINGS, Level, Rulebook, findings
from stock_platform.domain.validation.choosing import as_traded
from stock_platform.pipeline.validating import session_table, tells_its_splits, with_local_dates
from stock_platform.sources.files.config import FilesOptions
from stock_platform.sources.files.whole import WholeFile, read_whole
from stock_platform.storage import actions, assets, readers

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

FIRST = date(1985, 1, 1)
UNREADABLE = "unreadable_row"


@dataclass(frozen=True)
class Inspection:
    """FINDINGS of one ticker, without asset_id, and how many bars were looked at."""

    ticker: str
    rows: int
    found: pl.DataFrame


def inspect_file(
    path: Path,
    options: FilesOptions,
    *,
    level: Level,
    rulebook: Rulebook,
    calendar: str | None = None,
    asset_class: str | None = None,
) -> list[Inspection]:
    """The findings of every symbol in a file.

    Args:
        path: CSV or Parquet.
        options: how to read it; the basis says what its prices are adjusted for.
        level: how much is checked.
        rulebook: thresholds and actions.
        calendar: for gaps and wrong sessions; None looks for neither.
        asset_class: for thresholds.

    Raises:
        SourceError: the file cannot be read.
    """
    found = []
    for whole in read_whole(path, options, calendar):
        bars = whole.answer.bars.with_columns(
            pl.lit(1, pl.Int32).alias("asset_id"), pl.lit(path.name).alias("source"),
            pl.lit(str(options.interval)).alias("interval"),
            pl.lit(str(options.basis)).alias("basis"),
        )  # fmt: skip
        if whole.adjusted is not None:
            bars = bars.join(whole.adjusted, on="ts", how="left", maintain_order="left")
        sessions = None
        if calendar is not None and not bars.is_empty():
            table = get_calendar(calendar).table(bars["session"].min(), bars["session"].max())  # type: ignore[arg-type]
            sessions = table.with_columns(pl.lit(1, pl.Int32).alias("asset_id"))
        told = findings(
            bars,
            splits=whole.answer.splits.with_columns(pl.lit(1, pl.Int32).alias("asset_id")),
            dividends=_dividends(whole, bars),
            sessions=sessions,
            classes={1: asset_class} if asset_class else {},
            rulebook=rulebook,
            level=level,
        )
        told = pl.concat([told, _rejected(whole, path)]).drop("asset_id")
        found.append(Inspection(whole.ticker, bars.height, told))
    return found


def _dividends(whole: WholeFile, bars: pl.DataFrame) -> pl.DataFrame:
    """Dividends in the basis of the prices beside them, with capital gains."""
    paid = whole.answer.dividends.select("ex_date", "amount")
    if bars["basis"].eq(str(Basis.SPLIT_ADJUSTED)).any():  # as paid -> as the file has them
        for day, ratio in whole.answer.splits.select("ex_date", "ratio").iter_rows():
            later = pl.when(pl.col("ex_date") < day).then(1 / ratio).otherwise(1.0)
            paid = paid.with_columns(pl.col("amount") * later)
    if whole.gains is not None:
        days = bars.select("ts", "session").join(whole.gains, on="ts")
        gains = days.filter(pl.col("capital_gains") > 0).select(
            pl.col("session").alias("ex_date"), "capital_gains"
        )
        paid = paid.join(gains, on="ex_date", how="full", coalesce=True).with_columns(
            pl.col("amount").fill_null(0.0)
        )
    return paid.with_columns(pl.lit(1, pl.Int32).alias("asset_id"))


def _rejected(whole: WholeFile, path: Path) -> pl.DataFrame:
    rows = [
        {
            "asset_id": 1, "source": path.name, "interval": "", "severity": "error",
            "rule": "duplicate_conflict" if "another row" in "".join(reasons) else UNREADABLE,
            "first_session": session, "last_session": session, "ts": ts, "rows": 1,
            "confidence": 1.0, "repair": "; ".join(reasons),
        }
        for session, ts, reasons in whole.answer.rejected.select(
            "session", "ts", "reasons"
        ).iter_rows()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=FINDINGS)


def inspect_ticker(
    platform: Platform, ticker: str, *, level: Level, interval: Interval = Interval.DAY
) -> Inspection:
    """The findings of a ticker's stored quotes, of every source, as traded.

    Raises:
        InputError: the ticker is not in the database.
    """
    db = platform.db
    known = platform.assets_for([ticker], register=False)
    ids = known["asset_id"].to_list()
    now = platform.clock.now()
    days = pl.date_range(FIRST, now.date(), "1d", eager=True).to_numpy()
    raw = readers.raw(db, CellGrid.rectangle(ids, days.astype("datetime64[D]"), interval))
    if raw.is_empty():
        return Inspection(ticker, 0, pl.DataFrame(schema=FINDINGS).drop("asset_id"))
    calendars = assets.by_id(db, ids).select("asset_id", "calendar")
    tellers = sorted(
        c.source for c in platform.capabilities.values() if any(map(tells_its_splits, c.endpoints))
    )
    noisy = [
        c.source for c in platform.capabilities.values() if any(e.float32 for e in c.endpoints)
    ]
    splits = readers.splits(db, ids)
    told = actions.told_splits(db, ids, tellers) if tellers else None
    traded = as_traded(
        with_local_dates(raw, calendars), splits, frozenset(noisy), told, frozenset(tellers)
    ).with_columns(
        pl.when(pl.col("basis") == str(Basis.FULLY_ADJUSTED))
        .then(pl.col("basis"))
        .otherwise(pl.lit(str(Basis.AS_TRADED)))
        .alias("basis")
    )
    first = raw["session"].min()
    span = CellGrid.rectangle(
        ids, [d for d in (first, now.date()) if isinstance(d, date)], interval
    )
    found = findings(
        traded,
        splits=splits,
        dividends=readers.dividends(db, ids),
        sessions=session_table(calendars, span),
        classes=dict(known.select("asset_id", "asset_class").iter_rows()),
        rulebook=platform.settings.rulebook,
        level=level,
        now=now,
    )
    return Inspection(ticker, raw.height, found.drop("asset_id"))
