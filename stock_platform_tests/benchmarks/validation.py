"""How fast bars are judged among their neighbours, without the comparison of sources.

Run: ``python -m stock_platform_tests.benchmarks.validation``. Ten years of 6,000 tickers (15 M
rows) at the level strict, with dividends' splits known and a fault in one asset of twenty; in
chunks of 200 assets, as runs judge them, on two threads or as many as polars was given. Best of
three; other work on the machine makes it slower, so the load is told.
"""

from __future__ import annotations

import os
import resource
import sys
import time

import numpy as np
import polars as pl

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.validation import Level, findings
from stock_platform_tests.domain import faults

TICKERS, CHUNK, LIMIT = 6_000, 200, 1_000_000


def chunk(seed: int) -> pl.DataFrame:
    """Ten years of bars of some assets; ten of them have faults."""
    random = np.random.default_rng(seed)
    days = get_calendar("XNYS").sessions(
        np.datetime64("2011-01-03").astype(object), np.datetime64("2020-12-31").astype(object)
    )
    n = len(days)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.015, (CHUNK, n)), axis=1))
    for asset in range(10):
        close[asset, 500 + asset * 100] *= 100
        close[asset, 900 + asset * 100 : 930 + asset * 100] *= 3
    flat = close.ravel()
    return pl.DataFrame(
        {
            "asset_id": np.repeat(np.arange(1, CHUNK + 1, dtype=np.int32), n),
            "session": np.tile(days, CHUNK),
            "open": flat * 1.001,
            "high": flat * 1.01,
            "low": flat * 0.99,
            "close": flat,
            "volume": np.round(random.lognormal(13, 0.4, flat.size)),
        }
    )


def main() -> None:
    """Print rows per second, as a whole and in blocks, and the peak of memory."""
    bars = chunk(1)
    known = faults.splits(bars)
    lines = []
    for name, block in (("whole series", None), ("blocks of 91 days", 91)):
        best = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            found = findings(bars, splits=known, level=Level.STRICT, block=block)
            best = min(best, time.perf_counter() - began)
        rate = bars.height / best
        whole = TICKERS / CHUNK * best
        lines.append(
            f"{name:20} {rate / 1e6:6.2f} M rows/s = {rate / LIMIT:5.2f} of the limit; "
            f"{TICKERS:,} tickers x 10 years: {whole:5.1f} s; {found.height} findings a chunk"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    load = os.getloadavg()[0]
    lines.append(f"peak {peak:,.0f} MiB; {pl.thread_pool_size()} threads; load {load:.1f}")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
