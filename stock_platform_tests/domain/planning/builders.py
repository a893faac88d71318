"""Markets, sources and demands for the planner's tests."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import numpy as np
import numpy.typing as npt

from stock_platform.domain.bars import Basis, Interval
from stock_platform.domain.capabilities import Capabilities, Endpoint, Limit, TileShape
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.planning import Plan, PlanAsset
from stock_platform.domain.symbols import AssetClass

TODAY = date(2026, 7, 31)
US = (AssetClass.STOCK, AssetClass.ETF)


def row(name: str = "chart", **changes: object) -> Endpoint:
    fields: dict[str, object] = {
        "name": name,
        "shape": TileShape.ROW,
        "intervals": (Interval.DAY,),
        "asset_classes": tuple(AssetClass),
        "basis": Basis.SPLIT_ADJUSTED,
        "to_now": True,
    }
    return Endpoint(**{**fields, **changes})  # type: ignore[arg-type]  # fields by name


def column(name: str = "grouped", **changes: object) -> Endpoint:
    fields: dict[str, object] = {
        "name": name,
        "shape": TileShape.COLUMN,
        "intervals": (Interval.DAY,),
        "asset_classes": US,
        "basis": Basis.AS_TRADED,
        "depth_days": 730,
    }
    return Endpoint(**{**fields, **changes})  # type: ignore[arg-type]  # fields by name


YAHOO = Capabilities(
    "yahoo", (row(),), (Limit(60, 60.0), Limit(2000, 3600.0)), preference=50, concurrency=4
)
POLYGON = Capabilities("polygon", (column(),), (Limit(5, 60.0),), preference=40, concurrency=2)
DEEP_POLYGON = Capabilities(
    "polygon", (column(depth_days=None),), (Limit(5, 60.0),), preference=40, concurrency=2
)
BOTH = (POLYGON, YAHOO)


def sessions(count: int, last: date = TODAY) -> npt.NDArray[np.datetime64]:
    """Weekdays up to and with ``last``."""
    return np.busday_offset(np.datetime64(last, "D"), np.arange(1 - count, 1), roll="backward")


def market(
    count: int, asset_class: AssetClass = AssetClass.STOCK, first: int = 1, calendar: str = "XNYS"
) -> dict[int, PlanAsset]:
    return {
        i: PlanAsset(i, f"{asset_class[:2].upper()}{i:05d}", asset_class, calendar=calendar)
        for i in range(first, first + count)
    }


def grid(
    assets: Iterable[int], mask: npt.NDArray[np.bool_], interval: Interval = Interval.DAY
) -> CellGrid:
    return CellGrid(
        np.array(sorted(assets), dtype=np.int32), sessions(mask.shape[1]), mask, interval
    )


def full(assets: Iterable[int], count: int, interval: Interval = Interval.DAY) -> CellGrid:
    ids = sorted(assets)
    return grid(ids, np.ones((len(ids), count), dtype=np.bool_), interval)


def assigned(made: Plan) -> npt.NDArray[np.int64]:
    """How many tiles each cell of the needed grid belongs to."""
    total = np.zeros(made.needed.mask.shape, dtype=np.int64)
    for tile in made.tiles:
        total += made.covers(tile).onto(made.needed)
    return total
