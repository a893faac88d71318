"""Metrics for Prometheus, read from the database: they are the platform's, not a process's.

Belongs here: names, help and labels. Does not: counting (storage/gauges.py). What this process
answered is told besides, under ``stock_platform_api_``, with the process's id as ``worker``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from stock_platform.apps.api.context import Api
from stock_platform.apps.api.edge import BUCKETS, Traffic
from stock_platform.apps.api.quality_metrics import quality_families, quality_gauges
from stock_platform.storage import quotes
from stock_platform.storage.connection import Database
from stock_platform.storage.gauges import Calls, Gauges, gauges

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
KEPT_SECONDS = 10.0
_P = "stock_platform_"


class _Snapshot:
    """A collector of what was read once."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def exposition(api: Api, sources: list[dict[str, Any]]) -> bytes:
    """The text that Prometheus reads; the database is asked at most every ten seconds."""
    found = api.kept("gauges", KEPT_SECONDS, lambda: gauges(api.reading.db))
    registry = CollectorRegistry(auto_describe=False)
    told = api.kept("quotes", KEPT_SECONDS, lambda: _told(api.reading.db))
    families = [
        *_calls(found.calls), *_work(found), *_quotes(*told), *_sources(sources),
        *_traffic(api.traffic),
    ]  # fmt: skip
    quality = api.kept("quality gauges", KEPT_SECONDS, lambda: quality_gauges(api.reading.db))
    families += quality_families(quality)
    registry.register(_Snapshot(families))
    return generate_latest(registry)


def _calls(calls: list[Calls]) -> Iterator[Metric]:
    asked = CounterMetricFamily(
        f"{_P}calls", "Questions to sources, by outcome.", labels=["source", "status"]
    )
    for c in calls:
        asked.add_metric([c.source, c.status], c.calls)
    yield asked
    sums: dict[str, dict[str, float]] = {}
    for c in calls:
        of = sums.setdefault(
            c.source, dict.fromkeys(("requests", "limited", "cached", "rows", "seconds", "n"), 0.0)
        )
        of["requests"] += c.requests
        of["limited"] += c.calls if c.status == "rate_limited" else 0
        of["cached"] += c.cached
        of["rows"] += c.rows
        of["seconds"] += c.seconds
        of["n"] += c.calls - c.cached
    for key, name, text in (
        ("requests", "requests", "HTTP requests that counted against quotas."),
        ("limited", "rate_limited", "Calls that ended with 429 (too many requests)."),
        ("cached", "cached", "Calls answered by the cache."),
        ("rows", "rows", "Rows that calls brought."),
    ):
        family = CounterMetricFamily(_P + name, text, labels=["source"])
        for source, of in sums.items():
            family.add_metric([source], of[key])
        yield family
    latency = SummaryMetricFamily(
        f"{_P}call_latency_seconds", "Latency of calls not answered by the cache.",
        labels=["source"],
    )  # fmt: skip
    for source, of in sums.items():
        latency.add_metric([source], count_value=int(of["n"]), sum_value=of["seconds"])
    yield latency


def _work(found: Gauges) -> Iterator[Metric]:
    jobs = GaugeMetricFamily(f"{_P}queue_jobs", "Histories to fill, by state.", labels=["state"])
    for state, count in found.queue.states.items():
        jobs.add_metric([state], count)
    yield jobs
    yield GaugeMetricFamily(
        f"{_P}queue_oldest_due_timestamp_seconds",
        "Since when the next job could have begun; 0: none is due.",
        value=found.queue.oldest_due.timestamp() if found.queue.oldest_due else 0,
    )
    yield GaugeMetricFamily(
        f"{_P}open_events", "Portfolio events not acted on.", value=found.queue.open_events
    )
    cells = GaugeMetricFamily(
        f"{_P}coverage_cells", "Cells of the coverage ledger.", labels=["interval", "status"]
    )
    for (interval, status), count in sorted(found.coverage.items()):
        cells.add_metric([interval, status], count)
    yield cells
    newest = GaugeMetricFamily(
        f"{_P}newest_bar_timestamp_seconds",
        "Freshness: where the newest validated bar of a tracked asset begins.",
        labels=["interval"],
    )
    for interval, (_, stamp) in sorted(found.newest.items()):
        newest.add_metric([interval], stamp.timestamp())
    yield newest
    for name, text, value in (
        ("assets", "Assets in the catalog.", found.assets),
        ("tracked_assets", "Assets that are tracked.", found.tracked),
        ("quarantined_rows", "Rows put aside.", found.quarantined),
    ):
        yield GaugeMetricFamily(_P + name, text, value=value)
    alerts = GaugeMetricFamily(f"{_P}open_alerts", "Alerts that are open.", labels=["kind"])
    for kind, count in sorted(found.alerts.items()):
        alerts.add_metric([kind], count)
    yield alerts


