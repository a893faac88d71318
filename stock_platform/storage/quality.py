"""Quality: facts of cells, scores, their trend, and gaps.

Belongs here: rows of ``quality_touched``, ``quality_facts``, ``quality_findings``,
``quality_scores``, ``quality_trend`` and ``gaps``. Does not: what a score is (domain/quality.py),
reading prices (pipeline/scoring.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from psycopg import sql

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.domain.gaps import GAPS
from stock_platform.domain.quality import COUNTS, SCORES
from stock_platform.storage.bits import DAYS
from stock_platform.storage.connection import Database
from stock_platform.storage.frames import (
    LIST_SEPARATOR,
    Connection,
    copy_in,
    ints,
    names,
    read,
    read_binary,
    run,
)
from stock_platform.storage.locks import begin, retried

TOUCHED: dict[str, pl.DataType] = {
    "touch_id": pl.Int64(),
    "asset_id": pl.Int32(),
    "year": pl.Int16(),
}

FINDINGS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "year": pl.Int16(),
    "rule": pl.String(),
    "sessions": pl.Int64(),
}

_KEY: dict[str, pl.DataType] = {
    "kind": pl.String(),
    "scope": pl.String(),
    "session": pl.Date(),
    "shard": pl.Int16(),
    "asset_id": pl.Int32(),
    "source": pl.String(),
}

NOBODY: dict[str, Any] = {
    "scope": "", "session": date(1, 1, 1), "shard": -1, "asset_id": 0, "source": "",
}  # fmt: skip
"""What a key's columns hold where its kind has none."""

ROWS: dict[str, pl.DataType] = {
    **_KEY,
    **dict.fromkeys(SCORES, pl.Float64()),
    **dict.fromkeys(COUNTS, pl.Int64()),
    "last_session": pl.Date(),
    "scored_at": UTC_STAMP,
}

TREND: dict[str, pl.DataType] = {
    "kind": pl.String(),
    "scope": pl.String(),
    "asset_id": pl.Int32(),
    "source": pl.String(),
    "day": pl.Date(),
    **dict.fromkeys(SCORES, pl.Float64()),
}

STORED_GAPS: dict[str, pl.DataType] = {
    **GAPS, "reason": pl.String(), "sources": pl.List(pl.String()), "found_at": UTC_STAMP,
}  # fmt: skip

_FACT = np.dtype(
    [
        ("fields", ">i2"), ("asset_size", ">i4"), ("asset_id", ">i4"), ("year_size", ">i4"),
        ("year", ">i2"), ("first_size", ">i4"), ("first", ">i4"), ("facts_size", ">i4"),
        ("facts", "u1", (DAYS,)),
    ]
)  # fmt: skip
_EPOCH_2000 = 10_957
_LOCK = 7_305_170_901_226_131
SHOWN = "kind", "scope", "asset_id", "source"


@dataclass(frozen=True)
class YearFacts:
    """Facts of some years of one source's cells (``''``: of the cells themselves).

    Attributes:
        asset_id: of each row, int32. year: of each row.
        facts: uint8, one row a row of the table and 366 columns.
        first_fetched: datetime64[D] of each row.
    """

    asset_id: npt.NDArray[np.int32]
    year: npt.NDArray[np.int64]
    facts: npt.NDArray[np.uint8]
    first_fetched: npt.NDArray[np.datetime64]

    def without(self, first: int, last: int) -> YearFacts:
        """The rows of other years."""
        keep = (self.year < first) | (self.year > last)
        return YearFacts(
            self.asset_id[keep], self.year[keep], self.facts[keep], self.first_fetched[keep]
        )

    def joined(self, other: YearFacts) -> YearFacts:
        """The rows of both."""
        return YearFacts(
            np.concatenate([self.asset_id, other.asset_id]),
            np.concatenate([self.year, other.year]),
            np.concatenate([self.facts, other.facts]),
            np.concatenate([self.first_fetched, other.first_fetched]),
        )


def touch(connection: Connection, cells: pl.DataFrame) -> None:
    """Note that facts of these cells may have changed: asset_id and a date column ``day``."""
    if cells.is_empty():
        return
    years = cells.select("asset_id", pl.col("day").dt.year().cast(pl.Int16).alias("year")).unique()
    copy_in(connection, sql.Identifier("stocks", "quality_touched"), years)


