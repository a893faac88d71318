"""How fast quotes are judged among their neighbours, and how well.

Run: ``python -m stock_platform_tests.benchmarks.validation``. Speed: ten years of 6,000 tickers
(15 M rows) at the level strict, splits known and a fault in one asset of twenty; in chunks of
200 assets, on two threads or as many as polars was given; the rules alone and the whole verdict
(as traded, every rule, the choice of one quote). Best of three; other work on the machine makes
it slower, so the load is told. Quality: faults planted in 80,000 rows of real histories
(STOCK_PLATFORM_SHARED or ../shared/fixtures, and bokeh_sampledata): the share told by the right
kind, put aside or repaired, and of right rows that are told.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.validation import Context, Level, choose, findings
from stock_platform.domain.validation.context import find_faults
from stock_platform_tests.domain import faults, histories, quoting, spoiling

TICKERS, CHUNK, LIMIT = 6_000, 200, 1_000_000
SEED = 11
KEY = ["asset_id", "session"]
OWN = ["no_trades", "missing_volume", "vwap_outside_range"]
"""Flags that bars carry without being among others."""


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


def speed() -> list[str]:
    """Rows a second, and the peak of memory."""
    bars = chunk(1)
    known = faults.splits(bars)
    raw = quoting.quotes(quoting.traded(bars, known))
    sessions = quoting.sessions_of(bars)
    context = Context(whole=True)
    told = find_faults(raw, known, sessions, context, Level.STRICT).told

    def verdict(context: Context | None, level: Level) -> object:
        return choose(
            raw, splits=known, sessions=sessions, preference=["one"], now=quoting.NOW,
            level=level, context=context, traded=raw,
        )  # fmt: skip

    ways: dict[str, Callable[[], object]] = {
        "rules, whole series": lambda: findings(bars, splits=known, level=Level.STRICT),
        "rules, as stored": lambda: find_faults(raw, known, sessions, context, Level.STRICT),
        "verdict, as stored": lambda: verdict(context, Level.STRICT),
        "verdict, standard": lambda: verdict(None, Level.STANDARD),
    }
    lines = []
    for name, way in ways.items():
        best = busy = float("inf")
        for _ in range(3):
            began, work = time.perf_counter(), time.process_time()
            way()
            best = min(best, time.perf_counter() - began)
            busy = min(busy, time.process_time() - work)
        rate = bars.height / best
        whole = TICKERS / CHUNK * best
        lines.append(
            f"{name:20} {rate / 1e6:6.2f} M rows/s = {rate / LIMIT:5.2f} of the limit; "
            f"{TICKERS:,} tickers x 10 years: {whole:5.1f} s; {busy:.2f} s of processors a chunk"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    load = os.getloadavg()[0]
    lines.append(
        f"{told.height} quotes with faults a chunk; peak {peak:,.0f} MiB; "
        f"{pl.thread_pool_size()} threads; load {load:.1f}"
    )
    return lines


def shared() -> Path:
    """Where recorded histories are, if anywhere."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "fixtures"
    return Path(os.environ.get("STOCK_PLATFORM_SHARED", beside))


def quality() -> list[str]:
    """A line a kind of fault."""
    clean = histories.continuous(shared())
    if clean.is_empty():
        return ["no real histories here"]
    usual, _ = outcome(spoiling.Spoilt(clean, clean.select(KEY).clear()))
    lines = [
        f"{clean.height:,} clean rows, {usual.select(KEY).n_unique()} of them told; planted:",
        f"{'fault':31} {'rows':>7} {'told':>7} {'kind':>7} {'aside':>7} {'others told':>12}",
    ]
    for name, (rules, spoil) in spoiling.SPOILS.items():
        spoilt = spoil(clean, SEED)
        told, aside = outcome(spoilt)
        planted = spoilt.planted.unique()

        def share(frame: pl.DataFrame, planted: pl.DataFrame = planted) -> float:
            return planted.join(frame, on=KEY, how="semi").height / planted.height

        others = told.join(planted, on=KEY, how="anti").join(usual, on=KEY, how="anti")
        right = told.filter(pl.col("rule").is_in(list(rules)))
        lines.append(
            f"{name:31} {planted.height:7,} {share(told):7.1%} {share(right):7.1%} "
            f"{share(aside):7.1%} {others.select(KEY).n_unique() / clean.height:12.3%}"
        )
    return lines


def outcome(spoilt: spoiling.Spoilt) -> tuple[pl.DataFrame, pl.DataFrame]:
    """asset_id, session and rule of what was told; the same of what did not pass as it came."""
    raw = quoting.quotes(quoting.traded(spoilt.bars, spoilt.splits))
    verdict = quoting.judged(raw, splits=spoilt.splits)
    aside = verdict.quarantined.select(*KEY, pl.col("reasons").alias("rule")).explode("rule")
    flagged = verdict.accepted.select(*KEY, pl.col("flags").alias("rule"))
    repaired = flagged.filter(pl.col("rule").list.contains("repaired")).explode("rule")
    flags = flagged.explode("rule").drop_nulls("rule").filter(~pl.col("rule").is_in(OWN))
    return pl.concat([aside, flags]), pl.concat([aside, repaired])


def main() -> None:
    """Print speed, then quality."""
    sys.stdout.write("\n".join([*speed(), "", *quality()]) + "\n")


if __name__ == "__main__":
    main()
