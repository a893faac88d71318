"""Live prices: ask for those who are due, and store what is told.

Belongs here: a round of asking, from the watch to the stored quotes. Does not: the rules
(domain/live.py), SQL (storage/quotes.py), when rounds are (orchestration/live.py).

A round asks every due asset of the best source that has quota, and those that got no good
answer of the next one, until it is out of sources or of time. Assets are taken just before their
call, so what a round has no time for is due in the next one, and of two rounds at once one asks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from stock_platform.domain.bars import Adjust, conform
from stock_platform.domain.batches import QUARANTINE, CallRecord
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Capabilities, Feed
from stock_platform.domain.corporate_actions import DIVIDENDS, apply_adjustments
from stock_platform.domain.errors import InputError, RateLimited, SourceError, UnknownSymbol
from stock_platform.domain.live import (
    OLDER,
    QUOTED,
    TICK_SECONDS,
    QuoteCall,
    allowance,
    due,
    judge,
    route,
)
from stock_platform.pipeline.probe import call_record, log_call, refusal_record
from stock_platform.sources.base import Facts, Question
from stock_platform.storage import quotes, readers

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

FEED = str(Feed.QUOTE)


@dataclass
class LiveReport:
    """What a round did.

    Attributes:
        asked: assets asked for.
        calls: made, by source.
        quotes: told for the first time. latest: of them newer than what was stored.
        quarantined: rows put aside.
        failures: why calls failed, by source, in words.
        silent: tickers that nobody had a good quote of.
        postponed: assets left to the next round, out of time or taken by another.
        seconds: of the round.
    """

    asked: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    quotes: int = 0
    latest: int = 0
    quarantined: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    postponed: int = 0
    seconds: float = 0.0


def ask_due(platform: Platform, seconds: float = TICK_SECONDS) -> LiveReport:
    """Ask for the quotes of all tracked assets that are due by their exchange's hours."""
    now = platform.clock.now()
    wanted = due(quotes.watched(platform.db, platform.settings.live_minutes), now)
    return _Round(platform, wanted, now, seconds, take=True).run()


def ask_now(platform: Platform, asset_ids: Sequence[int], seconds: float = 60.0) -> LiveReport:
    """Ask for the quotes of some assets, whatever the hour."""
    from stock_platform.storage import assets

    wanted = assets.by_id(platform.db, asset_ids)
    return _Round(platform, wanted, platform.clock.now(), seconds, take=False).run()


@dataclass(frozen=True)
class _Outcome:
    """What became of a call: assets to ask elsewhere, and whether its source goes on."""

    again: list[int]
    goes_on: bool = True


