"""``stock-platform backfill``: fetch, validate and aggregate what is missing, in one Dagster run.

Belongs here: options, progress, the summary and its exit code. Does not: the run itself
(orchestration/launch.py), what it would cost (plan.py).
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from stock_platform.apps.cli.selection import (
    End,
    Json,
    Refresh,
    RetryFailed,
    Scope,
    ScopeOption,
    Selection,
    Shards,
    Start,
    Tickers,
    TickersFile,
)
from stock_platform.domain.errors import StockPlatformError

if TYPE_CHECKING:
    import polars as pl

    from stock_platform.pipeline.runtime import Platform

_MOST_QUARANTINED = 100_000


@dataclass(frozen=True)
class Naive:
    """What simpler ways of fetching the same cells would take.

    Attributes:
        tickers: calls at one per ticker.
        cells: calls at one per ticker and day.
    """

    tickers: int
    cells: int


def backfill(
    tickers: Tickers = None,
    *,
    start: Start,
    end: End = None,
    scope: ScopeOption = Scope.WATCHLIST,
    shards: Shards = None,
    tickers_file: TickersFile = None,
    retry_failed: RetryFailed = False,
    refresh: Refresh = False,
    json: Json = False,
) -> int:
    """Fetch what is missing of a range, validate it, and derive weeks, months and indicators.

    Tickers named here are tracked from then on. What is stored already is not asked for again,
    except with --refresh: what its source says otherwise now stands then.
    Exit code 3 tells that some cells failed or wait for their data.
    """
    from stock_platform.apps.cli import DAGSTER_INTERRUPTED, output
    from stock_platform.apps.cli.progress import RunProgress
    from stock_platform.apps.cli.selection import select
    from stock_platform.pipeline.runtime import Platform

    with Platform.from_settings() as platform:
        wanted = select(
            platform.settings, scope=scope, tickers=tickers, tickers_file=tickers_file,
            shards=shards, start=start, end=end,
        )  # fmt: skip
        naive = what_it_would_take(platform, wanted, retry_failed=retry_failed, ask_again=refresh)
        began = time.monotonic()
        with RunProgress(f"backfill of {span(wanted)}") as progress:
            from stock_platform.orchestration.launch import materialize_range

            result = materialize_range(
                platform,
                scope=str(wanted.scope),
                tickers=list(wanted.tickers) or None,
                shards=None if shards is None else list(wanted.shards),
                start=wanted.start,
                end=wanted.end,
                retry_failed=retry_failed,
                ask_again=refresh,
                progress=progress,
            )
        if not result.success and DAGSTER_INTERRUPTED in (result.error or ""):
            raise KeyboardInterrupt
        facts = {
            "run_id": result.run_id,
            "run_ids": result.run_ids,
            "success": result.success,
            "error": result.error,
            "scope": str(wanted.scope),
            "start": wanted.start,
            "end": wanted.end,
            "seconds": round(time.monotonic() - began, 3),
            **summary(result.report, result.coverage, naive),
            "quarantine": quarantine(platform, wanted),
            "checks": [asdict(check) for check in result.checks],
        }
    code = exit_code(facts)
    facts["exit_code"] = code
    if json:
        output.show_json(facts)
    else:
        _show(facts)
        if not facts["settled"] and wanted.tickers:
            output.note(
                "none of it is settled: are the tickers spelled right? "
                f"stock-platform catalog search {wanted.tickers[0]}; "
                f"stock-platform untrack {wanted.tickers[0]}"
            )
    if not result.success:
        raise StockPlatformError(f"run {result.run_id} failed: {result.error or 'see its log'}")
    return code


def span(wanted: Selection) -> str:
    """``2024-01-02..2024-01-31``, or the one day."""
    return str(wanted.start) if wanted.start == wanted.end else f"{wanted.start}..{wanted.end}"


def what_it_would_take(
    platform: Platform, wanted: Selection, *, retry_failed: bool, ask_again: bool = False
) -> Naive | None:
    """The calls of simpler ways; None where nobody knows yet who is in the market.

    Raises:
        InputError: nobody is selected.
    """
    from stock_platform.apps.cli.plan import who

    assets, strangers = who(platform, wanted)
    if strangers and wanted.scope is Scope.MARKET:
        return None
    needed = platform.cells(assets, wanted.sessions)
    if not ask_again:
        needed = platform.missing(needed, retry_failed=retry_failed)
    return Naive(int(needed.mask.any(axis=1).sum()), len(needed))


def summary(
    report: dict[str, Any], coverage: dict[str, Any], naive: Naive | None
) -> dict[str, Any]:
    """A run's report and its coverage as one account."""
    asked = int(report.get("asked", 0))
    return {
        "expected": int(coverage.get("expected", 0)),
        "settled": int(coverage.get("settled", 0)),
        "share": coverage.get("share", 0.0),
        "states": coverage.get("states", {}),
        "reasons": coverage.get("reasons", []),
        "already": int(report.get("already", 0)),
        "asked": asked,
        "rows": int(report.get("rows", 0)),
        "calls": report.get("calls", {}),
        "total_calls": int(report.get("total_calls", 0)),
        "one_call_per_ticker": naive.tickers if naive else report.get("per_ticker_calls"),
        "one_call_per_ticker_and_day": naive.cells if naive else asked,
        "rate_limited": int(report.get("rate_limited", 0)),
        "failures": report.get("failures", {}),
        "rejected": int(report.get("rejected", 0)),
        "unknown_symbols": report.get("unknown_symbols", []),
        "plan": report.get("plan", {}),
    }


