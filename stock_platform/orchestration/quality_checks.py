"""Asset checks of quality: scores, every rule of validation, and the whole store's promises.

Belongs here: one check a score of a scope, one a rule, with thresholds and severities, and
uniqueness, references, freshness. Does not: scores (pipeline/scoring.py), the questions
(storage/integrity.py).
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    multi_asset_check,
)

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.gaps import GapState
from stock_platform.domain.quality import (
    ERROR_SHARE,
    PROMPT_HOURS,
    SCORES,
    THRESHOLDS,
    WARNING_SHARE,
)
from stock_platform.domain.validation.neighbours import SERIES_RULES
from stock_platform.domain.validation.rulebook import Action, Rulebook
from stock_platform.domain.validation.rules import RULES, Severity
from stock_platform.orchestration.assets.quality import QUALITY
from stock_platform.orchestration.failures import clear_failures
from stock_platform.orchestration.resources import PlatformResource
from stock_platform.pipeline.runtime import Platform
from stock_platform.storage import assets, integrity
from stock_platform.storage import quality as stored

SCOPES = ("watchlist", "market")
GRAVE = ("completeness", "accuracy", "overall")
"""Scores whose check is an error; the others warn."""

LEAST = 5
"""Fewer sessions than these do not fail a rule's check: a share of few says little."""

CATALOG_DAYS = 8

STORE = {
    "unique_keys": (
        "There is one daily price a session, one asset behind a ticker on any day, one state of a "
        "cell, one decision in force on a row; over the whole store."
    ),
    "references": (
        "Every row is about an asset of the catalog, every daily price has the quote that it was "
        "made from, and every quote the call that brought it; over the whole store."
    ),
    "fresh_store": (
        f"Prices reach the last session that closed {PROMPT_HOURS} hours ago; weeks, months and "
        f"indicators reach the prices; the catalog was refreshed within {CATALOG_DAYS} days."
    ),
}


def quality_checks() -> list[AssetChecksDefinition]:
    """The checks of the asset ``quality``."""
    specs = [
        AssetCheckSpec(
            f"{scope}_{name}",
            asset=QUALITY,
            description=f"The {scope}'s {name} score reaches its threshold "
            f"({THRESHOLDS[name]:g} unless `[checks]` of the rules' file says otherwise).",
        )
        for scope in SCOPES
        for name in SCORES
    ]
    rules = [
        AssetCheckSpec(f"rule_{name}", asset=QUALITY, description=_about(name))
        for name in (*RULES, *SERIES_RULES)
    ]
    store = [AssetCheckSpec(n, asset=QUALITY, description=about) for n, about in STORE.items()]

    @multi_asset_check(specs=specs, name="quality_scores_check")
    def scores(platform: PlatformResource) -> Iterator[AssetCheckResult]:
        """Scores against their thresholds."""
        with clear_failures():
            yield from judge_scores(platform.get())

    @multi_asset_check(specs=rules, name="quality_rules_check")
    def rule_shares(platform: PlatformResource) -> Iterator[AssetCheckResult]:
        """How many sessions fail each rule."""
        with clear_failures():
            yield from judge_rules(platform.get())

    @multi_asset_check(specs=store, name="store_check")
    def store_promises(platform: PlatformResource) -> Iterator[AssetCheckResult]:
        """The whole store."""
        with clear_failures():
            yield from judge_store(platform.get())

    return [scores, rule_shares, store_promises]


def _about(name: str) -> str:
    rule = RULES.get(name) or SERIES_RULES[name]
    head = rule.about.split("\n\n")[0].replace("\n", " ")
    return f"{head} Few of the judged sessions may fail it; the share depends on its severity."


def severity_of(name: str, book: Rulebook) -> Severity | None:
    """What a rule leads to by the rulebook; None: it is off."""
    action = book.action(name, None)
    if action is Action.OFF:
        return None
    if name in RULES:
        return RULES[name].severity
    return Severity.ERROR if action is Action.ERROR else Severity.WARNING


def judge_scores(platform: Platform) -> Iterator[AssetCheckResult]:
    """A result a scope and score; scopes of which nothing was asked pass."""
    book = platform.settings.rulebook
    found = {r["scope"]: r for r in stored.scores(platform.db, "scope").to_dicts()}
    for scope in SCOPES:
        for name in SCORES:
            threshold = book.checks.get(name, THRESHOLDS[name])
            value = found.get(scope, {}).get(name)
            told: dict[str, Any] = {"threshold": threshold}
            if value is not None:
                told["score"] = value
            yield AssetCheckResult(
                asset_key=QUALITY,
                check_name=f"{scope}_{name}",
                passed=value is None or value >= threshold,
                severity=AssetCheckSeverity.ERROR if name in GRAVE else AssetCheckSeverity.WARN,
                description="nothing to say yet"
                if value is None
                else f"{value:.2f} of 100; {threshold:g} is needed",
                metadata=told,
            )