class _Round:
    def __init__(
        self, platform: Platform, wanted: pl.DataFrame, now: datetime, seconds: float, *, take: bool
    ) -> None:
        self._platform = platform
        self._sources = platform.live_sources
        self._wanted = wanted
        self._rows = {row["asset_id"]: row for row in wanted.iter_rows(named=True)}
        self._now = now
        self._ends = time.monotonic() + seconds
        self._take = take
        self._taken: set[int] = set()
        self._not_of: set[tuple[str, int]] = set()
        self._gone: set[str] = set()
        self.report = LiveReport()

    def run(self) -> LiveReport:
        """Ask until all have answered, or nobody is left to be asked."""
        began = time.monotonic()
        if not self._rows:
            return self.report
        platform, ids = self._platform, sorted(self._rows)
        self._closes = last_closes(platform, self._wanted, self._now)
        self._not_of |= platform.router.unknown()
        pending = set(ids)
        while pending and not self._late():
            calls = route(
                self._wanted.filter(pl.col("asset_id").is_in(list(pending))),
                self._able(),
                self._left(),
                self._not_of,
            )
            if not calls:
                break
            lanes: dict[str, list[QuoteCall]] = {}
            for call in calls:
                lanes.setdefault(call.source, []).append(call)
            with ThreadPoolExecutor(len(lanes)) as pool:
                for done, again in pool.map(self._lane, lanes.values()):
                    pending = (pending - done) | again
        platform.router.flush()
        tried = self._taken & pending
        self.report.asked = len(self._taken)
        self.report.silent = sorted(self._rows[a]["ticker"] for a in tried)
        self.report.postponed = len(self._rows) - len(self._taken)
        self.report.seconds = time.monotonic() - began
        return self.report

    def _late(self) -> bool:
        return time.monotonic() >= self._ends

    def _able(self) -> list[Capabilities]:
        router = self._platform.router
        barred, paused = router.barred(), router.pauses()
        return [
            c
            for c in router.liked({n: s.capabilities for n, s in self._sources.items()})
            if c.live is not None
            and c.source not in self._gone
            and c.source not in paused
            and (c.source, FEED) not in barred
        ]

    def _left(self) -> dict[str, int]:
        """By account, the calls that quotes may spend."""
        found: dict[str, int] = {}
        for c in (s.capabilities for s in self._sources.values()):
            room = allowance(c.limits, self._platform.quota.state(c.account, c.limits))
            found[c.account] = min(found.get(c.account, room), room)
        return found

    def _lane(self, calls: Sequence[QuoteCall]) -> tuple[set[int], set[int]]:
        """Make the calls of one source one by one; who is done, and who is to be asked again."""
        done: set[int] = set()
        again: set[int] = set()
        for call in calls:
            if self._late() or not self._platform.router.may_try(call.source):
                again |= set(call.asset_ids)
                continue
            mine = self._claimed(call)
            done |= set(call.asset_ids) - set(mine.asset_ids)
            if not mine.asset_ids:
                continue
            outcome = self._asked(mine)
            again |= set(outcome.again)
            done |= set(mine.asset_ids) - set(outcome.again)
            if not outcome.goes_on:
                self._gone.add(call.source)
                again |= {a for c in calls[calls.index(call) + 1 :] for a in c.asset_ids}
                break
        return done, again

    def _claimed(self, call: QuoteCall) -> QuoteCall:
        """The call without those that another round has asked for."""
        new = [a for a in call.asset_ids if a not in self._taken]
        got = set(new)
        if self._take and new:
            rows = self._wanted.filter(pl.col("asset_id").is_in(new))
            got = set(quotes.claim(self._platform.db, rows, self._now))
        self._taken |= got
        kept = [
            (a, t)
            for a, t in zip(call.asset_ids, call.tickers, strict=True)
            if a not in new or a in got
        ]
        return QuoteCall(call.source, tuple(a for a, _ in kept), tuple(t for _, t in kept))

    def _asked(self, call: QuoteCall) -> _Outcome:
        """Make a call, and store what it told."""
        platform, source = self._platform, self._sources[call.source]
        several = len(call.tickers) > 1
        question = Question(
            Feed.QUOTE,
            None if several else call.tickers[0],
            symbols=call.tickers if several else (),
        )
        began = datetime.now(UTC)
        self.report.calls[call.source] = self.report.calls.get(call.source, 0) + 1
        try:
            facts = source.ask(question)
        except SourceError as error:
            return self._failed(call, question, error, began)
        except InputError as error:  # it cannot be asked for this one
            self._not_of |= {(call.source, a) for a in call.asset_ids}
            self.report.failures[call.source] = str(error)
            return _Outcome(list(call.asset_ids))
        platform.router.answered(call.source, facts.latency_ms / 1000)
        record = call_record(call.source, FEED, question.describe(), facts, began)
        answered = self._store(call, facts, record)
        silent = [a for a in call.asset_ids if a not in answered]
        self._not_of |= {(call.source, a) for a in silent}
        return _Outcome(silent)

    def _failed(
        self, call: QuoteCall, question: Question, error: SourceError, began: datetime
    ) -> _Outcome:
        platform = self._platform
        log_call(platform.db, refusal_record(FEED, question.describe(), error, began))
        if not isinstance(error, RateLimited):  # a spent quota is no fault
            keyed = self._sources[call.source].capabilities.needs_key is not None
            platform.router.failed(call.source, FEED, error, keyed=keyed)
        self.report.failures[call.source] = str(error)
        self._not_of |= {(call.source, a) for a in call.asset_ids}
        unknown = isinstance(error, UnknownSymbol)
        if unknown and len(call.asset_ids) == 1:
            platform.router.unknown_to(call.source, call.asset_ids)
        return _Outcome(list(call.asset_ids), goes_on=error.status in _OF_THE_SYMBOL)

    def _store(self, call: QuoteCall, facts: Facts, record: CallRecord) -> set[int]:
        """Store an answer; the assets that need not be asked for again."""
        ids = dict(zip(call.tickers, call.asset_ids, strict=True))
        received = facts.received_at or self._now
        judged = judge(
            self._quoted(facts.frame, ids, call.source, received),
            quotes.latest(self._platform.db, call.asset_ids),
            self._closes,
            self._now,
        )
        stored = quotes.store(
            self._platform.db,
            record,
            judged,
            _aside(judged, facts.rejected, ids, call.source),
            self._platform.clock.now(),
        )
        self.report.quotes += stored.quotes
        self.report.latest += stored.latest
        self.report.quarantined += stored.quarantined
        settled = judged.filter(pl.col("reasons").list.set_difference([OLDER]).list.len() == 0)
        return set(settled["asset_id"].to_list())

    def _quoted(
        self, frame: pl.DataFrame, ids: dict[str, int], source: str, received: datetime
    ) -> pl.DataFrame:
        """QUOTED of QUOTES."""
        mine = frame.filter(pl.col("symbol").is_in(list(ids)))
        calendars = {t: get_calendar(self._rows[a]["calendar"]) for t, a in ids.items()}
        sessions = [
            None if ts is None else calendars[symbol].trading_session(ts)
            for symbol, ts in mine.select("symbol", "ts").iter_rows()
        ]
        return conform(
            mine.rename({"ts": "quoted_at"}).with_columns(
                pl.Series("asset_id", [ids[s] for s in mine["symbol"].to_list()], dtype=pl.Int32()),
                pl.Series("session", sessions, dtype=pl.Date()),
                pl.lit(source).alias("source"),
                pl.lit(received).alias("fetched_at"),
            ),
            QUOTED,
        )


