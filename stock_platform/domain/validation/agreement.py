"""Bars against what stands beside them: the calendar, and what other sources say of the day.

Belongs here: gaps, wrong sessions, disagreement between sources, silence. Does not: levels within
one series (shifts.py).
"""

from __future__ import annotations

from datetime import datetime

import polars as pl

from stock_platform.domain.bars import PRICE_COLUMNS
from stock_platform.domain.validation.series import NO_HITS, Series, hits, per_class

SHIFTS = (-1, 1)


def gaps(series: Series, sessions: pl.DataFrame) -> pl.DataFrame:
    """Calendar sessions missing inside each daily series.

    Returns:
        series, first_session, last_session, rows: one line a gap.
    """
    daily = series.bars.filter(pl.col("interval") == "1d")
    numbered = sessions.sort("asset_id", "session").with_columns(
        pl.int_range(pl.len()).over("asset_id").alias("_at")
    )
    at = (
        daily.select("series", "asset_id", "source", "session")
        .unique(["series", "session"], keep="first", maintain_order=True)
        .join(numbered.select("asset_id", "session", "_at"), on=["asset_id", "session"],
              maintain_order="left")
        .with_columns((pl.col("_at").shift(-1).over("series") - pl.col("_at")).alias("_step"))
        .filter(pl.col("_step") > 1)
    )  # fmt: skip
    ends = numbered.select("asset_id", "_at", "session")
    first = at.select(
        "series", "source", "asset_id", (pl.col("_at") + 1).alias("_at"), "_step"
    ).join(ends, on=["asset_id", "_at"], maintain_order="left")
    last = at.select("asset_id", (pl.col("_at") + pl.col("_step") - 1).alias("_at")).join(
        ends, on=["asset_id", "_at"], maintain_order="left"
    )
    return first.select(
        "series", "asset_id", "source", pl.col("session").alias("first_session"),
        last["session"].alias("last_session"), (pl.col("_step") - 1).alias("rows"),
    )  # fmt: skip


def wrong_sessions(series: Series, sessions: pl.DataFrame) -> pl.DataFrame:
    """HITS of wrong_session: daily bars a day off, and sessions whose bars begin an hour off."""
    return pl.concat([_days_off(series, sessions), _hours_off(series, sessions)])


def _days_off(series: Series, sessions: pl.DataFrame) -> pl.DataFrame:
    daily = series.bars.lazy().filter(pl.col("interval") == "1d")
    known = sessions.lazy().select("asset_id", "session", pl.lit(1).alias("_is"))
    off = daily.join(known, on=["asset_id", "session"], how="anti").collect()
    if off.is_empty():
        return NO_HITS
    spans = sessions.group_by("asset_id").agg(
        pl.col("session").min().alias("_from"), pl.col("session").max().alias("_to")
    )
    off = off.join(spans, on="asset_id").filter(pl.col("session").is_between("_from", "_to"))
    if off.is_empty():
        return NO_HITS
    # a run of bars is a day off where the days around a closed one fit the calendar once moved
    near = (
        series.bars.lazy().filter(pl.col("interval") == "1d")
        .join(off.lazy().select("series").unique(), on="series", how="semi")
        .with_columns(
            *(
                pl.struct("asset_id", pl.col("session").dt.offset_by(f"{k}d").alias("session"))
                .alias(f"_moved{k}") for k in (0, *SHIFTS)
            )
        ).collect()
    )  # fmt: skip
    listed = sessions.select(pl.struct("asset_id", "session").alias("_key"))["_key"].implode()
    near = near.with_columns(
        *(pl.col(f"_moved{k}").is_in(listed).alias(f"_fits{k}") for k in (0, *SHIFTS))
    )
    week = pl.col("session").dt.offset_by("1d").dt.truncate("1w")  # Sunday to Saturday
    found = []
    for k in SHIFTS:
        there = pl.col("session").is_in(pl.col("_target").implode()).over("series", "_week")
        moved = near.with_columns(
            week.alias("_week"), pl.col("session").dt.offset_by(f"{k}d").alias("_target")
        ).with_columns(
            (~pl.col("_fits0")).any().over("series", "_week").alias("_closed"),
            pl.col(f"_fits{k}").all().over("series", "_week").alias("_all"),
            there.alias("_there"),
        )
        fits = moved.filter(
            pl.col("_closed"), pl.col("_all"), pl.len().over("series", "_week") >= 2
        )
        if not fits.is_empty():
            found.append(
                hits(
                    fits, "wrong_session", field="session",
                    value=pl.col("session").cast(pl.Int32), confidence=0.9,
                    expected=pl.col("_target").cast(pl.Int32),
                    repair=f"the bar belongs to the day {'after' if k > 0 else 'before'}",
                )
            )  # fmt: skip
    return pl.concat([NO_HITS, *found]).unique(["row"], keep="first", maintain_order=True)


