"""Writing the ledger: what a fetch says of cells, merged into what is known of them.

Belongs here: the rules by which marks change the ledger. Does not: reading it (ledger.py).

A cell is in one status at a time. ``stored`` beats ``no_data`` beats ``not_listed`` beats
``waiting`` and ``failed``, of which the latest stands. So a mark that says less than is known
is left out, and one that says more takes the cell from the rows of lesser statuses, whichever
source they came from. Sources that agree are all kept. Marking again changes nothing.
"""

from __future__ import annotations

import polars as pl
from psycopg import sql

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.domain.coverage import SETTLED, CellStatus
from stock_platform.storage import bits
from stock_platform.storage.frames import Connection, copy_in, ints, one, run

RANK = {
    CellStatus.STORED: 4,
    CellStatus.NO_DATA: 3,
    CellStatus.NOT_LISTED: 2,
    CellStatus.WAITING: 1,
    CellStatus.FAILED: 1,
}
_LONGEST_REASON = 300
_CELL = ("asset_id", "interval", "session")
_ROW = ("asset_id", "interval", "year", "status", "source", "reason", "retry_after")


def mark(connection: Connection, marks: pl.DataFrame) -> int:
    """Merge marks (MARKS, later rows are later news) into the ledger; cells that changed.

    The caller holds the assets' RAW locks and commits.

    Raises:
        ValueError: a status that does not exist.
    """
    if marks.is_empty():
        return 0
    incoming = _packed(_resolved(marks))
    _stage(connection, incoming)
    words = {
        "same": _SAME,
        "other": _OTHER,
        "same_year": _SAME_YEAR,
        "assets": ints(incoming["asset_id"].unique()),
    }
    known = run(connection, _KNOWN.format(**words)).rowcount > 0
    if known:
        run(connection, sql.SQL("analyze marks_old (asset_id)"))
        run(connection, _SUPPRESS.format(**words))
        run(connection, _COUNT_ATTEMPTS.format(**words))
    (changed,) = one(connection, _CHANGED.format(**words))
    if known and changed:
        for step in (_EXTEND, _CLEAR, _EMPTY):
            run(connection, step.format(**words))
    if changed:
        run(connection, _ADD.format(**words))
    run(connection, sql.SQL("drop table marks_in, marks_old"))
    return int(changed)


def _resolved(marks: pl.DataFrame) -> pl.DataFrame:
    """One status a cell: of several marks the highest rank, and among equals the latest."""
    unknown = set(marks["status"].unique().to_list()) - set(map(str, CellStatus))
    if unknown:
        raise ValueError(f"no status of a cell: {sorted(map(str, unknown))}")
    settled = [str(status) for status in SETTLED]
    text = pl.col("reason").fill_null("").str.replace_all("\0", "", literal=True)
    ranked = marks.select(
        *_CELL,
        "status",
        pl.col("source").fill_null(""),
        text.str.slice(0, _LONGEST_REASON).alias("reason"),
        pl.when(pl.col("status").is_in(settled))
        .then(None)
        .otherwise(pl.col("retry_after"))
        .cast(UTC_STAMP)
        .alias("retry_after"),
        pl.col("status")
        .replace_strict({str(k): v for k, v in RANK.items()}, return_dtype=pl.Int16())
        .alias("rank"),
    )
    if ranked.select(_CELL).is_unique().all():
        return ranked
    best = ranked.filter(pl.col("rank") == pl.col("rank").max().over(_CELL))
    agreeing = best.filter(pl.col("rank") > 1)
    latest = best.filter(pl.col("rank") == 1).unique(_CELL, keep="last", maintain_order=True)
    return pl.concat([agreeing, latest])


def _packed(marks: pl.DataFrame) -> pl.DataFrame:
    """One row a row of the ledger, with its bits."""
    grouped = (
        marks.with_columns(
            pl.col("session").dt.year().cast(pl.Int16).alias("year"),
            pl.col("session").dt.ordinal_day().alias("day"),
        )
        .group_by(*_ROW, "rank")
        .agg("day")
    )
    return grouped.with_row_index("id").select(
        pl.col("id").cast(pl.Int32),
        *_ROW,
        "rank",
        pl.Series("sessions", bits.pack(grouped["day"]), dtype=pl.String()),
    )


