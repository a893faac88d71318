"""Runs launched from a command line: real Dagster runs, in this process.

Belongs here: from tickers or shards and dates to runs over rectangles, and their outcome.
Does not: signals and printing (apps/), what a run does (assets/).

A run in this process starts at once and shows in the UI like any other. Its process is noted
on it, so that the next launch marks the runs of killed processes as failed.
"""

from __future__ import annotations

import copy
import os
import platform as machine
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from dagster import DagsterInstance, DagsterRunStatus, ExecuteInProcessResult, RunsFilter
from dagster_shared.error import SerializableErrorInfo

from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import SHARDS
from stock_platform.domain.errors import InputError, one_of
from stock_platform.domain.symbols import parse_symbol
from stock_platform.orchestration.build import build_definitions
from stock_platform.orchestration.instance import open_instance
from stock_platform.orchestration.jobs import job_name
from stock_platform.orchestration.partitions import (
    SHARD_KEYS,
    WATCHLIST_TICKERS,
    ScopeName,
    build_scopes,
    runs_of,
)
from stock_platform.orchestration.progress import Launch, listening
from stock_platform.orchestration.resources import using
from stock_platform.pipeline.report import FetchReport, ProgressCallback
from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import Settings

PROCESS_TAG = "stock_platform/process"
LOCATION_TAGS = {".dagster/repository": "__repository__@stock_platform"}
"""What the UI lists a job's runs by."""


@dataclass(frozen=True)
class Check:
    """The verdict of one asset check."""

    asset: str
    name: str
    passed: bool
    severity: str
    description: str


@dataclass(frozen=True)
class RunResult:
    """How a launch ended.

    Attributes:
        run_id: the last run; ``run_ids`` has all (several where tickers are not neighbours).
        error: why a run failed, in one line; None where none did.
        partitions: partitions covered.
        url: the page of the run, where the web server runs.
        report: the account of the fetch as data (FetchReport.to_dict).
        coverage: the states of the cells afterwards, as data (CoverageReport.to_dict).
        checks: verdicts of the asset checks.
    """

    run_id: str
    run_ids: list[str]
    success: bool
    error: str | None
    partitions: int
    url: str
    report: dict[str, Any]
    coverage: dict[str, Any]
    checks: list[Check] = field(default_factory=list)


def materialize_range(
    platform: Platform,
    *,
    scope: str,
    start: date,
    end: date,
    tickers: Sequence[str] | None = None,
    shards: Sequence[int] | None = None,
    retry_failed: bool = False,
    ask_again: bool = False,
    progress: ProgressCallback | None = None,
    instance: DagsterInstance | None = None,
    log_level: str = "CRITICAL",
) -> RunResult:
    """Run a scope's job over tickers or shards and dates; one run unless there are gaps.

    New tickers are tracked and get their partition. A run covers a rectangle, so tickers that
    are not neighbours among the partitions take a run each.

    Args:
        platform: used by the runs, and left open.
        scope: ``watchlist`` or ``market``.
        start: first date, a session or not.
        end: last date, inclusive.
        tickers: of the watchlist, in any common spelling; None: all that are tracked.
        shards: of the market; None: all.
        retry_failed: ask now for cells that failed or wait, whatever their retry time.
        ask_again: ask for cells that are stored, too: vendors correct what they told.
        progress: told of every batch.
        instance: None: the one of dagster.yaml.
        log_level: from which on runs write to stderr; in the UI their log is complete.

    Raises:
        InputError: no session in the range, a ticker that cannot be one, no ticker at all.
        DatabaseError: the database cannot be reached.
    """
    settings = platform.settings
    ours = build_scopes(settings)[_scope_name(scope)]
    sessions = platform.sessions(start, end)
    first, last = sessions[0].astype(object), sessions[-1].astype(object)
    if first < settings.start_date:
        raise InputError(
            "start",
            str(first),
            f"use a date from {settings.start_date} on, or set STOCK_PLATFORM_START_DATE",
        )
    with ExitStack() as stack:
        instance = instance or stack.enter_context(open_instance(settings))
        stack.enter_context(using(platform))
        launch = stack.enter_context(listening(Launch(progress)))
        settle_abandoned(instance)
        names, wanted = _names(platform, ours.name, tickers, shards, instance)
        config = _config(ours.name, log_level, retry_failed=retry_failed, ask_again=ask_again)
        job = build_definitions(settings).resolve_job_def(job_name(ours.name))
        results = [
            job.execute_in_process(
                run_config=config,
                instance=instance,
                tags={
                    **ours.range_tags((first, low), (last, high)),
                    **LOCATION_TAGS,
                    PROCESS_TAG: f"{machine.node()}:{os.getpid()}",
                },
                raise_on_error=False,
            )
            for low, high in runs_of(names, wanted)
        ]
    return _outcome(platform, results, launch, partitions=len(wanted) * len(sessions))


