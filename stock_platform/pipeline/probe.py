"""One cheap call that tells whether a source works.

Belongs here: what to ask of which source, and the log of calls that are of no run. Does not:
asking in earnest (fetching.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from stock_platform.domain.bars import Interval
from stock_platform.domain.batches import CallRecord, FetchBatch
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Capabilities, Endpoint, Feed, Tile, TileShape
from stock_platform.domain.errors import InputError, SourceError
from stock_platform.domain.symbols import AssetClass, default_calendar, parse_symbol
from stock_platform.sources.base import Answer, Facts, Question, Source
from stock_platform.storage import writers
from stock_platform.storage.connection import Database

SAMPLES = {
    AssetClass.STOCK: "AAPL",
    AssetClass.ETF: "SPY",
    AssetClass.FX: "EUR/USD",
    AssetClass.CRYPTO: "BTC-EUR",
    AssetClass.INDEX: "^GSPC",
    AssetClass.COMMODITY: "GC=F",
    AssetClass.FUND: "VFINX",
}
"""An instrument that every vendor of its class knows."""

SAMPLE_SERIES = "GDP"
LOOK_BACK = timedelta(days=7)
FEEDS_FIRST = (Feed.QUOTE, Feed.SERIES_INFO, Feed.SERIES, Feed.PROFILE, Feed.LISTING)


@dataclass(frozen=True)
class Verdict:
    """What a probe found: what was asked, and the answer in words."""

    asked: str
    said: str
    requests: int
    latency_ms: int


def question_for(capabilities: Capabilities, now: datetime) -> Tile | Question:
    """The cheapest thing to ask: a quote where there is one, else a week of bars.

    Raises:
        InputError: the source can be asked nothing without knowing what it has (files).
    """
    classes = {kind for endpoint in capabilities.endpoints for kind in endpoint.asset_classes}
    sample = next((s for kind, s in SAMPLES.items() if kind in classes), SAMPLES[AssetClass.STOCK])
    if not capabilities.limits:
        raise InputError("source", capabilities.source, "it is of your own files: use `fetch`")
    for feed in FEEDS_FIRST if Feed.QUOTE in capabilities.feeds else ():
        return Question(feed, sample)
    for endpoint in capabilities.endpoints:
        if Interval.DAY in endpoint.intervals:
            return _tile(capabilities.source, endpoint, now)
    for feed in FEEDS_FIRST:
        if feed in capabilities.feeds:
            series = feed in (Feed.SERIES, Feed.SERIES_INFO)
            name = SAMPLE_SERIES if series else None if feed is Feed.LISTING else sample
            return Question(feed, name)
    raise InputError("source", capabilities.source, "it has nothing that can be tried")


def probe(source: Source, now: datetime, wall: datetime) -> tuple[Verdict, CallRecord]:
    """Ask a source one thing; what it said, and the record of the call.

    Raises:
        SourceError: it did not answer as it should.
    """
    what = question_for(source.capabilities, now)
    name = source.capabilities.source
    if isinstance(what, Tile):
        answer = source.fetch(what)
        verdict = Verdict(what.describe(), _said(answer), answer.requests, answer.latency_ms)
        return verdict, call_record(name, what.endpoint, what.describe(), answer, wall)
    facts = source.ask(what)
    verdict = Verdict(what.describe(), _told(facts), facts.requests, facts.latency_ms)
    return verdict, call_record(name, str(what.feed), what.describe(), facts, wall)


def call_record(
    source: str, endpoint: str, asked: str, got: Answer | Facts, began: datetime
) -> CallRecord:
    """The fetch log's line of an answer."""
    rows = got.bars.height if isinstance(got, Answer) else got.frame.height
    return CallRecord(
        source=source,
        endpoint=endpoint,
        tile=asked,
        status="ok" if rows else "no_data",
        requests=got.requests,
        rows=rows,
        latency_ms=got.latency_ms,
        started_at=began,
        finished_at=began + timedelta(milliseconds=got.latency_ms),
        http_status=got.http_status,
        cached=got.cached,
    )


def refusal_record(endpoint: str, asked: str, error: SourceError, began: datetime) -> CallRecord:
    """The fetch log's line of a failure."""
    return CallRecord(
        source=error.source,
        endpoint=endpoint,
        tile=asked,
        status=error.status,
        requests=error.requests,
        rows=0,
        latency_ms=0,
        started_at=began,
        finished_at=began,
        error=error.detail[:500],
    )


def log_call(db: Database, record: CallRecord) -> None:
    """Keep a call that is of no run, so that the usage report counts it."""
    writers.write_fetch(db, [FetchBatch(call=record)], None)


def _tile(source: str, endpoint: Endpoint, now: datetime) -> Tile:
    kind = next(k for k in (*SAMPLES, *endpoint.asset_classes) if k in endpoint.asset_classes)
    symbol = parse_symbol(SAMPLES[kind])
    exchange = get_calendar(default_calendar(symbol))
    last = exchange.last_completed(now)
    if endpoint.shape is TileShape.COLUMN:
        day = exchange.previous_session(last)
        return Tile(source, endpoint.name, Interval.DAY, day, day)
    first: date = exchange.sessions(last - LOOK_BACK, last).astype(object)[0]
    members = ((1, symbol.ticker),) if endpoint.shape is TileShape.BLOCK else ()
    name = None if members else symbol.ticker
    return Tile(source, endpoint.name, Interval.DAY, first, last, None, name, members)


def _said(answer: Answer) -> str:
    if answer.bars.is_empty():
        return "no bars of the last days"
    last = answer.bars.sort("session").row(-1, named=True)
    return f"{last['symbol']} closed at {last['close']:g} on {last['session']}"


def _told(facts: Facts) -> str:
    if facts.frame.is_empty():
        return "nothing"
    row = facts.frame.row(-1, named=True)
    if facts.feed is Feed.QUOTE:
        return f"{row['symbol']} at {row['price']:g} {row['currency'] or ''}, {row['ts']:%Y-%m-%d}"
    if facts.feed is Feed.SERIES:
        return f"{row['series_id']} was {row['value']} on {row['date']}"
    return f"{facts.frame.height:,} row{'s' * (facts.frame.height != 1)}"
