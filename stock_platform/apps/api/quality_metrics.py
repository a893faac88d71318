"""Quality and coverage for Prometheus.

Belongs here: names, help and labels. Does not: scoring (pipeline/scoring.py), counting
(storage/quality.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl
from prometheus_client.core import GaugeMetricFamily, Metric

from stock_platform.domain.quality import SCORES
from stock_platform.storage import quality
from stock_platform.storage.connection import Database

_P = "stock_platform_"


@dataclass(frozen=True)
class QualityGauges:
    """Scores of scopes and sources, how old they are, and the gaps by state."""

    scopes: pl.DataFrame
    sources: pl.DataFrame
    gaps: dict[str, tuple[int, int]]


def quality_gauges(db: Database) -> QualityGauges:
    """As they were scored last."""
    return QualityGauges(
        quality.scores(db, "scope"), quality.scores(db, "source"), quality.gap_counts(db)
    )


def quality_families(found: QualityGauges) -> Iterator[Metric]:
    """The families of what was scored."""
    scores = GaugeMetricFamily(
        f"{_P}quality_score", "Quality of a scope's daily prices, 0 to 100.",
        labels=["scope", "score"],
    )  # fmt: skip
    cells = GaugeMetricFamily(
        f"{_P}scope_cells", "Cells of a scope: expected, stored, priced.", labels=["scope", "state"]
    )
    coverage = GaugeMetricFamily(
        f"{_P}coverage_ratio", "Of the cells that should be there, those that are.",
        labels=["scope"],
    )  # fmt: skip
    at = GaugeMetricFamily(f"{_P}quality_scored_timestamp_seconds", "Scored last.",
                           labels=["scope"])  # fmt: skip
    for row in found.scopes.to_dicts():
        scope = row["scope"]
        for name in SCORES:
            if row[name] is not None:
                scores.add_metric([scope, name], row[name])
        for name in ("expected", "stored", "priced"):
            cells.add_metric([scope, name], row[name])
        coverage.add_metric([scope], row["stored"] / row["expected"])
        at.add_metric([scope], row["scored_at"].timestamp())
    yield from (scores, cells, coverage, at)
    sources = GaugeMetricFamily(
        f"{_P}source_quality_score", "Quality of a source's daily quotes, 0 to 100.",
        labels=["source", "score"],
    )  # fmt: skip
    for row in found.sources.to_dicts():
        for name in SCORES:
            if row[name] is not None:
                sources.add_metric([row["source"], name], row[name])
    yield sources
    gaps = GaugeMetricFamily(
        f"{_P}gap_sessions", "Sessions without a price, by why.", labels=["state"]
    )
    for state, (_, sessions) in found.gaps.items():
        gaps.add_metric([state], sessions)
    yield gaps
