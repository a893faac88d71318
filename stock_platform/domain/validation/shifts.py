"""Prices at another level than their neighbours: other units, splits, spikes.

Belongs here: cutting series where they jump, naming each jump, and saying which side is wrong.
Does not: reading, choosing among sources.

A window is cut into segments where the price jumps beyond its volatility. A jump near 100 or
1,000 is a unit's, one near the ratio of a split is a split's; what goes up and comes back at
once is a spike. Adding the named jumps up gives each segment's distance from the others; the
level most traded is right (for splits: the latest, for prices are adjusted up to now).

Sources: Yahoo's faults and the idea of asking the last traded level are described in
yfinance's price repair (github.com/ranaroussi/yfinance, doc/source/advanced/price_repair.rst
and scrapers/history.py, which works on one series with filters and loops); robust deviations
from the median: Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", 1993.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from stock_platform.domain.validation.rulebook import Rulebook
from stock_platform.domain.validation.series import NO_HITS, Series, hits, per_class
from stock_platform.domain.validation.torn import TORN, UNITS, torn_bars

COMMON_RATIOS = (1.5, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50)
"""Ratios of splits that nobody told us of."""

SMALLEST_SPLIT = 1.25
NEAR_SPLIT_DAYS = 10

LATE_SPLIT_DAYS = 60
"""So long after its ex-date a source may take a split's fault back."""

LONG_FAULT_DAYS = 366
"""Farther before an ex-date a jump among wild bars is a price's own."""

PAUSE_DAYS = 30
"""After a pause so long a price may be anywhere: no jump over it looks like a split's."""

FEW = 3
"""So few bars at an end of a series, in another unit than all others, are wrong."""

BUSY = 3.0
"""A first bar with so many times its followers' volume is news, not a change of scale."""

IMPOSSIBLE = 30.0
"""No price moves so many times from bar to bar: near a unit such a jump is the unit's."""
_E = math.log


@dataclass(frozen=True)
class Shifts:
    """What was found.

    Attributes:
        hits: HITS of unit_error, split_adjustment and spike.
        open: series and block of the windows that end at another level than they begin at:
            such a fault goes on where they cannot see.
    """

    hits: pl.DataFrame
    open: pl.DataFrame


def shifted(series: Series) -> Shifts:
    """Prices at another level than their neighbours."""
    bars = series.bars
    torn = (pl.col("high") / pl.col("low")) > TORN
    fields = torn_bars(series)
    none = bars.select("series", "block").clear()
    level = per_class(series.rulebook, "spike_move")
    suspects = bars.lazy().filter(pl.col("d").abs() > (1 + level).log() * 0.75)
    found = suspects.select("series", "block").collect()
    if found.is_empty():
        return Shifts(fields, none)
    rows = series.windows(found).filter(~torn.fill_null(value=True))
    segments = _segments(rows, series)
    if segments.is_empty():
        return Shifts(fields, none)
    named = _spikes(_named(segments, series), series.rulebook)
    units = _unit_hits(rows, named, whole=series.whole)
    splits = _split_hits(rows, named)
    return Shifts(pl.concat([fields, units, splits, _spike_hits(rows, named)]), _open(named))


def _open(named: pl.DataFrame) -> pl.DataFrame:
    left = named.group_by("win", maintain_order=True).agg(
        pl.col("series", "center").first(), pl.col("step").sum().alias("_left")
    )
    return left.filter(pl.col("_left").abs() > 1e-3).select(
        "series", pl.col("center").alias("block")
    )


