"""The platform, wired: settings, database, quotas and sources, made when first used.

Belongs here: construction, and the verbs that Dagster's assets, the CLI and tests share.
Does not: anything with a decision in it; each verb hands over to the module that decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import polars as pl

from stock_platform.domain.bars import Interval
from stock_platform.domain.batches import FetchBatch, ValidatedBatch, WriteReport
from stock_platform.domain.capabilities import Capabilities, Endpoint, Feed
from stock_platform.domain.cells import CellGrid, Sessions
from stock_platform.domain.clock import Clock
from stock_platform.domain.comparing import SAMPLE_SHARE
from stock_platform.domain.coverage import SHARDS
from stock_platform.domain.planning import Plan, PlanAsset, plan
from stock_platform.domain.portfolio.transactions import read_currency
from stock_platform.domain.reconciling import KINDS, Kind
from stock_platform.domain.symbols import default_calendar, parse_symbol
from stock_platform.domain.validation import Level
from stock_platform.pipeline.actions import (
    ActionsRefresh,
    ActionsReport,
    affected_returns,
    restored_cells,
)
from stock_platform.pipeline.catalog import CatalogReport, only_tracked, refresh
from stock_platform.pipeline.coverage import CoverageReport
from stock_platform.pipeline.fetching import FetchStream
from stock_platform.pipeline.grids import build_grid
from stock_platform.pipeline.indicating import refresh_indicators
from stock_platform.pipeline.market import Market
from stock_platform.pipeline.performance import Performance, measure
from stock_platform.pipeline.report import ProgressCallback
from stock_platform.pipeline.router import Router
from stock_platform.pipeline.series import SeriesReport, refresh_series
from stock_platform.pipeline.validating import rejudge_late_actions, validate_cells
from stock_platform.settings import Settings, load_settings
from stock_platform.sources.base import Source
from stock_platform.sources.quota import Quota
from stock_platform.storage import assets, ledger, writers
from stock_platform.storage.connection import Database
from stock_platform.storage.health import HealthBook
from stock_platform.storage.quota import PostgresQuota

if TYPE_CHECKING:
    from stock_platform.pipeline.reconciling_prices import ReconcileReport

Period = Literal["weekly", "monthly"]


class Platform:
    """Everything a run needs. Use as a context manager, or ``close()`` it."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or settings.clock
        self._first_fill: CatalogReport | None = None

    @classmethod
    def from_settings(cls, settings: Settings | None = None) -> Platform:
        """The platform of this process's environment."""
        return cls(settings or load_settings())

    @classmethod
    def reading(cls, settings: Settings | None = None) -> Platform:
        """The platform for who only looks: as the reader, where STOCK_PLATFORM_READER_URL is set.

        As the reader nothing is migrated and nothing can be written.
        """
        chosen = settings or load_settings()
        return cls(chosen) if chosen.reader_url is None else _Reading(chosen)

    # ---- parts ----

    @cached_property
    def db(self) -> Database:
        """The database, migrated; the embedded server is started where no URL is set."""
        from stock_platform.storage.migrate import migrate

        url = self.settings.resolve_database_url()
        migrate(url, self.settings.role_prefix, self.settings.timescale)
        return Database(url)

    @cached_property
    def quota(self) -> Quota:
        """Quotas shared by every process on this database."""
        return PostgresQuota(self.db)

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The sources that are switched on and have what they need, by name."""
        from stock_platform.pipeline.wiring import build_sources

        return build_sources(self.settings, self.quota, self.clock)

    @cached_property
    def live_sources(self) -> dict[str, Source]:
        """The same for quotes, which are worth nothing later: they give up soon."""
        from stock_platform.pipeline.wiring import build_sources

        return build_sources(self.settings, self.quota, self.clock, hurried=True)

    @cached_property
    def capabilities(self) -> dict[str, Capabilities]:
        """What the sources can do, by name."""
        return {name: source.capabilities for name, source in self.sources.items()}

    @cached_property
    def health(self) -> HealthBook:
        """The health of sources, shared by every process on this database."""
        return HealthBook(self.db)

    @cached_property
    def router(self) -> Router:
        """Which sources may be asked now, and how well they answered."""
        return Router(self.health)

    @cached_property
    def market(self) -> Market:
        """Catalog, ledger and clocks."""
        return Market(self.db, self.clock, self.settings.calendar)

    @property
    def calendar_name(self) -> str:
        """The exchange whose sessions the partitions are."""
        return self.settings.calendar

    # ---- who and when ----

    def sessions(self, start: date, end: date) -> Sessions:
        """The completed sessions from start to end. Raises InputError where there are none."""
        return self.market.sessions(start, end)

    def assets_for(self, tickers: Sequence[str], *, register: bool = True) -> pl.DataFrame:
        """The assets of tickers, in any common spelling; new ones are registered and tracked.

        A former ticker means the asset that had it, as long as no other has it now.

        Returns:
            asset_id, ticker, asset_class, calendar, listed_on, delisted_on, shard.

        Raises:
            InputError: a ticker that cannot be one, or, without ``register``, is not known.
        """
        symbols = [parse_symbol(text) for text in tickers]
        names = [s.ticker for s in symbols]
        known = assets.resolve_any(self.db, names)
        unknown = [s for s in symbols if s.ticker not in known]
        if unknown and not register:
            raise assets.unknown_ticker(self.db, unknown[0].ticker)
        if unknown:
            known |= assets.register(
                self.db,
                [assets.NewAsset(s.ticker, s.asset_class, default_calendar(s)) for s in unknown],
            )
        ids = [known[name] for name in names]
        if register:
            assets.track(self.db, ids)
        return assets.by_id(self.db, ids)

    def watchlist_assets(self) -> pl.DataFrame:
        """The tracked assets."""
        return assets.universe(self.db, scope="watchlist")

    def known_market(self) -> pl.DataFrame:
        """The market's assets as far as they are known; nothing is fetched for it."""
        return assets.universe(self.db, scope="market", calendar=self.settings.calendar)

    def shard_assets(self, shards: Sequence[int] = range(SHARDS)) -> pl.DataFrame:
        """The market's assets of some shards; an empty catalog is filled first."""
        if only_tracked(self.market):
            self._first_fill = self.refresh_catalog(shares_only=True)
        return assets.universe(
            self.db, scope="market", calendar=self.settings.calendar, shards=list(shards)
        )

    def cells(
        self,
        wanted: pl.DataFrame,
        dates: Sequence[date] | Sessions,
        interval: Interval = Interval.DAY,
    ) -> CellGrid:
        """The cells of assets on dates; see pipeline/grids.py."""
        return build_grid(wanted, dates, self.clock.now(), self.settings.calendar, interval)

    # ---- fetch ----

    def missing(self, grid: CellGrid, *, retry_failed: bool = False) -> CellGrid:
        """The cells of ``grid`` that need a call now."""
        return self.market.missing(grid, retry_failed=retry_failed)

    def plan(self, grid: CellGrid, *, retry_failed: bool = False) -> Plan:
        """How the missing cells of ``grid`` would be fetched; nothing is fetched."""
        needed = self.missing(grid, retry_failed=retry_failed).trimmed()
        return self.plan_of(needed, self.market.plan_assets(needed.assets))

    def plan_of(self, needed: CellGrid, known: Mapping[int, PlanAsset]) -> Plan:
        """How cells would be fetched now, with what is spent and how the sources fare."""
        paused = {(n, e.name) for n in self.router.pauses() for e in self._endpoints(n)}
        return plan(
            needed, known, today=self.clock.now().date(), exclude=self.router.barred() | paused,
            unknown=self.router.unknown(), **self.terms(),
        )  # fmt: skip

    def terms(self) -> dict[str, Any]:
        """What plans are made with now: sources, quotas, health and latency."""
        return {
            "sources": self.router.liked(self.capabilities),
            "quotas": {
                n: self.quota.state(c.account, c.limits) for n, c in self.capabilities.items()
            },
            "health": self.router.chances(),
            "latency": self.router.latencies(),
        }

    def _endpoints(self, source: str) -> tuple[Endpoint, ...]:
        known = self.capabilities.get(source)
        return known.endpoints if known else ()

    def fetch(
        self,
        grid: CellGrid,
        run_id: str | None = None,
        *,
        wider: CellGrid | None = None,
        retry_failed: bool = False,
        again: bool = False,
        sources: Mapping[str, Source] | None = None,
        progress: ProgressCallback | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> FetchStream:
        """A fetch of what is missing of ``grid``; iterate to run it, committing each item.

        ``again`` fetches all of it, stored or not; ``sources``: whom to ask, None: all.
        """
        stream = FetchStream(
            self.market,
            self.sources if sources is None else sources,
            self.quota,
            grid,
            run_id=run_id,
            wider=wider,
            retry_failed=retry_failed,
            again=again,
            retry_failed_after=timedelta(hours=self.settings.retry_failed_hours),
            router=self.router,
            patience=timedelta(seconds=self.settings.patience_seconds),
            max_wait=timedelta(seconds=self.settings.max_wait_seconds),
            progress=progress,
            pause=pause,
        )
        if self._first_fill is not None:  # its calls were made for these cells
            stream.report.calls.update(self._first_fill.calls)
            stream.report.rows += self._first_fill.rows
            stream.report.discovered += self._first_fill.added
            self._first_fill = None
        return stream

    def write_fetch(self, batches: Sequence[FetchBatch], run_id: str | None = None) -> WriteReport:
        """Commit batches in one transaction."""
        return writers.write_fetch(self.db, batches, run_id)

    # ---- judge and aggregate ----

    def validate(self, grid: CellGrid) -> Iterator[ValidatedBatch]:
        """Validated prices of ``grid``, a batch at a time."""
        return validate_cells(
            self.db,
            grid,
            self.clock,
            self.capabilities,
            Level(self.settings.validation_level),
            self.settings.rulebook,
        )

    def validate_late_actions(self) -> Iterator[ValidatedBatch]:
        """Prices validated before a split or dividend of theirs was known, a batch at a time."""
        return rejudge_late_actions(
            self.db,
            self.clock,
            self.capabilities,
            Level(self.settings.validation_level),
            self.settings.rulebook,
        )

    def write_validated(self, batch: ValidatedBatch) -> WriteReport:
        """Commit a validated batch, and the weeks and months it touches, in one transaction."""
        return writers.write_validated(self.db, batch)

    def refresh_periods(self, grid: CellGrid, period: Period) -> int:
        """Derive the weeks or months of ``grid`` again; the number of rows that changed."""
        return writers.recompute_periods(self.db, grid, period)

    def refresh_indicators(self, grid: CellGrid) -> int:
        """Derive returns and volatility of ``grid`` again; the number of rows that changed."""
        return refresh_indicators(self.db, grid)

    def reconcile(
        self,
        grid: CellGrid,
        run_id: str | None = None,
        *,
        dry_run: bool = False,
        share: float = SAMPLE_SHARE,
    ) -> ReconcileReport:
        """Compare stored prices of ``grid`` with other sources', within spare quota."""
        from stock_platform.pipeline.reconciling_prices import Reconciliation

        return Reconciliation(self, grid, run_id=run_id, share=share).run(dry_run=dry_run)

    def refresh_catalog(
        self,
        run_id: str | None = None,
        *,
        only: Sequence[str] = (),
        dry_run: bool = False,
        force: bool = False,
        shares_only: bool = False,
    ) -> CatalogReport:
        """Learn who is listed from directories, or else from whole-market prices."""
        return refresh(
            self.market, self.sources, self.router, run_id,
            only=only, dry_run=dry_run, force=force, shares_only=shares_only,
        )  # fmt: skip

    def refresh_series(self, ids: Sequence[str]) -> SeriesReport:
        """Ask for economic series, and store what is new or revised."""
        return refresh_series(self.db, self.sources, self.router, ids)

    def refresh_actions(
        self,
        scope: Literal["watchlist", "market"] = "market",
        kinds: Sequence[Kind] = KINDS,
        *,
        since: date | None = None,
        force: bool = False,
        run_id: str | None = None,
    ) -> ActionsReport:
        """Ask for splits and dividends, and bring to date what follows from what is new.

        For the watchlist, too, a source that tells of the whole market is asked first: once a
        day for everybody. Without one its tickers are asked for one by one.

        Raises:
            InputError: scope market, and no source that tells of the whole market is on.
        """
        refresh = ActionsRefresh(self.market, self.sources, self.router, run_id)
        wide = [c for c in self.capabilities.values() if Feed.SPLITS in c.market_feeds]
        if scope == "market" or wide:
            report = refresh.whole_market(kinds, since, force=force)
        else:
            report = refresh.each(self.watchlist_assets(), kinds)
        for grid in restored_cells(self.db, report.changed, self.capabilities):
            for batch in self.validate(grid):
                self.write_validated(batch)
        for batch in self.validate_late_actions():
            self.write_validated(batch)
        returns = affected_returns(report.changed)
        if returns is not None:
            self.refresh_indicators(returns)
        return report

    # ---- look ----

    def performance(self, user: str, currency: str | None = None) -> Performance:
        """Positions and returns of a user's portfolio, up to now.

        Raises:
            InputError: the user has no transaction, or the currency is no code.
        """
        chosen = read_currency(currency) if currency else self.settings.portfolio_currency
        return measure(self.db, user, chosen, self.clock.now().date())

    def coverage(self, grid: CellGrid) -> CoverageReport:
        """The states of the cells of ``grid``."""
        return CoverageReport(grid, ledger.states(self.db, grid), ledger.reasons(self.db, grid))

    def close(self) -> None:
        """Close connections; sources keep no state of their own."""
        for name in ("sources", "live_sources"):
            for source in self.__dict__.get(name, {}).values():
                source.close()
        if "db" in self.__dict__:
            self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Reading(Platform):
    """The platform as the reader."""

    @cached_property
    def db(self) -> Database:
        """The database in read-only transactions, with the reader's limit on each statement."""
        from stock_platform.pipeline.store import reading_database

        return reading_database(self.settings)
