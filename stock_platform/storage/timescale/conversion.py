"""Turning a large table into a hypertable while it is read and written.

Belongs here: the copy beside, what keeps it true, the exchange. Does not: small tables and
what comes after (setup.py).

1. **Begin** (one transaction; SHARE ROW EXCLUSIVE for milliseconds): an empty hypertable beside
   the table, and statement triggers that repeat every INSERT, UPDATE, DELETE and TRUNCATE there.
2. **Copy** in the order of the primary key, a batch a transaction, which also notes how far it
   came. A batch holds SHARE on the table, so that no row of it changes between being read and
   being committed in the copy; writers wait for one batch (some tenths of a second), readers
   never. Each batch ends with both sides counted.
3. **Exchange** (one transaction; ACCESS EXCLUSIVE for milliseconds): views, triggers, grants and
   names pass to the hypertable, the table is dropped.

A kill -9 rolls back the transaction it hits; the next run goes on after the last batch. Disk for
a second copy of the table is needed until the exchange. If columns of the table change on the
way, the copy is begun anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from stock_platform.domain.errors import DatabaseError
from stock_platform.storage.frames import Connection, names, one, run
from stock_platform.storage.timescale.exchange import exchange, obstacles, view_locks
from stock_platform.storage.timescale.state import Extension, exists

BATCH_ROWS = 50_000
LOCK_SECONDS = 2.0
HOLDING_SECONDS = 0.5
PATIENCE_SECONDS = 300
_PAUSE = 0.2
_SUFFIX = "_hypertable"


@dataclass(frozen=True)
class Advance:
    """How far a step has come: rows or chunks, of about so many."""

    table: str
    stage: str
    done: int
    total: int


def copy_name(table: str) -> str:
    """The name of a table's copy while it is being made."""
    return table + _SUFFIX


def begun(connection: Connection, table: str) -> bool:
    """Whether a conversion of the table was begun and not finished."""
    return exists(connection, f"stocks.{copy_name(table)}")


def convert(
    connection: Connection,
    extension: Extension,
    table: str,
    days: int,
    on_progress: Callable[[Advance], None] | None = None,
) -> int:
    """Make ``table`` a hypertable with chunks of so many days; the number of rows copied.

    Args:
        connection: in autocommit.
        extension: installed.
        table: within ``stocks``, with a primary key that includes ``ts``.
        days: a chunk's span.
        on_progress: called after each batch.

    Raises:
        DatabaseError: something depends on the table that cannot be taken along, or the
            table's lock was not to be had for five minutes.
    """
    if found := obstacles(connection, table):
        raise DatabaseError(f"stocks.{table} cannot be converted: {'; '.join(found)}")
    if begun(connection, table) and _columns(connection, table) != _columns(
        connection, copy_name(table)
    ):
        drop_copy(connection, table)
    if not begun(connection, table):
        _begin(connection, extension, table, days)
    total = max(_estimate(connection, table), 1)
    rows, done = _noted(connection, table), False
    while not done:
        with patiently(connection, table, "share"):
            done = _batch(connection, table, BATCH_ROWS)
        rows = _noted(connection, table)
        if on_progress is not None:
            on_progress(Advance(table, "copying", rows, max(total, rows)))
    with patiently(connection, table, "access exclusive", view_locks(connection, table)):
        _drop_triggers(connection, table)
        exchange(connection, table, copy_name(table))
        _forget(connection, table)
    run(connection, sql.SQL("analyze stocks.{}").format(sql.Identifier(table)))
    return rows


def drop_copy(connection: Connection, table: str) -> bool:
    """Give a conversion up; False if there was none."""
    if not begun(connection, table):
        return False
    with patiently(connection, table, "access exclusive"):
        _drop_triggers(connection, table)
        run(connection, sql.SQL("drop table stocks.{}").format(sql.Identifier(copy_name(table))))
        _forget(connection, table)
    return True