def _segments(rows: pl.DataFrame, series: Series) -> pl.DataFrame:
    """One row a stretch between two jumps."""
    first = (pl.col("win") != pl.col("win").shift(1)).fill_null(value=True)
    changed = rows.with_columns(
        pl.when(~first).then(pl.col("x") - pl.col("x").shift(1)).alias("d"),
        pl.when(~first).then(pl.col("close").shift(1)).alias("_before"),
        (
            pl.col("x")
            + (pl.col("open") / pl.col("mid")).log()
            - (pl.col("x") + (pl.col("close") / pl.col("mid")).log()).shift(1)
        ).alias("_gap"),
        (pl.col("session") - pl.col("session").shift(1)).dt.total_days().alias("_pause"),
        (pl.col("high") / pl.col("low")).log().alias("_range"),
    )
    changed = _without_dividends(changed, series)
    noise = changed.group_by("win", maintain_order=True).agg(
        (pl.col("d").abs().median() * 1.4826).fill_null(0.0).alias("sigma"),
        pl.col("_range").median().alias("usual_range"),
        pl.col("v").filter(pl.col("v") > 0).median().alias("usual_volume"),
    )
    cut = changed.join(noise, on="win", maintain_order="left").with_columns(
        pl.max_horizontal(
            (1 + per_class(series.rulebook, "spike_move")).log() * 0.75,
            pl.col("sigma") * per_class(series.rulebook, "volatilities"),
        ).alias("limit")
    )
    jump = (pl.col("d").abs() > pl.col("limit")).fill_null(value=False)
    cut = cut.with_columns(
        (first | jump).cum_sum().alias("seg"),
        jump.any().over("win").alias("_any"),
        # a wild month among years
        pl.max_horizontal(
            "sigma",
            1.4826 * pl.col("d").abs().rolling_median(41, min_samples=10, center=True).over("win"),
        ).alias("sigma_near"),
        # an overnight gap into a bar like any other is what a change of scale looks like
        (
            (pl.col("_range") <= pl.max_horizontal(3 * pl.col("usual_range"), pl.lit(0.06)))
            & ((pl.col("_gap") - pl.col("d")).abs() < pl.lit(0.1))
            & (pl.col("_pause") <= PAUSE_DAYS)
        ).alias("calm"),
    ).filter("_any")
    traded = pl.col("volume") > 0
    return cut.group_by("seg", maintain_order=True).agg(
        pl.col("win", "asset_id", "asset_class", "d", "calm", "sigma", "sigma_near").first(),
        pl.col("usual_volume", "series", "center").first(),
        pl.col("session").first().alias("first_session"),
        pl.col("session").last().alias("last_session"),
        pl.col("row").first().alias("first_row"),
        pl.col("row").last().alias("last_row"),
        pl.len().cast(pl.Int64).alias("n"),
        traded.sum().cast(pl.Int64).alias("traded"),
        pl.col("x").head(5).median().alias("head"),
        pl.col("x").tail(5).median().alias("tail"),
        (pl.col("x") + (pl.col("low") / pl.col("mid")).log()).min().alias("lowest"),
        (pl.col("x") + (pl.col("high") / pl.col("mid")).log()).max().alias("highest"),
        (pl.col("x") + (pl.col("low") / pl.col("mid")).log()).first().alias("low_first"),
        (pl.col("x") + (pl.col("high") / pl.col("mid")).log()).first().alias("high_first"),
        (pl.col("x") + (pl.col("low") / pl.col("mid")).log()).last().alias("low_last"),
        (pl.col("x") + (pl.col("high") / pl.col("mid")).log()).last().alias("high_last"),
        pl.col("v").max().alias("most_volume"),
        pl.col("v").first().alias("volume_first"),
        pl.col("v").head(20).median().alias("volume_head"),
        pl.col("v").tail(20).median().alias("volume_tail"),
    )  # fmt: skip


def _without_dividends(rows: pl.DataFrame, series: Series) -> pl.DataFrame:
    """Changes without the fall that a large dividend explains."""
    if series.dividends.is_empty():
        return rows
    paid = series.dividends.select("asset_id", pl.col("ex_date").alias("session"), "amount")
    share = pl.col("amount") / pl.col("_before")
    less = pl.col("d") - (1 - share).log()
    explained = share.is_between(0, 0.9) & (less.abs() < pl.col("d").abs())
    return (
        rows.join(paid, on=["asset_id", "session"], how="left", maintain_order="left")
        .with_columns(pl.when(explained).then(less).otherwise(pl.col("d")).alias("d"))
        .drop("amount")
    )


