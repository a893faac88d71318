"""How fast Dagster's UI answers over ten years of a market, before and after pruning.

Run: ``python -m stock_platform_tests.benchmarks.dagster_events [--json] [--years N]``. The event
log of ``market/raw_quotes`` is filled as ten years of runs leave it: every session and shard
demanded and materialized, the last year five times over, because each daily run looks back a
week. Events are copies, made in SQL, of ones that Dagster wrote. Then the questions of the asset
page are asked through GraphQL, of a code server of their own: cold (no cached status) and warm.

The limit measured in the same run is the time of the plainest question, the server's version.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
from dagster._core.events import DagsterEvent
from dagster._core.events.log import EventLogEntry
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster_graphql.test.utils import execute_dagster_graphql

from stock_platform.orchestration.instance import open_instance
from stock_platform.orchestration.partitions import SHARD_KEYS, build_scopes
from stock_platform.orchestration.pruning import prune
from stock_platform.settings import load_settings
from stock_platform.storage.embedded import ensure_server, remove_server

ASSET = dg.AssetKey(["market", "raw_quotes"])
FIRST = "2016-01-04"
REPEATS = 4
WARM = 3
_KEY = (
    "query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode { %s } } }"
)
QUESTIONS = {
    "version": "{ version }",
    "partition stats": _KEY
    % "partitionStats { numMaterialized numFailed numMaterializing numPartitions }",
    "partition statuses": _KEY
    % """assetPartitionStatuses { ... on MultiPartitionStatuses { ranges { primaryDimStartKey
        primaryDimEndKey secondaryDim { ... on DefaultPartitionStatuses { materializedPartitions }
        ... on TimePartitionStatuses { ranges { startKey } } } } } }""",
    "latest materialization": _KEY
    % "assetMaterializations(limit: 1) { partition runId timestamp }",
    "one partition": _KEY
    % 'latestMaterializationByPartition(partitions: ["2026-01-05|07"]) { runId timestamp }',
    "partition keys": _KEY % "partitionKeysByDimension { name partitionKeys }",
}


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--years", type=int, default=10)
    options = parser.parse_args(arguments or [])
    with tempfile.TemporaryDirectory(prefix="stock_platform_bench_") as folder:
        home = Path(folder)
        os.environ["STOCK_PLATFORM_HOME"] = folder
        os.environ["STOCK_PLATFORM_START_DATE"] = FIRST
        os.environ.pop("DATABASE_URL", None)
        try:
            figures = measure(ensure_server(home).dagster_url, options.years)
        finally:
            remove_server(home)
    if options.json:
        json.dump(figures, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        show(figures)


def measure(url: str, years: int) -> dict[str, Any]:
    """Fill, ask, prune, ask again."""
    settings = load_settings()
    with open_instance(settings) as instance:
        dates = sessions(years)
        started = time.perf_counter()
        cells = fill(instance, url, dates)
        figures: dict[str, Any] = {
            "partitions": len(dates) * len(SHARD_KEYS),
            "materializations": cells,
            "fill_seconds": round(time.perf_counter() - started, 1),
            "megabytes": size(url),
        }
        target = ModuleTarget(
            module_name="stock_platform.definitions",
            attribute=None,
            working_directory=None,
            location_name="stock_platform",
        )
        with WorkspaceProcessContext(instance, target) as process:

            def ask(query: str) -> Any:
                request = process.create_request_context()
                result = execute_dagster_graphql(request, query, {"key": {"path": ASSET.path}})
                if result.errors:
                    raise RuntimeError(str(result.errors[0]))
                return result.data

            figures["before"] = timed(instance, ask)
            answers = [ask(query) for query in QUESTIONS.values()]
            started = time.perf_counter()
            pruned = prune(instance, datetime.now(UTC) + timedelta(days=1))
            figures["prune"] = {
                "seconds": round(time.perf_counter() - started, 1),
                "runs": pruned.runs,
                "events": pruned.events,
            }
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute("vacuum full analyze event_logs")
            figures["prune"]["megabytes"] = size(url)
            figures["after"] = timed(instance, ask)
            figures["same_answers"] = answers == [ask(query) for query in QUESTIONS.values()]
    return figures


def sessions(years: int) -> list[str]:
    """The market's date keys from the first on."""
    scope = build_scopes(load_settings())["market"]
    dates = scope.partitions.get_partitions_def_for_dimension("date").get_partition_keys()
    last = date.fromisoformat(FIRST).replace(year=2016 + years).isoformat()
    return [key for key in dates if key < last]


