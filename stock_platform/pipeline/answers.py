"""From a vendor's answer to a batch: who the rows belong to, and what became of each cell.

Belongs here: marks, mapping of tickers to assets, records of calls. Does not: asking
(fetching.py), writing (storage/writers.py). Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from stock_platform.domain.bars import RAW_QUOTES, conform
from stock_platform.domain.batches import ANSWERED, QUARANTINE, CallRecord, FetchBatch
from stock_platform.domain.capabilities import Endpoint, Tile
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.corporate_actions import DIVIDENDS, SPLITS
from stock_platform.domain.coverage import MARKS, CellStatus
from stock_platform.domain.errors import SourceError
from stock_platform.domain.reconciling import KINDS
from stock_platform.domain.validation.plausibility import doubtful
from stock_platform.sources.base import Answer

ABSENT = "no bar in a complete answer"
NOT_YET = "not published yet"
UNREADABLE = "the source's row could not be read"
BEFORE_LISTING = "before the first trade"
OUTSIDE_LISTING = "outside the listing"
PUBLISH_WITHIN = timedelta(hours=12)
RETRY_UNPUBLISHED = timedelta(hours=1)


@dataclass(frozen=True)
class Moment:
    """When an answer arrived: ``market`` by the market's clock, the rest by the wall."""

    market: datetime
    started: datetime
    finished: datetime
    fresh_since: date
    """Sessions from this one on may still be on their way to the vendor."""


def marks(
    grid: CellGrid, status: CellStatus, source: str, reason: str, retry: datetime | None = None
) -> pl.DataFrame:
    """MARKS of one state for every cell of ``grid``."""
    return conform(
        grid.to_frame().with_columns(
            pl.lit(str(grid.interval)).alias("interval"),
            pl.lit(str(status)).alias("status"),
            pl.lit(source).alias("source"),
            pl.lit(reason).alias("reason"),
            pl.lit(retry).alias("retry_after"),
        ),
        MARKS,
    )


def record(tile: Tile, answer: Answer, moment: Moment, rows: int) -> CallRecord:
    """The fetch log's line of a call that was answered."""
    return CallRecord(
        source=tile.source,
        endpoint=tile.endpoint,
        tile=tile.describe(),
        status="ok" if rows else "no_data",
        requests=answer.requests,
        rows=rows,
        latency_ms=answer.latency_ms,
        started_at=moment.started,
        finished_at=moment.finished,
        http_status=answer.http_status,
        cached=answer.cached,
    )


def failure_record(tile: Tile, error: SourceError, moment: Moment) -> CallRecord:
    """The fetch log's line of a call that failed."""
    took = moment.finished - moment.started
    return CallRecord(
        source=tile.source,
        endpoint=tile.endpoint,
        tile=tile.describe(),
        status=error.status,
        requests=error.requests,
        rows=0,
        latency_ms=int(took.total_seconds() * 1000),
        started_at=moment.started,
        finished_at=moment.finished,
        error=error.detail[:500],
    )


