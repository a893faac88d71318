"""From parsed frames to validated prices, weeks and months, in a process of its own.

Run by ``storage``; prints JSON: rows, seconds of the platform's work (making up the bars is left
out), and the process's peak memory in MB.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from datetime import date
from typing import Any

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.validation import Level
from stock_platform.pipeline.validating import validate_cells
from stock_platform.storage import writers
from stock_platform.storage.connection import Database
from stock_platform_tests.storage import worlds

ASSETS_PER_COMMIT = 40
FIRST, LAST = date(2014, 1, 2), date(2024, 1, 10)


def run(url: str, cells: int, first_asset: int) -> dict[str, Any]:
    """Fetch, validate and aggregate about so many cells, a hundred thousand at a time."""
    days = get_calendar("XNYS").sessions(FIRST, LAST).astype(object).tolist()
    last_asset = first_asset + cells // len(days)
    clock = FixedClock(worlds.NOW)
    rows, spent = 0, 0.0
    with Database(url) as db:
        for at in range(first_asset, last_asset, ASSETS_PER_COMMIT):
            ids = list(range(at, min(at + ASSETS_PER_COMMIT, last_asset)))
            bars = worlds.raw_bars(ids, days)
            batch, grid = worlds.fetched(bars), CellGrid.rectangle(ids, days)
            began = time.perf_counter()
            writers.write_fetch(db, [batch], None)
            kept = 0
            for verdict in validate_cells(db, grid, clock, {}, Level.STANDARD):
                writers.write_validated(db, verdict)
                kept += verdict.prices.height
            spent += time.perf_counter() - began
            if kept != bars.height:
                raise AssertionError(f"{bars.height - kept} bars were not accepted")
            rows += bars.height
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "seconds": spent, "peak_mb": peak}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
