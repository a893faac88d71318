"""The fetch engine: missing cells in, batches ready to commit out, as one lazy stream.

Belongs here: running a plan, and deciding what a failure means for the cells it was to
cover. Does not: choosing tiles (domain/planning), one request's retries
(sources/http.py), writing (the consumer commits each item before it asks for the next).

How it keeps the promises:

* The ledger is read first, so stored cells are never asked for again, unless a fetch is to do
  just that (``again``): then what vendors say otherwise now takes the place of what they said,
  and a cell that they have no more stays as it is.
* A tile is claimed in the database before its call and released once its batch is
  committed, and the ledger is read again under the claim: two runs never make the same
  call. A crash releases its claims.
* A failed call costs only its own cells: they go back with the failing endpoint ruled
  out and are planned again together; what no source is left for gets its reason in the
  ledger.
* A source that is out of quota for long, or whose circuit opens (domain/health.py), is left
  out until its time is up, and all that is queued is planned again on the others. Then it is
  asked once more, and the plan made anew with it. Cells that only it has wait for it while
  others work, and beyond that for ``patience``, or ``max_wait`` where it is the quota.

One file above the usual length: what becomes of a cell is decided by these methods
together, and splitting them would hide that every cell ends in exactly one of them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from stock_platform.domain.batches import FetchBatch
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Tile, TileShape
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.coverage import OUT_OF_QUOTA, UNTOLD, CellStatus
from stock_platform.domain.errors import (
    DatabaseError,
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    UnknownSymbol,
)
from stock_platform.domain.planning import Plan, plan
from stock_platform.pipeline.answers import (
    ABSENT,
    NOT_YET,
    OUTSIDE_LISTING,
    PUBLISH_WITHIN,
    RETRY_UNPUBLISHED,
    Moment,
    batch_of,
    doubted_cells,
    failure_record,
    joined,
    marks,
    unlisted,
)
from stock_platform.pipeline.lanes import Exclusions, Job, Lanes, Outcome
from stock_platform.pipeline.market import Market
from stock_platform.pipeline.report import FetchReport, Progress, ProgressCallback
from stock_platform.pipeline.router import MemoryBook, Pause, Router
from stock_platform.pipeline.verdicts import UNKNOWN, Verdict, Verdicts, stronger
from stock_platform.sources.base import Answer, Source
from stock_platform.sources.http import kept_since
from stock_platform.sources.quota import Quota

logger = logging.getLogger(__name__)

TRIES_PER_SOURCE = 2
UNKNOWN_FOR = timedelta(days=7)
TRANSIENT_FOR = timedelta(minutes=15)
LONGEST_WAIT = 31 * 86_400.0
PATIENCE = timedelta(seconds=30)
REOPEN_LATER = timedelta(seconds=1)
ROWS_PER_COMMIT = 100_000
CONTESTED_PAUSE = 0.5
CONTESTED_PAUSES = 1200
TILES_LISTED = 50


class FetchStream:
    """A fetch under way: iterate to run it; commit each item before asking for the next.

    Yields lists of FetchBatch. ``report`` is complete once the iteration has ended;
    ``run_id`` is whose calls these are, in the fetch log.
    """

    def __init__(
        self,
        market: Market,
        sources: Mapping[str, Source],
        quota: Quota,
        grid: CellGrid,
        *,
        run_id: str | None = None,
        wider: CellGrid | None = None,
        retry_failed: bool = False,
        again: bool = False,
        retry_failed_after: timedelta = timedelta(hours=24),
        router: Router | None = None,
        patience: timedelta = PATIENCE,
        max_wait: timedelta = timedelta(0),
        progress: ProgressCallback | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.run_id = run_id
        self.report = FetchReport(cells=len(grid))
        self._market = market
        self._sources = sources
        self._quota = quota
        self._grid = grid
        self._wider = wider
        self._retry_failed = retry_failed
        self._again = again
        self._kept_since = time.time() if again else None
        self._retry_failed_after = retry_failed_after
        self._progress = progress
        self._pause = pause or threading.Event().wait
        self._router = router or Router(MemoryBook())
        self._patience = patience
        self._max_wait = max_wait
        self._lanes = Lanes(self._call, lambda s: sources[s].capabilities.concurrency)
        self._returned: list[tuple[CellGrid, Exclusions, Verdict | None]] = []
        self._parked: list[tuple[CellGrid, Exclusions, Verdict]] = []
        self._unknown: set[tuple[str, int]] = set()
        self._urgent = False
        self._refusals: dict[tuple[str, str], NotEntitled] = {}
        self._unentitled: deque[Job] = deque()
        self._contested: list[Job] = []
        self._retries: list[Job] = []
        self._barred: set[tuple[str, str]] = set()
        self._jobs_added = 0
        self._pauses = 0

    def __iter__(self) -> Iterator[list[FetchBatch]]:
        market = self._market
        needed = self._grid
        if not self._again:
            needed = market.missing(self._grid, retry_failed=self._retry_failed)
        self.report.asked = len(needed)
        self.report.already = self.report.cells - self.report.asked
        if not needed:
            return
        needed = needed.trimmed()
        if self._wider is not None:
            self._wider = market.missing(self._wider).trimmed()
        known = [g.assets for g in (needed, self._wider) if g is not None]
        self._assets = market.plan_assets(np.unique(np.concatenate(known)))
        self._fresh_since = first_unpublished(market.calendar, market.clock.now())
        outside = unlisted(needed, market.listings(needed.assets))
        if outside:
            settled = marks(outside, CellStatus.NOT_LISTED, "", OUTSIDE_LISTING)
            self._account(settled)
            yield [FetchBatch(call=None, marks=settled)]
            needed = needed.difference(outside)
        if not needed:
            return
        self._returned.append((needed, frozenset(), None))
        if not self._retry_failed:
            self._barred |= self._router.barred()
            self._unknown = self._router.unknown()
        for name, pause in self._router.pauses().items():
            if name not in self._sources:
                continue
            if self._retry_failed:  # whoever insists may try at once
                self._lanes.reopen(name, trial=True)
            else:
                self._close(name, pause)
        with market.claims() as self._claims:
            try:
                yield from self._run()
            finally:
                self._lanes.stop()
                self._router.flush()
                fares = self._router.account()
                self.report.sources = {n: fares[n] for n in self._sources if n in fares}

    # ---- the coordinator, in the consumer's thread ----

    def _run(self) -> Iterator[list[FetchBatch]]:
        while True:
            self._reopen()
            if self._returned and (self._urgent or not self._lanes.busy()):
                given_up = self._plan_returned()
                if given_up:
                    yield given_up
                self._tell()
                continue
            if not self._lanes.busy():
                if self._parked:
                    if self._worth_waiting():
                        self._pause(CONTESTED_PAUSE)
                    else:
                        yield [self._final(cells, verdict) for cells, _, verdict in self._parked]
                        self._parked.clear()
                    continue
                if not self._contested:
                    return
                if self._pauses == CONTESTED_PAUSES:
                    yield [self._leave_to_others()]
                    continue
                self._pauses += 1
                self._pause(CONTESTED_PAUSE)
                self._queue_again(self._contested)
                continue
            outcomes = self._lanes.collect(ROWS_PER_COMMIT)
            if any(outcome.claimed for outcome in outcomes):
                self._pauses = 0
            batches = [b for outcome in outcomes if (b := self._settle(outcome)) is not None]
            if batches:
                yield batches
            for outcome in outcomes:
                if outcome.claimed:
                    self._claims.release(claim_key(outcome.job.tile))
            self._queue_again(self._retries)  # after their claims are free again
            self._tell()

    def _reopen(self) -> None:
        """Ask the sources again whose time is up; what is queued is planned anew with them."""
        now = self._market.wall.now()
        for name, lane in self._lanes.shut():
            if lane.reopens is None or lane.reopens > now or not self._left():
                continue
            if lane.trial and not self._router.may_try(name):
                lane.reopens = now + REOPEN_LATER  # another run is trying it
                continue
            self._lanes.reopen(name, trial=lane.trial)
            self._returned += [
                *((job.cells, job.excluded, job.verdict) for job in self._take_queued()),
                *self._parked,
            ]
            self._parked.clear()
            self._urgent = True

    def _left(self) -> bool:
        """Whether anything could still be asked of a source that reopens."""
        return bool(self._parked or self._returned or self._lanes.busy())

    def _take_queued(self) -> list[Job]:
        return self._lanes.take_back(lambda _: True)

    def _worth_waiting(self) -> bool:
        """Whether a source that parked cells wait for may be asked again soon."""
        now, soon = self._market.wall.now(), []
        for _, lane in self._lanes.shut():
            if lane.closed is not None and lane.reopens is not None:
                limited = lane.closed.status is CellStatus.WAITING
                soon.append(lane.reopens <= now + (self._max_wait if limited else self._patience))
        return not soon or any(soon)

    def _leave_to_others(self) -> FetchBatch:
        """Give up on calls that another run has been making for too long."""
        later = to_minute(self._market.wall.now() + RETRY_UNPUBLISHED)
        cells = CellGrid.union([job.cells for job in self._contested])
        self._contested.clear()
        return self._final(cells, Verdict(CellStatus.WAITING, "", "another run asks", later))

    def _queue_again(self, jobs: list[Job]) -> None:
        """Empty the list into the lanes; jobs of a source left out meanwhile go back."""
        for job in jobs:
            closed = self._lanes[job.tile.source].closed
            if closed is None:
                self._lanes.add(job)
            else:
                self._returned.append((job.cells, job.excluded, stronger(job.verdict, closed)))
        jobs.clear()

    def _plan_returned(self) -> list[FetchBatch]:
        """Plan what came back together; marks for the cells that nobody is left for."""
        groups: dict[Exclusions, list[tuple[CellGrid, Verdict | None]]] = defaultdict(list)
        for cells, excluded, verdict in self._returned:
            groups[excluded].append((cells, verdict))
        self._returned.clear()
        self._urgent = False
        given_up: list[FetchBatch] = []
        for excluded, members in sorted(groups.items(), key=lambda item: sorted(item[0])):
            verdicts = Verdicts(members)
            made = self._make_plan(CellGrid.union([cells for cells, _ in members]), excluded)
            if not self.report.plan:
                self.report.plan = made.to_dict(tiles=TILES_LISTED)
            for index, tile in enumerate(made.tiles):
                self._add(Job(tile, made.cells(index), excluded, verdicts.of(tile)))
            now = self._market.wall.now()
            for left in made.uncovered:
                later = to_minute(now + self._retry_failed_after)
                reason = Verdict(CellStatus.FAILED, "", left.reason, later)
                for cells, verdict in verdicts.split(left.cells, reason):
                    if self._lanes.closed(verdict.source):
                        self._parked.append((cells, excluded, verdict))
                    else:
                        given_up.append(self._final(cells, verdict))
        return given_up

    def _make_plan(self, cells: CellGrid, excluded: Exclusions) -> Plan:
        live = self._router.liked(
            {n: s.capabilities for n, s in self._sources.items() if not self._lanes.closed(n)}
        )
        return plan(
            cells,
            self._assets,
            live,
            {c.source: self._quota.state(c.account, c.limits) for c in live},
            today=self._market.clock.now().date(),
            health=self._router.chances(),
            latency=self._router.latencies(),
            wider=self._wider,
            exclude=excluded | self._barred,
            unknown=self._unknown,
        )

    def _add(self, job: Job) -> None:
        self._jobs_added += 1
        self._lanes.add(job)

    def _settle(self, outcome: Outcome) -> FetchBatch | None:
        job = outcome.job
        if isinstance(outcome.error, NotEntitled) and not outcome.claimed:
            self._send_back(job, self._broken(outcome.error), whole_source=False)
            return None
        if outcome.error is not None:
            return self._failed(outcome, outcome.error)
        if outcome.answer is not None:
            return self._answered(outcome, outcome.answer)
        if outcome.claimed:  # another run stored it after we planned
            self.report.shared += 1
            self.report.states[str(CellStatus.STORED)] += len(job.cells)
        else:
            self._contested.append(job)
        return None

    def _answered(self, outcome: Outcome, answer: Answer) -> FetchBatch:
        job, tile = outcome.job, outcome.job.tile
        endpoint = self._sources[tile.source].capabilities.endpoint(tile.endpoint)
        surplus = None
        if tile.members:
            owners = pl.concat([self._market.owner_of_row(row) for row in rows_of(tile)])
        elif tile.asset_id is None:
            roll = self._market.roll_call(answer.bars, tile, endpoint, outcome.moment.market)
            owners, surplus = roll.owners, roll.cells
            self.report.discovered += roll.discovered
            self.report.unknown_symbols.update(roll.strangers)
        else:
            owners = self._market.owner_of_row(tile)
        batch = batch_of(tile, endpoint, answer, job.cells, owners, surplus, outcome.moment)
        self._count_call(tile, answer.requests, answer.rate_limited)
        self.report.cached += answer.cached
        self.report.rows += batch.bars.height
        self.report.rejected += batch.rejected.height
        asked = batch.marks.join(job.cells.to_frame(), on=["asset_id", "session"], how="semi")
        self._account(asked)
        if asked.height < len(job.cells):  # not a complete answer: others may know more
            left = job.cells.difference(CellGrid.from_frame(asked, tile.interval))
            doubted = doubted_cells(batch, left)
            self.report.doubted += len(doubted)
            for cells, verdict in (
                (doubted, Verdict(CellStatus.STORED, tile.source, "")),
                (left.difference(doubted), Verdict(CellStatus.NO_DATA, tile.source, ABSENT)),
            ):
                if cells:
                    again = replace(job, cells=cells.trimmed())
                    self._send_back(again, verdict, whole_source=True)
        return batch

    def _failed(self, outcome: Outcome, error: SourceError) -> FetchBatch:
        job, tile = outcome.job, outcome.job.tile
        source, lane = tile.source, self._lanes[tile.source]
        self.report.failures[f"{source}: {error.status}"] += 1
        self._count_call(tile, error.requests, error.rate_limited)
        batch = FetchBatch(call=failure_record(tile, error, outcome.moment))
        match error:
            case UnknownSymbol() if len(tile.members) > 1:
                self._part(job, error)
            case UnknownSymbol():
                self._learn_unknown(source, job.cells.assets.tolist())
                later = to_minute(outcome.moment.finished + UNKNOWN_FOR)
                unknown = Verdict(CellStatus.FAILED, source, UNKNOWN, later)
                one_by_one = replace(job, excluded=job.excluded | self._columns())
                self._send_back(one_by_one, unknown, whole_source=True)
            case NoData():
                absent = Verdict(CellStatus.NO_DATA, source, "no data in the range")
                complete = self._sources[source].capabilities.endpoint(tile.endpoint).complete
                settled, fresh = self._by_age(job.cells)
                found = []
                if fresh:
                    retry = to_minute(outcome.moment.finished + RETRY_UNPUBLISHED)
                    unpublished = Verdict(CellStatus.WAITING, source, NOT_YET, retry)
                    if complete:
                        found.append(self._final(fresh, unpublished).marks)
                    else:
                        self._send_back(replace(job, cells=fresh), unpublished, whole_source=True)
                if settled:
                    if complete:
                        found.append(self._final(settled, absent).marks)
                    else:
                        self._send_back(replace(job, cells=settled), absent, whole_source=True)
                if found:
                    return replace(batch, marks=pl.concat(found))
            case NotEntitled():
                self._send_back(job, self._broken(error), whole_source=False)
                while self._unentitled:
                    barred = self._unentitled.popleft()
                    self._send_back(barred, self._broken(error), whole_source=False)
            case _ if lane.closed is not None:
                self._take_out(job, lane.closed)
            case _ if job.tries + 1 < TRIES_PER_SOURCE:
                self._retries.append(replace(job, tries=job.tries + 1))
            case _:
                self._send_back(job, self._broken(error), whole_source=False)
        return batch

    def _part(self, job: Job, error: UnknownSymbol) -> None:
        """A block with a symbol that the vendor does not know: the others are asked again."""
        guilty = [n for n, symbol in job.tile.members if symbol == error.symbol]
        known = CellGrid.rectangle(guilty, job.cells.sessions.tolist(), job.cells.interval)
        unknown = job.cells.intersection(known) if guilty else job.cells
        later = to_minute(self._market.wall.now() + UNKNOWN_FOR)
        verdict = Verdict(CellStatus.FAILED, job.tile.source, UNKNOWN, later)
        if unknown:
            self._learn_unknown(job.tile.source, unknown.trimmed().assets.tolist())
            excluded = job.excluded | self._columns()
            self._send_back(
                replace(job, cells=unknown.trimmed(), excluded=excluded), verdict, whole_source=True
            )
        rest = job.cells.difference(unknown)
        if rest:
            self._returned.append((rest.trimmed(), job.excluded, job.verdict))

    def _learn_unknown(self, source: str, asset_ids: list[int]) -> None:
        self._unknown |= {(source, asset_id) for asset_id in asset_ids}
        self._router.unknown_to(source, asset_ids)

    def _by_age(self, cells: CellGrid) -> tuple[CellGrid, CellGrid]:
        """The cells that vendors have published by now, and those they may not have."""
        fresh = cells.sessions >= np.datetime64(self._fresh_since, "D")
        old = cells.with_mask(cells.mask & ~fresh[None, :]).trimmed()
        return old, cells.with_mask(cells.mask & fresh[None, :]).trimmed()

    def _columns(self) -> Exclusions:
        """Every whole-market endpoint.

        A symbol that a vendor does not know is not worth a call a session elsewhere.
        """
        return frozenset(
            (name, endpoint.name)
            for name, source in self._sources.items()
            for endpoint in source.capabilities.endpoints
            if endpoint.shape is TileShape.COLUMN
        )

    def _is_barred(self, tile: Tile) -> bool:
        return (tile.source, tile.endpoint) in self._barred

    def _take_out(self, job: Job, verdict: Verdict) -> None:
        """The job's source is closed: its tiles go back, and with them all that is queued.

        The others' are taken back too, so that the whole is planned anew for who is left.
        """
        source = job.tile.source
        self._returned.append((job.cells, job.excluded, stronger(job.verdict, verdict)))
        for back in self._take_queued():
            own = back.tile.source == source
            found = stronger(back.verdict, verdict) if own else back.verdict
            self._returned.append((back.cells, back.excluded, found))
        self._urgent = True

    def _send_back(self, job: Job, verdict: Verdict, *, whole_source: bool) -> None:
        """Return a job's cells for another plan without its endpoint, or its whole source."""
        source = job.tile.source
        endpoints = self._sources[source].capabilities.endpoints
        names = [e.name for e in endpoints] if whole_source else [job.tile.endpoint]
        excluded = job.excluded | {(source, name) for name in names}
        self._returned.append((job.cells, excluded, stronger(job.verdict, verdict)))

    def _final(self, cells: CellGrid, verdict: Verdict) -> FetchBatch:
        frame = marks(cells, verdict.status, verdict.source, verdict.reason, verdict.retry_after)
        self._account(frame)
        return FetchBatch(call=None, marks=frame)

    def _count_call(self, tile: Tile, requests: int, rate_limited: int) -> None:
        self.report.calls[tile.source] += requests
        self.report.rate_limited += rate_limited

    def _account(self, frame: pl.DataFrame) -> None:
        self.report.states.update(frame["status"].to_list())
        unstored = frame.filter(pl.col("status") != str(CellStatus.STORED))
        self.report.reasons.update(
            Counter(
                f"{status}: {reason}" + (f" ({source})" if source else "")
                for status, reason, source in unstored.select(
                    "status", "reason", "source"
                ).iter_rows()
            )
        )

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(
                Progress(
                    asked=self.report.asked,
                    done=sum(self.report.states.values()),
                    rows=self.report.rows,
                    calls=dict(self.report.calls),
                    planned_calls=self._jobs_added,
                    expected_seconds=float(self.report.plan.get("finish_seconds", 0.0)),
                )
            )

    # ---- in the lanes' threads ----

    def _call(self, job: Job) -> Outcome:
        started = self._market.wall.now()
        refusal = self._refusals.get((job.tile.source, job.tile.endpoint))
        if refusal is not None:  # meanwhile: not another call for the same answer
            return Outcome(job, self._moment(started), error=refusal, claimed=False)
        if not self._claims.try_claim(claim_key(job.tile)):
            return Outcome(job, self._moment(started), claimed=False)
        if not (self._again or self._market.missing(job.cells, retry_failed=True)):
            return Outcome(job, self._moment(started))
        try:
            with kept_since(self._kept_since):
                answer = self._ask(job.tile)
        except DatabaseError:
            raise
        except Exception as error:
            if not isinstance(error, SourceError):
                logger.exception("%s could not be read", job.tile.describe())
                error = Malformed(job.tile.source, f"could not be read: {error!r}")
            self._watch(job.tile, error)
            return Outcome(job, self._moment(started), error=error)
        self._lanes.proved(job.tile.source)
        if not answer.cached:
            self._router.answered(job.tile.source, answer.latency_ms / 1000)
        return Outcome(job, self._moment(started), answer=answer)

    def _ask(self, tile: Tile) -> Answer:
        """The answer to a tile, asked under every ticker that the vendor needs for it.

        Raises:
            SourceError: as the source, where no ticker brought anything.
        """
        source = self._sources[tile.source]
        parts = self._market.naming(tile, source.capabilities.endpoint(tile.endpoint))
        if parts == [tile]:
            return source.fetch(tile)
        found, last = [], None
        for part in parts:
            try:
                found.append(source.fetch(part))
            except (NoData, UnknownSymbol) as error:  # another ticker may have what is left
                last = error
        if not found and last is not None:
            raise last
        return joined(found, str(tile.symbol))

    def _watch(self, tile: Tile, error: SourceError) -> None:
        """Close a failing lane at once, before its threads take the next job."""
        lane = self._lanes[tile.source]
        if isinstance(error, RateLimited):
            due = self._market.wall.now() + timedelta(
                seconds=min(error.retry_after or 60.0, LONGEST_WAIT)
            )
            lane.reopens = due
            reason = UNTOLD if error.guessed else OUT_OF_QUOTA
            lane.closed = Verdict(CellStatus.WAITING, error.source, reason, to_minute(due))
            return
        keyed = self._sources[tile.source].capabilities.needs_key is not None
        pause = self._router.failed(tile.source, tile.endpoint, error, keyed=keyed)
        if isinstance(error, NotEntitled):
            self._barred.add((tile.source, tile.endpoint))
            self._refusals[tile.source, tile.endpoint] = error
            self._unentitled += self._lanes.take_back(lambda j: self._is_barred(j.tile))
        if isinstance(error, (UnknownSymbol, NoData, NotEntitled)):
            self._lanes.proved(tile.source)
        elif pause is not None:
            self._close(tile.source, pause, self._broken(error))

    def _close(self, source: str, pause: Pause, verdict: Verdict | None = None) -> None:
        """Ask a source no more until its pause is over; then one call may try."""
        lane = self._lanes[source]
        lane.reopens, lane.trial = pause.until, True
        retry = to_minute(max(pause.until, self._market.wall.now() + TRANSIENT_FOR))
        lane.closed = verdict or Verdict(CellStatus.FAILED, source, pause.reason[:160], retry)

    def _broken(self, error: SourceError) -> Verdict:
        wait = min(TRANSIENT_FOR, self._retry_failed_after) if error.transient else None
        later = self._market.wall.now() + (wait or self._retry_failed_after)
        return Verdict(CellStatus.FAILED, error.source, reason_of(error), to_minute(later))

    def _moment(self, started: datetime) -> Moment:
        return Moment(
            market=self._market.clock.now(),
            started=started,
            finished=self._market.wall.now(),
            fresh_since=self._fresh_since,
        )


