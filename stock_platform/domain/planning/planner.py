"""plan(): from missing cells to calls.

Belongs here: the steps of planning and how they fit. Does not: reach (reach.py), the
choice of columns (cover.py), sharing (schedule.py), bounds (bounds.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date

from stock_platform.domain.capabilities import Capabilities, QuotaState
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import InputError
from stock_platform.domain.planning.bounds import bounds
from stock_platform.domain.planning.model import Coverage, Plan, PlanAsset, Uncovered
from stock_platform.domain.planning.problem import Draft, Problem
from stock_platform.domain.planning.reach import Field, survey


def plan(
    needed: CellGrid,
    assets: Mapping[int, PlanAsset],
    sources: Sequence[Capabilities],
    quotas: Mapping[str, QuotaState] | None = None,
    *,
    today: date,
    health: Mapping[str, float] | None = None,
    latency: Mapping[str, float] | None = None,
    wider: CellGrid | None = None,
    exclude: Collection[tuple[str, str]] = (),
    unknown: Collection[tuple[str, int]] = (),
) -> Plan:
    """The calls that get the needed cells earliest, and among those the fewest.

    Args:
        needed: the missing cells, of one interval.
        assets: by asset id; at least those of ``needed`` and ``wider``.
        sources: those that may be used.
        quotas: what is spent, by source; a source without an entry has spent nothing.
        today: the market's date; nothing later is asked for.
        health: by source, the chance that a call succeeds (1.0 where absent).
        latency: by source, seconds from a call to its answer (0.5 where absent).
        wider: demand beyond this run (the rest of the backfill, queued runs). The plan is
            made for all of it; the tiles returned are those that needed cells fall to, so
            runs of one backfill choose the same tiles, whichever part each asks for.
        exclude: (source, endpoint) pairs not to be used (not entitled, circuit open).
        unknown: (source, asset id) pairs that the source has said it does not know.

    Raises:
        InputError: an asset is not described, a source is given twice, or the intervals
            of ``needed`` and ``wider`` differ.
    """
    _check(needed, wider, assets, sources)
    demand = needed if wider is None else CellGrid.union([needed, wider])
    field, uncovered = survey(
        demand,
        assets,
        sources,
        today=today,
        exclude=frozenset(exclude),
        unknown=frozenset(unknown),
    )
    problem = Problem.of(field, sources, quotas or {}, health or {}, latency or {}, demand.interval)
    draft = problem.solve(demand.interval)
    if wider is None:
        return _finished(needed, field, problem, draft, uncovered)
    asked = demand.with_mask(needed.onto(demand))
    kept = Draft(
        {tile: part for tile, part in draft.tiles.items() if _touches(asked, draft, part)},
        draft.columns,
    )
    lost = tuple(
        Uncovered(part.cells.intersection(needed).trimmed(), part.reason) for part in uncovered
    )
    own = replace(field, need=field.need & asked.mask)
    return _finished(asked, own, problem, kept, tuple(part for part in lost if part.cells))


def _check(
    needed: CellGrid,
    wider: CellGrid | None,
    assets: Mapping[int, PlanAsset],
    sources: Sequence[Capabilities],
) -> None:
    if wider is not None and wider.interval is not needed.interval:
        raise InputError("wider", str(wider.interval), f"it must be of interval {needed.interval}")
    for grid in (needed, wider):
        for asset_id in () if grid is None else grid.assets.tolist():
            if asset_id not in assets:
                raise InputError("assets", asset_id, "every asset of the cells must be described")
    names = Counter(source.source for source in sources)
    for name, times in names.items():
        if times > 1:
            raise InputError("sources", name, "each source may be given once")


def _touches(asked: CellGrid, draft: Draft, part: Coverage) -> bool:
    span = slice(part.first, part.stop)
    columns = draft.columns[part.rows, span]
    mask = asked.mask[part.rows, span] & (columns if part.by_column else ~columns)
    return bool(mask.any())


def _finished(
    needed: CellGrid,
    field: Field,
    problem: Problem,
    draft: Draft,
    uncovered: tuple[Uncovered, ...],
) -> Plan:
    counts = Counter(tile.source for tile in draft.tiles)
    finish = {
        pace.name: pace.finish_of_requests(counts[pace.name])
        for pace in problem.by
        if counts[pace.name]
    }
    last = max(finish.values(), default=0.0)
    proven = bounds(field, problem.quickest, len(draft.tiles), last)
    return Plan(
        needed=needed,
        tiles=tuple(draft.tiles),
        uncovered=uncovered,
        finish_seconds=last,
        lower_bound_calls=proven.calls,
        lower_bound_calls_in_time=proven.calls_in_time,
        lower_bound_seconds=proven.seconds,
        finish_by_source=finish,
        coverage=draft.tiles,
        columns=draft.columns,
        reached=field.need,
    )
