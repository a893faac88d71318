"""Asking for directories of symbols, and putting what they tell into the catalog.

Belongs here: whom to ask, what to do when a directory is refused, one refresh from question to
commit. Does not: merging and comparing (domain/catalog), SQL (storage/catalog.py), learning
symbols from whole-market prices (catalog.py).

A refresh of the US shares asks the first whole directory there is (NASDAQ Trader, else Polygon,
else Alpha Vantage) and those that add to it at a call each. A directory that cannot be true is
refused before anything is written: the refresh then changes nothing and says why, unless it is
forced.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.resources import files
from zoneinfo import ZoneInfo

import polars as pl

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import Feed
from stock_platform.domain.catalog import (
    CHANGES,
    CatalogDiff,
    Sanity,
    compare,
    judge,
    merge,
)
from stock_platform.domain.catalog.past import settle
from stock_platform.domain.catalog.snapshot import MEMBERSHIP, ORDER
from stock_platform.domain.clock import Clock
from stock_platform.domain.errors import InputError, Malformed, NoData, SourceError, one_of
from stock_platform.domain.symbols import default_calendar, parse_symbol
from stock_platform.pipeline.probe import call_record, log_call, refusal_record
from stock_platform.pipeline.router import Router
from stock_platform.sources.base import Facts, Question, Source
from stock_platform.storage import assets
from stock_platform.storage import catalog as storage
from stock_platform.storage.catalog import CatalogRun, Directory
from stock_platform.storage.connection import Database

MINIMUM = {
    "nasdaqtrader": 8_000, "polygon": 7_000, "alpha_vantage": 6_000, "sec": 5_000,
    "nasdaq_screener": 4_000, "coingecko": 400,
}  # fmt: skip
"""Rows a vendor's own directory has at the very least; a stand-in's may be a small market."""

LARGEST_REJECTED = 0.2
"""Share of a directory's rows that may be unreadable."""

LARGEST_COINS = 500
DELISTED_SINCE = date(1990, 1, 1)
EXPENSIVE = ("polygon",)
"""Whole directories that cost many calls: asked when they are named, or nobody else has one."""

US_CALENDAR = "XNYS"


@dataclass
class DirectoryReport:
    """What one refresh did.

    Attributes:
        directory: shares, crypto or curated.
        status: ``applied``, ``refused``, ``unchanged``, ``dry run`` or ``unavailable``.
        as_of: the day of the directory.
        sources: by name: rows and requests, or why not.
        counts: changes by kind. changes: CHANGES. symbols: listed in all.
        reason: why it was refused or is not to be had.
    """

    directory: Directory
    status: str
    as_of: date
    sources: dict[str, dict[str, object]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    changes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CHANGES))
    symbols: int = 0
    reason: str | None = None

    @property
    def calls(self) -> Counter[str]:
        """HTTP requests by source."""
        return Counter({name: _count(told.get("requests")) for name, told in self.sources.items()})


