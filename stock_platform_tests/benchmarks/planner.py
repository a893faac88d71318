"""How fast the planner plans, and how near its plans are to the best there can be.

Run: ``python -m stock_platform_tests.benchmarks.planner [--json]``. Each case runs in a
process of its own, so that its memory is its own (peak resident set, imports included).
Limits are those of Polygon's free plan and ours for Yahoo. Sessions are weekdays.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from stock_platform.domain.planning import plan
from stock_platform.domain.symbols import AssetClass
from stock_platform_tests.domain.planning.builders import (
    BOTH,
    DEEP_POLYGON,
    TODAY,
    YAHOO,
    grid,
    market,
)

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Figures:
    """What one case gave: seconds, MiB, calls and their bounds, hours and their bound."""

    case: str
    plan_seconds: float
    peak_mib: int
    calls: int
    calls_by_source: dict[str, int]
    lower_bound_calls: int
    calls_ratio: float
    finish_minutes: float
    lower_bound_minutes: float
    finish_ratio: float


def whole(tickers: int, sessions: int) -> Mask:
    return np.ones((tickers, sessions), dtype=np.bool_)


def holes(tickers: int, sessions: int, share: float) -> Mask:
    return np.random.default_rng(1).random((tickers, sessions)) < share


def newcomers(tickers: int, fresh: int, sessions: int) -> Mask:
    mask = np.zeros((tickers, sessions), dtype=np.bool_)
    mask[:, -1] = True
    mask[-fresh:] = True
    return mask


def cases() -> dict[str, tuple[Callable[[], Mask], bool]]:
    """Demand by name, and whether grouped calls reach all of history."""
    listed: dict[str, tuple[Callable[[], Mask], bool]] = {}
    for tickers in (5, 100, 1000, 6000, 8000):
        for sessions in (1, 252, 2520):
            listed[f"{tickers} x {sessions}"] = (
                lambda t=tickers, s=sessions: whole(t, s),  # type: ignore[misc]  # bound now
                False,
            )
    listed["6000 x 503"] = (lambda: whole(6000, 503), False)
    listed["6000 x 2520, deep columns"] = (lambda: whole(6000, 2520), True)
    listed["5900 x 1 and 100 x 503"] = (lambda: newcomers(6000, 100, 503), False)
    for share in (0.001, 0.05, 0.5):
        listed[f"6000 x 503, {share:.1%} holes"] = (
            lambda p=share: holes(6000, 503, p),  # type: ignore[misc]  # bound now
            False,
        )
        listed[f"6000 x 2520, {share:.1%} holes, deep columns"] = (
            lambda p=share: holes(6000, 2520, p),  # type: ignore[misc]  # bound now
            True,
        )
    return listed


def measure(case: str) -> Figures:
    """Plans one case."""
    make, deep = cases()[case]
    mask = make()
    assets = market(len(mask), AssetClass.STOCK)
    needed = grid(assets, mask)
    began = time.perf_counter()
    made = plan(needed, assets, (DEEP_POLYGON, YAHOO) if deep else BOTH, today=TODAY)
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Figures(
        case,
        round(took, 3),
        peak // 1024 if sys.platform != "darwin" else peak // 2**20,
        made.calls,
        made.calls_by_source,
        made.lower_bound_calls_in_time,
        round(made.calls_ratio, 4),
        round(made.finish_seconds / 60, 2),
        round(made.lower_bound_seconds / 60, 2),
        round(made.finish_ratio, 4),
    )


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    as_json = parser.parse_known_args()[0].json  # the names of benchmarks come first
    # One core, as the planner is judged; threads of BLAS read this when they start.
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    results = []
    if not as_json:
        sys.stdout.write(
            f"{'tickers x sessions':40}{'plan s':>8}{'MiB':>6}{'calls':>7}{'bound':>7}"
            f"{'ratio':>7}{'finish min':>12}{'bound':>9}{'ratio':>7}  calls by source\n"
        )
    for case in cases():
        with context.Pool(1) as pool:
            found = pool.apply(measure, (case,))
        results.append(asdict(found))
        if not as_json:
            sys.stdout.write(
                f"{found.case:40}{found.plan_seconds:8.2f}{found.peak_mib:6}{found.calls:7}"
                f"{found.lower_bound_calls:7}{found.calls_ratio:7.3f}{found.finish_minutes:12.2f}"
                f"{found.lower_bound_minutes:9.2f}{found.finish_ratio:7.3f}"
                f"  {found.calls_by_source}\n"
            )
            sys.stdout.flush()
    if as_json:
        sys.stdout.write(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