def fill(instance: dg.DagsterInstance, url: str, dates: list[str]) -> int:
    """One run a session, the last year's over again; the number of materializations."""
    for kind in ("PLANNED", "MATERIALIZATION"):
        template(instance, kind)
    year = dates[-252:]
    rounds = [*dates, *(key for _ in range(REPEATS) for key in year)]
    with psycopg.connect(url) as connection:
        connection.execute(
            "create temp table cells as select d.key, d.n, s.key as shard "
            "from unnest(%s::text[]) with ordinality d(key, n), unnest(%s::text[]) s(key)",
            [rounds, list(SHARD_KEYS)],
        )
        connection.execute("create temp table seeds as select * from event_logs")
        connection.execute("truncate event_logs, asset_event_tags")
        connection.execute(
            """insert into event_logs
                   (run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition)
               select 'run-' || c.n, replace(replace(replace(s.event, %(day)s, c.key),
                   %(day)s || '|00', c.key || '|' || c.shard), '"SHARD"', '"' || c.shard || '"'),
                   s.dagster_event_type, now() - interval '200 days', s.step_key, s.asset_key,
                   c.key || '|' || c.shard
               from cells c, seeds s order by c.n, s.id, c.shard""",
            {"day": FIRST},
        )
        connection.execute(
            """insert into asset_event_tags (event_id, asset_key, key, value, event_timestamp)
               select e.id, e.asset_key, t.key, t.value, e.timestamp from event_logs e,
               lateral (values ('dagster/partition/date', split_part(e.partition, '|', 1)),
                               ('dagster/partition/shard', split_part(e.partition, '|', 2)))
                   t(key, value)
               where e.dagster_event_type = 'ASSET_MATERIALIZATION'"""
        )
        connection.execute(
            """insert into runs (run_id, pipeline_name, status, run_body, create_timestamp,
                   update_timestamp)
               select 'run-' || n, 'market_job', 'SUCCESS', replace(%s, 'RUN', 'run-' || n),
                   now() - interval '200 days', now() - interval '200 days'
               from generate_series(1, %s) n""",
            [dg.serialize_value(dg.DagsterRun("market_job", run_id="RUN")), len(rounds)],
        )
        connection.commit()
        connection.autocommit = True
        connection.execute("analyze")
    return len(rounds) * len(SHARD_KEYS)


def template(instance: dg.DagsterInstance, kind: str) -> None:
    """Have Dagster store one event, to be copied."""
    key = dg.MultiPartitionKey({"date": FIRST, "shard": "00"})
    if kind == "PLANNED":
        from dagster._core.events import AssetMaterializationPlannedData

        event = DagsterEvent.build_asset_materialization_planned_event(
            "market_job", "raw_quotes", AssetMaterializationPlannedData(ASSET, str(key))
        )
    else:
        from dagster._core.events import StepMaterializationData

        event = DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name="market_job",
            step_key="raw_quotes",
            event_specific_data=StepMaterializationData(
                dg.AssetMaterialization(
                    ASSET,
                    partition=str(key),
                    metadata={"coverage": 0.999, "cells": 250, "calls": 1},
                    tags={"dagster/partition/date": FIRST, "dagster/partition/shard": "SHARD"},
                )
            ),
        )
    instance.event_log_storage.store_event(
        EventLogEntry(  # type: ignore[no-untyped-call]  # Dagster's
            error_info=None,
            user_message="",
            level="debug",
            run_id="RUN",
            timestamp=time.time() - 200 * 86_400,
            dagster_event=event,
        )
    )


def timed(instance: dg.DagsterInstance, ask: Callable[[str], Any]) -> dict[str, dict[str, float]]:
    """Seconds of each question: with nothing cached, and afterwards."""
    ask(QUESTIONS["version"])
    found = {}
    for name, query in QUESTIONS.items():
        instance.wipe_asset_cached_status([ASSET])
        cold = seconds(ask, query)
        warm = statistics.median(seconds(ask, query) for _ in range(WARM))
        found[name] = {"cold": round(cold, 3), "warm": round(warm, 3)}
    return found


def seconds(ask: Callable[[str], Any], query: str) -> float:
    started = time.perf_counter()
    ask(query)
    return time.perf_counter() - started


def size(url: str) -> int:
    """Megabytes of the event log."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select pg_total_relation_size('event_logs') "
            "+ pg_total_relation_size('asset_event_tags')"
        ).fetchone()
    return int(row[0] // 1_000_000) if row else 0


def show(figures: dict[str, Any]) -> None:
    """A table for people."""
    pruned = figures["prune"]
    sys.stdout.write(
        f"{figures['partitions']:,} partitions, {figures['materializations']:,} materializations, "
        f"{figures['megabytes']:,} MB of events\n"
        f"pruned in {pruned['seconds']} s: {pruned['runs']:,} runs, {pruned['events']:,} events; "
        f"{pruned['megabytes']:,} MB left; "
        f"{'the same answers' if figures['same_answers'] else 'OTHER ANSWERS'}\n\n"
        f"{'':24}{'before':>16}{'after':>18}\n{'seconds':24}{'cold':>8}{'warm':>8}"
        f"{'cold':>10}{'warm':>8}\n"
    )
    for name, before in figures["before"].items():
        after = figures["after"][name]
        sys.stdout.write(
            f"{name:24}{before['cold']:8.2f}{before['warm']:8.2f}"
            f"{after['cold']:10.2f}{after['warm']:8.2f}\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
