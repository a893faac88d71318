"""From parsed frames to validated prices, weeks and months, in a process of its own.

Run by ``storage``; prints JSON: rows, seconds of the platform's work (making up the bars is left
out), the median of its ratios to bare COPY of the same rows before and after, and the process's
peak memory in MB.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.validation import Level
from stock_platform.pipeline.validating import validate_cells
from stock_platform.storage import writers
from stock_platform.storage.connection import Database
from stock_platform_tests.benchmarks.storage import TEN, bare_copy
from stock_platform_tests.storage import worlds

ASSETS_PER_COMMIT = 40


def run(url: str, cells: int, first_asset: int, level: Level) -> dict[str, Any]:
    """Fetch, validate and aggregate about so many cells, a hundred thousand at a time."""
    days = get_calendar("XNYS").sessions(*TEN).astype(object).tolist()
    last_asset = first_asset + cells // len(days)
    clock = FixedClock(worlds.NOW)
    rows, spent, ratios = 0, 0.0, []
    with Database(url) as db:
        for at in range(first_asset, last_asset, ASSETS_PER_COMMIT):
            ids = list(range(at, min(at + ASSETS_PER_COMMIT, last_asset)))
            bars = worlds.raw_bars(ids, days)
            batch, grid = worlds.fetched(bars), CellGrid.rectangle(ids, days)
            copied = bare_copy(db, bars)
            began = time.perf_counter()
            writers.write_fetch(db, [batch], None)
            kept = 0
            for verdict in validate_cells(db, grid, clock, {}, level):
                writers.write_validated(db, verdict)
                kept += verdict.prices.height
            took = time.perf_counter() - began
            spent += took
            ratios.append((copied + bare_copy(db, bars)) / 2 / took)
            if kept != bars.height:
                raise AssertionError(f"{bars.height - kept} bars were not accepted")
            rows += bars.height
    of_copy = statistics.median(ratios)
    return {"rows": rows, "seconds": spent, "of_copy": of_copy, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Of this program: what getrusage tells may be of the one that started it."""
    with suppress(OSError, ValueError):
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    URL, CELLS, FIRST, LEVEL = sys.argv[1:]
    sys.stdout.write(json.dumps(run(URL, int(CELLS), int(FIRST), Level(LEVEL))))
