"""Dagster's event records that nothing shows any more.

Belongs here: the SQL that tells records in use from the others, and deletes the others. Does
not: which runs are old and what else of them goes (orchestration/pruning.py).

In use is what Dagster's own queries of the present read
(dagster/_core/storage/event_log/sql_event_log.py, 1.13): the newest event of each kind of each
asset and partition, which is a partition's status; a demand for a materialization that none
followed, which makes it failed or under way; the newest execution of each check; and the run
that wrote an asset last. Of old runs that hold any of this, start, end and steps stay, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, text

RUNLESS = ""
"""The run id of events that were reported outside any run."""

_RUNS_AT_ONCE = 50

_IN_USE = """
create temporary table in_use as
select max(id) as id from event_logs
where asset_key is not null and dagster_event_type <> 'ASSET_MATERIALIZATION_PLANNED'
group by asset_key, dagster_event_type, partition
union all
select max(id) filter (where dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED') from event_logs
where asset_key is not null
and dagster_event_type in ('ASSET_MATERIALIZATION_PLANNED', 'ASSET_MATERIALIZATION')
group by asset_key, partition
having max(id) filter (where dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED')
    > coalesce(max(id) filter (where dagster_event_type = 'ASSET_MATERIALIZATION'), 0)
"""

_RUNS_IN_USE = """
select run_id from event_logs join in_use using (id)
union select last_run_id from asset_keys where last_run_id is not null
union select run_id from asset_check_executions where id in (
    select max(id) from asset_check_executions group by asset_key, check_name, partition
)
"""

_DELETE = """
with gone as (
    delete from event_logs e
    where e.run_id = any(:runs) and e.timestamp < :before
    and (e.dagster_event_type is null
         or (e.dagster_event_type not like 'PIPELINE\\_%'
             and e.dagster_event_type not like 'STEP\\_%'
             and e.dagster_event_type <> 'ASSET_CHECK_EVALUATION'))
    and not exists (select from in_use u where u.id = e.id)
    returning e.id
), tags as (
    delete from asset_event_tags t using gone where t.event_id = gone.id
)
select count(*) from gone
"""

_DELETE_CHECKS = """
delete from asset_check_executions c
where c.create_timestamp < :before and c.id not in (
    select max(id) from asset_check_executions group by asset_key, check_name, partition
)
"""


@contextmanager
def events_in_use(connection: Connection) -> Iterator[set[str]]:
    """Find the events in use, for the block; yields the runs that hold any."""
    connection.execute(text(_IN_USE))
    try:
        connection.execute(text("create unique index on in_use (id)"))
        connection.execute(text("analyze in_use"))
        yield {str(row[0]) for row in connection.execute(text(_RUNS_IN_USE))}
    finally:
        connection.execute(text("drop table in_use"))


def delete_superseded(connection: Connection, runs: Sequence[str], before: datetime) -> int:
    """Delete these runs' older events that are not in use; how many. In ``events_in_use``."""
    count = 0
    for first in range(0, len(runs), _RUNS_AT_ONCE):
        chunk = list(runs[first : first + _RUNS_AT_ONCE])
        count += int(
            connection.execute(text(_DELETE), {"runs": chunk, "before": before}).scalar_one()
        )
    return count


def delete_old_checks(connection: Connection, before: datetime) -> int:
    """Delete older executions of checks that newer ones followed; how many."""
    return int(connection.execute(text(_DELETE_CHECKS), {"before": before}).rowcount)
