"""Batched events are the events that Dagster would have written one by one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.instance import InstanceType
from dagster._core.launcher import DefaultRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.event_log import EventLogStorage
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster_postgres import PostgresEventLogStorage, PostgresRunStorage

from stock_platform.orchestration.event_log import BATCH_SIZE, BatchedEventLogStorage
from stock_platform.storage.guests import Guest, engine_url, make_room

CELLS = dg.MultiPartitionsDefinition(
    {
        "date": dg.StaticPartitionsDefinition(["2024-03-07", "2024-03-08"]),
        "shard": dg.StaticPartitionsDefinition(["00", "01", "02"]),
    }
)


@dg.asset(partitions_def=CELLS, backfill_policy=dg.BackfillPolicy.single_run())
def first(context: dg.AssetExecutionContext) -> None:
    keys = [str(key) for key in context.partition_keys]
    if "2024-03-07|02" in keys:
        raise dg.Failure("no such luck", allow_retries=False)


@dg.asset(partitions_def=CELLS, backfill_policy=dg.BackfillPolicy.single_run(), deps=[first])
def second() -> None: ...


@dg.asset_check(asset=first)
def sound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


JOB = dg.Definitions(
    assets=[first, second],
    asset_checks=[sound],
    jobs=[dg.define_asset_job("both", "*")],
    executor=dg.in_process_executor,
)


@contextmanager
def instance_over(events: EventLogStorage[Any], url: str, folder: Path) -> Iterator[Any]:
    with dg.DagsterInstance(
        instance_type=InstanceType.EPHEMERAL,
        local_artifact_storage=LocalArtifactStorage(str(folder)),
        run_storage=PostgresRunStorage(url),
        event_storage=events,
        compute_log_manager=NoOpComputeLogManager(),
        run_coordinator=DefaultRunCoordinator(),
        run_launcher=DefaultRunLauncher(),
    ) as instance:
        yield instance


def fill(instance: dg.DagsterInstance) -> None:
    """A rectangle that works, another that fails."""
    for start, end in (("2024-03-08|00", "2024-03-08|02"), ("2024-03-07|01", "2024-03-07|02")):
        JOB.resolve_job_def("both").execute_in_process(
            {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance,
            tags={
                "dagster/asset_partition_range_start": start,
                "dagster/asset_partition_range_end": end,
            },
            raise_on_error=False,
        )


def facts(instance: dg.DagsterInstance, url: str, schema: str) -> dict[str, Any]:
    """All that a reader could tell apart."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select dagster_event_type, step_key, asset_key, partition from "
            f"{schema}.event_logs where asset_key is not null or step_key is null "
            "order by 1, 2, 3, 4"
        ).fetchall()
        tags = connection.execute(
            f"select t.asset_key, t.key, e.partition from {schema}.asset_event_tags t "
            f"join {schema}.event_logs e on e.id = t.event_id order by 1, 2, 3"
        ).fetchall()
        keys = connection.execute(
            f"select asset_key, last_run_id is null, last_materialization like '%second%' "
            f"from {schema}.asset_keys order by 1"
        ).fetchall()
    storage = instance.event_log_storage
    status: dict[str, Any] = {}
    for key in (first.key, second.key):
        latest = storage.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        planned = storage.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        )
        unfinished = (
            storage.get_latest_asset_partition_materialization_attempts_without_materializations(
                key
            )
        )
        record = storage.get_asset_records([key])[0].asset_entry.last_materialization
        status[key.to_user_string()] = (
            storage.get_materialized_partitions(key),
            sorted(latest),
            sorted(planned),
            sorted(unfinished),
            len(storage.fetch_materializations(key, limit=100).records),
            record.asset_materialization.partition
            if record and record.asset_materialization
            else None,
        )
    return {"rows": rows, "tags": tags, "keys": keys, "status": status}


def test_nobody_can_tell(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, tags, asset records and partition states equal those of Dagster's own storage."""
    found = {}
    for schema, kind, size in (
        ("plain", PostgresEventLogStorage, 0),
        ("batched", BatchedEventLogStorage, BATCH_SIZE),
        ("small", BatchedEventLogStorage, 2),
    ):
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", str(size))
        guest = Guest(empty_database_url, schema)
        make_room(guest)
        with instance_over(kind(engine_url(guest)), engine_url(guest), tmp_path) as instance:
            fill(instance)
            found[schema] = facts(instance, empty_database_url, schema)
    assert found["batched"] == found["plain"]
    assert found["small"] == found["plain"]
    materialized = found["plain"]["status"]["first"]
    assert materialized[0] == {"2024-03-08|00", "2024-03-08|01", "2024-03-08|02"}
    assert materialized[3] == ["2024-03-07|01", "2024-03-07|02"], "planned, never materialized"
