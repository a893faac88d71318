"""The yardstick: Lean's raw daily bars and factor files, through the database and back.

Bars are loaded as traded and actions as they follow from the factor files; the adjusted series
that come back are Lean's own, for every security and every day. Provenance: prices/INDEX.tsv.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from psycopg import sql

from stock_platform.domain.bars import PRICE_COLUMNS, RAW_QUOTES, Adjust, conform
from stock_platform.domain.corporate_actions import LOOK_BACK, apply_adjustments
from stock_platform.storage import assets, readers, writers
from stock_platform.storage.connection import Database
from stock_platform_tests.domain import lean
from stock_platform_tests.storage import worlds

ROUNDED = 1e-6
"""Of a factor: Lean's files have seven digits, and cash is stored to eight decimals."""


@dataclass
class Truth:
    """What is loaded, and the factors that Lean multiplies each bar by (1 on the last day)."""

    db: Database
    ids: list[int]
    bars: pl.DataFrame
    rows: pl.DataFrame

    def expected(self, mode: Adjust) -> pl.DataFrame:
        """Lean's adjusted bars, and ``stretch``: a number for each run without a hole."""
        gap = pl.col("session") - pl.col("session").shift(1).over("asset_id")
        frame = lean.adjusted(self.bars, self.rows)
        factor = pl.col("split_factor")
        if mode is Adjust.ALL:
            factor = factor * pl.col("price_factor")
        split = pl.col("split_factor")
        return frame.with_columns(
            *(pl.col(c) * factor / factor.last().over("asset_id") for c in PRICE_COLUMNS),
            pl.col("volume") / split * split.last().over("asset_id"),
            (gap > LOOK_BACK).fill_null(value=False).cum_sum().over("asset_id").alias("stretch"),
        ).sort("asset_id", "session")

    def assert_equal(self, found: pl.DataFrame, expected: pl.DataFrame) -> None:
        """Each bar is Lean's; before a hole, Lean's but for the cash paid in the hole.

        QQQ's bars of 2004 to 2011 are not recorded, and no price measures that cash.
        """
        both = expected.join(found, on=["asset_id", "session"], suffix="_ours")
        assert both.height == expected.height == found.height
        np.testing.assert_allclose(both["volume_ours"], both["volume"], rtol=ROUNDED)
        final = pl.col("stretch") == pl.col("stretch").max().over("asset_id")
        for column in PRICE_COLUMNS:
            ratio = pl.col(f"{column}_ours") / pl.col(column)
            told = both.with_columns(ratio.alias("ratio")).with_columns(
                pl.when(final).then(1.0)
                .otherwise(pl.col("ratio").last().over("asset_id", "stretch")).alias("constant")
            )  # fmt: skip
            np.testing.assert_allclose(told["ratio"], told["constant"], rtol=ROUNDED)


@pytest.fixture
def truth(database: Database, shared_fixtures: Path) -> Truth:
    folder = shared_fixtures / "prices" / "lean"
    bars = lean.raw_bars(folder)
    rows = lean.factors(folder, bars)
    names = bars.select("asset_id", "security").unique().sort("asset_id")
    known = assets.register(
        database,
        [assets.NewAsset(f"L{i}", "stock", "XNYS", "USD") for i in names["asset_id"]],
    )
    ids = {i: known[f"L{i}"] for i in names["asset_id"]}
    ours = pl.col("asset_id").replace_strict(ids, return_dtype=pl.Int32)
    bars, rows = bars.with_columns(ours), rows.with_columns(ours)
    splits, dividends = lean.actions(rows)
    quotes = conform(
        bars.with_columns(
            pl.lit("1d").alias("interval"),
            pl.lit("lean").alias("source"),
            pl.lit("as_traded").alias("basis"),
            pl.col("session").cast(pl.Datetime("us")).dt.offset_by("14h30m")
            .dt.replace_time_zone("UTC").alias("ts"),
        ),
        RAW_QUOTES,
    )  # fmt: skip
    batch = worlds.fetched(quotes, splits=splits, dividends=dividends)
    writers.write_fetch(database, [batch], None)
    writers.write_validated(database, worlds.validated(quotes))
    return Truth(database, sorted(ids.values()), bars, rows)


@pytest.mark.parametrize("mode", [Adjust.SPLITS, Adjust.ALL])
def test_adjusted_series_are_leans(truth: Truth, mode: Adjust) -> None:
    """Every security and day, by the readers, by the view and as of now: Lean's numbers."""
    expected = truth.expected(mode)
    db, ids = truth.db, truth.ids
    stored = readers.prices(db, ids)
    assert stored.height == truth.bars.height > 60_000
    read = apply_adjustments(
        stored,
        readers.splits(db, ids),
        readers.dividends(db, ids),
        mode,
        closes=readers.closes_before_dividends(db, ids),
    )
    columns = ["asset_id", "session", *PRICE_COLUMNS, "volume"]
    truth.assert_equal(read.select(columns), expected)
    name = "prices_split_adjusted" if mode is Adjust.SPLITS else "prices_adjusted"
    shown = sql.SQL(
        "select asset_id, session, open::float8, high::float8, low::float8, close::float8, "
        "volume::float8 from {} where asset_id = any({}) order by 1, 2"
    )
    moment = datetime.now(UTC) + timedelta(days=1)
    function = sql.SQL("{}({})").format(
        sql.Identifier("stocks", f"{name}_as_of"), sql.Literal(moment)
    )
    some = ids[:3]  # a security takes seconds by function
    for source, whose in ((sql.Identifier("stocks", name), ids), (function, some)):
        with db.connect() as connection:
            rows = connection.execute(shown.format(source, sql.Literal(whose))).fetchall()
        found = pl.DataFrame(rows, schema=columns, orient="row").cast({"asset_id": pl.Int32})
        truth.assert_equal(found, expected.filter(pl.col("asset_id").is_in(whose)))


def test_the_look_back_loses_no_dividend(truth: Truth) -> None:
    """Where bars are recorded, each ex-date has a close at most four days before it."""
    _, dividends = lean.actions(truth.rows)
    closes = readers.closes_before_dividends(truth.db, truth.ids)
    wanted = dividends.sort("ex_date").join_asof(
        truth.bars.select("asset_id", "session", pl.col("session").alias("next")).sort("session"),
        left_on="ex_date", right_on="session", by="asset_id", strategy="forward",
        check_sortedness=False,
    ).filter(pl.col("next") == pl.col("ex_date"))  # fmt: skip
    first = truth.bars.group_by("asset_id").agg(pl.col("session").min().alias("first"))
    wanted = wanted.join(first, on="asset_id").filter(pl.col("ex_date") > pl.col("first"))
    assert wanted.height > 600
    assert wanted.join(closes, on=["asset_id", "ex_date"], how="anti").is_empty()
