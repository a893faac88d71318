"""What is wrong with series of bars: the analysis that runs, files and tickers share.

Belongs here: asking the rules, and putting their answers into one frame. Does not: the rules
(rules.py, neighbours.py), choosing among sources (choosing.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import polars as pl

from stock_platform.domain.bars import UTC_STAMP, Basis
from stock_platform.domain.corporate_actions import DIVIDENDS, SPLITS
from stock_platform.domain.validation.neighbours import (
    SERIES_RULES,
    Reach,
    SeriesRule,
    Surroundings,
)
from stock_platform.domain.validation.rulebook import Action, Rulebook
from stock_platform.domain.validation.rules import RULES, Level, Severity
from stock_platform.domain.validation.series import NO_HITS, Series, hits, prepare

BLOCK_DAYS = 91
"""Length of a daily block; a verdict is taken from a bar's block and the two beside it."""

BLOCK_DAYS_INTRADAY = 7

FINDINGS: dict[str, pl.DataType] = {
    "asset_id": pl.Int32(),
    "source": pl.String(),
    "interval": pl.String(),
    "rule": pl.String(),
    "severity": pl.String(),
    "first_session": pl.Date(),
    "last_session": pl.Date(),
    "ts": UTC_STAMP,  # of the first bar
    "rows": pl.Int64(),
    "field": pl.String(),
    "value": pl.Float64(),  # of the first bar
    "expected": pl.Float64(),
    "factor": pl.Float64(),
    "confidence": pl.Float64(),
    "repair": pl.String(),
}

_UNASKED = ("not_as_traded", "stamp_in_future", "session_not_over", "stamp_outside_session")
"""Rules about how a quote was fetched rather than about the series."""

RULE_NAMES = (*RULES, *SERIES_RULES)


def block_days(interval: str) -> int:
    """Days of a block of an interval's bars."""
    return BLOCK_DAYS if interval == "1d" else BLOCK_DAYS_INTRADAY


def findings(
    bars: pl.DataFrame,
    *,
    splits: pl.DataFrame | None = None,
    dividends: pl.DataFrame | None = None,
    sessions: pl.DataFrame | None = None,
    classes: Mapping[int, str] | None = None,
    rulebook: Rulebook | None = None,
    level: Level = Level.COMPREHENSIVE,
    now: datetime | None = None,
) -> pl.DataFrame:
    """What is wrong with bars, each fault as one range of sessions.

    Args:
        bars: asset_id, session, open, high, low, close; and perhaps interval (1d), source
            (""), ts, volume, basis (split_adjusted), adj_close.
        splits: SPLITS.
        dividends: DIVIDENDS, in the bars' basis, perhaps with capital_gains.
        sessions: asset_id, session, opens, closes: needed for gaps and wrong sessions.
        classes: asset class by asset.
        rulebook: thresholds and actions.
        level: how much is checked.
        now: needed to tell silence.

    Returns:
        FINDINGS, by asset, source, session and rule.
    """
    book = rulebook or Rulebook()
    around = _surroundings(bars, splits, dividends, sessions, classes, book, now)
    told = with_severity(around.series, _own(around.series, level), book)
    found = [_ranges(around.series, told)]
    chosen = with_severity(around.series, neighbour_hits(around, level), book)
    found.append(_ranges(around.series, chosen))
    found += [
        _spans(around.series, rule.find(around), rule.name, book)
        for rule in _rules(level)
        if rule.spans
    ]
    return pl.concat(found).sort(
        "asset_id", "source", "interval", "first_session", "ts", "rule", "field"
    )


def _surroundings(
    bars: pl.DataFrame,
    splits: pl.DataFrame | None,
    dividends: pl.DataFrame | None,
    sessions: pl.DataFrame | None,
    classes: Mapping[int, str] | None,
    book: Rulebook,
    now: datetime | None,
) -> Surroundings:
    missing = {
        "interval": pl.lit("1d"),
        "source": pl.lit(""),
        "ts": pl.col("session").cast(UTC_STAMP) if "session" in bars.columns else pl.lit(None),
        "volume": pl.lit(None, pl.Float64),
        "basis": pl.lit(str(Basis.SPLIT_ADJUSTED)),
    }
    full = bars.with_columns(v.alias(n) for n, v in missing.items() if n not in bars.columns)
    series = prepare(
        full,
        splits=_some(splits, SPLITS),
        dividends=_some(dividends, DIVIDENDS),
        classes=classes or {},
        rulebook=book,
        block_days=None,
    )
    return Surroundings(series, sessions, now)


