"""From assets and dates to cells.

Belongs here: which sessions of which asset a date stands for. Does not: partition keys
(orchestration/partitions.py), the state of cells (storage/ledger.py).

Dates of a run are sessions of one exchange, yet assets trade by their own calendars. So a
date stands for all of an asset's own sessions after the date before it: Monday brings a
coin's Saturday and Sunday along, and London's day on a New York holiday is not lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import numpy as np
import polars as pl

from stock_platform.domain.bars import Interval
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid, Sessions


def build_grid(
    assets: pl.DataFrame,
    dates: Sequence[date] | Sessions,
    now: datetime,
    calendar: str,
    interval: Interval = Interval.DAY,
) -> CellGrid:
    """The cells of assets on dates, up to each asset's last completed session.

    Args:
        assets: columns asset_id and calendar.
        dates: sessions of ``calendar``, any order.
        now: aware instant; later sessions, and one still open, are left out.
        calendar: the exchange whose sessions the dates are.
        interval: bar length.
    """
    days = np.unique(np.asarray(dates, dtype="datetime64[D]"))
    if not len(days) or assets.is_empty():
        return CellGrid.rectangle([], [], interval)
    ordered = assets.unique("asset_id").sort("asset_id")
    ids = ordered["asset_id"].to_numpy().astype(np.int32)
    by_calendar = {
        name: _sessions_of(name, days, now, calendar) for name in ordered["calendar"].unique()
    }
    sessions = np.unique(np.concatenate(list(by_calendar.values())))
    masks = {name: np.isin(sessions, own) for name, own in by_calendar.items()}
    mask = np.stack([masks[name] for name in ordered["calendar"].to_list()])
    return CellGrid(ids, sessions, mask, interval)


def _sessions_of(name: str, days: Sessions, now: datetime, calendar: str) -> Sessions:
    own = get_calendar(name)
    last = np.datetime64(own.last_completed(now), "D")
    if name == calendar:
        return days[days <= last]
    reference = get_calendar(calendar)
    first = reference.previous_session(days[0].astype(object))
    known = reference.sessions(first, days[-1].astype(object))
    candidates = own.sessions(first, days[-1].astype(object))
    candidates = candidates[(candidates > known[0]) & (candidates <= last)]
    stands_for = known[np.searchsorted(known, candidates)]
    kept: Sessions = candidates[np.isin(stands_for, days)]
    return kept