def quarantine(platform: Platform, wanted: Selection) -> dict[str, Any]:
    """Rows of the selection that were put aside: how many, and how many for each reason."""
    import polars as pl

    from stock_platform.apps.cli.plan import who
    from stock_platform.storage import readers

    ids: list[int] | None = None
    if wanted.scope is Scope.WATCHLIST:
        assets, _ = who(platform, wanted)
        ids = assets.filter(pl.col("asset_id") >= 0)["asset_id"].to_list()
    rows = readers.quarantined(platform.db, ids, wanted.start, wanted.end, _MOST_QUARANTINED)
    return {"rows": rows.height, "reasons": reasons_of(rows)}


def reasons_of(rows: pl.DataFrame) -> dict[str, int]:
    """Quarantined rows by reason, the commonest first."""
    import polars as pl

    counted = rows.select(pl.col("reasons").explode()).drop_nulls().to_series().value_counts()
    return dict(counted.sort("count", "reasons", descending=[True, False]).iter_rows())


def exit_code(facts: dict[str, Any]) -> int:
    """0: every cell settled. 3: some. 1: none, or the run failed."""
    from stock_platform.apps.cli import DONE, FAILED, PARTLY

    if not facts["success"]:
        return FAILED
    if facts["settled"] >= facts["expected"]:
        return DONE
    return PARTLY if facts["settled"] else FAILED


def _show(facts: dict[str, Any]) -> None:
    from stock_platform.apps.cli import output

    by_source = ", ".join(f"{name} {n:,}" for name, n in sorted(facts["calls"].items()))
    calls = f"{facts['total_calls']:,}" + (f" ({by_source})" if by_source else "")
    if facts["one_call_per_ticker"] is not None:
        calls += f"; one per ticker: {facts['one_call_per_ticker']:,}"
    calls += f"; one per ticker and day: {facts['one_call_per_ticker_and_day']:,}"
    put_aside = facts["quarantine"]
    why = ", ".join(f"{name} {count:,}" for name, count in put_aside["reasons"].items())
    output.show_pairs(
        {
            "settled": f"{facts['settled']:,} of {facts['expected']:,} cells "
            f"({float(facts['share']):.2%}), {facts['already']:,} of them before",
            "states": [f"{name} {count:,}" for name, count in facts["states"].items()],
            "calls": calls,
            "rate limited": output.plural(facts["rate_limited"], "time"),
            "failed calls": [f"{name} {n:,}" for name, n in facts["failures"].items()] or "none",
            "quarantine": output.plural(put_aside["rows"], "row") + (f": {why}" if why else ""),
            "checks failed": [
                f"{check['asset']} {check['name']} ({check['description']})"
                for check in facts["checks"]
                if not check["passed"]
            ]
            or "none",
            "time": output.duration(facts["seconds"]),
            "run": facts["run_ids"],
        }
    )
    if facts["reasons"]:
        output.show_table(
            ["state", "reason", "source", "cells"],
            [
                [r.get("status"), r.get("reason"), r.get("source"), r.get("cells")]
                for r in facts["reasons"][:20]
            ],
        )