def first_unpublished(calendar: str, now: datetime) -> date:
    """The first session whose bar a vendor may not have published yet."""
    exchange = get_calendar(calendar)
    last = exchange.last_completed(now)
    late = now - exchange.open_close(last)[1] < PUBLISH_WITHIN
    return last if late else last + timedelta(days=1)


def rows_of(tile: Tile) -> list[Tile]:
    """A block's members as calls of one symbol each."""
    return [
        replace(tile, asset_id=asset_id, symbol=symbol, members=())
        for asset_id, symbol in tile.members
    ]


def claim_key(tile: Tile) -> str:
    """What two runs must not do at once: the same call, whatever each wants of it."""
    what = tile.symbol or f"market {tile.start}"
    if tile.members:
        what = f"{tile.start}..{tile.end} {' '.join(tile.symbols)}"
    return f"{tile.source}/{tile.endpoint}/{tile.interval}/{what}"


def reason_of(error: SourceError) -> str:
    """A short stable reason: the kind of failure, then the first words of its detail."""
    return f"{error.status.replace('_', ' ')}: {error.detail}"[:160]


def to_minute(instant: datetime) -> datetime:
    """The next full minute, so that equal verdicts are equal."""
    return instant.replace(second=0, microsecond=0) + timedelta(minutes=1)
