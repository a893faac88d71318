"""The cache of portfolios' daily accounts, and whether it is still true.

Belongs here: rows of ``portfolio_performance``, the digest of their inputs. Does not: computing
them (domain/portfolio, pipeline/performance.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

import polars as pl
from psycopg import sql

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.domain.portfolio import DAILY
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import copy_in, ints, names, one, read, run
from stock_platform.storage.serving import CONTENT


def digest(db: Database, user_id: str, asset_ids: Sequence[int]) -> str:
    """Changes whenever a transaction of the user, or a price or action of the assets, does.

    Prices count by a hash of their rows (``serving.CONTENT``).
    """
    listed = ints(list(asset_ids))
    with db.connect() as connection:
        row = one(
            connection,
            sql.SQL(
                "select md5(concat_ws('|', "
                "(select string_agg(md5(t::text), ',' order by transaction_id) "
                " from stocks.portfolio_transactions t where user_id = {user}), "
                "(select string_agg(concat_ws(':', asset_id, content), ',' order by asset_id) "
                " from (select asset_id, {content} content "
                "  from stocks.validated_prices p where asset_id = any({ids}) and interval = '1d' "
                "  group by asset_id) p), "
                "(select string_agg(concat_ws(':', asset_id, ex_date, ratio), ',' "
                "  order by asset_id, ex_date) "
                " from stocks.splits_in_force where asset_id = any({ids})), "
                "(select string_agg(concat_ws(':', asset_id, ex_date, amount), ',' "
                "  order by asset_id, ex_date) "
                " from stocks.dividends_in_force where asset_id = any({ids}))))"
            ).format(user=sql.Literal(user_id), ids=listed, content=CONTENT),
        )
    return str(row[0])


def built_from(db: Database, user_id: str, currency: str) -> str | None:
    """The digest of the inputs that the stored account was made from; None: there is none."""
    with db.connect() as connection:
        row = run(
            connection,
            sql.SQL(
                "select digest from stocks.portfolio_inputs where user_id = {} and currency = {}"
            ).format(sql.Literal(user_id), sql.Literal(currency)),
        ).fetchone()
    return None if row is None else str(row[0])


def write(db: Database, user_id: str, currency: str, days: pl.DataFrame, made_from: str) -> None:
    """Replace a stored account by another: DAILY."""
    frame = days.select(
        pl.lit(user_id).alias("user_id"),
        pl.lit(currency).alias("currency"),
        *DAILY,
        pl.lit(datetime.now(UTC)).cast(UTC_STAMP).alias("updated_at"),
    )
    ours = sql.SQL("user_id = {} and currency = {}").format(
        sql.Literal(user_id), sql.Literal(currency)
    )
    with db.connect() as connection:
        run(
            connection,
            sql.SQL("select pg_advisory_xact_lock(hashtextextended({}, 0))").format(
                sql.Literal(f"stock_platform.performance:{user_id}:{currency}")
            ),
        )
        run(connection, sql.SQL("delete from stocks.portfolio_performance where {}").format(ours))
        copy_in(connection, sql.Identifier("stocks", "portfolio_performance"), frame)
        run(
            connection,
            sql.SQL(
                "insert into stocks.portfolio_inputs (user_id, currency, digest) "
                "values ({}, {}, {}) on conflict (user_id, currency) do update "
                "set digest = excluded.digest, built_at = now()"
            ).format(sql.Literal(user_id), sql.Literal(currency), sql.Literal(made_from)),
        )


def days(
    db: Database, user_id: str, currency: str, start: date | None = None, end: date | None = None
) -> pl.DataFrame:
    """The stored account: DAILY, by session."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from stocks.portfolio_performance where user_id = {} and currency = {} "
                "and session >= {} and session <= {} order by session"
            ).format(
                names(list(DAILY)),
                sql.Literal(user_id),
                sql.Literal(currency),
                sql.Literal(start or date.min),
                sql.Literal(end or date.max),
            ),
            DAILY,
        )
