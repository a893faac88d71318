"""Economic series: what they are, and their values as they were published.

Belongs here: rows of ``series`` and ``series_values``. Does not: asking for them
(pipeline/series.py).

A value that a vendor revises is another row, known from the day it was published: history as it
was known then stays readable. A value that comes again unchanged is no news and no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import polars as pl
from psycopg import sql

from stock_platform.storage.connection import Database
from stock_platform.storage.frames import Connection, copy_in, one, read, run
from stock_platform.storage.locks import begin

SERIES_VALUES: dict[str, pl.DataType] = {
    "series_id": pl.String(),
    "source": pl.String(),
    "date": pl.Date(),
    "value": pl.Float64(),
    "known_from": pl.Date(),
}

KNOWN: dict[str, pl.DataType] = {
    "series_id": pl.String(),
    "source": pl.String(),
    "title": pl.String(),
    "units": pl.String(),
    "frequency": pl.String(),
    "seasonal_adjustment": pl.String(),
    "first_date": pl.Date(),
    "last_date": pl.Date(),
    "observations": pl.Int64(),
}


def write_series(
    db: Database,
    source: str,
    info: pl.DataFrame,
    values: pl.DataFrame,
    fetched_at: datetime,
) -> int:
    """Store series and the values that are new or differ; the number of values written.

    Args:
        db: the database, migrated.
        source: who said so.
        info: series_id, title, units, frequency, seasonal_adjustment, notes, updated_at.
        values: series_id, date, value, realtime_start (null: known from the fetch on).
        fetched_at: when.
    """
    with db.connect() as connection:
        begin(connection)
        run(
            connection,
            sql.SQL("select pg_advisory_xact_lock(hashtextextended({}, 0))").format(
                sql.Literal(f"stock_platform.series:{source}")
            ),
        )
        _write_info(connection, source, info, fetched_at)
        return _write_values(connection, source, values, fetched_at)


def _write_info(
    connection: Connection, source: str, info: pl.DataFrame, fetched_at: datetime
) -> None:
    columns = (
        "series_id", "title", "units", "frequency", "seasonal_adjustment", "notes", "updated_at"
    )  # fmt: skip
    for row in info.select(columns).iter_rows():
        run(
            connection,
            sql.SQL(
                "insert into stocks.series (series_id, title, units, frequency, "
                "seasonal_adjustment, notes, updated_at, source, fetched_at) values ({}) "
                "on conflict (series_id, source) do update set title = excluded.title, "
                "units = excluded.units, frequency = excluded.frequency, "
                "seasonal_adjustment = excluded.seasonal_adjustment, notes = excluded.notes, "
                "updated_at = excluded.updated_at, fetched_at = excluded.fetched_at"
            ).format(sql.SQL(", ").join(map(sql.Literal, (*row, source, fetched_at)))),
        )


def _write_values(
    connection: Connection, source: str, values: pl.DataFrame, fetched_at: datetime
) -> int:
    if values.is_empty():
        return 0
    staged = values.select(
        "series_id",
        "date",
        "value",
        pl.col("realtime_start").fill_null(fetched_at.date()).alias("known_from"),
    ).unique(["series_id", "date", "known_from"], keep="last", maintain_order=True)
    run(
        connection,
        sql.SQL(
            "create temporary table staged_series (series_id text, date date, "
            "value double precision, known_from date) on commit drop"
        ),
    )
    copy_in(connection, sql.Identifier("staged_series"), staged)
    run(
        connection,
        sql.SQL(
            "insert into stocks.series (series_id, source, fetched_at) "
            "select distinct series_id, {}, {}::timestamptz from staged_series "
            "on conflict do nothing"
        ).format(sql.Literal(source), sql.Literal(fetched_at)),
    )
    (written,) = one(
        connection,
        sql.SQL(
            "with fresh as ("
            "  insert into stocks.series_values as v"
            "    (series_id, source, date, known_from, value, fetched_at)"
            "  select s.series_id, {source}, s.date, s.known_from, s.value, {at}::timestamptz"
            "  from staged_series s left join lateral ("
            "    select o.value, true as there from stocks.series_values o"
            "    where o.series_id = s.series_id and o.source = {source} and o.date = s.date"
            "      and o.known_from <= s.known_from order by o.known_from desc limit 1"
            "  ) old on true"
            "  where old.there is null or old.value is distinct from s.value"
            "  on conflict (series_id, source, date, known_from)"
            "    do update set value = excluded.value, fetched_at = excluded.fetched_at"
            "    where v.value is distinct from excluded.value"
            "  returning 1) select count(*) from fresh"
        ).format(source=sql.Literal(source), at=sql.Literal(fetched_at)),
    )
    return int(written)


def series(
    db: Database,
    ids: Sequence[str],
    start: date | None = None,
    end: date | None = None,
    as_of: date | None = None,
) -> pl.DataFrame:
    """Values of series, by id and date: SERIES_VALUES.

    ``as_of``: as they were known on that day; None: the newest of each date.
    """
    conditions = [sql.SQL("series_id = any({})").format(sql.Literal(list(ids)))]
    if start is not None:
        conditions.append(sql.SQL("date >= {}").format(sql.Literal(start)))
    if end is not None:
        conditions.append(sql.SQL("date <= {}").format(sql.Literal(end)))
    if as_of is not None:
        conditions.append(sql.SQL("known_from <= {}").format(sql.Literal(as_of)))
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select distinct on (series_id, date) series_id, source, date, value, known_from "
                "from stocks.series_values where {} "
                "order by series_id, date, known_from desc, source"
            ).format(sql.SQL(" and ").join(conditions)),
            SERIES_VALUES,
        )


def known(db: Database) -> pl.DataFrame:
    """Every series there is: KNOWN."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select s.series_id, s.source, s.title, s.units, s.frequency, "
                "s.seasonal_adjustment, min(v.date), max(v.date), count(distinct v.date) "
                "from stocks.series s left join stocks.series_values v "
                "using (series_id, source) group by s.series_id, s.source order by 1, 2"
            ),
            KNOWN,
        )