def _named(segments: pl.DataFrame, series: Series) -> pl.DataFrame:
    """Segments with ``kind`` and ``step`` of the jump they begin with."""
    book = series.rulebook
    step = pl.col("head") - pl.col("tail").shift(1).over("win")
    named = segments.with_columns(
        step.alias("wide"),
        (pl.col("win") == pl.col("win").shift(1)).fill_null(value=False).alias("inner"),
        (pl.col("win") == pl.col("win").shift(-1)).fill_null(value=False).alias("bounded"),
    )
    named = _near_splits(named, series).with_columns(
        pl.Series("_unit", _nearest(named["d"], UNITS)),
        pl.Series("_common", _nearest(named["d"], COMMON_RATIOS)),
    )
    limit = pl.max_horizontal(
        (1 + per_class(book, "unit_tolerance")).log(),
        pl.min_horizontal(5 * pl.col("sigma"), pl.lit(0.5)),
        pl.when(pl.col("d").abs() > _E(IMPOSSIBLE)).then(0.9).otherwise(0.0),
    )
    unit, common = pl.col("_unit"), pl.col("_common")
    is_unit = (_away(unit).abs() <= limit) & (unit != 0)
    tight = pl.max_horizontal(
        pl.lit(0.02), pl.min_horizontal(3 * pl.col("sigma"), per_class(book, "split_tolerance"))
    )
    is_common = (_away(common).abs() <= tight) & (common != 0) & pl.col("calm")
    anchored, known = pl.col("anchored").fill_null(value=False), pl.col("known").is_not_null()
    kind = (
        pl.when(~pl.col("inner")).then(None)
        .when(known & anchored).then(pl.lit("split"))
        .when(is_unit).then(pl.lit("unit"))
        .when(known).then(pl.lit("split"))
        .when(is_common).then(pl.lit("common"))
    )  # fmt: skip
    # a split nobody told of, and never taken back, must show in the volume and in long runs too
    volume = (pl.col("volume_head") / pl.col("volume_tail").shift(1).over("win")).log()
    shown = (
        (pl.col("n") >= 20) & (pl.col("n").shift(1).over("win") >= 20)
        & ((pl.col("wide") - common).abs() <= 3 * tight)
        & ((volume + common).abs() < pl.max_horizontal(pl.lit(0.5), 0.4 * common.abs()))
    )  # fmt: skip
    told = named.with_columns(kind.alias("kind"), shown.fill_null(value=False).alias("_shown"))
    return told.with_columns(
        pl.when(pl.col("kind") == "unit").then(unit)
        .when(pl.col("kind") == "split").then(pl.col("known"))
        .when(pl.col("kind") == "common").then(common)
        .otherwise(0.0).alias("step")
    )  # fmt: skip