def touched(db: Database) -> pl.DataFrame:
    """What was touched since it was scored last: TOUCHED."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL("select touch_id, asset_id, year from stocks.quality_touched order by 1"),
            TOUCHED,
        )


@retried
def write_facts(
    db: Database, facts: pl.DataFrame, findings: pl.DataFrame, touches: Sequence[int]
) -> int:
    """Put facts of whole years in place, and forget the touches they answer; rows that changed.

    Args:
        db: the database.
        facts: asset_id, year, source, facts (hex), first_fetched: all rows of these years.
        findings: FINDINGS of these years.
        touches: ids of the touches.
    """
    with db.connect() as connection:
        begin(connection)
        run(connection, sql.SQL("select pg_advisory_xact_lock({})").format(sql.Literal(_LOCK)))
        run(
            connection,
            sql.SQL(
                "create temp table facts_in (asset_id int, year smallint, "
                'source text collate "C", facts text, first_fetched date) on commit drop'
            ),
        )
        copy_in(connection, sql.Identifier("facts_in"), facts)
        years = sql.SQL("(select distinct asset_id, year from facts_in)")
        run(
            connection,
            sql.SQL(
                "delete from stocks.quality_facts f using {} y where f.asset_id = y.asset_id "
                "and f.year = y.year and not exists (select 1 from facts_in n where "
                "n.asset_id = f.asset_id and n.year = f.year and n.source = f.source)"
            ).format(years),
        )
        changed = run(
            connection,
            sql.SQL(
                "insert into stocks.quality_facts as f (asset_id, year, source, facts, "
                "first_fetched) select asset_id, year, source, decode(facts, 'hex'), "
                "first_fetched from facts_in on conflict (asset_id, year, source) do update set "
                "facts = excluded.facts, "
                "first_fetched = least(f.first_fetched, excluded.first_fetched) "
                "where f.facts <> excluded.facts or excluded.first_fetched < f.first_fetched"
            ),
        ).rowcount
        run(
            connection,
            sql.SQL(
                "delete from stocks.quality_findings f using {} y "
                "where f.asset_id = y.asset_id and f.year = y.year"
            ).format(years),
        )
        copy_in(
            connection,
            sql.Identifier("stocks", "quality_findings"),
            findings.select(list(FINDINGS)),
        )
        run(
            connection,
            sql.SQL("delete from stocks.quality_touched where touch_id = any({}::bigint[])").format(
                sql.Literal(list(touches))
            ),
        )
    return changed


def facts(db: Database, asset_ids: Sequence[int] | None = None) -> dict[str, YearFacts]:
    """Facts by source (``''``: of the cells themselves), of some assets or of all."""
    whose: sql.Composable = sql.SQL("true")
    if asset_ids is not None:
        whose = sql.SQL("asset_id = any({})").format(ints(list(asset_ids)))
    with db.connect() as connection:
        listed = [
            row[0]
            for row in run(
                connection,
                sql.SQL(
                    "select distinct source from stocks.quality_facts where {} order by 1"
                ).format(whose),
            )
        ]
        found = {}
        for source in listed:
            rows = read_binary(
                connection,
                sql.SQL(
                    "select asset_id, year, first_fetched, facts from stocks.quality_facts "
                    "where source = {} and {}"
                ).format(sql.Literal(source), whose),
                _FACT,
            )
            found[source] = YearFacts(
                rows["asset_id"].astype(np.int32),
                rows["year"].astype(np.int64),
                np.ascontiguousarray(rows["facts"]),
                (rows["first"].astype(np.int64) + _EPOCH_2000).astype("datetime64[D]"),
            )
    return found


def finding_counts(db: Database, asset_id: int | None = None) -> dict[str, int]:
    """Sessions by the rule that found fault with them, of an asset or of all."""
    whose: sql.Composable = sql.SQL("true")
    if asset_id is not None:
        whose = sql.SQL("asset_id = {}").format(sql.Literal(asset_id))
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select rule, sum(sessions) from stocks.quality_findings where {} "
                "group by 1 order by 1"
            ).format(whose),
        )
        return {rule: int(count) for rule, count in rows}


def failed_by_source(db: Database) -> dict[str, int]:
    """Daily cells that could not be had from a source."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL(
                "select source, sum(bit_count(sessions)) from stocks.coverage_bits "
                "where status = 'failed' and interval = '1d' and source <> '' group by 1"
            ),
        )
        return {source: int(count) for source, count in rows}


@retried
def put_scores(db: Database, rows: pl.DataFrame, day: date) -> int:
    """Make these all the scores there are, and note the day's in the trend; rows that changed.

    Args:
        db: the database.
        rows: ROWS, all kinds.
        day: by the market's clock; a second scoring of a day replaces the first.
    """
    values = [n for n in ROWS if n not in _KEY]
    compared = names([n for n in values if n != "scored_at"], "s")
    theirs = names([n for n in values if n != "scored_at"], "excluded")
    key = sql.SQL("s.kind, s.scope, s.session, s.shard, s.asset_id, s.source")
    with db.connect() as connection:
        begin(connection)
        run(connection, sql.SQL("select pg_advisory_xact_lock({})").format(sql.Literal(_LOCK)))
        run(
            connection,
            sql.SQL("create temp table scores_in (like stocks.quality_scores) on commit drop"),
        )
        copy_in(connection, sql.Identifier("scores_in"), rows.select(list(ROWS)))
        run(connection, sql.SQL("analyze scores_in"))
        gone = run(
            connection,
            sql.SQL(
                "delete from stocks.quality_scores s where not exists (select 1 from scores_in n "
                "where (n.kind, n.scope, n.session, n.shard, n.asset_id, n.source) = ({}))"
            ).format(key),
        ).rowcount
        changed = run(
            connection,
            sql.SQL(
                "insert into stocks.quality_scores as s ({all}) select {all} from scores_in "
                "on conflict (kind, scope, session, shard, asset_id, source) do update set {set} "
                "where ({old}) is distinct from ({new})"
            ).format(
                all=names(list(ROWS)),
                set=sql.SQL(", ").join(
                    sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n)) for n in values
                ),
                old=compared,
                new=theirs,
            ),
        ).rowcount
        run(connection, _TREND.format(day=sql.Literal(day), scores=names(SCORES),
                                      news=names(SCORES, "n"), olds=names(SCORES, "t"),
                                      set=sql.SQL(", ").join(
                                          sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n))
                                          for n in SCORES)))  # fmt: skip
    return gone + changed


