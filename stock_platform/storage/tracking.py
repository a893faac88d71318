"""What is tracked because somebody holds it, and the histories that follow.

Belongs here: from events of the outbox to ``tracked_assets`` and ``backfill_queue``, in one
transaction. Does not: the queue's work (storage/backfills.py), the watchlist by hand (assets.py).

Nothing is counted up or down: who holds what, and since when, is computed anew from the
transactions for every asset of an event. So an event handled twice does no more than once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from psycopg import sql

from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, ints, run
from stock_platform.storage.locks import begin
from stock_platform.storage.portfolio import take_events

HISTORY = timedelta(days=365)
"""How long before the first purchase a history begins."""


@dataclass(frozen=True)
class Followed:
    """What some events led to; assets by id.

    Attributes:
        events: handled.
        started: newly tracked, or held again within the grace period.
        queued: with a job of the queue made or extended.
        idle: held by nobody any more; tracked until the grace period is over.
        last_event: the newest event's id, None where there was none.
    """

    events: int
    started: list[int] = field(default_factory=list)
    queued: list[int] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)
    last_event: int | None = None


def follow_events(db: Database, now: datetime, limit: int = 10_000) -> Followed:
    """Act on the events that nobody has acted on, all or none."""
    with db.connect() as connection:
        begin(connection)
        _turn(connection)
        events = take_events(connection, limit)
        if not events:
            return Followed(0)
        held = follow_holdings(connection, sorted({e.asset_id for e in events}), now)
    return Followed(len(events), *held, last_event=events[-1].event_id)


def follow_holdings(
    connection: Connection, asset_ids: Sequence[int], now: datetime
) -> tuple[list[int], list[int], list[int]]:
    """Bring the tracking of assets in line with who holds them; started, queued and idle ids."""
    today = now.date()
    rows = run(
        connection,
        sql.SQL(_HOLDINGS).format(ids=ints(list(asset_ids))),
    ).fetchall()
    started, queued, idle = [], [], []
    for asset_id, holders, first_trade, tracked, history_from, idle_since in rows:
        if not holders:
            if tracked and idle_since is None:
                run(connection, _IDLE, {"asset_id": asset_id, "now": now})
                idle.append(asset_id)
            continue
        needed = first_trade - HISTORY
        if not tracked or idle_since is not None:
            started.append(asset_id)
        if not tracked or history_from is None:
            span = (needed, today)
        elif needed < history_from:
            span = (needed, history_from - timedelta(days=1))
        else:
            span = None
        run(
            connection,
            _TRACK,
            {"asset_id": asset_id, "holders": holders, "needed": needed, "now": now},
        )
        if span is not None:
            enqueue(connection, asset_id, *span, reason=f"held since {first_trade}")
            queued.append(asset_id)
    return started, queued, idle


def enqueue(connection: Connection, asset_id: int, first: date, last: date, *, reason: str) -> None:
    """Ask for a history; an open job of the asset grows to hold it."""
    run(
        connection,
        _ENQUEUE,
        {"asset_id": asset_id, "first": min(first, last), "last": last, "reason": reason},
    )


def follow_rates(db: Database, since: Mapping[int, date], now: datetime) -> list[int]:
    """Track currency pairs from a day on, and queue what is new of their history; their ids.

    Args:
        db: the database.
        since: by the pair's asset: the first day a rate is needed for.
        now: the present.
    """
    queued = []
    with db.connect() as connection:
        begin(connection)
        _turn(connection)
        for asset_id, first in sorted(since.items()):
            row = run(
                connection,
                sql.SQL(
                    "select history_from from stocks.tracked_assets where asset_id = {}"
                ).format(sql.Literal(asset_id)),
            ).fetchone()
            known = row[0] if row else None
            if known is not None and known <= first:
                continue
            run(
                connection,
                _TRACK,
                {"asset_id": asset_id, "holders": 0, "needed": first, "now": now},
            )
            last = known - timedelta(days=1) if known is not None else now.date()
            enqueue(connection, asset_id, first, last, reason="its rates are needed")
            queued.append(asset_id)
    return queued


def currencies_held(db: Database) -> dict[str, date]:
    """The currencies of all transactions and of what they are of, with the first day of each."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select c, min(trade_date) from ("
                "select currency as c, trade_date from stocks.portfolio_transactions union all "
                "select a.currency, t.trade_date from stocks.portfolio_transactions t "
                "join stocks.assets a using (asset_id) where a.currency is not null) x group by c"
            ),
        ).fetchall()
    return {row[0]: row[1] for row in rows}


def stop_idle(db: Database, now: datetime, grace: timedelta) -> list[int]:
    """Stop tracking what nobody has held for the grace period; what is there stays."""
    with db.connect() as connection:
        begin(connection)
        _turn(connection)
        rows = run(
            connection,
            sql.SQL(
                "delete from stocks.tracked_assets where idle_since <= {} and holders = 0 "
                "and not by_hand returning asset_id"
            ).format(sql.Literal(now - grace)),
        ).fetchall()
    return sorted(row[0] for row in rows)


def _turn(connection: Connection) -> None:
    """Those who change what is tracked take turns."""
    run(
        connection,
        sql.SQL("select pg_advisory_xact_lock(hashtextextended('stock_platform.tracking', 0))"),
    )


# A user holds an asset whose shares of today do not come to nothing.
_HOLDINGS = """
with shares as (
    select t.user_id, t.asset_id, t.trade_date,
           case t.side when 'buy' then t.quantity else -t.quantity end
           * coalesce(stocks.product(s.ratio), 1) as shares
    from stocks.portfolio_transactions t
    left join stocks.splits_in_force s on s.asset_id = t.asset_id and s.ex_date > t.trade_date
    where t.asset_id = any({ids})
    group by t.transaction_id
), held as (
    select user_id, asset_id, min(trade_date) as first_trade
    from shares group by user_id, asset_id having sum(shares) > 0.000001
), everybody as (
    select asset_id, count(*)::int as holders, min(first_trade) as first_trade
    from held group by asset_id
)
select a.asset_id, coalesce(e.holders, 0), e.first_trade, k.asset_id is not null,
       k.history_from, k.idle_since
from unnest({ids}) as a(asset_id)
left join everybody e on e.asset_id = a.asset_id
left join stocks.tracked_assets k on k.asset_id = a.asset_id
order by a.asset_id
"""

_TRACK = sql.SQL(
    """insert into stocks.tracked_assets
        (asset_id, tracked_since, by_hand, holders, history_from, idle_since)
    values (%(asset_id)s, %(now)s, false, %(holders)s, %(needed)s, null)
    on conflict (asset_id) do update set holders = excluded.holders, idle_since = null,
        history_from = least(tracked_assets.history_from, excluded.history_from)"""
)

_IDLE = sql.SQL(
    """update stocks.tracked_assets
    set holders = 0, idle_since = case when by_hand then null else %(now)s::timestamptz end
    where asset_id = %(asset_id)s"""
)

_ENQUEUE = sql.SQL(
    """insert into stocks.backfill_queue (asset_id, first_day, last_day, reason)
    values (%(asset_id)s, %(first)s, %(last)s, %(reason)s)
    on conflict (asset_id) where state in ('pending', 'rate_limited') do update set
        first_day = least(backfill_queue.first_day, excluded.first_day),
        last_day = greatest(backfill_queue.last_day, excluded.last_day),
        reason = excluded.reason, updated_at = now()"""
)