def _near_splits(segments: pl.DataFrame, series: Series) -> pl.DataFrame:
    """The asset's split that explains a jump best: known (signed logarithm), anchored."""
    large = series.splits.filter(pl.col("ratio").log().abs() > _E(SMALLEST_SPLIT)).select(
        "asset_id", "ex_date", "ratio"
    )
    if large.is_empty():
        return segments.with_columns(
            pl.lit(None, pl.Float64).alias("known"), pl.lit(False).alias("anchored")
        )
    days = (pl.col("first_session") - pl.col("ex_date")).dt.total_days()
    size = pl.col("ratio").log().abs()
    signed = size * pl.col("d").sign()
    away = pl.min_horizontal((pl.col("d") - signed).abs(), (pl.col("wide") - signed).abs())
    limit = pl.max_horizontal(
        per_class(series.rulebook, "split_tolerance"),
        0.08 * size,
        pl.min_horizontal(5 * pl.col("sigma"), 0.35 * size),
    )
    anchored = days.abs() <= NEAR_SPLIT_DAYS
    calm = pl.col("calm").fill_null(value=False)
    most = pl.min_horizontal(
        3 * pl.col("sigma_near"), per_class(series.rulebook, "split_tolerance"), 0.12 * size
    )
    busy = (pl.col("volume_first") > BUSY * pl.col("volume_head")).fill_null(value=False)
    tight = ((pl.col("d") - signed).abs() <= pl.max_horizontal(0.02, most)) & (
        calm | (~busy & (days > -LONG_FAULT_DAYS))
    )
    # far from its ex-date a jump must look like a change of scale, or take one there back
    plain = (days <= NEAR_SPLIT_DAYS) & (anchored | calm)
    best = (
        segments.filter("inner").join(large, on="asset_id")
        .filter(days <= LATE_SPLIT_DAYS)
        .with_columns(
            signed.alias("known"), away.alias("_away"), anchored.alias("anchored"),
            (~plain).alias("_weak"),
        )
        .filter(
            pl.when("_weak").then(tight).otherwise(pl.col("_away") <= limit)
        )
        .sort("_weak", "anchored", "_away", descending=[False, True, False])
        .unique("seg", keep="first", maintain_order=True)
        .sort("seg")
    )  # fmt: skip
    back = [
        (pl.col("win") == pl.col("win").shift(k)) & pl.col("anchored").shift(k)
        & (pl.col("ex_date") == pl.col("ex_date").shift(k))
        & (pl.col("known") == -pl.col("known").shift(k))
        for k in (1, -1)
    ]  # fmt: skip
    paired = best.filter(~pl.col("_weak") | pl.any_horizontal(back).fill_null(value=False))
    return segments.join(
        paired.select("seg", "known", "anchored"), on="seg", how="left", maintain_order="left"
    )