_OF_THE_SYMBOL = frozenset({"unknown_symbol", "no_data"})
"""Failures that say nothing of other symbols."""


def last_closes(platform: Platform, wanted: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The last close of each asset in shares of its exchange's present session.

    Sydney opens on the day before by UTC: a split of Monday's is in Sunday's first quotes.
    """
    ids = wanted["asset_id"].to_list()
    names = wanted["calendar"].unique().sort().to_list()
    sessions = [get_calendar(name).trading_session(now) for name in names]
    begun = pl.DataFrame(
        {"calendar": names, "_begun": sessions}, schema_overrides={"_begun": pl.Date()}
    )
    splits = (
        readers.splits(platform.db, ids)
        .join(wanted.select("asset_id", "calendar"), on="asset_id")
        .join(begun, on="calendar")
        .filter(pl.col("ex_date") <= pl.col("_begun"))
        .drop("calendar", "_begun")
    )
    return apply_adjustments(
        readers.latest(platform.db, ids),
        splits,
        pl.DataFrame(schema=DIVIDENDS),
        Adjust.SPLITS,
    ).select("asset_id", "session", "close")


def _aside(
    judged: pl.DataFrame, rejected: pl.DataFrame, ids: dict[str, int], source: str
) -> pl.DataFrame:
    """QUARANTINE of quotes that are not believed, and of rows that could not be read."""
    names = {a: t for t, a in ids.items()}
    bad = judged.filter(pl.col("reasons").list.len() > 0)
    shown = pl.struct("quoted_at", "price", "previous_close", "currency").struct.json_encode()
    told = bad.with_columns(
        pl.col("asset_id").replace_strict(names, return_dtype=pl.String()).alias("ticker"),
        pl.col("quoted_at").alias("ts"),
        shown.alias("row"),
    )
    unread = rejected.with_columns(
        pl.col("symbol")
        .replace_strict(ids, default=None, return_dtype=pl.Int32())
        .alias("asset_id"),
        pl.col("symbol").alias("ticker"),
        pl.lit(source).alias("source"),
    )
    return pl.concat([conform(told, QUARANTINE), conform(unread, QUARANTINE)])


__all__ = ["LiveReport", "ask_due", "ask_now", "last_closes"]