def settle_abandoned(instance: DagsterInstance) -> list[str]:
    """Mark runs whose process on this machine is gone as failed; their ids."""
    running = RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.STARTING])
    settled = []
    for run in instance.get_runs(running):
        host, _, pid = run.tags.get(PROCESS_TAG, "").rpartition(":")
        if host == machine.node() and pid.isdigit() and not _alive(int(pid)):
            instance.report_run_failed(
                run, f"Its process {pid} was killed. What it stored is kept; run it again."
            )
            settled.append(run.run_id)
    return settled


def run_url(settings: Settings, run_id: str) -> str:
    """The page of a run."""
    return f"http://{settings.webserver_host}:{settings.webserver_port}/runs/{run_id}"


def _scope_name(text: str) -> ScopeName:
    match text:
        case "watchlist":
            return "watchlist"
        case "market":
            return "market"
        case _:
            raise InputError("scope", text, one_of(["watchlist", "market"]))


def _names(
    platform: Platform,
    scope: ScopeName,
    tickers: Sequence[str] | None,
    shards: Sequence[int] | None,
    instance: DagsterInstance,
) -> tuple[Sequence[str], Sequence[str]]:
    """All partitions of the scope's second dimension in order, and those that are wanted."""
    if scope == "market":
        if tickers:
            raise InputError("tickers", ",".join(tickers), "use shards with the scope market")
        wrong = [shard for shard in shards or () if not 0 <= shard < SHARDS]
        if wrong:
            raise InputError("shard", wrong[0], f"use a number from 0 to {SHARDS - 1}")
        return SHARD_KEYS, SHARD_KEYS if shards is None else [SHARD_KEYS[s] for s in shards]
    if shards:
        raise InputError("shards", list(shards), "use tickers with the scope watchlist")
    if tickers:
        wanted = list(dict.fromkeys(parse_symbol(text).ticker for text in tickers))
    else:
        wanted = platform.watchlist_assets()["ticker"].to_list()
    if not wanted:
        raise InputError("tickers", "", "name at least one; none is tracked yet")
    known = set(instance.get_dynamic_partitions(WATCHLIST_TICKERS))
    instance.add_dynamic_partitions(WATCHLIST_TICKERS, [t for t in wanted if t not in known])
    return instance.get_dynamic_partitions(WATCHLIST_TICKERS), wanted


def _config(scope: ScopeName, log_level: str, **asked: bool) -> dict[str, Any]:
    return {
        "ops": {f"{scope}__raw_quotes": {"config": asked}},
        "loggers": {"console": {"config": {"log_level": log_level}}},
    }


def _outcome(
    platform: Platform, results: list[ExecuteInProcessResult], launch: Launch, partitions: int
) -> RunResult:
    failed = [result for result in results if not result.success]
    reports = [report for _, report in launch.fetched]
    grids = [grid for grid, _ in launch.fetched]
    report = merged(reports) if reports else FetchReport()
    covered = platform.coverage(CellGrid.union(grids)).to_dict() if grids else {}
    last = (failed or results)[-1]
    return RunResult(
        run_id=last.run_id,
        run_ids=[result.run_id for result in results],
        success=not failed,
        error=_why(failed[0]) if failed else None,
        partitions=partitions,
        url=run_url(platform.settings, last.run_id),
        report=report.to_dict(),
        coverage=covered,
        checks=[
            Check(
                found.asset_key.to_user_string(),
                found.check_name,
                found.passed,
                found.severity.value,
                found.description or "",
            )
            for result in results
            for found in result.get_asset_check_evaluations()
        ],
    )


def merged(reports: Sequence[FetchReport]) -> FetchReport:
    """The account of several fetches as one; its plan is the first one's, its calls added up."""
    whole = copy.deepcopy(reports[0])
    for report in reports[1:]:
        for name in ("cells", "already", "asked", "cached", "rows", "rejected"):
            setattr(whole, name, getattr(whole, name) + getattr(report, name))
        for name in ("states", "reasons", "calls", "failures"):
            getattr(whole, name).update(getattr(report, name))
        whole.rate_limited += report.rate_limited
        whole.shared += report.shared
        whole.discovered += report.discovered
        whole.unknown_symbols.update(report.unknown_symbols)
        for name in ("calls", "lower_bound_calls"):
            if name in report.plan:
                whole.plan[name] = whole.plan.get(name, 0) + report.plan[name]
    return whole


def _why(result: ExecuteInProcessResult) -> str:
    """The first cause of a failed run, in one line."""
    for event in result.all_events:
        if event.is_step_failure:
            own = event.step_failure_data.user_failure_data
            if own is not None and own.description:
                return own.description
            return _cause(event.step_failure_data.error)
        if event.is_job_failure:
            return _cause(event.job_failure_data.error)
    return "see its log"


def _cause(error: SerializableErrorInfo | None) -> str:
    while error is not None and error.cause is not None:
        error = error.cause
    return " ".join(error.message.split()) if error is not None else "see its log"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
