"""Reconciliation of prices: a second opinion on sampled and on disputed cells, with spare quota.

Belongs here: which cells, whom to ask, keeping what they say, judging again. Does not: the vote
(domain/comparing.py), what is spare (domain/spare.py), calls that fill gaps (fetching.py).

A cell is sampled by chance, or disputed: a rule finds fault with its bar, it moves far, it is
the first after a split, or sources that have it differ. Each is asked of a source that is not
among those that have it; where two then differ, of a third. What comes is stored as raw quotes,
with all that came beside it. Nothing here changes what the ledger says of a cell.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from stock_platform.domain.bars import conform
from stock_platform.domain.batches import FetchBatch
from stock_platform.domain.capabilities import Capabilities, Tile
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.comparing import (
    CELL,
    OPINIONS,
    SAMPLE_LEAST,
    SAMPLE_SHARE,
    Opinion,
    Why,
    accuracy,
    compare,
    sample,
)
from stock_platform.domain.coverage import CellStatus
from stock_platform.domain.errors import NoData, RateLimited, SourceError, UnknownSymbol
from stock_platform.domain.planning import plan
from stock_platform.domain.spare import SHARE
from stock_platform.pipeline.answers import Moment, batch_of, failure_record, joined
from stock_platform.pipeline.deciding import judge_again
from stock_platform.pipeline.disputes import disputes
from stock_platform.pipeline.fetching import claim_key, first_unpublished, rows_of
from stock_platform.pipeline.rejudging import CELLS_AT_ONCE
from stock_platform.pipeline.spare_quota import known_demand, left_over, requests_of
from stock_platform.pipeline.validating import traded_quotes
from stock_platform.storage import price_checks, readers, writers
from stock_platform.storage.locks import Work, alone

if TYPE_CHECKING:
    from stock_platform.pipeline.runtime import Platform

logger = logging.getLogger(__name__)

ROUNDS = 2
"""A second source, and where it differs from the first a third."""

_EMPTY_CELLS = pl.DataFrame(
    schema={"asset_id": pl.Int32(), "interval": pl.String(), "session": pl.Date()}
)


@dataclass(frozen=True)
class Ask:
    """A call to make, and the cells it is a second opinion on."""

    tile: Tile
    cells: CellGrid


@dataclass
class ReconcileReport:
    """What a reconciliation did, or with ``dry_run`` would do.

    Attributes:
        cells: stored cells looked at. sampled, disputed: how many of them were chosen.
        reasons: why cells are disputed, with how many.
        spare: requests that could be spent, by source (of one host: the same ones); demand:
            those known to be needed.
        asked: calls planned. calls: HTTP requests made, by source. failures: why some failed.
        unaffordable: chosen cells left for another day, as no quota is spare.
        unreachable: chosen cells that no other source has.
        opinions: source, why, opinion, cells: what was new.
        accuracy: what was found of each source this time, 0 to 1.
        outvoted: OPINIONS on quotes that most others agree against; undecided likewise.
        changed: validated prices that became others.
    """

    cells: int = 0
    sampled: int = 0
    disputed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    spare: dict[str, int] = field(default_factory=dict)
    demand: dict[str, int] = field(default_factory=dict)
    asked: list[Ask] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    unaffordable: int = 0
    unreachable: int = 0
    opinions: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(
            schema={
                "source": pl.String(), "why": pl.String(), "opinion": pl.String(),
                "cells": pl.Int64(),
            }
        )
    )  # fmt: skip
    accuracy: dict[str, float] = field(default_factory=dict)
    outvoted: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=OPINIONS))
    undecided: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=OPINIONS))
    changed: int = 0

    @property
    def compared(self) -> int:
        """Quotes that were compared."""
        return int(self.opinions.filter(pl.col("opinion") != str(Opinion.ABSENT))["cells"].sum())

    def by_source(self) -> dict[str, dict[str, int]]:
        """By source: agreed, outvoted, undecided and absent quotes."""
        found: dict[str, dict[str, int]] = {}
        for source, opinion, cells in self.opinions.select(
            "source", "opinion", "cells"
        ).iter_rows():
            one = found.setdefault(source, {str(o): 0 for o in Opinion})
            one[opinion] += cells
        return dict(sorted(found.items()))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "cells": self.cells, "sampled": self.sampled, "disputed": self.disputed,
            "reasons": dict(self.reasons), "spare": self.spare, "demand": self.demand,
            "planned": [ask.tile.describe() for ask in self.asked],
            "calls": dict(self.calls), "failures": dict(self.failures),
            "unaffordable": self.unaffordable, "unreachable": self.unreachable,
            "compared": self.compared, "by_source": self.by_source(),
            "accuracy": {k: round(v, 5) for k, v in self.accuracy.items()},
            "outvoted": self.outvoted.to_dicts(), "undecided": self.undecided.to_dicts(),
            "changed": self.changed,
        }  # fmt: skip


class Reconciliation:
    """One reconciliation of the stored daily cells of a grid."""

    def __init__(
        self,
        platform: Platform,
        grid: CellGrid,
        *,
        run_id: str | None = None,
        share: float = SAMPLE_SHARE,
        least: int = SAMPLE_LEAST,
        spare_share: float = SHARE,
    ) -> None:
        self._platform, self._db = platform, platform.db
        self._grid = grid.trimmed()
        self._run_id = run_id
        self._share, self._least, self._spare_share = share, least, spare_share
        self._at = platform.clock.now()
        self._voices = {n: c.account for n, c in platform.capabilities.items()}
        self._float32 = frozenset(
            n for n, c in platform.capabilities.items() if any(e.float32 for e in c.endpoints)
        )
        self._fetched: list[CellGrid] = []
        self._absent: list[pl.DataFrame] = []
        self._said_none: list[pl.DataFrame] = []
        self.report = ReconcileReport(cells=0)

    def run(self, *, dry_run: bool = False) -> ReconcileReport:
        """Choose, ask, compare, keep, and judge again what is seen differently now.

        One at a time, with the filling of gaps: two would ask for the same cells, count them
        twice, and each spend what is spare once.
        """
        if not self._grid or not self._platform.capabilities:
            return self.report
        if dry_run:
            return self._run(dry_run=True)
        with alone(self._db, Work.SPARE):
            return self._run(dry_run=False)

    def _run(self, *, dry_run: bool) -> ReconcileReport:
        self._look()
        wanted = self._chosen()
        self.report.demand = self._demand()
        self._spare = self._left_over()
        found = self._compare(wanted)
        for _ in range(ROUNDS):
            asks = self._plan(self._open(wanted, found))
            self.report.asked += asks
            if dry_run or not asks:
                break
            self._ask(asks)
            found = self._compare(wanted)
        if not dry_run:
            self._keep(wanted, found)
        return self.report

    def planned(self, need: pl.DataFrame, spare: Mapping[str, int]) -> list[Ask]:
        """The calls that ``second_opinions`` would make."""
        self._spare = dict(spare)
        return self._plan(need)

    def second_opinions(
        self, need: pl.DataFrame, spare: Mapping[str, int]
    ) -> tuple[list[CellGrid], pl.DataFrame]:
        """Ask others for cells of which some source says that there is no bar.

        Args:
            need: CELL, why, and asked (whom not to ask).
            spare: requests that may be spent, by account.

        Returns:
            The cells of which bars came, all stored; and CELL and source of those of which
            another source, too, says that there is none.
        """
        asks = self.planned(need, spare)
        self.report.asked += asks
        if asks:
            self._ask(asks)
        none = _EMPTY_CELLS.with_columns(pl.lit(None, pl.String).alias("source"))
        return self._fetched, pl.concat([none.clear(), *self._said_none])

    # ---- which cells ----

    def _look(self) -> None:
        """Who has which cell, what is disputed, and what was compared before."""
        held, disputed = [], []
        for part in self._grid.row_chunks(CELLS_AT_ONCE):
            quotes = traded_quotes(self._db, part, self._platform.capabilities)
            if quotes.is_empty():
                continue
            held.append(quotes.select(*CELL, "source").unique())
            disputed.append(disputes(self._db, quotes, part, self._platform.settings.rulebook))
        none = _EMPTY_CELLS.with_columns(pl.lit(None, pl.String).alias("source"))
        self._held = pl.concat([none.clear(), *held])
        self._disputed = pl.concat(
            [_EMPTY_CELLS.with_columns(pl.lit(None, pl.String).alias("reason")).clear(), *disputed]
        )
        first, last = self._grid.sessions[[0, -1]].astype(object)
        self._checked = price_checks.of_assets(
            self._db, self._grid.assets.tolist(), first, last, self._grid.interval
        )
        self._classes = {
            a.asset_id: str(a.asset_class)
            for a in self._platform.market.plan_assets(self._grid.assets).values()
        }
        self.report.cells = self._held.select(CELL).unique().height

    def _chosen(self) -> pl.DataFrame:
        """The cells to compare: CELL and why."""
        day = self._at.date()
        today = price_checks.compared_on(self._db, day)
        drawn = sample(self._held, day, share=self._share, least=self._least, checked=today)
        open_before = self._checked.filter(opinion=str(Opinion.UNDECIDED)).select(CELL)
        disputed = pl.concat([self._disputed.select(CELL), open_before]).unique()
        self.report.reasons.update(
            dict(self._disputed.group_by("reason").len().sort("reason").iter_rows())
        )
        decided = (
            self._checked.filter(pl.col("opinion") != str(Opinion.ABSENT))
            .group_by(CELL)
            .agg((pl.col("opinion") != str(Opinion.UNDECIDED)).all().alias("all"))
            .filter("all")
        )
        both = pl.concat(
            [
                disputed.with_columns(pl.lit(str(Why.DISPUTED)).alias("why")),
                drawn.join(disputed, on=CELL, how="anti").with_columns(
                    pl.lit(str(Why.SAMPLED)).alias("why")
                ),
            ]
        ).join(decided, on=CELL, how="anti").sort("why", *CELL)  # fmt: skip
        self.report.sampled = both.filter(why=str(Why.SAMPLED)).height
        self.report.disputed = both.filter(why=str(Why.DISPUTED)).height
        return both

    def _open(self, wanted: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
        """The cells that need one more voice: CELL, why, and asked (whom not to ask)."""
        decided = found.filter(pl.col("opinion") != str(Opinion.UNDECIDED)).select(CELL).unique()
        undecided = found.filter(opinion=str(Opinion.UNDECIDED)).select(CELL).unique()
        beside = undecided.join(wanted, on=CELL, how="anti").with_columns(
            pl.lit(str(Why.DISPUTED)).alias("why")
        )
        need = pl.concat([wanted.join(decided, on=CELL, how="anti"), beside])
        absent = [self._checked.filter(opinion=str(Opinion.ABSENT)).select(*CELL, "source")]
        asked = pl.concat(
            [self._held, found.select(*CELL, "source"), *absent, *self._absent]
        ).unique()
        whom = asked.group_by(CELL).agg(pl.col("source").sort().alias("asked"))
        return need.join(whom, on=CELL, how="left").with_columns(pl.col("asked").fill_null([]))

    # ---- whom to ask ----

    def _demand(self) -> dict[str, int]:
        """Calls that what is missing will need: of these cells, of those waiting, of the queue."""
        missing = self._platform.missing(self._grid)
        return known_demand(self._platform, [missing], self._grid.interval)

    def _left_over(self) -> dict[str, int]:
        """Spare requests by account."""
        found = left_over(self._platform, self.report.demand, self._spare_share)
        self.report.spare = {n: found[a] for n, a in self._voices.items() if a in found}
        return found

    def _plan(self, need: pl.DataFrame) -> list[Ask]:
        """Calls within what is spare; those that tell of disputed cells, and of many, first."""
        if need.is_empty():
            return []
        platform = self._platform
        left = dict(self._spare)
        for source, calls in self.report.calls.items():
            account = self._voices.get(source, source)
            left[account] = left.get(account, 0) - calls
        disputed = CellGrid.from_frame(need, self._grid.interval).with_mask(
            _mask(need.filter(why=str(Why.DISPUTED)), need, self._grid.interval)
        )
        paused = {
            (n, e.name) for n in platform.router.pauses() if n in platform.capabilities
            for e in platform.capabilities[n].endpoints
        } | platform.router.barred()  # fmt: skip
        assets = platform.market.plan_assets(self._grid.assets)
        terms = platform.terms()
        asks: list[Ask] = []
        self.report.unaffordable = self.report.unreachable = 0
        groups = need.group_by("asked", maintain_order=True)
        for (asked,), cells in groups:
            voices = {self._voices.get(s, s) for s in asked}
            rest = CellGrid.from_frame(cells, self._grid.interval)
            able: list[Capabilities] = [
                c for c in terms["sources"] if c.account not in voices and not c.standby
            ]
            while rest:
                live = [c for c in able if not c.limits or left.get(c.account, 0) > 0]
                if not live:
                    reach = self._reach(rest, assets, able, paused)
                    self.report.unaffordable += len(reach)
                    self.report.unreachable += len(rest) - len(reach)
                    break
                made = plan(
                    rest, assets, live, terms["quotas"], today=self._at.date(),
                    health=terms["health"], latency=terms["latency"], exclude=paused,
                    unknown=platform.router.unknown(),
                )  # fmt: skip
                if not made.tiles:
                    reach = self._reach(rest, assets, able, paused)
                    self.report.unaffordable += len(reach)
                    self.report.unreachable += len(rest) - len(reach)
                    break
                ranked = sorted(
                    ((t, made.covers(t)) for t in made.tiles),
                    key=lambda p: (-len(p[1].intersection(disputed)), -len(p[1])),
                )
                for tile, part in ranked:
                    account = self._voices[tile.source]
                    cost = requests_of(platform.capabilities[tile.source], tile)
                    if platform.capabilities[tile.source].limits:
                        if left.get(account, 0) < cost:
                            left[account] = 0
                            continue
                        left[account] -= cost
                    asks.append(Ask(tile, part))
                    rest = rest.difference(part)
                rest = rest.trimmed()
                lost = [u.cells for u in made.uncovered if u.cells]
                if lost and rest and not rest.difference(CellGrid.union(lost)):
                    reach = self._reach(rest, assets, able, paused)
                    self.report.unaffordable += len(reach)
                    self.report.unreachable += len(rest) - len(reach)
                    break
        return asks

    def _reach(
        self, cells: CellGrid, assets: Any, able: Sequence[Capabilities], barred: Any
    ) -> CellGrid:
        """Those cells that some source could tell of, had it quota to spare."""
        made = plan(cells, assets, able, today=self._at.date(), exclude=barred,
                    unknown=self._platform.router.unknown())  # fmt: skip
        lost = [u.cells for u in made.uncovered if u.cells]
        return cells.difference(CellGrid.union(lost)) if lost else cells

    # ---- asking ----

    def _ask(self, asks: Sequence[Ask]) -> None:
        """Make the calls, each source's one after another; every answer is stored at once."""
        by_source: dict[str, list[Ask]] = {}
        for ask in asks:
            by_source.setdefault(ask.tile.source, []).append(ask)
        with (
            self._platform.market.claims() as claims,
            ThreadPoolExecutor(max(1, len(by_source))) as pool,
        ):
            lanes = [pool.submit(self._ask_one, n, a, claims) for n, a in by_source.items()]
            for lane in lanes:
                lane.result()
        self._platform.router.flush()

    def _ask_one(self, name: str, asks: Sequence[Ask], claims: Any) -> None:
        account = self._voices[name]
        limited = bool(self._platform.capabilities[name].limits)
        for ask in asks:
            if limited and self._spare.get(account, 0) <= self._spent(account):
                return  # an answer took more requests than was reckoned
            key = claim_key(ask.tile)
            if not claims.try_claim(key):
                continue  # another run is asking the very same
            try:
                if not self._answered(ask):
                    return
            finally:
                claims.release(key)

    def _spent(self, account: str) -> int:
        return sum(n for s, n in self.report.calls.items() if self._voices.get(s, s) == account)

    def _answered(self, ask: Ask) -> bool:
        """Make one call and store what came; False where the source is to be left alone."""
        platform, tile = self._platform, ask.tile
        market, source = platform.market, platform.sources[tile.source]
        endpoint = source.capabilities.endpoint(tile.endpoint)
        started = market.wall.now()
        try:
            answers, last = [], None
            for part in market.naming(tile, endpoint):
                try:
                    answers.append(source.fetch(part))
                except (NoData, UnknownSymbol) as error:
                    last = error
            if not answers and last is not None:
                raise last
            answer = answers[0] if len(answers) == 1 else joined(answers, str(tile.symbol))
        except SourceError as error:
            return self._failed(ask, error, self._moment(started))
        if not answer.cached:
            platform.router.answered(tile.source, answer.latency_ms / 1000)
        self.report.calls[tile.source] += answer.requests
        moment = self._moment(started)
        if tile.members:
            owners = pl.concat([market.owner_of_row(row) for row in rows_of(tile)])
        elif tile.asset_id is None:
            owners = market.roll_call(answer.bars, tile, endpoint, moment.market).owners
        else:
            owners = market.owner_of_row(tile)
        batch = batch_of(tile, endpoint, answer, ask.cells, owners, None, moment)
        stored = batch.marks.filter(status=str(CellStatus.STORED))
        self._store(replace(batch, marks=stored))
        if batch.bars.height:
            self._fetched.append(CellGrid.from_frame(batch.bars, tile.interval))
        there = batch.bars.select("asset_id", "session")
        self._say_absent(
            ask.cells.to_frame()
            .join(there, on=["asset_id", "session"], how="anti")
            .filter(~pl.col("session").is_in(list(answer.unfinished))),
            tile,
        )
        return True

    def _failed(self, ask: Ask, error: SourceError, moment: Moment) -> bool:
        """Keep the record of a call that failed; whether to go on with its source."""
        tile = ask.tile
        self.report.calls[tile.source] += error.requests
        self.report.failures[f"{tile.source}: {error.status}"] += 1
        self._store(FetchBatch(call=failure_record(tile, error, moment)))
        if isinstance(error, (NoData, UnknownSymbol)):
            if isinstance(error, UnknownSymbol) and tile.asset_id is not None:
                self._platform.router.unknown_to(tile.source, [tile.asset_id])
            if len(tile.members) <= 1:
                known = isinstance(error, NoData)
                self._say_absent(ask.cells.to_frame(), tile, known=known)
        if isinstance(error, RateLimited):
            return False
        keyed = self._platform.capabilities[tile.source].needs_key is not None
        pause = self._platform.router.failed(tile.source, tile.endpoint, error, keyed=keyed)
        return pause is None

    def _say_absent(self, cells: pl.DataFrame, tile: Tile, *, known: bool = True) -> None:
        """``known``: the source knows the symbol, so that its silence says something."""
        if cells.height:
            said = cells.select(
                "asset_id", pl.lit(str(tile.interval)).alias("interval"), "session",
                pl.lit(tile.source).alias("source"),
            )  # fmt: skip
            self._absent.append(said)
            if known:
                self._said_none.append(said)

    def _store(self, batch: FetchBatch) -> None:
        writers.write_fetch(self._db, [batch], self._run_id)

    def _moment(self, started: datetime) -> Moment:
        market = self._platform.market
        now = market.clock.now()
        return Moment(now, started, market.wall.now(), first_unpublished(market.calendar, now))

    # ---- comparing, keeping, judging again ----

    def _compare(self, wanted: pl.DataFrame) -> pl.DataFrame:
        """OPINIONS on the chosen cells, and on all that the answers brought."""
        grids = list(self._fetched)
        if wanted.height:
            grids.append(CellGrid.from_frame(wanted, self._grid.interval))
        if not grids:
            return pl.DataFrame(schema=OPINIONS)
        both = CellGrid.union(grids)
        ours = both.with_mask(both.mask & self._within(both)).trimmed()
        found = [
            compare(
                traded_quotes(self._db, part, self._platform.capabilities),
                self._voices, self._classes, self._float32,
            )
            for part in ours.row_chunks(CELLS_AT_ONCE)
        ]  # fmt: skip
        return pl.concat([pl.DataFrame(schema=OPINIONS), *found])

    def _within(self, cells: CellGrid) -> Any:
        """The mask of the cells that are in question: answers may bring others' too."""
        return self._grid.onto(cells)

    def _keep(self, wanted: pl.DataFrame, found: pl.DataFrame) -> None:
        """Record what is new, tell the router, and judge again."""
        key = [*CELL, "source"]
        nothing = {
            "opinion": pl.lit(str(Opinion.ABSENT)), "voices": pl.lit(1), "allies": pl.lit(0),
            "field": pl.lit(None), "value": pl.lit(None), "expected": pl.lit(None),
        }  # fmt: skip
        absent = pl.concat(
            [
                pl.DataFrame(schema=OPINIONS),
                *(conform(frame.with_columns(**nothing), OPINIONS) for frame in self._absent),
            ]
        )
        told = pl.concat([found, absent.join(found, on=key, how="anti")]).join(
            wanted, on=CELL, how="left"
        ).with_columns(pl.col("why").fill_null(str(Why.BESIDE)))  # fmt: skip
        new = told.join(self._checked, on=[*key, "opinion"], how="anti")
        differ = new.filter(
            pl.col("opinion").is_in([str(Opinion.OUTVOTED), str(Opinion.UNDECIDED)])
        ).select(CELL).unique()  # fmt: skip
        kept = pl.concat(
            [
                new.filter(pl.col("why") != str(Why.BESIDE)),
                new.filter(why=str(Why.BESIDE)).join(differ, on=CELL, how="semi"),
            ]
        )
        counts = new.group_by("source", "why", "opinion").agg(
            pl.len().cast(pl.Int64).alias("cells")
        )
        self.report.opinions = counts.sort("source", "why", "opinion")
        price_checks.record(self._db, kept, self.report.opinions, self._at)
        self.report.outvoted = new.filter(opinion=str(Opinion.OUTVOTED)).select(list(OPINIONS))
        self.report.undecided = new.filter(opinion=str(Opinion.UNDECIDED)).select(list(OPINIONS))
        self._tell_router(new)
        self._judge_again(new)

    def _tell_router(self, new: pl.DataFrame) -> None:
        held = dict(self._held.group_by("source").len().iter_rows())
        doubted = self._held.join(self._disputed, on=CELL, how="semi")
        disputed = dict(doubted.group_by("source").len().iter_rows())
        for (source,), group in new.group_by("source", maintain_order=True):

            def count(opinion: Opinion, *, of_disputed: bool, group: pl.DataFrame = group) -> int:
                mine = pl.col("why") == str(Why.DISPUTED)
                return group.filter(
                    mine if of_disputed else ~mine, pl.col("opinion") == str(opinion)
                ).height

            of = {
                flag: (
                    count(Opinion.AGREED, of_disputed=flag),
                    count(Opinion.OUTVOTED, of_disputed=flag),
                )
                for flag in (True, False)
            }
            compared = sum(of[True]) + sum(of[False])
            share = accuracy(
                stored=max(held.get(source, 0), compared),
                disputed=max(disputed.get(source, 0), sum(of[True])),
                of_disputed=of[True], of_others=of[False],
            )  # fmt: skip
            if share is not None:
                self.report.accuracy[str(source)] = share
                self._platform.health.agreed(str(source), share, compared)

    def _judge_again(self, new: pl.DataFrame) -> None:
        """Validate the cells seen differently, and those with new quotes that had a verdict."""
        grids = []
        differ = new.filter(pl.col("opinion") != str(Opinion.ABSENT))
        if differ.height:
            grids.append(CellGrid.from_frame(differ, self._grid.interval))
        if self._fetched:
            came = CellGrid.union(self._fetched)
            came = came.with_mask(came.mask & self._within(came)).trimmed()
            if came:
                had = readers.judged(self._db, came, came.sessions)
                if had.height:
                    both = CellGrid.from_frame(had, self._grid.interval)
                    grids.append(came.intersection(both).trimmed())
        grids = [g for g in grids if g]
        if not grids:
            return
        self.report.changed += judge_again(self._platform, CellGrid.union(grids))


def _mask(some: pl.DataFrame, all_of: pl.DataFrame, interval: Any) -> Any:
    """The mask of ``some`` cells on the grid of ``all_of``."""
    whole = CellGrid.from_frame(all_of, interval)
    if some.is_empty():
        return whole.mask & False
    return CellGrid.from_frame(some, interval).onto(whole)