@contextmanager
def patiently(
    connection: Connection, table: str, mode: str, views: Sequence[sql.Composable] = ()
) -> Iterator[None]:
    """A transaction that holds the table's lock; others never queue behind us for long.

    Where we hold a lock already, those who wait for it may hold what we want next. So all are
    taken at once, and given back before the server's second for looking for deadlocks is over:
    it is we who go, and come back.

    Args:
        connection: in autocommit.
        table: within ``stocks``.
        mode: ``share``, ``share row exclusive`` or ``access exclusive``.
        views: statements that lock what else is needed, run first.

    Raises:
        DatabaseError: the lock was not to be had for five minutes.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    lock = sql.SQL("lock table stocks.{} in {} mode").format(sql.Identifier(table), _MODES[mode])
    while not _locked(connection, [*views, lock]):
        if time.monotonic() > deadline:
            raise DatabaseError(
                f"stocks.{table} was in use for {PATIENCE_SECONDS} seconds on end "
                f"(lock {mode}); run the command again when there is less going on"
            )
        time.sleep(_PAUSE)
    try:
        yield
        run(connection, sql.SQL("commit"))
    except BaseException:
        _rollback(connection)
        raise


_MODES = {
    "share": sql.SQL("share"),
    "share row exclusive": sql.SQL("share row exclusive"),
    "access exclusive": sql.SQL("access exclusive"),
}


def _locked(connection: Connection, statements: Sequence[sql.Composable]) -> bool:
    """Begin a transaction and take the locks; False, and no transaction, if one was not free."""
    run(connection, sql.SQL("begin"))
    holding: float | None = None  # what is left of the time that we may wait holding a lock
    try:
        for statement in statements:
            run(
                connection,
                sql.SQL("set local lock_timeout = {}").format(
                    sql.Literal(
                        f"{max(int((LOCK_SECONDS if holding is None else holding) * 1_000), 1)}ms"
                    )
                ),
            )
            began = time.monotonic()
            run(connection, sql.Composed([statement]))
            waited = 0.0 if holding is None else time.monotonic() - began
            holding = HOLDING_SECONDS if holding is None else holding - waited
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        run(connection, sql.SQL("rollback"))
        return False
    except BaseException:
        _rollback(connection)
        raise
    return True


def _rollback(connection: Connection) -> None:
    if not connection.closed:
        run(connection, sql.SQL("rollback"))


def _begin(connection: Connection, extension: Extension, table: str, days: int) -> None:
    copy, key = copy_name(table), _key(connection, table)
    columns = _columns(connection, table)
    listed = names(columns)
    parts = {
        "table": sql.Identifier(table),
        "copy": sql.Identifier(copy),
        "function": sql.Identifier(f"{copy}_mirror"),
        "columns": listed,
        "key": names(key),
        "sets": sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(c)) for c in columns
        ),
        "same": sql.SQL(" and ").join(
            sql.SQL("h.{0} = o.{0}").format(sql.Identifier(c)) for c in key
        ),
    }
    with patiently(connection, table, "share row exclusive"):
        run(
            connection,
            sql.SQL(
                "create table if not exists stocks.timescale_conversion (table_name text "
                "primary key, copied_to jsonb, rows bigint not null default 0, "
                "started_at timestamptz not null default now())"
            ),
        )
        run(
            connection,
            sql.SQL("create table stocks.{copy} (like stocks.{table} including all)").format(
                **parts
            ),
        )
        run(
            connection,
            sql.SQL(
                "select {}.create_hypertable({}, 'ts', chunk_time_interval => {}::interval, "
                "create_default_indexes => false)"
            ).format(
                sql.Identifier(extension.schema or "public"),
                sql.Literal(f"stocks.{copy}"),
                sql.Literal(f"{days} days"),
            ),
        )
        # The owner's rights, because whoever may write the table knows nothing of the copy.
        run(connection, _MIRROR.format(**parts))
        for event, seen in (
            ("insert", "referencing new table as added"),
            ("update", "referencing old table as gone new table as added"),
            ("delete", "referencing old table as gone"),
            ("truncate", ""),
        ):
            run(
                connection,
                sql.SQL(
                    "create trigger {} after {} on stocks.{} {} for each statement "
                    "execute function stocks.{}()"
                ).format(
                    sql.Identifier(_trigger(table, event)),
                    sql.SQL(event),
                    parts["table"],
                    sql.SQL(seen),
                    parts["function"],
                ),
            )
        run(
            connection,
            sql.SQL("insert into stocks.timescale_conversion (table_name) values ({})").format(
                sql.Literal(table)
            ),
        )


_EVENTS = ("insert", "update", "delete", "truncate")

_MIRROR = sql.SQL(
    """create function stocks.{function}() returns trigger language plpgsql
    security definer set search_path = pg_catalog, pg_temp as $$
    begin
        if tg_op = 'TRUNCATE' then
            truncate stocks.{copy};
            return null;
        end if;
        if tg_op in ('UPDATE', 'DELETE') then
            delete from stocks.{copy} h using gone o where {same};
        end if;
        if tg_op in ('UPDATE', 'INSERT') then
            insert into stocks.{copy} ({columns}) select {columns} from added
            on conflict ({key}) do update set {sets};
        end if;
        return null;
    end $$"""
)


def _trigger(table: str, event: str) -> str:
    return f"{copy_name(table)}_{event}"


def _drop_triggers(connection: Connection, table: str) -> None:
    for event in _EVENTS:
        run(
            connection,
            sql.SQL("drop trigger if exists {} on stocks.{}").format(
                sql.Identifier(_trigger(table, event)), sql.Identifier(table)
            ),
        )
    run(
        connection,
        sql.SQL("drop function if exists stocks.{}()").format(
            sql.Identifier(f"{copy_name(table)}_mirror")
        ),
    )


def _batch(connection: Connection, table: str, rows: int) -> bool:
    """Copy the rows after the last batch's; whether these were the last."""
    key = _key(connection, table)
    source, copy = sql.Identifier("stocks", table), sql.Identifier("stocks", copy_name(table))
    (noted,) = one(
        connection,
        sql.SQL("select copied_to from stocks.timescale_conversion where table_name = {}").format(
            sql.Literal(table)
        ),
    )
    span = _after(key, noted) if noted else sql.SQL("true").format()
    upper = run(
        connection,
        sql.SQL("select {} from {} r where {} order by {} offset {} limit 1").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(c)) for c in key),
            source,
            span,
            names(key, "r"),  # without the alias it would be the text that is ordered
            sql.Literal(rows - 1),
        ),
    ).fetchone()
    if upper is not None:
        span = sql.SQL("{} and not {}").format(span, _after(key, list(upper)))
    columns = names(_columns(connection, table))
    run(
        connection,
        sql.SQL("insert into {} ({}) select {} from {} where {} on conflict do nothing").format(
            copy, columns, columns, source, span
        ),
    )
    here, there = one(
        connection,
        sql.SQL(
            "select (select count(*) from {} where {}), (select count(*) from {} where {})"
        ).format(source, span, copy, span),
    )
    if here != there:
        raise DatabaseError(
            f"stocks.{table}: {here:,} rows in a span of it and {there:,} in the copy; "
            "give the conversion up with db timescale --cancel, and report this"
        )
    run(
        connection,
        sql.SQL(
            "update stocks.timescale_conversion set rows = rows + {}, "
            "copied_to = coalesce({}::jsonb, copied_to) where table_name = {}"
        ).format(
            sql.Literal(here),
            sql.Literal(json.dumps(list(upper)) if upper is not None else None),
            sql.Literal(table),
        ),
    )
    return upper is None


