"""The queue of histories to fill: who works on which, and when it is tried again.

Belongs here: states of ``backfill_queue``. Does not: what puts jobs there (tracking.py), the
work (pipeline/backfilling.py).

    pending -> in_progress -> completed
                           -> rate_limited   (too many calls: again when the source says, or
                                              after 5, 10, 20, 40 minutes where it does not)
                           -> pending        (a failure: again after 5, 10, 20, 40 minutes)
                           -> failed         (the fifth failure)

Waiting for a quota is no failure and no attempt; being refused without a word of until when is
one. A job belongs to the run that took it; when that run is gone, it is pending again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl
from psycopg import sql

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, ints, read, run

ATTEMPTS = 5
BACKOFF = timedelta(minutes=5)
STATES = ("pending", "in_progress", "rate_limited", "completed", "failed")

QUEUE: dict[str, pl.DataType] = {
    "job_id": pl.Int64(),
    "asset_id": pl.Int32(),
    "first_day": pl.Date(),
    "last_day": pl.Date(),
    "state": pl.String(),
    "reason": pl.String(),
    "attempts": pl.Int16(),
    "retry_after": UTC_STAMP,
    "run_id": pl.String(),
    "error": pl.String(),
    "created_at": UTC_STAMP,
    "updated_at": UTC_STAMP,
    "finished_at": UTC_STAMP,
}


@dataclass(frozen=True)
class Job:
    """A history to fill: the sessions of an asset's calendar from first to last day."""

    job_id: int
    asset_id: int
    first_day: date
    last_day: date
    attempts: int


@dataclass(frozen=True)
class Outcome:
    """How the work on a job ended.

    Attributes:
        retry_after: a quota frees then; None: it does not wait.
        error: what failed, or is waited for; None: nothing is.
        at_once: after a failure, try again without delay.
        untold: ``retry_after`` is a guess: the source refused and did not say until when.
    """

    retry_after: datetime | None = None
    error: str | None = None
    at_once: bool = False
    untold: bool = False


def backoff(attempts: int) -> timedelta:
    """How long after the so many-th failed attempt the next one is: 5, 10, 20, 40 minutes."""
    return BACKOFF * int(2 ** (attempts - 1))


def due(db: Database, now: datetime) -> int:
    """Jobs that may be taken now."""
    with db.connect() as connection:
        row = run(
            connection,
            sql.SQL("select count(*) from stocks.backfill_queue where {}").format(_due(now)),
        ).fetchone()
    return int(row[0]) if row else 0


def queued(db: Database) -> list[Job]:
    """The jobs that are not done: they will need calls."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select job_id, asset_id, first_day, last_day, attempts from stocks.backfill_queue "
                "where state in ('pending', 'in_progress', 'rate_limited') order by job_id"
            ),
        ).fetchall()
    return [Job(*row) for row in rows]


def take(db: Database, run_id: str, now: datetime, limit: int = 1_000) -> list[Job]:
    """Give due jobs to a run, the oldest first; what it took before and still has comes again."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "with taken as (select job_id from stocks.backfill_queue where {} "
                "order by job_id limit {} for update skip locked), ours as ("
                "update stocks.backfill_queue q set state = 'in_progress', run_id = {}, "
                "attempts = q.attempts + 1, retry_after = null, updated_at = now() "
                "from taken where q.job_id = taken.job_id returning q.*) "
                "select job_id, asset_id, first_day, last_day, attempts from ours union all "
                "select job_id, asset_id, first_day, last_day, attempts from stocks.backfill_queue "
                "where state = 'in_progress' and run_id = {} order by 1"
            ).format(_due(now), sql.Literal(limit), sql.Literal(run_id), sql.Literal(run_id)),
        ).fetchall()
    return [Job(*row) for row in rows]


def finish(db: Database, run_id: str, outcomes: Mapping[Job, Outcome], now: datetime) -> None:
    """Record how a run's work on its jobs ended."""
    with db.connect() as connection:
        for job, outcome in outcomes.items():
            state, attempts, again = _next(job, outcome, now)
            if state in ("pending", "rate_limited") and _merged(connection, job):
                continue
            run(
                connection,
                sql.SQL(
                    "update stocks.backfill_queue set state = {}, attempts = {}, "
                    "retry_after = {}, error = {}, updated_at = now(), finished_at = {} "
                    "where job_id = {} and state = 'in_progress' and run_id = {}"
                ).format(
                    *map(
                        sql.Literal,
                        (
                            state,
                            attempts,
                            again,
                            outcome.error,
                            now if state in ("completed", "failed") else None,
                            job.job_id,
                            run_id,
                        ),
                    )
                ),
            )


