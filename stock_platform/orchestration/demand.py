"""What others will ask for soon: the rest of a backfill, and the runs that wait or are under way.

Belongs here: reading the instance's backfills and unfinished runs as cells. Does not: what a
run itself is about (cells.py), what a plan makes of the demand (domain/planning).

The UI cuts a backfill into many runs, and people queue runs side by side. A plan that knows the
whole demand asks for the market once a session where plans for a shard each would ask ticker by
ticker; so however a rectangle is cut, the same calls are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import product
from typing import TYPE_CHECKING

from dagster import (
    AssetExecutionContext,
    AssetKey,
    DagsterInstance,
    DagsterRun,
    RunsFilter,
)
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import InputError
from stock_platform.orchestration.cells import BACKFILL_TAG, backfill_cells, cells_of
from stock_platform.orchestration.partitions import SHARD_KEYS, WATCHLIST_TICKERS, Scope

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

MOST_RUNS = 2_000
"""Unfinished runs that are looked at; more make no better plan."""

_FIRST = "dagster/asset_partition_range_start"
_LAST = "dagster/asset_partition_range_end"
_ONE = "dagster/partition"


def wider_demand(
    platform: Platform, scope: Scope, context: AssetExecutionContext, asset_key: AssetKey
) -> CellGrid | None:
    """The cells of a run's backfill and of the scope's unfinished runs; None where it is alone."""
    backfill = backfill_cells(platform, scope.name, context, asset_key)
    own = context.run.tags.get(BACKFILL_TAG) if backfill is not None else None
    keys: set[str] = set()
    for run in unfinished(context.instance, asset_key):
        mine = run.run_id == context.run.run_id
        if not mine and (own is None or run.tags.get(BACKFILL_TAG) != own):
            keys.update(keys_of_run(platform, scope, context.instance, run))
    grids = [] if backfill is None else [backfill]
    if keys:
        try:
            grids.append(cells_of(platform, scope.name, sorted(keys)))
        except InputError as error:  # a plan for less is still a plan
            context.log.warning("the demand of other runs cannot be read: %s", error)
    return CellGrid.union(grids) if grids else None


def unfinished(instance: DagsterInstance, asset_key: AssetKey) -> list[DagsterRun]:
    """Runs that will fetch an asset: queued, starting, under way."""
    runs = instance.get_runs(RunsFilter(statuses=list(NOT_FINISHED_STATUSES)), limit=MOST_RUNS)
    whole = f"{asset_key.path[0]}_job"
    return [
        run
        for run in runs
        if (run.asset_selection is None and run.job_name == whole)
        or (run.asset_selection is not None and asset_key in run.asset_selection)
    ]


def keys_of_run(
    platform: Platform, scope: Scope, instance: DagsterInstance, run: DagsterRun
) -> Iterator[str]:
    """The partition keys of another run, by its tags; none where they are not of the scope."""
    first, last = run.tags.get(_FIRST), run.tags.get(_LAST)
    one = run.tags.get(_ONE)
    if first is None or last is None:
        if one is not None:
            yield one
        return
    (start, low), (end, high) = _corner(first), _corner(last)
    names: Sequence[str] = SHARD_KEYS
    if scope.name == "watchlist":
        names = instance.get_dynamic_partitions(WATCHLIST_TICKERS)
    if low not in names or high not in names or not start <= end:
        return
    try:
        days = platform.sessions(date.fromisoformat(start), date.fromisoformat(end))
    except (InputError, ValueError):
        return
    wanted = names[names.index(low) : names.index(high) + 1]
    for day, name in product(days.astype(object).tolist(), wanted):
        yield f"{day}|{name}"


def _corner(key: str) -> tuple[str, str]:
    session, _, name = key.partition("|")
    return session, name
