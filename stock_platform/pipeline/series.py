"""Keeping economic series: asking a source that has them, and storing what is new.

Belongs here: which series, whom to ask, what a failure means. Does not: reading answers
(sources/), SQL (storage/series.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import polars as pl

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.errors import InputError, SourceError
from stock_platform.pipeline.probe import call_record, log_call, refusal_record
from stock_platform.pipeline.router import Router
from stock_platform.sources.base import FEED_SCHEMAS, Facts, Question, Source
from stock_platform.storage.connection import Database
from stock_platform.storage.series import write_series


@dataclass
class SeriesReport:
    """What a refresh did: values written by series, requests made, and failures in words."""

    written: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def refresh_series(
    db: Database, sources: Mapping[str, Source], router: Router, ids: Sequence[str]
) -> SeriesReport:
    """Ask for every series; one that fails does not stop the others.

    Each is stored in one transaction: what it is, and the values that are new or revised.

    Raises:
        InputError: no series is named, or no source that has series is switched on.
    """
    if not ids:
        raise InputError("series", "", "name at least one, such as GDP or DGS10")
    able = [s for s in sources.values() if Feed.SERIES in s.capabilities.feeds]
    if not able:
        raise InputError("series", ", ".join(ids), "switch on a source of series: FRED_API_KEY")
    report = SeriesReport()
    for name in dict.fromkeys(text.strip().upper() for text in ids):
        problems = []
        for source in able:
            try:
                info, values, requests = _asked(db, source, router, name)
            except SourceError as error:
                report.requests += error.requests
                problems.append(str(error))
                continue
            report.requests += requests
            report.written[name] = write_series(
                db, source.capabilities.source, info, values, datetime.now(UTC)
            )
            break
        else:
            report.failures[name] = "; ".join(problems)
    return report


def _asked(
    db: Database, source: Source, router: Router, name: str
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    frames, requests = {}, 0
    for feed in _feeds(source):
        question, began = Question(feed, name), datetime.now(UTC)
        vendor = source.capabilities.source
        try:
            facts: Facts = source.ask(question)
        except SourceError as error:
            log_call(db, refusal_record(str(feed), question.describe(), error, began))
            router.failed(vendor, str(feed), error)
            raise
        log_call(db, call_record(vendor, str(feed), question.describe(), facts, began))
        router.answered(vendor, facts.latency_ms / 1000)
        frames[feed] = facts.frame
        requests += facts.requests
    info = frames.get(Feed.SERIES_INFO, pl.DataFrame(schema=FEED_SCHEMAS[Feed.SERIES_INFO]))
    return info, frames[Feed.SERIES], requests


def _feeds(source: Source) -> Iterator[Feed]:
    """What a series is, then its values: an unknown one costs a single call."""
    yield from (f for f in (Feed.SERIES_INFO, Feed.SERIES) if f in source.capabilities.feeds)