def release(db: Database, gone: Collection[str], now: datetime) -> int:
    """Make the jobs of runs that are gone pending again, at once; it was an attempt."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select job_id, asset_id, first_day, last_day, attempts, run_id "
                "from stocks.backfill_queue where state = 'in_progress' and run_id = any({})"
            ).format(sql.Literal(sorted(gone))),
        ).fetchall()
    for *values, run_id in rows:
        failed = Outcome(error=f"its run {run_id} ended before it was done", at_once=True)
        finish(db, run_id, {Job(*values): failed}, now)
    return len(rows)


def working(db: Database) -> set[str]:
    """The runs that have jobs."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select distinct run_id from stocks.backfill_queue where state = 'in_progress'"
            ),
        )
        return {row[0] for row in rows}


def retry(db: Database, asset_ids: Collection[int] | None = None) -> int:
    """Make failed and waiting jobs due now, with all attempts before them again."""
    which = sql.SQL("true")
    chosen: sql.Composable = (
        which if asset_ids is None else sql.SQL("asset_id = any({})").format(ints(list(asset_ids)))
    )
    with db.connect() as connection:
        # A failed job whose asset has an open one is told in that one already.
        return run(
            connection,
            sql.SQL(
                "update stocks.backfill_queue q set state = 'pending', attempts = 0, "
                "retry_after = null, finished_at = null, updated_at = now() "
                "where state in ('pending', 'failed', 'rate_limited') and {} "
                "and not exists (select from stocks.backfill_queue o where o.asset_id = q.asset_id "
                "and o.job_id > q.job_id and o.state in ('pending', 'rate_limited', 'failed'))"
            ).format(chosen),
        ).rowcount


def prune(db: Database, before: datetime) -> int:
    """Delete jobs that ended before a time; how many."""
    with db.connect() as connection:
        return run(
            connection,
            sql.SQL("delete from stocks.backfill_queue where finished_at < {}").format(
                sql.Literal(before)
            ),
        ).rowcount


def states(db: Database) -> dict[str, int]:
    """Jobs by state; every state is there."""
    with db.connect() as connection:
        rows = run(
            connection, sql.SQL("select state, count(*) from stocks.backfill_queue group by state")
        ).fetchall()
    return dict.fromkeys(STATES, 0) | {row[0]: int(row[1]) for row in rows}


def jobs(db: Database, state: str | None = None, limit: int = 100) -> pl.DataFrame:
    """Jobs, the latest first: QUEUE."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} at time zone 'UTC'").format(sql.Identifier(name))
        if kind == UTC_STAMP
        else sql.Identifier(name)
        for name, kind in QUEUE.items()
    )
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from stocks.backfill_queue where {} order by job_id desc limit {}"
            ).format(
                columns,
                sql.SQL("state = {}").format(sql.Literal(state)) if state else sql.SQL("true"),
                sql.Literal(limit),
            ),
            QUEUE,
        )


def _next(job: Job, outcome: Outcome, now: datetime) -> tuple[str, int, datetime | None]:
    """State, attempts and retry time after an outcome."""
    waits = outcome.retry_after is not None
    if waits and not outcome.untold:
        return "rate_limited", job.attempts - 1, outcome.retry_after
    if not waits and outcome.error is None:
        return "completed", job.attempts, None
    if job.attempts >= ATTEMPTS:
        return "failed", job.attempts, None
    again = None if outcome.at_once else now + backoff(job.attempts)
    return "rate_limited" if waits else "pending", job.attempts, again


def _merged(connection: Connection, job: Job) -> bool:
    """Whether an open job of the asset, made meanwhile, took this one's days over."""
    taken = run(
        connection,
        sql.SQL(
            "update stocks.backfill_queue set first_day = least(first_day, {}), "
            "last_day = greatest(last_day, {}), "
            "updated_at = now() where asset_id = {} and state in ('pending', 'rate_limited')"
        ).format(*map(sql.Literal, (job.first_day, job.last_day, job.asset_id))),
    ).rowcount
    if not taken:
        return False
    run(
        connection,
        sql.SQL(
            "update stocks.backfill_queue set state = 'completed', finished_at = now(), "
            "updated_at = now(), error = 'taken over by a later job of the asset' "
            "where job_id = {} and state = 'in_progress'"
        ).format(sql.Literal(job.job_id)),
    )
    return True


def _due(now: datetime) -> sql.Composed:
    return sql.SQL(
        "state in ('pending', 'rate_limited') and coalesce(retry_after, '-infinity') <= {}"
    ).format(sql.Literal(now))