def judge_rules(platform: Platform) -> Iterator[AssetCheckResult]:
    """A result a rule: the share of judged sessions that fail it."""
    book = platform.settings.rulebook
    tickers = stored.scores(platform.db, "ticker")
    judged = int(tickers.select(pl.col("priced", "aside").sum()).sum_horizontal().item())
    counts = stored.finding_counts(platform.db) | {
        "gap": _in_gaps(platform), "silent": _silent(platform, tickers),
    }  # fmt: skip
    for name in (*RULES, *SERIES_RULES):
        severity = severity_of(name, book)
        usual = ERROR_SHARE if severity is Severity.ERROR else WARNING_SHARE
        threshold = book.checks.get(name, usual)
        failing = counts.get(name, 0)
        share = failing / judged if judged else 0.0
        fine = severity is None or failing < LEAST or share <= threshold
        grave = severity is Severity.ERROR
        yield AssetCheckResult(
            asset_key=QUALITY,
            check_name=f"rule_{name}",
            passed=fine,
            severity=AssetCheckSeverity.ERROR if grave else AssetCheckSeverity.WARN,
            description="the rule is off"
            if severity is None
            else f"{failing:,} of {judged:,} judged sessions ({share:.3%}); "
            f"{threshold:.2%} may fail it",
            metadata={"sessions": failing, "judged": judged, "share": share,
                      "threshold": threshold, "severity": str(severity or "off")},
        )  # fmt: skip


def _in_gaps(platform: Platform) -> int:
    """Sessions without a price that nothing explains."""
    counts = stored.gap_counts(platform.db)
    unexplained = (GapState.MISSING, GapState.FAILED, GapState.NO_DATA)
    return sum(counts.get(str(state), (0, 0))[1] for state in unexplained)


def _silent(platform: Platform, tickers: pl.DataFrame) -> int:
    """Sessions by which listed assets are behind, of those that are fresh_sessions behind."""
    calendar = get_calendar(platform.calendar_name)
    now = platform.clock.now() - timedelta(hours=PROMPT_HOURS)
    last = calendar.last_completed(now)
    known = assets.by_id(platform.db, tickers["asset_id"].to_list()).filter(
        pl.col("delisted_on").is_null(), pl.col("calendar") == platform.calendar_name
    )
    newest = tickers.join(known, on="asset_id", how="semi")["last_session"].drop_nulls()
    least = platform.settings.rulebook.default.fresh_sessions
    if newest.is_empty():
        return 0
    sessions = calendar.sessions(min(newest.to_list()), last)
    at = np.searchsorted(sessions, newest.to_numpy().astype("datetime64[D]"))
    behind = len(sessions) - 1 - at
    return int(behind[behind >= least].sum())


def judge_store(platform: Platform) -> Iterator[AssetCheckResult]:
    """Uniqueness, references, freshness."""
    for name, faults in (
        ("unique_keys", integrity.uniqueness(platform.db)),
        ("references", integrity.references(platform.db)),
    ):
        bad = [f for f in faults if f.rows]
        yield AssetCheckResult(
            asset_key=QUALITY,
            check_name=name,
            passed=not bad,
            severity=AssetCheckSeverity.ERROR,
            description="; ".join(f"{f.rows:,} {f.name} ({f.example})" for f in bad)
            or f"{len(faults)} questions, none finds a row",
            metadata={f.name: f.rows for f in faults},
        )
    yield _fresh(platform)


def _fresh(platform: Platform) -> AssetCheckResult:
    found = integrity.freshness(platform.db)
    due = platform.clock.now() - timedelta(hours=PROMPT_HOURS)
    last = get_calendar(platform.calendar_name).last_completed(due)
    late = []
    if found.newest_price is not None and found.newest_price < last:
        late.append(f"the newest price is of {found.newest_price}, that of {last} is due")
    for name, count in (("weeks", found.weekly), ("months", found.monthly),
                        ("indicators", found.indicators)):  # fmt: skip
        if count:
            late.append(f"{name} of {count:,} assets lag behind their prices")
    if found.catalog_days is not None and found.catalog_days > CATALOG_DAYS:
        late.append(f"the catalog is {found.catalog_days:.0f} days old")
    return AssetCheckResult(
        asset_key=QUALITY,
        check_name="fresh_store",
        passed=not late,
        severity=AssetCheckSeverity.WARN,
        description="; ".join(late) or "nothing lags behind",
        metadata={
            "newest_price": str(found.newest_price),
            "last_session_due": str(last),
            "weeks_lagging": found.weekly,
            "months_lagging": found.monthly,
            "indicators_lagging": found.indicators,
            **({"catalog_days": found.catalog_days} if found.catalog_days is not None else {}),
            **({"last_answer_days": found.last_answer} if found.last_answer is not None else {}),
        },
    )