def _after(key: Sequence[str], values: Sequence[str]) -> sql.Composed:
    """Beyond a key, in its order; literals without a type take the columns' types."""
    return sql.SQL("({}) > ({})").format(
        names(key), sql.SQL(", ").join(sql.Literal(v) for v in values)
    )


def _key(connection: Connection, table: str) -> list[str]:
    """The primary key's columns, in its order."""
    return [
        str(row[0])
        for row in run(
            connection,
            sql.SQL(
                "select a.attname from pg_index i cross join lateral "
                "unnest(i.indkey::int2[]) with ordinality as k(number, place) "
                "join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.number "
                "where i.indrelid = {}::regclass and i.indisprimary order by k.place"
            ).format(sql.Literal(f"stocks.{table}")),
        )
    ]


def _columns(connection: Connection, table: str) -> list[str]:
    """The columns that can be written."""
    return [
        str(row[0])
        for row in run(
            connection,
            sql.SQL(
                "select attname from pg_attribute where attrelid = {}::regclass and attnum > 0 "
                "and not attisdropped and attgenerated = '' order by attnum"
            ).format(sql.Literal(f"stocks.{table}")),
        )
    ]


def _estimate(connection: Connection, table: str) -> int:
    return int(
        one(
            connection,
            sql.SQL("select reltuples from pg_class where oid = {}::regclass").format(
                sql.Literal(f"stocks.{table}")
            ),
        )[0]
    )


def _noted(connection: Connection, table: str) -> int:
    return int(
        one(
            connection,
            sql.SQL("select rows from stocks.timescale_conversion where table_name = {}").format(
                sql.Literal(table)
            ),
        )[0]
    )


def _forget(connection: Connection, table: str) -> None:
    """Drop the note; the last one takes the table of notes along."""
    run(
        connection,
        sql.SQL("delete from stocks.timescale_conversion where table_name = {}").format(
            sql.Literal(table)
        ),
    )
    (left,) = one(connection, sql.SQL("select count(*) from stocks.timescale_conversion"))
    if not left:
        run(connection, sql.SQL("drop table stocks.timescale_conversion"))