def batch_of(
    tile: Tile,
    endpoint: Endpoint,
    answer: Answer,
    asked: CellGrid,
    owners: pl.DataFrame,
    surplus: CellGrid | None,
    moment: Moment,
) -> FetchBatch:
    """The batch of one answer.

    Args:
        tile: what was asked.
        endpoint: of what kind it was.
        answer: what came.
        asked: the cells the tile was to cover.
        owners: who a symbol is: symbol, asset_id, valid_from, valid_to (exclusive).
        surplus: further cells that a complete answer settles (other assets of the
            market on a column's session); None for none.
        moment: when.
    """
    received = answer.received_at or moment.market
    bars = _owned(answer.bars, owners)
    raw = conform(
        bars.with_columns(
            pl.lit(str(tile.interval)).alias("interval"),
            pl.lit(tile.source).alias("source"),
            pl.lit(str(answer.basis or endpoint.basis)).alias("basis"),
            pl.lit(received).alias("fetched_at"),
        ),
        RAW_QUOTES,
    )
    final = ~pl.col("session").is_in(answer.unfinished)  # an open session's bars may grow
    stored = raw.filter(final).select("asset_id", "session").unique()
    doubted = doubtful(raw).join(asked.to_frame(), on=["asset_id", "session"], how="semi")
    settled = stored.join(doubted, on=["asset_id", "session"], how="anti")
    found = [
        conform(
            settled.with_columns(
                pl.lit(str(tile.interval)).alias("interval"),
                pl.lit(str(CellStatus.STORED)).alias("status"),
                pl.lit(tile.source).alias("source"),
                pl.lit("").alias("reason"),
            ),
            MARKS,
        )
    ]
    unread = _owned(answer.rejected, owners).select("asset_id", "session").unique()
    found.append(_absent(asked, stored, unread, tile, endpoint, answer, moment))
    if surplus is not None and endpoint.complete:
        found.append(_absent(surplus, stored, unread, tile, endpoint, answer, moment))
    stamp = {"source": pl.lit(tile.source), "fetched_at": pl.lit(received)}
    return FetchBatch(
        call=record(tile, answer, moment, raw.height),
        bars=raw,
        splits=conform(_owned(answer.splits, owners, "ex_date").with_columns(**stamp), SPLITS),
        dividends=conform(
            _owned(answer.dividends, owners, "ex_date").with_columns(**stamp), DIVIDENDS
        ),
        marks=pl.concat(found).unique(["asset_id", "session"], keep="first", maintain_order=True),
        rejected=_rejected(answer, owners, tile),
        answered=_answered(tile, endpoint, answer, raw, received),
        at=moment.market,
    )


def _answered(
    tile: Tile, endpoint: Endpoint, answer: Answer, raw: pl.DataFrame, received: datetime
) -> pl.DataFrame:
    """ANSWERED: the days over which this answer tells every action of its asset.

    From the second session to the last: actions of the first may be cut off. An answer with
    rows that could not be read, or without a bar, settles nothing.
    """
    if not endpoint.actions or raw.is_empty() or not answer.rejected.is_empty():
        return pl.DataFrame(schema=ANSWERED)
    spans = (
        raw.group_by("asset_id")
        .agg(pl.col("session").min().alias("first"), pl.col("session").max().alias("last_day"))
        .with_columns(pl.col("first").dt.offset_by("1d").alias("first_day"))
        .filter(pl.col("first_day") <= pl.col("last_day"))
    )
    return pl.concat(
        conform(
            spans.with_columns(
                pl.lit(tile.source).alias("source"),
                pl.lit(kind).alias("kind"),
                pl.lit(received).alias("fetched_at"),
            ),
            ANSWERED,
        )
        for kind in KINDS
    )


def joined(answers: Sequence[Answer], symbol: str) -> Answer:
    """Answers of one asset under several tickers, as one under ``symbol``."""

    def all_of(frames: list[pl.DataFrame], *order: str) -> pl.DataFrame:
        return pl.concat(frames).with_columns(pl.lit(symbol).alias("symbol")).sort(order)

    newest = answers[-1]
    return Answer(
        bars=all_of([a.bars for a in answers], "ts"),
        basis=newest.basis,
        splits=all_of([a.splits for a in answers], "ex_date"),
        dividends=all_of([a.dividends for a in answers], "ex_date"),
        rejected=all_of([a.rejected for a in answers], "session"),
        unfinished=frozenset().union(*(a.unfinished for a in answers)),
        listed_from=answers[0].listed_from,
        currency=newest.currency,
        requests=sum(a.requests for a in answers),
        rate_limited=sum(a.rate_limited for a in answers),
        http_status=newest.http_status,
        latency_ms=sum(a.latency_ms for a in answers),
        cached=all(a.cached for a in answers),
        received_at=newest.received_at,
    )


def doubted_cells(batch: FetchBatch, asked: CellGrid) -> CellGrid:
    """The cells asked for whose bars are stored and cannot be true: others are to be asked."""
    frame = doubtful(batch.bars).join(asked.to_frame(), on=["asset_id", "session"], how="semi")
    return (
        CellGrid.from_frame(frame, asked.interval)
        if frame.height
        else asked.with_mask(np.zeros_like(asked.mask))
    )


