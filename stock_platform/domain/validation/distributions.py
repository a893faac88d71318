"""Dividends, and the prices adjusted for them.

Belongs here: comparing adjusted closes, closes, dividends and the fall of prices on ex-dates.
Does not: splits and units of the prices (shifts.py).

An adjusted close divided by the close is a factor that changes on ex-dates alone, by one minus
the dividend's share of the close before (CRSP, "Data Descriptions Guide"). Both sides of that
are given, so that each can be checked by the other, and where they agree, by the price's fall.
Yahoo's faults are described in yfinance's price repair (github.com/ranaroussi/yfinance,
doc/source/advanced/price_repair.rst).
"""

from __future__ import annotations

import polars as pl

from stock_platform.domain.validation.rulebook import Rulebook
from stock_platform.domain.validation.series import NO_HITS, Series, hits, per_class

PENCE = 100.0
NEAR_DAYS = 7
"""Two equal dividends within so many days are one, told twice."""

LATE_ROWS = 15
"""So many bars after its ex-date a fall may come that belongs to a dividend."""


def distributed(series: Series) -> pl.DataFrame:
    """HITS of dividend_adjustment, dividend_amount and dividend_duplicate."""
    bars = series.bars
    adjusted = "adj_close" in bars.columns
    if series.dividends.is_empty() and not adjusted:
        return NO_HITS
    table = _ex_dates(series, adjusted=adjusted)
    found = [_amounts(table, series.rulebook)]
    if adjusted:
        found += [_duplicates(table), _steps(series, table), _impossible(bars)]
    return pl.concat([NO_HITS, *found])


def _ex_dates(series: Series, *, adjusted: bool) -> pl.DataFrame:
    """Bars with a dividend or a step of the factor, and what can be said of each.

    ``share`` is the dividend's of the close before, ``implied`` the factor's, ``fall`` the
    price's to the low (the larger of two days'), ``noise`` the usual change of the price.
    """
    gains = "capital_gains" in series.dividends.columns
    paid = series.dividends.select(
        "asset_id", pl.col("ex_date").alias("session"), pl.col("amount").alias("cash"),
        (pl.col("capital_gains") if gains else pl.lit(0.0)).fill_null(0.0).alias("gains"),
    )  # fmt: skip
    bars = series.bars
    if not adjusted:  # prices before an ex-date are compared with those on it alone
        near = bars.lazy().join(paid.lazy(), on=["asset_id", "session"], how="semi")
        windows = near.select("series", "block").collect()
        if windows.is_empty():
            return _empty()
        rows = series.windows(windows)
    else:
        rows = bars.filter(pl.col("x").is_not_null()).with_columns(
            pl.lit(True).alias("own"), pl.col("series").alias("win")
        )
    over = "win"
    factor = (pl.col("adj_close") / pl.col("close")) if adjusted else pl.lit(None, pl.Float64)
    rows = rows.join(
        paid, on=["asset_id", "session"], how="left", maintain_order="left"
    ).with_columns(
        pl.when(factor.is_finite() & (factor > 0)).then(factor).alias("ratio"),
        pl.col("cash").fill_null(0.0),
        pl.col("gains").fill_null(0.0),
        pl.col("close").shift(1).over(over).alias("before"),
        pl.col("low").shift(-1).over(over).alias("_next_low"),
        pl.col("row").shift(1).over(over).alias("before_row"),
        pl.col("session").shift(1).over(over).alias("before_session"),
        pl.col("low").shift(1).over(over).alias("before_low"),
        pl.col("high").shift(1).over(over).alias("before_high"),
    )
    quiet = pl.col("d").filter(pl.col("cash") == 0)
    falls = [
        (pl.col("before") - pl.col("low")) / pl.col("before"),
        (pl.col("close") - pl.col("_next_low")) / pl.col("close"),
    ]
    # scale a close of other units or splits back to the day's: its jump is not a dividend's
    late = [
        (pl.col("close").shift(-k) - pl.col("close").shift(-k - 1)) / pl.col("close").shift(-k)
        for k in range(1, LATE_ROWS)
    ]
    rows = rows.with_columns(
        (1 - pl.col("ratio").shift(1).over(over) / pl.col("ratio")).alias("implied"),
        (pl.col("cash") / pl.col("before")).alias("share"),
        pl.max_horizontal(falls).alias("fall"),
        ((pl.col("before") - pl.col("close")) / pl.col("before")).alias("drop"),
        (quiet.abs().median().over(over) * 1.4826).clip(0.002).alias("noise"),
    )
    # adjusted closes are given with few decimals where prices are small: that moves the factor
    steady = pl.col("implied").filter((pl.col("cash") == 0) & (pl.col("implied") != 0))
    rows = rows.with_columns(
        pl.max_horizontal(
            pl.lit(2e-5), 6 * steady.abs().median().over(over).fill_null(0.0).clip(0, 2e-3)
        ).alias("grain")
    )
    wanted = (pl.col("cash") > 0) | (pl.col("implied").abs() > pl.col("grain"))
    with_late = rows.with_columns(
        pl.max_horizontal(*late).over(over).alias("late_fall"),
    )
    return with_late.filter(wanted.fill_null(value=False), "own")


