"""From a run's partitions to cells.

Belongs here: what a run is about, whatever its shape (one key, a rectangle, a list, nothing),
and what the backfill it is part of is about. Does not: how keys look (partitions.py), which
sessions a date stands for (pipeline/grids.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
from dagster import AssetExecutionContext, AssetKey, get_dagster_logger
from dagster._check import CheckError
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.errors import DagsterDefinitionChangedDeserializationError

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import InputError
from stock_platform.domain.symbols import parse_symbol
from stock_platform.orchestration.partitions import ScopeName, rectangles
from stock_platform.storage import assets, ledger

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

BACKFILL_TAG = "dagster/backfill"
WATCHLIST_LIMIT = 100_000
RECENT_SESSIONS = 5


def keys_of(context: Any) -> list[str]:
    """The partition keys of a run; empty where it has none.

    Args:
        context: an op's or an asset's execution context.
    """
    op_context = getattr(context, "op_execution_context", context)
    tags = context.run.tags
    partitioned = op_context.has_partition_key or "dagster/asset_partition_range_start" in tags
    return [str(key) for key in op_context.partition_keys] if partitioned else []


def cells_of(platform: Platform, scope: ScopeName, keys: Sequence[str]) -> CellGrid:
    """The cells that partition keys stand for, up to the last completed session.

    Raises:
        InputError: a key that is not of the scope's form, or no ticker that can be one.
    """
    grouped = rectangles(keys)
    if not grouped:
        return CellGrid.rectangle([], [])
    names = sorted({name for group in grouped.values() for name in group})
    found = _assets(platform, scope, names)
    if scope == "watchlist" and len(keys) > WATCHLIST_LIMIT:
        get_dagster_logger().warning(
            "%d watchlist partitions in one run: Dagster's pages are slow beyond %d; the market "
            "scope holds the same assets in 32 shards",
            len(keys),
            WATCHLIST_LIMIT,
        )
    grids = [
        platform.cells(found.filter(pl.col("partition").is_in(group)), dates)
        for dates, group in grouped.items()
    ]
    return CellGrid.union(grids)


def recent_cells(platform: Platform, scope: ScopeName) -> CellGrid:
    """The last sessions of a whole scope: what a check without partitions is about."""
    calendar = get_calendar(platform.calendar_name)
    last = calendar.last_completed(platform.clock.now())
    sessions = [last]
    while len(sessions) < RECENT_SESSIONS:
        sessions.append(calendar.previous_session(sessions[-1]))
    return platform.cells(scope_assets(platform, scope), sessions)


def last_session_cells(platform: Platform, scope: ScopeName) -> CellGrid:
    """The last completed session of a whole scope."""
    last = get_calendar(platform.calendar_name).last_completed(platform.clock.now())
    return platform.cells(scope_assets(platform, scope), [last])


def scope_assets(platform: Platform, scope: ScopeName) -> pl.DataFrame:
    """Every asset of a scope; nothing is fetched for it."""
    if scope == "watchlist":
        return platform.watchlist_assets()
    return assets.universe(platform.db, scope="market", calendar=platform.calendar_name)


def due_cells(platform: Platform) -> CellGrid:
    """The cells of both scopes that waited for a quota and may be asked for again."""
    return ledger.due(platform.db, platform.market.wall.now())


def backfill_cells(
    platform: Platform, scope: ScopeName, context: AssetExecutionContext, asset_key: AssetKey
) -> CellGrid | None:
    """All cells of the backfill that a run is part of, or None.

    The UI cuts a backfill into many runs. A plan that knows the whole demand asks for the
    market once a session where a plan for one ticker would not.
    """
    instance = context.instance
    backfill_id = context.run.tags.get(BACKFILL_TAG)
    backfill = instance.get_backfill(backfill_id) if backfill_id else None
    if backfill is None or not backfill.is_asset_backfill:
        return None
    try:
        graph = context.repository_def.asset_graph
    except CheckError:  # a run that was launched in its own process has its job alone
        graph = context.job_def.asset_layer.asset_graph
    try:
        with partition_loading_context(dynamic_partitions_store=instance):
            data = backfill.get_asset_backfill_data(graph)
            subset = data.get_target_partitions_subset(asset_key)
            keys = [str(key) for key in subset.get_partition_keys()] if subset else []
    except DagsterDefinitionChangedDeserializationError:  # partitions were redefined meanwhile
        context.log.warning("the demand of backfill %s cannot be read any more", backfill_id)
        return None
    return cells_of(platform, scope, keys) if keys else None


def _assets(platform: Platform, scope: ScopeName, names: list[str]) -> pl.DataFrame:
    """The assets of tickers or shards, with the partition they belong to."""
    if scope == "market":
        shards = platform.shard_assets([int(name) for name in names])
        return shards.with_columns(pl.col("shard").cast(pl.String).str.zfill(2).alias("partition"))
    tickers, refused = {}, []
    for name in names:
        try:
            tickers[name] = parse_symbol(name).ticker
        except InputError as error:
            refused.append(error)
    if refused and not tickers:
        raise refused[0]
    for refusal in refused:  # one bad ticker does not stop the others
        get_dagster_logger().warning("%s; its partitions stand for nothing", refusal)
    found = platform.assets_for(list(tickers))  # under their present tickers
    ids = assets.resolve_any(platform.db, list(tickers.values()))
    known = pl.DataFrame(
        {"partition": list(tickers), "asset_id": [ids[ticker] for ticker in tickers.values()]},
        schema={"partition": pl.String(), "asset_id": pl.Int32()},
    )
    return found.join(known, on="asset_id")


def span(grid: CellGrid) -> tuple[date, date] | None:
    """The first and last session of some cells."""
    trimmed = grid.trimmed()
    if not trimmed:
        return None
    first, last = trimmed.sessions[[0, -1]].astype(object)
    return first, last