def unknown_symbols(answer: Answer, owners: pl.DataFrame) -> list[str]:
    """Symbols of the answer that belong to no asset, sorted."""
    known = owners.select("symbol").unique()
    return (
        answer.bars.select("symbol").unique().join(known, on="symbol", how="anti")
        .to_series().sort().to_list()
    )  # fmt: skip


def _owned(frame: pl.DataFrame, owners: pl.DataFrame, day: str = "session") -> pl.DataFrame:
    return (
        frame.join(owners, on="symbol", how="inner")
        .filter((pl.col(day) >= pl.col("valid_from")) & (pl.col(day) < pl.col("valid_to")))
        .drop("valid_from", "valid_to")
    )


def _absent(
    cells: CellGrid,
    stored: pl.DataFrame,
    unread: pl.DataFrame,
    tile: Tile,
    endpoint: Endpoint,
    answer: Answer,
    moment: Moment,
) -> pl.DataFrame:
    """Marks of the cells for which the answer has no bar."""
    missing = marks(cells, CellStatus.NO_DATA, tile.source, ABSENT).join(
        stored, on=["asset_id", "session"], how="anti"
    )
    if answer.listed_from is not None:
        before = pl.col("session") < answer.listed_from
        missing = missing.with_columns(
            pl.when(before)
            .then(pl.lit(str(CellStatus.NOT_LISTED)))
            .otherwise("status")
            .alias("status"),
            pl.when(before).then(pl.lit(BEFORE_LISTING)).otherwise("reason").alias("reason"),
        )
    settled = pl.col("status") == str(CellStatus.NOT_LISTED)
    late = ~settled & (
        (pl.col("session") >= moment.fresh_since) | pl.col("session").is_in(answer.unfinished)
    )
    retry = pl.lit(moment.finished + RETRY_UNPUBLISHED).cast(MARKS["retry_after"])
    missing = missing.with_columns(
        pl.when(late).then(pl.lit(str(CellStatus.WAITING))).otherwise("status").alias("status"),
        pl.when(late).then(pl.lit(NOT_YET)).otherwise("reason").alias("reason"),
        pl.when(late).then(retry).otherwise("retry_after").alias("retry_after"),
    )
    missing = missing.join(
        unread.with_columns(unread=True), on=["asset_id", "session"], how="left"
    ).with_columns(
        pl.when("unread").then(pl.lit(str(CellStatus.FAILED))).otherwise("status").alias("status"),
        pl.when("unread").then(pl.lit(UNREADABLE)).otherwise("reason").alias("reason"),
        pl.when("unread").then(retry).otherwise("retry_after").alias("retry_after"),
    ).drop("unread")  # fmt: skip
    if endpoint.complete:
        return missing
    return missing.filter(pl.col("status") != str(CellStatus.NO_DATA))


def _rejected(answer: Answer, owners: pl.DataFrame, tile: Tile) -> pl.DataFrame:
    ids = owners.select("symbol", "asset_id").unique("symbol")
    frame = answer.rejected.join(ids, on="symbol", how="left").rename({"symbol": "ticker"})
    return conform(
        frame.with_columns(
            pl.lit(str(tile.interval)).alias("interval"), pl.lit(tile.source).alias("source")
        ),
        QUARANTINE,
    )


def unlisted(grid: CellGrid, assets: pl.DataFrame) -> CellGrid:
    """The cells of ``grid`` outside an asset's listing (columns listed_on, delisted_on)."""
    dates = (
        pl.DataFrame({"asset_id": grid.assets})
        .join(assets.select("asset_id", "listed_on", "delisted_on"), on="asset_id", how="left")
        .select("listed_on", "delisted_on")
    )
    first = dates["listed_on"].fill_null(date(1, 1, 1)).to_numpy().astype("datetime64[D]")
    last = dates["delisted_on"].fill_null(date(9999, 1, 1)).to_numpy().astype("datetime64[D]")
    days = grid.sessions[None, :]
    return grid.with_mask(grid.mask & ((days < first[:, None]) | (days > last[:, None])))
