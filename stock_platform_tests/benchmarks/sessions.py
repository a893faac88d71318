"""What judging one session of a market costs at each level, and ten years of some tickers.

Run: ``python -m stock_platform_tests.benchmarks.sessions [tickers]``. Some tickers (1,500 unless
told) get 400 sessions of plain bars, judged; then a new session comes, one in the middle is
judged again, and 40 of the tickers get ten years. At the level standard a session is judged
alone, at strict with a look at the months around it. The database is made for this and dropped.
"""

from __future__ import annotations

import sys
import time
from datetime import date

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.validation import Level
from stock_platform.pipeline.validating import validate_cells
from stock_platform.storage import assets, writers
from stock_platform.storage.connection import Database
from stock_platform_tests.benchmarks.storage import database
from stock_platform_tests.storage import worlds

CLOCK = FixedClock(worlds.NOW)
SESSIONS, YEARS_TICKERS = 400, 40


def judge(db: Database, cells: CellGrid, level: Level) -> tuple[float, float, int]:
    """Seconds of judging, of writing, and how many cells were judged."""
    reading = writing = 0.0
    count = 0
    began = time.perf_counter()
    for batch in validate_cells(db, cells, CLOCK, {}, level):
        reading += time.perf_counter() - began
        began = time.perf_counter()
        writers.write_validated(db, batch)
        writing += time.perf_counter() - began
        count += len(batch.grid)
        began = time.perf_counter()
    return reading + time.perf_counter() - began, writing, count


def show(what: str, level: Level, figures: tuple[float, float, int]) -> None:
    reading, writing, count = figures
    sys.stdout.write(
        f"{what:34} {level:9} {count:9,} cells {reading:7.2f} s judging {writing:7.2f} s writing\n"
    )
    sys.stdout.flush()


def main() -> None:
    """Print a line a measurement."""
    tickers = int(sys.argv[1]) if len(sys.argv) > 1 else 1_500
    days = get_calendar("XNYS").sessions(date(2014, 1, 2), date(2024, 1, 10)).astype(object)
    ids = list(range(1, tickers + 1))
    with database(None) as db:
        assets.register(db, [assets.NewAsset(f"T{i}", "stock", "XNYS") for i in ids])
        recent = days[-SESSIONS:].tolist()
        for at in range(0, len(ids), 250):
            some = ids[at : at + 250]
            writers.write_fetch(db, [worlds.fetched(worlds.raw_bars(some, recent))], None)
            judge(db, CellGrid.rectangle(some, recent[:-2]), Level.STRICT)
        for level, new in ((Level.STANDARD, recent[-2]), (Level.STRICT, recent[-1])):
            show("a new session", level, judge(db, CellGrid.rectangle(ids, [new]), level))
        for level in (Level.STANDARD, Level.STRICT):
            again = CellGrid.rectangle(ids, [recent[SESSIONS // 2]])
            show("a session in the middle again", level, judge(db, again, level))
        long = ids[:YEARS_TICKERS]
        years = days[:-SESSIONS].tolist()
        writers.write_fetch(db, [worlds.fetched(worlds.raw_bars(long, years))], None)
        for level in (Level.STANDARD, Level.STRICT):
            cells = CellGrid.rectangle(long, years)
            name = "ten years" if level is Level.STANDARD else "ten years again"
            show(name, level, judge(db, cells, level))


if __name__ == "__main__":
    main()
