"""Every rule's verdict on the quotes of one session, rule by rule.

Belongs here: asking each rule of one cell and wording what it saw. Does not: choosing
(choosing.py), what findings lead to over many cells (findings.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import polars as pl

from stock_platform.domain.bars import UTC_STAMP, Basis
from stock_platform.domain.validation.findings import block_days, with_severity
from stock_platform.domain.validation.neighbours import SERIES_RULES, Reach, Surroundings
from stock_platform.domain.validation.rulebook import Rulebook
from stock_platform.domain.validation.rules import RULES, Level
from stock_platform.domain.validation.series import prepare

PASSED, FAILED, NOT_APPLICABLE, NOT_ASKED = "passed", "failed", "not applicable", "not asked"

Key = tuple[str, datetime]


def rule_verdicts(
    traded: pl.DataFrame,
    day: date,
    *,
    splits: pl.DataFrame,
    dividends: pl.DataFrame,
    sessions: pl.DataFrame,
    classes: Mapping[int, str],
    rulebook: Rulebook,
    level: Level,
    now: datetime,
    whole: bool = False,
) -> dict[Key, list[dict[str, Any]]]:
    """Of each quote of ``day`` (source, stamp): rule, level, severity, verdict, detail.

    Args:
        traded: daily quotes of one asset as traded (choosing.as_traded), of the day's block and
            the two beside it.
        day: the session.
        splits: SPLITS.
        dividends: DIVIDENDS.
        sessions: asset_id, session, opens, closes.
        classes: asset class by asset.
        rulebook: thresholds and actions.
        level: rules above it are told as not asked.
        now: aware instant.
        whole: the quotes are all of the asset's, and its level is left open (context.py).

    A rule is not applicable where the quote lacks what it looks at, or, among neighbours,
    where the source's prices cannot be had as traded.
    """
    own = traded.filter(pl.col("session") == day).join(
        sessions, on=["asset_id", "session"], how="left", maintain_order="left"
    ).with_columns(pl.lit(now).cast(UTC_STAMP).alias("now"))  # fmt: skip
    asked = own.select("source", "ts", *(r.failing.alias(n) for n, r in RULES.items()))
    found: dict[Key, list[dict[str, Any]]] = {}
    full = {(r["source"], r["ts"]): r for r in own.to_dicts()}
    for row in asked.to_dicts():
        key = (row["source"], row["ts"])
        found[key] = [
            _verdict(
                name,
                rule.level,
                str(rule.severity),
                _word(row[name]) if rule.level in level.included else NOT_ASKED,
                _seen(name, full[key]) if row[name] else "",
            )
            for name, rule in RULES.items()
        ]
    near = (traded, day, splits, dividends, sessions, classes, rulebook)
    told = _among_neighbours(*near, days=block_days("1d"))
    if whole:
        far = _among_neighbours(*near, days=None)
        told = {k: v for k, v in told.items() if not _of_series(k)} | {
            k: v for k, v in far.items() if _of_series(k)
        }
    for key, verdicts in found.items():
        reached = full[key]["basis"] != str(Basis.FULLY_ADJUSTED)
        for name, series_rule in SERIES_RULES.items():
            if series_rule.spans:
                continue
            hit = told.get((*key, name))
            word = FAILED if hit else PASSED if reached else NOT_APPLICABLE
            if series_rule.level not in level.included:
                word, hit = NOT_ASKED, None
            verdicts.append(
                _verdict(
                    name, series_rule.level, hit["severity"] if hit else "by confidence", word,
                    _told(hit) if hit else "",
                )
            )  # fmt: skip
    return found


def _verdict(rule: str, level: Level, severity: str, verdict: str, detail: str) -> dict[str, Any]:
    return {
        "rule": rule, "level": str(level), "severity": severity, "verdict": verdict,
        "detail": detail if verdict == FAILED else "",
    }  # fmt: skip


def _word(failing: bool | None) -> str:
    if failing is None:
        return NOT_APPLICABLE
    return FAILED if failing else PASSED


def _among_neighbours(
    traded: pl.DataFrame,
    day: date,
    splits: pl.DataFrame,
    dividends: pl.DataFrame,
    sessions: pl.DataFrame,
    classes: Mapping[int, str],
    rulebook: Rulebook,
    *,
    days: int | None,
) -> dict[tuple[str, datetime, str], dict[str, Any]]:
    quotes = traded.filter(pl.col("basis") != str(Basis.FULLY_ADJUSTED))
    if quotes.is_empty():
        return {}
    series = prepare(
        quotes.with_columns(pl.lit(str(Basis.AS_TRADED)).alias("basis")),
        splits=splits,
        dividends=dividends,
        classes=classes,
        rulebook=rulebook,
        block_days=days,
    )
    around = Surroundings(series, sessions)
    hits = [rule.find(around) for rule in SERIES_RULES.values() if not rule.spans]
    told = with_severity(series, pl.concat(hits), rulebook).join(
        series.bars.filter(pl.col("session") == day).select("row", "source", "ts"), on="row"
    )
    return {(r["source"], r["ts"], r["rule"]): r for r in told.sort("confidence").to_dicts()}


def _of_series(key: tuple[str, datetime, str]) -> bool:
    return SERIES_RULES[key[2]].reach is Reach.SERIES


def _told(hit: Mapping[str, Any]) -> str:
    """What a series rule saw, in a line."""
    words = []
    if hit["value"] is not None and hit["field"] != "session":
        words.append(f"{hit['field'] or 'value'} {hit['value']:,.6g}")
        if hit["expected"] is not None:
            words.append(f"where {hit['expected']:,.6g} is expected")
    if hit["factor"] is not None:
        words.append(f"times {hit['factor']:.6g} it would fit")
    words.append(f"{hit['confidence']:.0%} sure")
    return ", ".join(words)


_LOOKS_AT = {
    "missing_price": ("open", "high", "low", "close"),
    "price_not_positive": ("open", "high", "low", "close"),
    "number_out_of_bounds": ("open", "high", "low", "close", "volume"),
    "high_below_low": ("high", "low"),
    "open_outside_range": ("open", "high", "low"),
    "close_outside_range": ("close", "high", "low"),
    "volume_negative": ("volume",),
    "vwap_outside_range": ("vwap", "high", "low"),
    "not_as_traded": ("basis",),
    "stamp_in_future": ("ts",),
    "stamp_outside_session": ("ts", "opens", "closes"),
    "session_not_over": ("fetched_at", "closes"),
}


def _seen(rule: str, row: Mapping[str, Any]) -> str:
    """The numbers that a rule looked at."""
    return ", ".join(f"{name} {_number(row[name])}" for name in _LOOKS_AT.get(rule, ()))


def _number(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%MZ}"
    return f"{value:,.10g}" if isinstance(value, int | float) else str(value or "absent")