def _hours_off(series: Series, sessions: pl.DataFrame) -> pl.DataFrame:
    """Intraday sessions of which a bar lies outside the hours, and which fit an hour moved."""
    intraday = series.bars.filter(pl.col("interval") != "1d")
    if intraday.is_empty():
        return NO_HITS
    rows = intraday.join(sessions, on=["asset_id", "session"], maintain_order="left")
    if rows.is_empty():
        return NO_HITS
    key = ("series", "session")
    first, last = pl.col("ts").min().over(key), pl.col("ts").max().over(key)
    found = []
    for hours in (-5, -4, -1, 1, 4, 5):
        by = pl.duration(hours=hours)
        outside = (first < pl.col("opens")) | (last >= pl.col("closes"))
        # the day's first bar must fall on the open, or a shifted day cannot be told from a late one
        fits = ((first - by) == pl.col("opens")) & ((last - by) < pl.col("closes"))
        moved = rows.filter(outside & fits)
        found.append(
            hits(
                moved, "wrong_session", field="ts", value=float(hours), expected=0.0,
                confidence=0.95, repair=f"stamps {-hours:+d} h",
            )
        )  # fmt: skip
    return pl.concat([NO_HITS, *found]).unique(["row"], keep="first", maintain_order=True)


def disagreeing(series: Series) -> pl.DataFrame:
    """HITS of sources_disagree: a price outside what the day's other sources say."""
    bars = series.bars.filter(pl.col("x").is_not_null())
    if bars["source"].n_unique() < 2:
        return NO_HITS
    bar = pl.when(pl.col("interval") == "1d").then(
        pl.col("session").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    ).otherwise(pl.col("ts"))  # fmt: skip
    key = ["asset_id", "interval", "_bar"]
    rows = bars.with_columns(bar.alias("_bar")).with_columns(
        pl.col("source").n_unique().over(key).alias("_sources"),
        pl.col("close").median().over(key).alias("_middle"),
        pl.col("close").max().over(key).alias("_top"),
        pl.col("close").min().over(key).alias("_bottom"),
    ).filter(pl.col("_sources") > 1)  # fmt: skip
    move = per_class(series.rulebook, "source_move")
    apart = (pl.col("_top") / pl.col("_bottom")).log() > (1 + move).log()
    rows = rows.filter(apart)
    if rows.is_empty():
        return NO_HITS
    away = (pl.col("close") / pl.col("_middle")).log().abs()
    near = (away <= (1 + move).log()).sum().over(key)
    three = pl.col("_sources") >= 3
    majority = three & (2 * near > pl.col("_sources"))
    told = rows.with_columns(majority.alias("_majority"), away.alias("_away")).filter(
        ~majority | (away > (1 + move).log())
    )
    return hits(
        told, "sources_disagree", field="close", value=pl.col("close"),
        expected=pl.when("_majority").then(pl.col("_middle")),
        confidence=pl.when("_majority").then(0.92).otherwise(0.5),
    )  # fmt: skip


def silent(series: Series, sessions: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The assets whose last daily bar is too many sessions ago: as ``gaps``."""
    bars = series.bars.filter(pl.col("interval") == "1d")
    last = bars.group_by("asset_id", maintain_order=True).agg(
        pl.col("session").max().alias("_last"), pl.col("series").last(),
        pl.col("source").last(), pl.col("asset_class").first(),
    )  # fmt: skip
    over = sessions.filter(pl.col("closes") < now)
    missed = (
        last.join(over.select("asset_id", "session"), on="asset_id")
        .filter(pl.col("session") > pl.col("_last"))
        .group_by("asset_id", maintain_order=True)
        .agg(
            pl.col("series", "source", "asset_class").first(),
            pl.col("session").min().alias("first_session"),
            pl.col("session").max().alias("last_session"), pl.len().alias("rows"),
        )
        .filter(pl.col("rows") >= per_class(series.rulebook, "fresh_sessions"))
    )  # fmt: skip
    return missed.select("series", "asset_id", "source", "first_session", "last_session", "rows")


__all__ = ["PRICE_COLUMNS", "disagreeing", "gaps", "silent", "wrong_sessions"]