def _empty() -> pl.DataFrame:
    return pl.DataFrame()


def _amounts(table: pl.DataFrame, book: Rulebook) -> pl.DataFrame:
    """Dividends that the price's fall, or the factor, shows to be in another unit."""
    if table.is_empty():
        return NO_HITS
    rows = table.filter(pl.col("cash") > 0)
    big, _ = _by_fall(per_class(book, "dividend_share"))
    small = _too_small()
    off = pl.col("share") / pl.col("implied")
    against = pl.col("implied") > 1e-6
    hundred = against & ((off / PENCE).log().abs() < 0.1) & _nearer("implied", "share")
    hundredth = against & ((off * PENCE).log().abs() < 0.1) & _nearer("implied", "share")
    factor = pl.when(hundred | big).then(1 / PENCE).when(hundredth | small).then(PENCE)
    late = _late() & ~hundred & ~hundredth
    told = rows.with_columns(
        pl.when(late).then(None).otherwise(factor).alias("_factor"), late.alias("_late")
    )
    impossible = pl.col("share") >= 1
    told = told.filter(pl.col("_factor").is_not_null() | pl.col("_late") | impossible)
    sure = (
        pl.when(impossible | hundred | hundredth).then(0.97)
        .when(pl.col("_late")).then(0.6)
        .when(big).then(0.92)
        .otherwise(0.5)
    )  # fmt: skip
    return hits(
        told, "dividend_amount", field="dividend", value=pl.col("cash"),
        expected=pl.when(pl.col("_late")).then(0.0).otherwise(pl.col("cash") * pl.col("_factor")),
        confidence=sure,
        repair=pl.when(pl.col("_late")).then(pl.lit("move it to the day the price fell"))
        .otherwise(pl.format("dividend x {}", pl.col("_factor"))),
    )  # fmt: skip


