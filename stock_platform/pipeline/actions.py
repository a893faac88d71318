"""Keeping splits and dividends: asking those who tell of the whole market, a few calls a day.

Belongs here: whom to ask, over which days, what follows from what is new. Does not: reading
answers (sources/), which telling stands (domain/reconciling.py), SQL (storage/).

Prices are stored as traded, so a new action changes no price. What follows from it is done here:
weeks and months that it tears are derived again in its own transaction, and returns and prices
that were restored from a source's adjusted ones after it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import polars as pl

from stock_platform.domain.bars import Interval, conform
from stock_platform.domain.batches import ANSWERED, CallRecord, FetchBatch
from stock_platform.domain.capabilities import Capabilities, Feed
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.corporate_actions import DIVIDENDS, SPLITS
from stock_platform.domain.errors import InputError, SourceError
from stock_platform.domain.reconciling import Kind
from stock_platform.pipeline.market import Market
from stock_platform.pipeline.probe import call_record, log_call, refusal_record
from stock_platform.pipeline.router import Router
from stock_platform.pipeline.validating import tells_its_splits
from stock_platform.sources.base import Facts, Question, Source
from stock_platform.storage import actions as store
from stock_platform.storage import assets, writers
from stock_platform.storage.connection import Database

FEEDS: dict[Kind, Feed] = {"split": Feed.SPLITS, "dividend": Feed.DIVIDENDS}

LOOK_BACK = timedelta(days=7)
"""Days before the last answer that are asked for again: what came late, or was corrected."""

FRESH = timedelta(hours=6)
"""How long an answer holds, so that running again asks for nothing."""

CHUNK = timedelta(days=366)
"""Days of one question: what is answered is kept, should a later one fail."""


@dataclass
class ActionsReport:
    """What a refresh did.

    Attributes:
        told: rows of known assets in the answers, by kind.
        strangers: rows of symbols that no asset bears.
        changed: asset_id, kind and ex_date of actions in force that are new, different or gone.
        calls: HTTP requests by source.
        asked: what was asked, in words.
        failures: what could not be asked, and why.
        conflicts: tellings in the whole store that contradict what is in force.
    """

    told: Counter[str] = field(default_factory=Counter)
    strangers: int = 0
    changed: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(
            schema={"asset_id": pl.Int32(), "kind": pl.String(), "ex_date": pl.Date()}
        )
    )
    calls: Counter[str] = field(default_factory=Counter)
    asked: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    conflicts: int = 0


class ActionsRefresh:
    """One refresh of splits and dividends."""

    def __init__(
        self,
        market: Market,
        sources: Mapping[str, Source],
        router: Router,
        run_id: str | None = None,
    ) -> None:
        self._market = market
        self._db = market.db
        self._sources = sorted(sources.values(), key=lambda s: s.capabilities.preference)
        self._router = router
        self._run_id = run_id
        self._record: CallRecord | None = None
        self.report = ActionsReport()

    def whole_market(
        self, kinds: Sequence[Kind], since: date | None = None, *, force: bool = False
    ) -> ActionsReport:
        """Ask for the actions of every symbol since the last answer, with one question a kind.

        The first time, and where prices have been loaded that are older than what was answered,
        from the first session on that is stored of a source that tells no actions itself.

        Args:
            kinds: what to ask for.
            since: ask from this day on, whatever was answered.
            force: ask although an answer is not six hours old.

        Raises:
            InputError: no source that tells of the whole market is switched on.
        """
        before = self._in_force()
        for kind in kinds:
            able = [s for s in self._sources if FEEDS[kind] in s.capabilities.market_feeds]
            if not able:
                raise InputError(
                    "scope", "market",
                    f"switch on a source that tells every {kind}: POLYGON_API_KEY (free)",
                )  # fmt: skip
            problems: list[str] = []
            for source in able:
                try:
                    self._ask_market(source, kind, since, force=force)
                except SourceError as error:
                    problems.append(str(error))
                else:
                    break
            else:
                self.report.failures[kind] = "; ".join(problems)
        return self._finish(before)

    def each(self, wanted: pl.DataFrame, kinds: Sequence[Kind]) -> ActionsReport:
        """Ask for the whole history of each asset, of sources that tell of one symbol a call.

        Args:
            wanted: asset_id, ticker, listed_on, delisted_on.
            kinds: what to ask for.
        """
        before = self._in_force()
        for kind in kinds:
            able = [s for s in self._sources if FEEDS[kind] in s.capabilities.feeds]
            if not able:
                self.report.failures[kind] = (
                    f"no source that is switched on tells a {kind} apart from prices"
                )
                continue
            for row in wanted.iter_rows(named=True):
                problems = []
                for source in able:
                    try:
                        self._ask_one(source, kind, row)
                    except (SourceError, InputError) as error:
                        problems.append(str(error))
                    else:
                        break
                else:
                    self.report.failures[f"{kind}s of {row['ticker']}"] = "; ".join(problems)
        return self._finish(before)

    def _ask_market(self, source: Source, kind: Kind, since: date | None, *, force: bool) -> None:
        name = source.capabilities.source
        now = self._market.clock.now()
        answered = store.answered(self._db, name, kind)
        first = since or self._first_day(answered)
        if (
            answered is not None
            and not force
            and since is None
            and now - answered.at < FRESH
            and answered.first_day <= first
        ):
            return
        until = now.date()
        first = min(first, until)
        while first <= until:
            last = min(first + CHUNK, until)
            self._ask_days(source, kind, first, last)
            first = last + timedelta(days=1)

    def _first_day(self, answered: store.Answered | None) -> date:
        """The day to ask from."""
        mute = [s.capabilities.source for s in self._sources if not tells_actions(s.capabilities)]
        stored = store.first_stored(self._db, mute)
        today = self._market.clock.now().date()
        if answered is None:
            return stored or today - LOOK_BACK
        if stored is not None and stored < answered.first_day:
            return stored
        return answered.last_day - LOOK_BACK

    def _ask_days(self, source: Source, kind: Kind, first: date, last: date) -> None:
        """One question, of every symbol, and its answer committed."""
        name = source.capabilities.source
        facts = self._ask(source, Question(FEEDS[kind], None, first, last))
        owners = assets.ticker_map(self._db, first, last).rename({"ticker": "symbol"})
        at = self._market.clock.now()
        inside = pl.col("ex_date").is_between(first, last)
        told = _owned(facts.frame.filter(inside), owners)
        self.report.told[kind] += told.height
        self.report.strangers += (
            facts.frame.filter(inside).join(owners, on="symbol", how="anti").height
        )
        unread = facts.rejected.select("symbol").drop_nulls()
        settled = owners.join(unread, on="symbol", how="anti").select("asset_id").unique()
        if facts.frame.is_empty():  # more likely a bad answer than a week without any
            settled = settled.clear()
        self._write(source, kind, told, facts, settled, first, last, at)
        store.write_answer(self._db, name, kind, first, last, at)

    def _ask_one(self, source: Source, kind: Kind, row: Mapping[str, object]) -> None:
        """One question of one symbol, and its answer committed."""
        facts = self._ask(source, Question(FEEDS[kind], str(row["ticker"])))
        listed, delisted = row["listed_on"], row["delisted_on"]
        owners = pl.DataFrame(
            [(row["ticker"], row["asset_id"], listed or date.min,
              delisted + timedelta(days=1) if isinstance(delisted, date) else date.max)],
            schema={"symbol": pl.String(), "asset_id": pl.Int32(),
                    "valid_from": pl.Date(), "valid_to": pl.Date()},
            orient="row",
        )  # fmt: skip
        told = _owned(facts.frame, owners)
        self.report.told[kind] += told.height
        settled = owners.select("asset_id")
        if facts.frame.is_empty() or not facts.rejected.is_empty():
            settled = settled.clear()
        at = self._market.clock.now()
        first = facts.frame["ex_date"].min()
        start = first if isinstance(first, date) else at.date()
        self._write(source, kind, told, facts, settled, start, at.date(), at)

    def _ask(self, source: Source, question: Question) -> Facts:
        """The answer to a question.

        Raises:
            SourceError: the source could not answer; the call is in the log.
        """
        name, began = source.capabilities.source, datetime.now(UTC)
        try:
            facts = source.ask(question)
        except SourceError as error:
            self.report.calls[name] += error.requests
            log_call(
                self._db, refusal_record(str(question.feed), question.describe(), error, began)
            )
            self._router.failed(name, str(question.feed), error)
            raise
        self.report.calls[name] += facts.requests
        self.report.asked.append(f"{name} {question.describe()}")
        if not facts.cached:
            self._router.answered(name, facts.latency_ms / 1000)
        self._record = call_record(name, str(question.feed), question.describe(), facts, began)
        return facts

    def _write(
        self,
        source: Source,
        kind: Kind,
        told: pl.DataFrame,
        facts: Facts,
        settled: pl.DataFrame,
        first: date,
        last: date,
        at: datetime,
    ) -> None:
        stamp = {
            "source": pl.lit(source.capabilities.source),
            "fetched_at": pl.lit(facts.received_at or at),
        }
        rows = told.with_columns(**stamp)
        answered = settled.with_columns(
            pl.lit(kind).alias("kind"),
            pl.lit(first).alias("first_day"),
            pl.lit(last).alias("last_day"),
            **stamp,
        )
        parts = (
            {"splits": conform(rows, SPLITS)}
            if kind == "split"
            else {"dividends": conform(rows, DIVIDENDS)}
        )
        batch = FetchBatch(self._record, answered=conform(answered, ANSWERED), at=at, **parts)
        writers.write_fetch(self._db, [batch], self._run_id)

    def _in_force(self) -> pl.DataFrame:
        return store.everything_in_force(self._db)

    def _finish(self, before: pl.DataFrame) -> ActionsReport:
        """What is different from before."""
        after = self._in_force()
        key = ["asset_id", "kind", "ex_date"]
        both = [*key, "value"]
        new = after.join(before, on=both, how="anti").select(key)
        gone = before.join(after, on=both, how="anti").select(key)
        self.report.changed = pl.concat([new, gone]).unique().sort(key)
        self.report.conflicts = store.conflicts(self._db).height
        return self.report


def affected_returns(changed: pl.DataFrame) -> CellGrid | None:
    """The cells whose returns actions enter: those of their ex-dates."""
    if changed.is_empty():
        return None
    days = changed.select("asset_id", pl.col("ex_date").alias("session")).unique()
    return CellGrid.from_frame(days, Interval.DAY)


def restored_cells(
    db: Database, changed: pl.DataFrame, sources: Mapping[str, Capabilities]
) -> list[CellGrid]:
    """Cells whose traded prices were restored from adjusted ones with other splits in force.

    Those of sources that tell their splits are undone by their own words, whatever is in force.
    """
    splits = changed.filter(pl.col("kind") == "split")
    if splits.is_empty():
        return []
    telling = [c.source for c in sources.values() if any(map(tells_its_splits, c.endpoints))]
    frame = store.adjusted_before(db, splits, telling)
    return [
        CellGrid.from_frame(part, Interval(part["interval"][0]))
        for part in (frame.partition_by("interval") if frame.height else [])
    ]


def tells_actions(capabilities: Capabilities) -> bool:
    """Whether prices of a source come with every action of their days."""
    return any(e.actions for e in capabilities.endpoints)


def _owned(frame: pl.DataFrame, owners: pl.DataFrame) -> pl.DataFrame:
    """Rows of the asset that bore the symbol on the ex-date."""
    return frame.join(owners, on="symbol", how="inner").filter(
        (pl.col("ex_date") >= pl.col("valid_from")) & (pl.col("ex_date") < pl.col("valid_to"))
    )