def _stage(connection: Connection, incoming: pl.DataFrame) -> None:
    run(
        connection,
        sql.SQL(
            """create temp table marks_hex (
                id integer, asset_id integer, interval text collate "C", year smallint,
                status text collate "C", source text collate "C", reason text collate "C",
                retry_after timestamptz, rank smallint, sessions varbit
            ) on commit drop"""
        ),
    )
    copy_in(connection, sql.Identifier("marks_hex"), incoming)
    run(
        connection,
        sql.SQL(
            """create temp table marks_in on commit drop as
            select id, asset_id, interval, year, status, source, reason,
                   coalesce(retry_after, '-infinity') as retry_after, rank,
                   sessions::bit(366) as sessions, 1::smallint as attempts
            from marks_hex"""
        ),
    )
    run(connection, sql.SQL("drop table marks_hex"))
    run(connection, sql.SQL("analyze marks_in (asset_id)"))


# The same row of the ledger, and another one.
_SAME = sql.SQL(
    """o.asset_id = n.asset_id and o.interval = n.interval and o.year = n.year
    and o.status = n.status and o.source = n.source and o.reason = n.reason
    and o.retry_after = n.retry_after"""
)
_OTHER = sql.SQL(
    "(o.status, o.source, o.reason, o.retry_after) <> (n.status, n.source, n.reason, n.retry_after)"
)
_SAME_YEAR = sql.SQL("o.asset_id = n.asset_id and o.interval = n.interval and o.year = n.year")

# What is known of the years that the marks are about.
_KNOWN = sql.SQL(
    """create temp table marks_old on commit drop as
    select o.*, (case o.status when 'stored' then 4 when 'no_data' then 3
                               when 'not_listed' then 2 else 1 end)::smallint as rank
    from stocks.coverage_bits o
    join (select distinct asset_id, interval, year from marks_in) n on {same_year}
    where o.asset_id = any({assets})"""
)

# A mark leaves out the cells of which more is known.
_SUPPRESS = sql.SQL(
    """update marks_in n set sessions = n.sessions & ~k.bits
    from (
        select n.id, bit_or(o.sessions) as bits
        from marks_in n join marks_old o on {same_year}
        where o.rank > n.rank group by n.id
    ) k
    where k.id = n.id and (n.sessions & k.bits) <> 0::bit(366)"""
)

# A cell that was unsettled before, under another row, has been tried once more.
_COUNT_ATTEMPTS = sql.SQL(
    """update marks_in n set attempts = k.attempts
    from (
        select n.id, least(max(o.attempts) + 1, 32767)::smallint as attempts
        from marks_in n join marks_old o on {same_year}
        where n.rank = 1 and o.rank = 1 and {other}
            and (o.sessions & n.sessions) <> 0::bit(366)
        group by n.id
    ) k
    where k.id = n.id"""
)

_CHANGED = sql.SQL(
    """select coalesce(sum(bit_count(n.sessions & ~coalesce(o.sessions, 0::bit(366)))), 0)
    from marks_in n left join marks_old o on {same}"""
)

_EXTEND = sql.SQL(
    """update stocks.coverage_bits o
    set sessions = o.sessions | n.sessions, attempts = greatest(o.attempts, n.attempts),
        updated_at = now()
    from marks_in n
    where {same} and (o.sessions | n.sessions) <> o.sessions and o.asset_id = any({assets})"""
)

# Cells leave the rows of lesser statuses, and unsettled ones the rows of earlier tries.
_CLEAR = sql.SQL(
    """update stocks.coverage_bits n set sessions = n.sessions & ~k.bits, updated_at = now()
    from (
        select o.asset_id, o.interval, o.year, o.status, o.source, o.reason, o.retry_after,
               bit_or(n.sessions) as bits
        from marks_old o join marks_in n on {same_year}
        where (o.sessions & n.sessions) <> 0::bit(366)
            and (o.rank < n.rank or (o.rank = 1 and n.rank = 1 and {other}))
        group by o.asset_id, o.interval, o.year, o.status, o.source, o.reason, o.retry_after
    ) k
    where n.asset_id = k.asset_id and n.interval = k.interval and n.year = k.year
        and n.status = k.status and n.source = k.source and n.reason = k.reason
        and n.retry_after = k.retry_after and n.asset_id = any({assets})"""
)

_EMPTY = sql.SQL(
    """delete from stocks.coverage_bits n using marks_old o
    where {same} and n.sessions = 0::bit(366) and n.asset_id = any({assets})"""
)

_ADD = sql.SQL(
    """insert into stocks.coverage_bits
        (asset_id, interval, year, status, source, reason, retry_after, sessions, attempts)
    select asset_id, interval, year, status, source, reason, retry_after, sessions, attempts
    from marks_in n
    where n.sessions <> 0::bit(366) and not exists (select from marks_old o where {same})"""
)
