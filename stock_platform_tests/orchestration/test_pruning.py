"""Pruning deletes what nobody sees, and the UI's present stays as it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster_graphql.test.utils import define_out_of_process_context, execute_dagster_graphql

from stock_platform.domain.errors import InputError
from stock_platform.orchestration.build import build_definitions
from stock_platform.orchestration.instance import open_instance
from stock_platform.orchestration.pruning import prune
from stock_platform.settings import load_settings
from stock_platform_tests.orchestration.test_event_log import CELLS, JOB, fill, first, second, sound

LATER = timedelta(seconds=1)


@pytest.fixture
def kept(environment: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The platform's instance."""
    with open_instance(load_settings()) as instance:
        yield instance


def run(instance: dg.DagsterInstance, start: str, end: str) -> str:
    """A run of a rectangle; its id."""
    return (
        JOB.resolve_job_def("both")
        .execute_in_process(
            {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance,
            tags={
                "dagster/asset_partition_range_start": start,
                "dagster/asset_partition_range_end": end,
            },
            raise_on_error=False,
        )
        .run_id
    )


def present(instance: dg.DagsterInstance) -> dict[str, Any]:
    """What Dagster tells of every partition, check and asset now."""
    storage = instance.event_log_storage
    told: dict[str, Any] = {}
    for key in (first.key, second.key):
        latest = storage.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        unfinished = (
            storage.get_latest_asset_partition_materialization_attempts_without_materializations(
                key
            )
        )
        runs = {
            run_id: record.status if (record := instance.get_run_by_id(run_id)) else None
            for run_id, _ in unfinished.values()
        }
        entry = storage.get_asset_records([key])[0].asset_entry
        event = instance.get_latest_materialization_event(key)
        told[key.to_user_string()] = {
            "materialized": storage.get_materialized_partitions(key),
            "latest": latest,
            "unfinished": unfinished,
            "runs": runs,
            "last_run": entry.last_run_id and instance.get_run_by_id(entry.last_run_id),
            "event": event and event.run_id,
            "tags": storage.get_latest_tags_by_partition(
                key,
                dg.DagsterEventType.ASSET_MATERIALIZATION,
                [DATA_VERSION_TAG],
            ),
            "status": partition_status(instance, key),
        }
    checks = storage.get_asset_check_execution_history(
        next(iter(JOB.resolve_asset_graph().asset_check_keys)), limit=1
    )
    told["check"] = [(check.id, check.status, check.run_id) for check in checks]
    return told


def partition_status(instance: dg.DagsterInstance, key: dg.AssetKey) -> Any:
    """What the asset page colours its partitions by."""
    from dagster._core.storage.partition_status_cache import (
        get_and_update_asset_status_cache_value,
    )

    instance.wipe_asset_cached_status([key])
    value = get_and_update_asset_status_cache_value(instance, key, CELLS)
    assert value is not None
    return (
        value.deserialize_materialized_partition_subsets(CELLS).get_partition_keys(),
        value.deserialize_failed_partition_subsets(CELLS).get_partition_keys(),
    )


def count(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"select count(*) from dagster.{table}".encode()).fetchone()
    return int(row[0]) if row else 0


def test_the_present_stays(kept: dg.DagsterInstance, database_url: str) -> None:
    """Repeats and their runs go; partitions, failures, checks and dynamic partitions do not."""
    kept.add_dynamic_partitions("names", ["A", "B"])
    repeats = [run(kept, "2024-03-08|00", "2024-03-08|02") for _ in range(3)]
    fill(kept)  # one rectangle again, and one that fails
    last = run(kept, "2024-03-07|00", "2024-03-07|01")
    before, events = present(kept), count(database_url, "event_logs")
    tags = count(database_url, "asset_event_tags")
    pruned = prune(kept, datetime.now(UTC) + LATER)
    assert pruned.runs == 3
    assert present(kept) == before
    assert kept.get_dynamic_partitions("names") == ["A", "B"]
    assert [kept.get_run_by_id(run_id) for run_id in repeats] == [None] * 3
    assert kept.get_run_by_id(last) is not None
    assert count(database_url, "event_logs") < events / 2
    assert count(database_url, "asset_event_tags") < tags
    with psycopg.connect(database_url) as connection:
        orphans = connection.execute(
            "select count(*) from dagster.asset_event_tags t where not exists "
            "(select from dagster.event_logs e where e.id = t.event_id)"
        ).fetchone()
    assert orphans == (0,)
    assert prune(kept, datetime.now(UTC) + LATER) == type(pruned)(0, 0, 0)
    assert [e.get_dagster_event().event_type_value for e in kept.all_logs(last)][:1] == [
        "PIPELINE_START"
    ]


def test_what_is_young_or_unfinished_stays(kept: dg.DagsterInstance, database_url: str) -> None:
    """Nothing of a run that ended after the instant goes, nor of one that has not ended."""
    for _ in range(2):
        run(kept, "2024-03-08|00", "2024-03-08|02")
    events = count(database_url, "event_logs")
    assert prune(kept, datetime.now(UTC) - timedelta(minutes=5)).runs == 0
    assert count(database_url, "event_logs") == events
    waiting = kept.create_run_for_job(JOB.resolve_job_def("both"))
    prune(kept, datetime.now(UTC) + LATER)
    assert kept.get_run_by_id(waiting.run_id) is not None


def test_the_ui_shows_the_same(kept: dg.DagsterInstance) -> None:
    """GraphQL's partition status, latest materialization and checks are as before."""
    query = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
        partitionStats { numMaterialized numFailed numPartitions }
        assetMaterializations(limit: 1) { partition runId }
        latestMaterializationByPartition(partitions: ["2024-03-08|00"]) { runId timestamp }
        latestRunForPartition(partition: "2024-03-07|02") { status }
        assetPartitionStatuses { ... on MultiPartitionStatuses { ranges {
            primaryDimStartKey secondaryDim { ... on DefaultPartitionStatuses {
                materializedPartitions failedPartitions } } } } }
        assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization {
            status evaluation { success } } } } } } } }"""
    for _ in range(2):
        fill(kept)
    with define_out_of_process_context(__file__, "repository", kept) as context:

        def ask() -> Any:
            result = execute_dagster_graphql(context, query, {"key": {"path": ["first"]}})
            assert not result.errors
            return result.data["assetNodeOrError"]

        before = ask()
        assert before["partitionStats"] == {
            "numMaterialized": 3, "numFailed": 2, "numPartitions": 6,
        }  # fmt: skip
        assert prune(kept, datetime.now(UTC) + LATER).runs == 2
        assert ask() == before


@dg.repository
def repository() -> Any:
    """What the UI shows."""
    return [first, second, sound]


def test_the_job_prunes(kept: dg.DagsterInstance, environment: pytest.MonkeyPatch) -> None:
    """The job of the schedule runs, and keeps to the settings: either of them is reason enough."""
    defs = build_definitions()
    result = defs.resolve_job_def("prune_events").execute_in_process(instance=kept)
    assert result.success
    told = {e.step_key for e in result.all_events if e.is_successful_output}
    assert told == {"prune_old_events", "prune_old_quotes"}
    schedule = defs.resolve_schedule_def("prune_events_nightly")
    with dg.build_schedule_context(
        instance=kept, scheduled_execution_time=datetime(2024, 1, 2, 3, 40, tzinfo=UTC)
    ) as context:
        assert schedule.evaluate_tick(context).run_requests
        environment.setenv("STOCK_PLATFORM_DAGSTER_RETENTION_DAYS", "0")
        quotes = build_definitions().resolve_schedule_def("prune_events_nightly")
        assert quotes.evaluate_tick(context).run_requests
        environment.setenv("STOCK_PLATFORM_LIVE_RETENTION_DAYS", "0")
        never = build_definitions().resolve_schedule_def("prune_events_nightly")
        assert not never.evaluate_tick(context).run_requests
    environment.setenv("STOCK_PLATFORM_DAGSTER_RETENTION_DAYS", "3")
    with pytest.raises(InputError, match="at least 14 days"):
        load_settings()
