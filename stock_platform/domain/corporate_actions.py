"""Splits and dividends, and what they do to prices.

Belongs here: their schemas, undoing a vendor's split adjustment, adjusting on read. Does
not: where actions come from (sources/), how they are kept (storage/).

Factors are CRSP's (Center for Research in Security Prices, "Data Descriptions Guide", factor to
adjust price): a split divides earlier prices by its ratio and multiplies earlier volumes;
a cash dividend multiplies earlier prices by 1 - cash / close before the ex-date. All
functions work on many assets at once, with sorted joins and no loop over rows.

The close that a dividend is measured by is the last one before its ex-date, if it is at most
``LOOK_BACK`` old: the longest closure of the American exchanges since 1933 was from the 11th to
the 16th of September 2001. With an older close, of a history with a hole in it, the dividend has
no factor rather than a wrong one, and ``stock-platform actions`` says so.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from stock_platform.domain.bars import PRICE_COLUMNS, UTC_STAMP, Adjust

LOOK_BACK = timedelta(days=10)
"""How many calendar days before an ex-date the close may be that measures a dividend."""

# One share before becomes ratio shares from ex_date on (4-for-1: 4.0; 1-for-10: 0.1).
SPLITS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "ex_date": pl.Date(),
    "source": pl.String(),
    "ratio": pl.Float64(),
    "fetched_at": UTC_STAMP,
}

# Cash per share as paid that day, in the asset's currency.
DIVIDENDS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "ex_date": pl.Date(),
    "source": pl.String(),
    "amount": pl.Float64(),
    "currency": pl.String(),
    "fetched_at": UTC_STAMP,
}


# What one source told, and for how long: withdrawn_at is null while it still says so.
TOLD_SPLITS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "ex_date": pl.Date(),
    "source": pl.String(),
    "ratio": pl.Float64(),
    "told_at": UTC_STAMP,
    "withdrawn_at": UTC_STAMP,
}


def later_product(rows: pl.DataFrame, factors: pl.DataFrame, day: str, value: str) -> pl.Series:
    """For each row, the product of its asset's factors with an ex-date after its ``day``.

    Args:
        rows: has asset_id and the date column ``day``.
        factors: asset_id, ex_date and the number ``value``; one row per asset and ex-date.
        day: name of the date column in ``rows``.
        value: name of the factor column.

    Returns:
        Float64, in the order of ``rows``; 1.0 where no factor is later.
    """
    if factors.is_empty():
        return pl.repeat(1.0, rows.height, dtype=pl.Float64, eager=True)
    products = factors.sort("asset_id", "ex_date").select(
        "asset_id",
        pl.col("ex_date").alias("_ex"),
        pl.col(value).cum_prod(reverse=True).over("asset_id").alias("_product"),
    )
    wanted = rows.select("asset_id", pl.col(day).dt.offset_by("1d").alias("_ex")).with_row_index()
    return (
        wanted.sort("_ex")
        .join_asof(
            products.sort("_ex"), on="_ex", by="asset_id", strategy="forward",
            check_sortedness=False,
        )
        .sort("index")
        .get_column("_product")
        .fill_null(1.0)
    )  # fmt: skip


def undo_splits(bars: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """As-traded bars from bars that a vendor adjusted for splits.

    Args:
        bars: asset_id, session, fetched_at, prices, volume (and vwap where there is one),
            divided by every split between the session and ``fetched_at``; and perhaps
            fetched_on, that instant's date on the exchange, which decides where it differs
            from the UTC date (an American evening is the next day in UTC).
        splits: SPLITS in force, one an asset and ex-date.

    Returns:
        The same rows and columns, as traded.
    """
    if bars.is_empty() or splits.is_empty():
        return bars
    if "fetched_on" not in bars.columns:
        dated = bars.with_columns(pl.col("fetched_at").dt.date().alias("fetched_on"))
    else:
        dated = bars
    since = later_product(dated, splits, "session", "ratio")
    after = later_product(dated, splits, "fetched_on", "ratio")
    return _scale(bars, since / after)


def undo_own_splits(bars: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """As-traded bars from bars of sources that tell the splits they adjusted for.

    A source is undone by what it said itself when it gave the bar, right or wrong: by its own
    ex-date and ratio, and not by a split that it learnt of later. Bars shorter than a day come
    in pieces that end before the present, so a split may be told by a later call: they are
    undone by every split up to the fetch, unless it had been withdrawn by then.

    Args:
        bars: as for ``undo_splits``, and source and interval.
        told: TOLD_SPLITS of those sources, withdrawn and corrected ones among them.

    Returns:
        The same rows and columns, as traded.
    """
    if bars.is_empty() or told.is_empty():
        return bars
    key = ["asset_id", "source", "interval", "fetched_at"]
    fetches = bars.select(key).unique(maintain_order=True).with_row_index("_fetch")
    before = pl.col("told_at") <= pl.col("fetched_at")
    known = (
        fetches.join(
            told.select("asset_id", "source", "ex_date", "ratio", "told_at", "withdrawn_at"),
            on=["asset_id", "source"],
        )
        .filter(
            pl.col("withdrawn_at").is_null() | (pl.col("withdrawn_at") > pl.col("fetched_at")),
            before | (pl.col("interval") != "1d"),
        )
        .with_columns(before.alias("_before"))
        .sort("_fetch", "ex_date", "_before", "told_at")
    )
    # the version of then, or else the first that came after
    chosen = pl.concat(
        [
            known.filter("_before").unique(["_fetch", "ex_date"], keep="last"),
            known.filter(~pl.col("_before")).unique(["_fetch", "ex_date"], keep="first"),
        ]
    ).unique(["_fetch", "ex_date"], keep="first", maintain_order=True)
    if chosen.is_empty():
        return bars
    splits = chosen.select(pl.col("_fetch").cast(pl.Int32).alias("asset_id"), "ex_date", "ratio")
    numbered = bars.join(fetches, on=key, how="left", maintain_order="left")
    by_fetch = numbered.select(
        pl.col("_fetch").cast(pl.Int32).alias("asset_id"),
        "session",
        (pl.col("fetched_on") if "fetched_on" in bars.columns else pl.col("fetched_at").dt.date())
        .alias("fetched_on"),
    )  # fmt: skip
    since = later_product(by_fetch, splits, "session", "ratio")
    after = later_product(by_fetch, splits, "fetched_on", "ratio")
    return _scale(bars, since / after)


def apply_adjustments(
    prices: pl.DataFrame,
    splits: pl.DataFrame,
    dividends: pl.DataFrame,
    mode: Adjust,
    closes: pl.DataFrame | None = None,
    day: str = "session",
) -> pl.DataFrame:
    """Prices adjusted for the actions after them.

    Args:
        prices: as traded; asset_id, ``day`` (Date), prices, volume, perhaps vwap.
        splits: SPLITS in force, one an asset and ex-date (see reconciling.py).
        dividends: DIVIDENDS in force (as paid), likewise.
        mode: NONE returns the prices as they are; SPLITS; ALL adds dividends.
        closes: asset_id, ex_date, close: each dividend's last close before its ex-date, as
            traded. None takes them from ``prices``, which must then reach to the present.
        day: the column that dates a row (a period's last session, for weeks and months).

    Returns:
        The same rows and columns. Volumes are adjusted for splits only.
    """
    if mode is Adjust.NONE or prices.is_empty():
        return prices
    adjusted = _scale(prices, 1.0 / later_product(prices, splits, day, "ratio"))
    if mode is Adjust.SPLITS or dividends.is_empty():
        return adjusted
    factors = dividend_factors(
        dividends,
        splits,
        _closes_before(dividends, prices, day) if closes is None else closes,
    )
    return _scale(adjusted, later_product(prices, factors, day, "factor"), volume=False)


def dividend_factors(
    dividends: pl.DataFrame, splits: pl.DataFrame, closes: pl.DataFrame
) -> pl.DataFrame:
    """asset_id, ex_date and factor: what each dividend multiplies earlier prices by.

    A dividend paid on the day of a split is per share after it, and the close is before it:
    so the cash is multiplied by that day's ratio. A dividend without a close before it (within
    ``LOOK_BACK``), or as large as that close, has no factor.
    """
    return (
        dividends.join(closes, on=["asset_id", "ex_date"], how="inner")
        .join(splits.select("asset_id", "ex_date", "ratio"), on=["asset_id", "ex_date"], how="left")
        .with_columns((pl.col("amount") * pl.col("ratio").fill_null(1.0)).alias("_cash"))
        .filter(pl.col("_cash") < pl.col("close"))
        .select("asset_id", "ex_date", (1.0 - pl.col("_cash") / pl.col("close")).alias("factor"))
    )


def _closes_before(dividends: pl.DataFrame, prices: pl.DataFrame, day: str) -> pl.DataFrame:
    """asset_id, ex_date, close: the last close before each ex-date, within LOOK_BACK."""
    wanted = (
        dividends.select("asset_id", "ex_date")
        .unique()
        .with_columns(pl.col("ex_date").dt.offset_by("-1d").alias("_day"))
        .sort("_day")
    )
    have = prices.select("asset_id", pl.col(day).alias("_day"), "close").sort("_day")
    return (
        wanted.join_asof(
            have,
            on="_day",
            by="asset_id",
            strategy="backward",
            check_sortedness=False,
            tolerance=LOOK_BACK - timedelta(days=1),
        )
        .drop_nulls("close")
        .select("asset_id", "ex_date", "close")
    )


def _scale(frame: pl.DataFrame, factor: pl.Series, *, volume: bool = True) -> pl.DataFrame:
    """Prices times the factor, volumes divided by it; what the frame lacks is left out."""
    name = "_factor"
    prices = [c for c in (*PRICE_COLUMNS, "vwap") if c in frame.columns]
    volumes = ["volume"] if volume and "volume" in frame.columns else []
    return (
        frame.with_columns(factor.alias(name))
        .with_columns(
            *(pl.col(c) * pl.col(name) for c in prices),
            *(pl.col(c) / pl.col(name) for c in volumes),
        )
        .drop(name)
    )