class Directories:
    """Refreshes of the catalog from the sources that have directories."""

    def __init__(
        self,
        db: Database,
        sources: Mapping[str, Source],
        router: Router,
        clock: Clock,
        *,
        run_id: str | None = None,
    ) -> None:
        self._db = db
        self._sources = {n: s for n, s in sources.items() if Feed.LISTING in s.capabilities.feeds}
        self._router = router
        self._clock = clock
        self._run_id = run_id

    def has(self, directory: Directory) -> bool:
        """Whether some source that is on has such a directory, at little cost."""
        wanted = ("coingecko",) if directory == "crypto" else (n for n in ORDER if n in MEMBERSHIP)
        return any(n in self._sources for n in wanted if n not in EXPENSIVE)

    def shares(
        self, only: Sequence[str] = (), *, dry_run: bool = False, force: bool = False
    ) -> DirectoryReport:
        """Refresh the US shares.

        Args:
            only: the sources to ask; empty: all that are on and cheap.
            dry_run: tell what would change, and change nothing.
            force: apply a directory that looks wrong.

        Raises:
            InputError: a source that is not on, or has no directory of shares.
        """
        as_of = self._today(US_CALENDAR)
        report = DirectoryReport("shares", "unavailable", as_of)
        known, previous = self._last(report)
        directories = self._gather(report, only, known, previous, force=force)
        whole = next((n for n in MEMBERSHIP if n in directories), None)
        if whole is None:
            told = [f"{n}: {t['refused']}" for n, t in report.sources.items() if t.get("refused")]
            report.reason = "; ".join(told) or "no source with a whole directory could be asked"
            if any(t.get("untrue") for t in report.sources.values()):
                report.status = "refused"
            if report.status == "refused" and not dry_run:
                with storage.editing(self._db) as edit:
                    edit.refuse(self._run(report, force=force))
            return report
        self._compare(report, directories, dry_run=dry_run, force=force)
        if "alpha_vantage" in directories and not dry_run:
            self._learn_past(report)
        return report

    def coins(self, *, dry_run: bool = False) -> DirectoryReport:
        """Refresh the largest coins; one that falls out of them stays."""
        report = DirectoryReport("crypto", "unavailable", self._today("24/7"))
        facts = self._ask(report, "coingecko", Question(Feed.LISTING, top=LARGEST_COINS))
        if facts is None:
            report.reason = str(report.sources.get("coingecko", {}).get("refused", "off"))
            return report
        self._compare(report, {"coingecko": facts.frame}, dry_run=dry_run, force=False)
        return report

    def curated(self, *, dry_run: bool = False) -> DirectoryReport:
        """Register the curated commodities, indices, currencies and bond ETFs."""
        rows = list(curated_list())
        known = assets.resolve(self._db, [row.ticker for row in rows])
        new = [row for row in rows if row.ticker not in known]
        if not dry_run:
            assets.register(self._db, rows)
        status = "dry run" if dry_run else "applied" if new else "unchanged"
        report = DirectoryReport("curated", status, self._today(US_CALENDAR))
        report.symbols, report.counts = len(rows), {"listed": len(new)}
        return report

    # ---- asking ----

    def _gather(
        self,
        report: DirectoryReport,
        only: Sequence[str],
        known: pl.DataFrame,
        previous: date | None,
        *,
        force: bool,
    ) -> dict[str, pl.DataFrame]:
        """The directories that came and were not refused, by source."""
        found: dict[str, pl.DataFrame] = {}
        days = (report.as_of - previous).days if previous else None
        for name in self._whom(only):
            if name in EXPENSIVE and not only and set(found) & set(MEMBERSHIP):
                continue
            facts = self._ask(report, name, Question(Feed.LISTING))
            if facts is None:
                continue
            own = "@" not in self._sources[name].capabilities.account
            sanity = Sanity(MINIMUM.get(name, 1) if own else 1, days)
            compared = known if name in MEMBERSHIP else known.clear()
            active = facts.frame.filter(pl.col("active").fill_null(value=True))
            reason = _unreadable(facts) or judge(active, compared, sanity)
            if reason is not None and not force:
                report.sources[name] |= {"refused": reason, "untrue": True}
                continue
            found[name] = facts.frame
        return found

    def _whom(self, only: Sequence[str]) -> list[str]:
        able = [name for name in ORDER if name in self._sources]
        for name in only:
            if name not in able:
                hint = one_of(able) if able else "switch on nasdaqtrader"
                raise InputError("source", name, hint)
        return [name for name in able if not only or name in only]

    def _ask(self, report: DirectoryReport, name: str, question: Question) -> Facts | None:
        source = self._sources.get(name)
        if source is None:
            return None
        began = datetime.now(UTC)
        asked = question.describe()
        told = report.sources.setdefault(name, {"rows": 0, "requests": 0})
        try:
            facts = source.ask(question)
        except SourceError as error:
            log_call(self._db, refusal_record(str(question.feed), asked, error, began))
            if not isinstance(error, NoData):
                self._router.failed(name, str(question.feed), error)
            told["requests"] = _count(told["requests"]) + error.requests
            told["refused"] = f"{error.status.replace('_', ' ')}: {error.detail}"[:300]
            if isinstance(error, Malformed):  # a web page, half a file
                told["untrue"] = True
            return None
        log_call(self._db, call_record(name, str(question.feed), asked, facts, began))
        self._router.answered(name, facts.latency_ms / 1000)
        told["rows"] = _count(told["rows"]) + facts.frame.height
        told["requests"] = _count(told["requests"]) + facts.requests
        if facts.rejected.height:
            told["rejected"] = facts.rejected.height
        return facts

    # ---- deciding ----

    def _last(self, report: DirectoryReport) -> tuple[pl.DataFrame, date | None]:
        """What the last directory had, and its day."""
        with storage.editing(self._db) as edit:
            known = edit.known(report.directory)
            previous = edit.previous(report.directory)
        day = pl.lit(previous, dtype=pl.Date)
        seen = known.filter(pl.col("active") & (pl.col("last_seen") == day))
        return seen.select("symbol", "name", "exchange"), previous

    def _compare(
        self,
        report: DirectoryReport,
        directories: Mapping[str, pl.DataFrame],
        *,
        dry_run: bool,
        force: bool,
    ) -> CatalogDiff:
        shares = report.directory == "shares"
        snapshot = merge(directories, shares_only=shares)
        with storage.editing(self._db) as edit:
            diff = compare(
                edit.known(report.directory),
                snapshot,
                as_of=report.as_of,
                previous=edit.previous(report.directory),
                last_session=self._last_session(report.as_of) if shares else None,
                whole=shares,
            )
            report.changes, report.counts = diff.changes, diff.counts()
            report.counts["listed"] = max(report.counts["listed"], diff.new.height)
            report.symbols, report.status = snapshot.height, "dry run"
            if not dry_run:
                report.changes = edit.apply(self._run(report, force=force), diff)
                changed = diff.new.height or diff.changes.filter("applied").height
                report.status = "applied" if changed else "unchanged"
        return diff

    def _learn_past(self, report: DirectoryReport) -> None:
        """Add what was delisted, from the one vendor that lists it."""
        question = Question(Feed.LISTING, start=DELISTED_SINCE, end=report.as_of)
        facts = self._ask(report, "alpha_vantage", question)
        if facts is None or _unreadable(facts):
            return
        shares = facts.frame.filter(pl.col("asset_class").is_in(["stock", "etf", "fund"]))
        with storage.editing(self._db) as edit:
            past = settle(edit.spells(), shares)
            report.counts["delisted_before"] = edit.learn_past(past)

    def _run(self, report: DirectoryReport, *, force: bool) -> CatalogRun:
        return CatalogRun(report.directory, report.as_of, report.sources, force, self._run_id)

    def _today(self, calendar: str) -> date:
        return self._clock.now().astimezone(ZoneInfo(get_calendar(calendar).zone)).date()

    def _last_session(self, as_of: date) -> date:
        """The last session on which a symbol that is missing now may have traded."""
        last = get_calendar(US_CALENDAR).last_completed(self._clock.now())
        return min(last, as_of)


def curated_list() -> Iterator[assets.NewAsset]:
    """The curated commodities, indices, currencies and bond ETFs."""
    text = files("stock_platform.pipeline").joinpath("data", "curated.csv").read_text("utf-8")
    for row in csv.DictReader(text.splitlines()):
        symbol = parse_symbol(row["ticker"])
        yield assets.NewAsset(
            symbol.ticker,
            row["asset_class"],
            default_calendar(symbol),
            currency=row["currency"],
            name=row["name"],
        )


def _unreadable(facts: Facts) -> str | None:
    bad, good = facts.rejected.height, facts.frame.height
    if bad > LARGEST_REJECTED * (bad + good):
        return f"suspiciously unreadable: {bad:,} of {bad + good:,} rows"
    return None


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