def _told(db: Database) -> tuple[pl.DataFrame, dict[str, datetime]]:
    return quotes.ages(db), quotes.newest(db)


def _quotes(ages: pl.DataFrame, newest: dict[str, datetime]) -> Iterator[Metric]:
    """How old live quotes were, and how new the newest is."""
    family = HistogramMetricFamily(
        f"{_P}quote_age_seconds",
        "From the exchange's stamp of a live quote to its being stored.",
        labels=["source"],
    )
    for (source,), group in ages.group_by("source", maintain_order=True):
        counts = dict(group.select("upper", "quotes").iter_rows())
        family.add_metric(
            [str(source)],
            buckets=_cumulative(quotes.AGES, counts),
            sum_value=math.fsum(group["seconds"]),
        )
    yield family
    last = GaugeMetricFamily(
        f"{_P}newest_quote_timestamp_seconds",
        "The exchange's stamp of the newest live quote of a tracked asset.",
        labels=["calendar"],
    )
    for calendar, stamp in newest.items():
        last.add_metric([calendar], stamp.timestamp())
    yield last


def _cumulative(bounds: Sequence[float], counts: Mapping[float, int]) -> list[tuple[str, float]]:
    """Prometheus's buckets: those of each bound and below, the last of which has no bound."""
    found, so_far = [], 0
    for bound in bounds:
        so_far += counts.get(bound, 0)
        found.append(("+Inf" if bound == float("inf") else str(bound), float(so_far)))
    return found


def _sources(sources: list[dict[str, Any]]) -> Iterator[Metric]:
    up = GaugeMetricFamily(f"{_P}source_up", "1: its circuit is closed.", labels=["source"])
    rate = GaugeMetricFamily(f"{_P}source_success_ratio", "Of late.", labels=["source"])
    left = GaugeMetricFamily(
        f"{_P}quota_left", "Calls left in a limit.", labels=["source", "window_seconds"]
    )
    blocked = GaugeMetricFamily(
        f"{_P}source_blocked_seconds", "Until Retry-After has passed.", labels=["source"]
    )
    for entry in sources:
        if not entry["on"]:
            continue
        name = entry["source"]
        up.add_metric([name], entry["circuit"] == "closed")
        if entry["success_rate"] is not None:
            rate.add_metric([name], entry["success_rate"])
        blocked.add_metric([name], entry["quota"]["blocked_seconds"])
        for limit in entry["quota"]["limits"]:
            left.add_metric([name, f"{limit['seconds']:.15g}"], limit["left"])
    yield from (up, rate, blocked, left)


def _traffic(traffic: Traffic) -> Iterator[Metric]:
    worker = str(os.getpid())
    answers = CounterMetricFamily(
        f"{_P}api_answers", "Answers of this process.",
        labels=["worker", "route", "method", "status"],
    )  # fmt: skip
    for (route, method, status), count in sorted(traffic.answers.copy().items()):
        answers.add_metric([worker, route, method, str(status)], count)
    yield answers
    took = HistogramMetricFamily(
        f"{_P}api_answer_seconds", "How long they took.", labels=["worker"]
    )
    seconds, total = traffic.seconds.copy(), traffic.total
    buckets = _cumulative((*BUCKETS, float("inf")), seconds)
    took.add_metric([worker], buckets=buckets, sum_value=total)
    yield took