# A day's row where it differs from the last one before it.
_TREND = sql.SQL(
    """insert into stocks.quality_trend (kind, scope, asset_id, source, day, {scores})
    select n.kind, n.scope, n.asset_id, n.source, {day}, {news}
    from scores_in n
    left join (
        select distinct on (kind, scope, asset_id, source) *
        from stocks.quality_trend where day < {day}
        order by kind, scope, asset_id, source, day desc
    ) t on (t.kind, t.scope, t.asset_id, t.source) = (n.kind, n.scope, n.asset_id, n.source)
    where n.kind in ('scope', 'ticker', 'source')
      and (t.day is null or ({olds}) is distinct from ({news}))
    on conflict (kind, scope, asset_id, source, day) do update set {set}"""
)


def scores(
    db: Database,
    kind: str,
    *,
    scope: str | None = None,
    asset_ids: Sequence[int] | None = None,
    since: date | None = None,
) -> pl.DataFrame:
    """Scores of a kind: ROWS, by scope, session, shard, asset and source."""
    wanted: list[sql.Composable] = [sql.SQL("kind = {}").format(sql.Literal(kind))]
    if scope is not None:
        wanted.append(sql.SQL("scope = {}").format(sql.Literal(scope)))
    if asset_ids is not None:
        wanted.append(sql.SQL("asset_id = any({})").format(ints(list(asset_ids))))
    if since is not None:
        wanted.append(sql.SQL("session >= {}").format(sql.Literal(since)))
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from stocks.quality_scores where {} "
                "order by scope, session, shard, asset_id, source"
            ).format(_selected(ROWS), sql.SQL(" and ").join(wanted)),
            ROWS,
        )


def trend(
    db: Database, kind: str, *, scope: str = "", asset_id: int = 0, source: str = ""
) -> pl.DataFrame:
    """How scores went: TREND, oldest first; a day without a row was like the one before it."""
    with db.connect() as connection:
        return read(
            connection,
            sql.SQL(
                "select {} from stocks.quality_trend where (kind, scope, asset_id, source) = ({}) "
                "order by day"
            ).format(
                names(list(TREND)),
                sql.SQL(", ").join(map(sql.Literal, (kind, scope, asset_id, source))),
            ),
            TREND,
        )


@retried
def put_gaps(db: Database, rows: pl.DataFrame) -> int:
    """Make these (STORED_GAPS) all the gaps there are; rows that changed.

    ``found_at`` of a gap that was there stays.
    """
    with db.connect() as connection:
        begin(connection)
        run(connection, sql.SQL("select pg_advisory_xact_lock({})").format(sql.Literal(_LOCK)))
        run(connection, sql.SQL("create temp table gaps_in (like stocks.gaps) on commit drop"))
        copy_in(connection, sql.Identifier("gaps_in"), rows.select(list(STORED_GAPS)))
        gone = run(
            connection,
            sql.SQL(
                "delete from stocks.gaps g where not exists (select 1 from gaps_in n where "
                "n.asset_id = g.asset_id and n.first_session = g.first_session)"
            ),
        ).rowcount
        changed = run(
            connection,
            sql.SQL(
                "insert into stocks.gaps as g ({all}) select {all} from gaps_in "
                "on conflict (asset_id, first_session) do update set "
                "last_session = excluded.last_session, sessions = excluded.sessions, "
                "state = excluded.state, reason = excluded.reason, sources = excluded.sources "
                "where (g.last_session, g.state, g.reason, g.sources) is distinct from "
                "(excluded.last_session, excluded.state, excluded.reason, excluded.sources)"
            ).format(all=names(list(STORED_GAPS))),
        ).rowcount
    return gone + changed


def gap_counts(db: Database) -> dict[str, tuple[int, int]]:
    """Gaps and the sessions in them, by state."""
    with db.connect() as connection:
        rows = run(
            connection,
            sql.SQL("select state, count(*), sum(sessions) from stocks.gaps group by 1 order by 1"),
        )
        return {state: (int(gaps), int(sessions)) for state, gaps, sessions in rows}


def _selected(schema: Mapping[str, pl.DataType]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{} at time zone 'UTC'").format(sql.Identifier(name))
        if kind == UTC_STAMP
        else sql.SQL("array_to_string({}, {})").format(
            sql.Identifier(name), sql.Literal(LIST_SEPARATOR)
        )
        if isinstance(kind, pl.List)
        else sql.Identifier(name)
        for name, kind in schema.items()
    )