def _by_fall(smallest: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Whether a large dividend is a hundred times what the price shows; and the true share."""
    share, fall = pl.col("share"), pl.col("fall")
    lesser = share / PENCE
    visible = (share > smallest) & (
        (share - fall) > pl.max_horizontal(6 * pl.col("noise"), share / 2)
    )
    return visible & ((fall - lesser).abs() * 2 <= (fall - share).abs()), lesser


def _too_small() -> pl.Expr:
    """Whether the price fell by a hundred times the dividend, and by no chance."""
    greater = pl.col("share") * PENCE
    drop = pl.col("drop")
    return (
        greater.is_between(0.02, 0.5)
        & (drop > 8 * pl.col("noise"))
        & ((drop - greater).abs() < 0.2 * greater)
    )


def _late() -> pl.Expr:
    """Whether a large dividend's fall comes days after its ex-date."""
    share = pl.col("share")
    return (
        (share > 0.03)
        & ((share - pl.col("fall")) > pl.max_horizontal(6 * pl.col("noise"), share / 2))
        & ((pl.col("late_fall") - share).abs() < pl.max_horizontal(0.3 * share, pl.col("noise")))
    )


def _nearer(one: str, other: str) -> pl.Expr:
    """Whether the price's fall, or what dividends usually are, speaks for one share."""
    fall = pl.col("fall").clip(0)
    small, large = pl.min_horizontal(one, other), pl.max_horizontal(one, other)
    seen = (large - fall) > pl.max_horizontal(3 * pl.col("noise"), large / 2)
    large_shown = (large - fall).abs() < 0.4 * large
    # a share too small to be seen either way: real dividends are seldom under a hundredth percent
    truth = (
        pl.when(large >= 1).then(small)
        .when(seen).then(small)
        .when(large_shown).then(large)
        .when(small < 5e-4).then(large)
        .otherwise(small)
    )  # fmt: skip
    return (truth - pl.col(one)).abs() < 1e-12


def _duplicates(table: pl.DataFrame) -> pl.DataFrame:
    """The one of two equal, near dividends that the factor knows nothing of, or the later."""
    rows = table.filter(pl.col("cash") > 0).with_columns(
        *(
            ((pl.col("session") - pl.col("session").shift(k)).dt.total_days().abs() <= NEAR_DAYS)
            .and_((pl.col("cash") / pl.col("cash").shift(k) - 1).abs() < 0.01)
            .over("win").fill_null(value=False).alias(f"_twin{k}")
            for k in (1, -1)
        ),
        (pl.col("implied").abs() < 0.2 * pl.col("share")).alias("_unknown"),
    )  # fmt: skip
    unknown_there = (
        pl.col("_unknown").shift(-1).over("win"),
        pl.col("_unknown").shift(1).over("win"),
    )
    phantom = (pl.col("_unknown") & (pl.col("_twin1") | pl.col("_twin-1"))) | (
        pl.col("_twin1") & ~unknown_there[1].fill_null(value=False)
    ) & ~pl.col("_unknown")
    told = rows.filter(phantom)
    return hits(
        told, "dividend_duplicate", field="dividend", value=pl.col("cash"), expected=0.0,
        confidence=pl.when("_unknown").then(0.95).otherwise(0.7), repair="dividend x 0",
    )  # fmt: skip


def _steps(series: Series, table: pl.DataFrame) -> pl.DataFrame:
    """Adjusted closes before a step of the factor that is not the dividend's."""
    big, lesser = _by_fall(per_class(series.rulebook, "dividend_share"))
    total = (pl.col("cash") + pl.col("gains")) / pl.col("before")
    twin = pl.col("gains") > 0
    # where a dividend may hold the capital gains already, the fall tells
    holds = (
        twin
        & (pl.col("cash") >= pl.col("gains"))
        & (
            (pl.col("drop") - pl.col("noise") * 0.5 - pl.col("share")).abs()
            < (pl.col("drop") - pl.col("noise") * 0.5 - total).abs()
        )
    )
    alone = (pl.col("implied") - pl.col("share")).abs() < pl.col("grain") + 0.02 * pl.col("share")
    expected = pl.when(twin & ~holds & ~alone).then(total).otherwise(pl.col("share"))
    seen = table.with_columns(
        pl.when(pl.col("cash") > 0).then(expected).otherwise(0.0).alias("wanted"),
        big.alias("_big"),
        lesser.alias("_lesser"),
    )
    slack = pl.col("grain") + 0.03 * pl.col("wanted")
    excess = pl.col("implied") - pl.col("wanted")
    wrong = (excess.abs() > slack) & (
        (excess < 0) | (excess > per_class(series.rulebook, "adjusted_excess"))
    )
    unit = ((pl.col("share") / pl.col("implied") / PENCE).log().abs() < 0.1) | (
        (pl.col("share") / pl.col("implied") * PENCE).log().abs() < 0.1
    )
    amount_wrong = unit & (pl.col("implied") > 1e-6) & _nearer("implied", "share")
    twinned = (
        (pl.col("implied").abs() < 0.2 * pl.col("share"))
        & pl.any_horizontal(
            (
                (pl.col("session") - pl.col("session").shift(k)).dt.total_days().abs() <= NEAR_DAYS
            ).over("win").fill_null(value=False)
            & ((pl.col("cash") / pl.col("cash").shift(k) - 1).abs() < 0.01)
            .over("win").fill_null(value=False)
            for k in (1, -1)
        )
    )  # fmt: skip
    agreed_but_big = pl.col("_big") & ~wrong
    truth = (
        pl.when(agreed_but_big).then(pl.col("_lesser"))
        .when(_too_small() & ~wrong).then(pl.col("share") * PENCE)
        .otherwise(pl.col("wanted"))
    )  # fmt: skip
    fault = (
        ((wrong & ~amount_wrong & ~twinned.fill_null(value=False)) | agreed_but_big)
        & (truth < 1) & (pl.col("implied") < 1)
    )  # fmt: skip
    told = seen.filter(fault.fill_null(value=False)).with_columns(
        ((1 - truth) / (1 - pl.col("implied"))).alias("fix"),
        pl.when(agreed_but_big).then(0.9)
        .when((pl.col("cash") > 0) & twin).then(0.8)
        .when(pl.col("cash") > 0).then(0.95)
        .otherwise(0.7).alias("sure"),
    )  # fmt: skip
    prefixes = _before(series.bars, told)
    taken_twice = table.filter(
        (pl.col("cash") > 0)
        & (pl.col("before") < pl.col("before_low") * (1 - 1e-6))
        & (pl.col("before") + pl.col("cash")).is_between(
            pl.col("before_low") * 0.9999, pl.col("before_high") * 1.0001
        )
    ).with_columns(pl.col("before_row").alias("row"))
    twice = hits(
        taken_twice, "dividend_adjustment", field="close", value=pl.col("before"),
        expected=pl.col("before") + pl.col("cash"), confidence=0.9,
        repair="the close has lost the dividend: add it",
    )  # fmt: skip
    return pl.concat([prefixes, twice])


def _before(bars: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """HITS of every bar before a wrong step: its adjusted close carries the fault."""
    if told.is_empty():
        return NO_HITS
    steps = told.sort("series", "row", descending=[False, True]).select(
        "series", "row",
        pl.col("fix").cum_prod().over("series").alias("fix"),
        pl.col("sure").cum_max().over("series").alias("sure"),
    ).sort("row")  # fmt: skip
    rows = (
        bars.join(steps.select("series").unique(), on="series", how="semi")
        .select("series", "adj_close", "row", (pl.col("row") + 1).alias("_at"))
        .join_asof(
            steps.rename({"row": "_at"}), on="_at", by="series", strategy="forward",
            check_sortedness=False,
        )
        .filter(pl.col("fix").is_not_null() & ((pl.col("fix") - 1).abs() > 1e-5))
    )  # fmt: skip
    return hits(
        rows, "dividend_adjustment", field="adj_close", value=pl.col("adj_close"),
        expected=pl.col("adj_close") * pl.col("fix"), confidence=pl.col("sure"),
        repair=pl.format("adjusted close x {}", pl.col("fix").round(6)),
    )  # fmt: skip


def _impossible(bars: pl.DataFrame) -> pl.DataFrame:
    """Adjusted closes that no dividend gives."""
    value = pl.col("adj_close")
    wrong = bars.filter(
        (~value.is_finite() | (value <= 0)).fill_null(value=False) & (pl.col("close") > 0)
    )
    return hits(wrong, "dividend_adjustment", field="adj_close", value=value, confidence=0.99)