def _nearest(jumps: pl.Series, ratios: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """The logarithm of the ratio nearest to each jump, signed; 0 where there is no jump."""
    size = jumps.fill_null(0.0).to_numpy()
    logs = np.log(np.asarray(ratios, dtype=np.float64))
    nearest: npt.NDArray[np.float64] = logs[np.abs(np.abs(size)[:, None] - logs).argmin(axis=1)]
    signed: npt.NDArray[np.float64] = nearest * np.sign(size)
    return signed


def _away(candidate: pl.Expr) -> pl.Expr:
    """How far a jump is from a candidate, by its edges or by its medians."""
    return pl.min_horizontal((pl.col("d") - candidate).abs(), (pl.col("wide") - candidate).abs())


def _spikes(named: pl.DataFrame, book: Rulebook) -> pl.DataFrame:
    """``spike``: short segments that leave the others' range and come back."""
    following = {c: pl.col(c).shift(-1).over("win") for c in ("d", "head", "low_first",
                                                              "high_first", "kind")}  # fmt: skip
    before = {c: pl.col(c).shift(1).over("win") for c in ("tail", "low_last", "high_last")}
    up = pl.col("d") > 0
    apart = (
        pl.when(up)
        .then(pl.col("lowest") > pl.max_horizontal(before["high_last"], following["high_first"]))
        .otherwise(
            pl.col("highest") < pl.min_horizontal(before["low_last"], following["low_first"])
        )
    )
    back = (following["d"] * pl.col("d") < 0) & (
        (following["head"] - before["tail"]).abs()
        < 0.5 * pl.min_horizontal(pl.col("d").abs(), following["d"].abs())
    )
    true_kinds = pl.col("kind").is_in(["unit", "split"]) | following["kind"].is_in(
        ["unit", "split"]
    )
    spike = pl.col("inner") & pl.col("bounded") & back & apart & ~true_kinds.fill_null(value=False)
    marked = named.with_columns(spike.fill_null(value=False).alias("spike"),
        ((before["tail"] + following["head"]) / 2).alias("between"),
        following["d"].alias("back"))  # fmt: skip
    gone = (
        pl.col("spike")
        & (pl.col("n") <= per_class(book, "spike_rows"))
        & (
            pl.min_horizontal(pl.col("d").abs(), pl.col("back").abs())
            >= (1 + per_class(book, "spike_move")).log()
        )
    )
    after = gone.shift(1).over("win").fill_null(value=False)
    return marked.with_columns(
        gone.alias("spike"),
        pl.when(gone | after).then(None).otherwise(pl.col("kind")).alias("kind"),
        pl.when(gone | after).then(0.0).otherwise(pl.col("step")).alias("step"),
    )


def _levels(named: pl.DataFrame, kinds: list[str], *, latest: bool) -> pl.DataFrame:
    """Segments off the right level: ``off`` (logarithm), and how sure that is."""
    mine = pl.col("kind").is_in(kinds).fill_null(value=False)
    step = pl.when(mine).then(pl.col("step")).otherwise(0.0)
    placed = (
        named.with_columns(
            step.cum_sum().over("win").alias("exact"), mine.any().over("win").alias("_some")
        )
        .filter("_some")
        .with_columns(pl.col("exact").round(3).alias("level"))
    )
    if placed.is_empty():
        return placed.with_columns(off=pl.lit(0.0), share=pl.lit(1.0), enclosed=pl.lit(False))
    votes = (
        pl.when(pl.col("traded").sum().over("win") > 0)
        .then(pl.col("traded"))
        .otherwise(pl.col("n"))
    )
    placed = placed.with_columns(votes.alias("votes"))
    weights = (
        placed.group_by("win", "level", maintain_order=True)
        .agg(pl.col("votes").sum(), pl.col("seg").max().alias("at"), pl.col("exact").last())
        .with_columns(pl.col("votes").sum().over("win").alias("all"))
    )
    order = ["at"] if latest else ["votes", "at"]
    right = (
        weights.sort(*order, descending=True)
        .unique("win", keep="first", maintain_order=True)
        .select("win", pl.col("exact").alias("right"),
                ((pl.col("votes") + 1) / (pl.col("all") + 2)).alias("share"))
    )  # fmt: skip
    off = placed.join(right, on="win", maintain_order="left").with_columns(
        (pl.col("exact") - pl.col("right")).alias("off")
    )
    fits = pl.col("off").abs() < 1e-3
    return off.with_columns(
        (
            fits.cum_sum().over("win").gt(0) & fits.cum_sum(reverse=True).over("win").gt(0) & ~fits
        ).alias("enclosed")
    )


def _unit_hits(rows: pl.DataFrame, named: pl.DataFrame, *, whole: bool) -> pl.DataFrame:
    placed = _levels(named, ["unit"], latest=False)
    if placed.is_empty():
        return NO_HITS
    # in a series that changes its unit once, or hardly trades, either side may be the wrong one
    turns = (pl.col("kind") == "unit").sum().over("win")
    once = (turns == 1) & (pl.col("n").min().over("win") >= 2)
    # the end of a window that is not the series' cuts a run off: it only looks like one turn
    doubtful = (once | (pl.col("share") < 0.75) if whole else pl.col("share") < 0.6) & ~(
        pl.col("_closed") & (pl.col("share") > 0.6)
    )
    other = pl.col("off").filter(pl.col("off").abs() > 1e-3).first().over("win")
    enclosed = pl.col("enclosed")
    sure = (
        pl.when(pl.col("off").abs() < 1e-3).then(1 - pl.col("share"))
        .when(enclosed & (pl.col("share") > 0.75)).then(0.99)
        .when(enclosed & (pl.col("share") > 0.6)).then(0.95)
        .when((pl.col("n") <= FEW) & (pl.col("share") > 0.75)).then(0.95)
        .otherwise(pl.min_horizontal(pl.col("share"), pl.lit(0.98)))
    )  # fmt: skip
    # every wrong stretch lies between right ones
    closed = (enclosed | (pl.col("off").abs() < 1e-3)).all().over("win")
    wrong = (
        placed.with_columns(closed.alias("_closed"))
        .with_columns(
            sure.alias("confidence"),
            pl.when(pl.col("off").abs() < 1e-3).then(-other).otherwise(pl.col("off")).alias("off"),
            ((pl.col("off").abs() > 1e-3) | doubtful).alias("_told"),
        )
        .filter("_told")
    )
    return _range_hits(rows, wrong, "unit_error", volume=False)


def _split_hits(rows: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    found = []
    for kinds, latest in ((["split"], True), (["common"], False)):
        placed = _levels(named, kinds, latest=latest)
        if placed.is_empty():
            continue
        off = pl.col("off").abs() > 1e-3
        if latest:
            near = (pl.col("anchored") & (pl.col("kind") == "split")).any().over("win")
            sure = pl.when(pl.col("enclosed")).then(0.99).when(near).then(0.97).otherwise(0.7)
        else:
            sure = pl.when(pl.col("enclosed")).then(0.9).otherwise(0.6)
            off = off & pl.when(pl.col("enclosed")).then(pl.col("n") <= 250).otherwise(
                pl.col("_shown").any().over("win")
            )
        wrong = placed.with_columns(sure.alias("confidence")).filter(off)
        found.append(_range_hits(rows, wrong, "split_adjustment", volume=True))
    return pl.concat([NO_HITS, *found])


def _range_hits(
    rows: pl.DataFrame, wrong: pl.DataFrame, rule: str, *, volume: bool
) -> pl.DataFrame:
    inside = (
        rows.filter("own")
        .select("win", "row", "close")
        .join_asof(
            wrong.sort("first_row").select(
                "win", pl.col("first_row").alias("row"), "last_row", "off", "confidence"
            ).sort("row"),
            on="row", by="win", strategy="backward", check_sortedness=False,
        )
        .filter(pl.col("row") <= pl.col("last_row"))
        .with_columns((-pl.col("off")).exp().alias("factor"))
    )  # fmt: skip
    factor = pl.col("factor").round_sig_figs(10)
    say = pl.format(
        "prices x {}" + (", volume x {}" if volume else ""),
        factor.round_sig_figs(6),
        *([(1 / factor).round_sig_figs(6)] if volume else []),
    )
    return hits(
        inside, rule, field="close", value=pl.col("close"), expected=pl.col("close") * factor,
        factor=factor, volume_factor=1 / factor if volume else 1.0,
        confidence=pl.col("confidence"), repair=say,
    )  # fmt: skip


def _spike_hits(rows: pl.DataFrame, named: pl.DataFrame) -> pl.DataFrame:
    size = pl.min_horizontal(pl.col("d").abs(), pl.col("back").abs())
    busy = pl.col("most_volume") > 5 * pl.col("usual_volume")
    far = (size > _E(2)) | (size > 12 * pl.col("sigma"))
    sure = pl.when(busy.fill_null(value=False)).then(0.4).when(far).then(0.9).otherwise(0.8)
    spikes = named.filter("spike").with_columns(sure.alias("confidence"), pl.lit(0.0).alias("off"))
    inside = (
        rows.filter("own").select("win", "row", "close", "x", "asset_class")
        .join_asof(
            spikes.select("win", pl.col("first_row").alias("row"), "last_row", "between",
                          "confidence", "d", "back").sort("row"),
            on="row", by="win", strategy="backward", check_sortedness=False,
        )
        .filter(pl.col("row") <= pl.col("last_row"))
    )  # fmt: skip
    return hits(
        inside, "spike", field="close", value=pl.col("close"),
        expected=pl.col("close") * (pl.col("between") - pl.col("x")).exp(),
        confidence=pl.col("confidence"),
    )  # fmt: skip
