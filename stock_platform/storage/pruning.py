"""Retention of live quotes and of the calls that brought them.

Belongs here: which rows nothing needs any more, and deleting them. Does not: Dagster's events
(guest_events.py), chunks of bars (timescale/), when it is done (orchestration/pruning.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from stock_platform.domain.capabilities import Feed
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import one, run


@dataclass(frozen=True)
class Gone:
    """Rows that were deleted: live quotes, and calls of the fetch log."""

    quotes: int
    calls: int


def prune_quotes(db: Database, stored_before: datetime, called_before: datetime) -> Gone:
    """Delete old live quotes and old calls for quotes, in one transaction.

    What follows from quotes stays: the newest of each asset, its minute bars, the quarantine. So
    do the quotes of the minute of an asset's newest: a vendor tells the last trade over and
    over, and its bar is made of all of them. Calls go into ``pruned_calls`` as sums; those that a
    row in quarantine refers to stay, and so does every call for bars, to which prices refer.

    Args:
        db: the database.
        stored_before: by the market's clock.
        called_before: by the wall clock.

    Raises:
        DatabaseError: nothing was deleted.
    """
    with db.connect() as connection:
        quotes = run(connection, _QUOTES, {"before": stored_before}).rowcount
        [calls] = one(connection, _CALLS, {"before": called_before, "feed": str(Feed.QUOTE)})
    return Gone(quotes, int(calls))


_QUOTES = sql.SQL(
    """delete from stocks.live_quotes q
    where q.stored_at < %(before)s and not exists (
        select from stocks.latest_quotes l where l.asset_id = q.asset_id
        and q.quoted_at >= date_trunc('minute', l.quoted_at))"""
)

_CALLS = sql.SQL(
    """with gone as (
        delete from stocks.fetch_log f
        where f.endpoint = %(feed)s and f.finished_at < %(before)s
        and not exists (select from stocks.quarantine q where q.fetch_id = f.fetch_id)
        returning f.*
    ), summed as (
        insert into stocks.pruned_calls as p
            (source, status, calls, requests, cached, rows, seconds)
        select source, status, count(*), sum(requests), count(*) filter (where cached), sum(rows),
            coalesce(sum(latency_ms) filter (where not cached), 0) / 1000.0
        from gone group by source, status order by source, status
        on conflict (source, status) do update set calls = p.calls + excluded.calls,
            requests = p.requests + excluded.requests, cached = p.cached + excluded.cached,
            rows = p.rows + excluded.rows, seconds = p.seconds + excluded.seconds,
            updated_at = now()
    )
    select count(*) from gone"""
)