def _some(frame: pl.DataFrame | None, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    if frame is None:
        return pl.DataFrame(schema=schema)
    absent = {n: k for n, k in schema.items() if n not in frame.columns}
    return frame.with_columns(pl.lit(None).cast(kind).alias(name) for name, kind in absent.items())


def neighbour_hits(
    around: Surroundings, level: Level, reaches: Collection[Reach] = tuple(Reach)
) -> pl.DataFrame:
    """HITS of the series rules of a level, or of those of some reaches alone."""
    rules = (rule for rule in _rules(level) if rule.reach in reaches and not rule.spans)
    found = [rule.find(around) for rule in rules]
    return pl.concat([NO_HITS, *found]) if found else NO_HITS


def _rules(level: Level) -> Iterable[SeriesRule]:
    return (rule for rule in SERIES_RULES.values() if rule.level in level.included)


def with_severity(series: Series, told: pl.DataFrame, book: Rulebook) -> pl.DataFrame:
    """HITS with ``severity`` ("error" or "warning"); those of rules switched off are left out."""
    if told.is_empty():
        return told.with_columns(severity=pl.lit(None, pl.String))
    classes = told.join(
        series.bars.select("row", "asset_class"), on="row", how="left", maintain_order="left"
    )
    by_sure = pl.when(pl.col("confidence") >= book.error_confidence).then(
        pl.lit(str(Severity.ERROR))
    ).otherwise(pl.lit(str(Severity.WARNING)))  # fmt: skip
    severity = by_sure
    for (place, rule), action in sorted(book.actions.items(), key=lambda i: i[0][0] != "default"):
        here = pl.col("rule") == rule
        if place != "default":
            here = here & (pl.col("asset_class") == place)
        value = {
            Action.OFF: pl.lit(None, pl.String), Action.BY_CONFIDENCE: by_sure
        }.get(action, pl.lit(str(action)))  # fmt: skip
        severity = pl.when(here.fill_null(value=False)).then(value).otherwise(severity)
    return (
        classes.with_columns(severity.alias("severity"))
        .drop("asset_class")
        .filter(pl.col("severity").is_not_null())
    )


def _own(series: Series, level: Level) -> pl.DataFrame:
    """HITS of the rules that need no more than the bar."""
    found = [NO_HITS]
    lazy = series.bars.lazy().with_columns(
        *(pl.lit(None).alias(c) for c in ("vwap",) if c not in series.bars.columns)
    )
    for rule in RULES.values():
        if (
            rule.level not in level.included
            or rule.severity is not Severity.ERROR
            or rule.name in _UNASKED
            or rule.name == "not_a_session"
        ):
            continue
        bad = lazy.filter(rule.failing.fill_null(value=False)).collect()
        if not bad.is_empty():
            found.append(hits(bad, rule.name, value=pl.col("close"), confidence=1.0))
    return pl.concat(found)


def _ranges(series: Series, told: pl.DataFrame) -> pl.DataFrame:
    """FINDINGS: neighbouring bars with one fault are one finding."""
    if told.is_empty():
        return pl.DataFrame(schema=FINDINGS)
    rows = told.join(
        series.bars.select("row", "series", "asset_id", "source", "interval", "session", "ts"),
        on="row",
    ).sort("rule", "field", "series", "row", nulls_last=True)
    alike = ("rule", "field", "series", "severity", "repair")
    apart = pl.any_horizontal(
        pl.col("row").cast(pl.Int64) - pl.col("row").shift(1).cast(pl.Int64) > 1,
        *(pl.col(c).ne_missing(pl.col(c).shift(1)) for c in alike),
        (pl.col("factor") / pl.col("factor").shift(1) - 1).abs().fill_null(0.0) > 1e-6,
        (pl.col("confidence") - pl.col("confidence").shift(1)).abs() > 0.05,
    )
    return (
        rows.with_columns(apart.fill_null(value=True).cum_sum().alias("_range"))
        .group_by("_range", maintain_order=True)
        .agg(
            pl.col("asset_id", "source", "interval", "rule", "severity", "ts", "field",
                   "value", "expected", "factor", "repair").first(),
            pl.col("session").first().alias("first_session"),
            pl.col("session").last().alias("last_session"),
            pl.len().cast(pl.Int64).alias("rows"), pl.col("confidence").min(),
        )
        .select(pl.col(name).cast(kind) for name, kind in FINDINGS.items())
    )  # fmt: skip


def _spans(series: Series, spans: pl.DataFrame, rule: str, book: Rulebook) -> pl.DataFrame:
    if spans.is_empty():
        return pl.DataFrame(schema=FINDINGS)
    told = spans.with_columns(
        pl.lit(rule).alias("rule"), pl.lit(str(Severity.WARNING)).alias("severity"),
        pl.lit("1d").alias("interval"), pl.lit(1.0).alias("confidence"),
    )  # fmt: skip
    kinds = series.bars.select("series", "asset_class").unique("series")
    off = [place for (place, name), a in book.actions.items() if name == rule and a is Action.OFF]
    told = told.join(kinds, on="series", how="left", maintain_order="left").filter(
        ~pl.col("asset_class").fill_null("").is_in(off) & pl.lit("default" not in off)
    )
    return told.select(
        (pl.col(name) if name in told.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in FINDINGS.items()
    )


def flagged_rows(bars: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """The bars that findings speak of: bars' columns, rule, severity, confidence.

    A bar with several findings comes several times; gaps and silence speak of none.
    """
    spans = [r.name for r in SERIES_RULES.values() if r.spans]
    ranges = found.filter(~pl.col("rule").is_in(spans)).select(
        "asset_id", "rule", "severity", "confidence", "field",
        pl.col("first_session").alias("_first"), pl.col("last_session").alias("_last"),
        pl.col("source").alias("_source"),
    )  # fmt: skip
    full = bars if "source" in bars.columns else bars.with_columns(source=pl.lit(""))
    return (
        full.join(ranges, on="asset_id")
        .filter(
            pl.col("session").is_between("_first", "_last"), pl.col("source") == pl.col("_source")
        )
        .drop("_first", "_last", "_source")
    )


__all__ = [
    "BLOCK_DAYS",
    "FINDINGS",
    "RULE_NAMES",
    "block_days",
    "findings",
    "flagged_rows",
    "neighbour_hits",
    "with_severity",
]
