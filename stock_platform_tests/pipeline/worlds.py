"""A small market in memory: sources that answer, fail or refuse as a test says."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from stock_platform.domain.bars import PARSED_BARS, Basis, Interval, conform
from stock_platform.domain.batches import FetchBatch
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.capabilities import (
    Capabilities,
    Endpoint,
    Limit,
    QuotaState,
    Tile,
    TileShape,
)
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.coverage import SETTLED
from stock_platform.domain.errors import InputError, SourceError
from stock_platform.domain.planning import PlanAsset
from stock_platform.domain.symbols import AssetClass
from stock_platform.pipeline.market import FOREVER, RollCall
from stock_platform.sources.base import Answer, Facts, Question

SESSIONS = [date(2024, 3, 4), date(2024, 3, 5), date(2024, 3, 6), date(2024, 3, 7)]
NOW = datetime(2024, 3, 9, 12, tzinfo=UTC)

ROW = Endpoint("row", TileShape.ROW, (Interval.DAY,), (AssetClass.STOCK,), Basis.AS_TRADED)
COLUMN = Endpoint("column", TileShape.COLUMN, (Interval.DAY,), (AssetClass.STOCK,), Basis.AS_TRADED)

Behaviour = Callable[[Tile], SourceError | None]


def bars(symbol: str, sessions: list[date]) -> pl.DataFrame:
    """Plain bars of one symbol at 14:30 UTC of each session; no two days trade alike."""
    frame = pl.DataFrame({"symbol": [symbol] * len(sessions), "session": sessions})
    return conform(
        frame.with_columns(
            pl.col("session").cast(pl.Datetime("us")).dt.offset_by("14h30m")
            .dt.replace_time_zone("UTC").alias("ts"),
            *(pl.lit(10.0).alias(name) for name in ("open", "high", "low", "close")),
            (100.0 + pl.col("session").dt.epoch("d") % 97).alias("volume"),
        ),
        PARSED_BARS,
    )  # fmt: skip


class FakeSource:
    """Answers with bars of ``listed``; ``behaviour`` may return an error to raise instead."""

    def __init__(
        self,
        name: str,
        listed: dict[str, list[date]],
        *endpoints: Endpoint,
        behaviour: Behaviour | None = None,
        preference: int = 100,
        concurrency: int = 2,
    ) -> None:
        self.capabilities = Capabilities(
            name,
            endpoints,
            limits=(Limit(1000, 1.0),),
            preference=preference,
            concurrency=concurrency,
        )
        self.listed = listed
        self.behaviour = behaviour or (lambda tile: None)
        self.asked: list[Tile] = []
        self._lock = threading.Lock()

    def ask(self, question: Question) -> Facts:
        raise InputError("feed", question.feed, "a fake has bars alone")

    def fetch(self, tile: Tile) -> Answer:
        with self._lock:
            self.asked.append(tile)
        error = self.behaviour(tile)
        if error is not None:
            error.requests = 1
            raise error
        symbols = list(tile.symbols) or sorted(self.listed)
        frames = [
            bars(s, [d for d in self.listed.get(s, []) if tile.start <= d <= tile.end])
            for s in symbols
        ]
        return answer(pl.concat(frames))

    def close(self) -> None:
        """Nothing is held."""


def everybody() -> dict[str, list[date]]:
    """A hundred tickers, listed on every session of 2023 and 2024."""
    days = get_calendar("XNYS").sessions(date(2023, 1, 3), date(2024, 12, 31))
    names = [f"T{chr(65 + n // 10)}{chr(65 + n % 10)}" for n in range(100)]
    return dict.fromkeys(names, days.astype(object).tolist())


def answer(frame: pl.DataFrame) -> Answer:
    """A good answer of these bars, from one request."""
    return Answer(bars=frame, basis=Basis.AS_TRADED, requests=1)


class FakeClaims:
    """Claims in memory; keys in ``elsewhere`` are held by another run."""

    def __init__(self, elsewhere: set[str]) -> None:
        self.elsewhere = elsewhere
        self.held: set[str] = set()

    def try_claim(self, key: str) -> bool:
        if key in self.elsewhere or key in self.held:
            return False
        self.held.add(key)
        return True

    def release(self, key: str) -> None:
        self.held.discard(key)


class FakeMarket:
    """A catalog and a ledger in memory, with the questions that pipeline.market answers."""

    calendar = "XNYS"

    def __init__(self, tickers: list[str], unlisted: dict[str, date] | None = None) -> None:
        self.clock = self.wall = FixedClock(NOW)
        self.ids = {ticker: number for number, ticker in enumerate(tickers, start=1)}
        self.first = unlisted or {}
        self.states: dict[tuple[int, date], tuple[str, str]] = {}
        self.elsewhere: set[str] = set()
        self._claims = FakeClaims(self.elsewhere)

    def grid(self, *tickers: str) -> CellGrid:
        return CellGrid.rectangle([self.ids[t] for t in tickers or self.ids], SESSIONS)

    def missing(self, grid: CellGrid, *, retry_failed: bool = False) -> CellGrid:
        settled = {str(s) for s in SETTLED}
        done = [cell for cell, (status, _) in self.states.items() if status in settled]
        if not done:
            return grid
        return grid.difference(CellGrid.from_pairs(done))

    @contextmanager
    def claims(self) -> Iterator[FakeClaims]:
        yield self._claims
        assert not self._claims.held, "a claim outlived its fetch"

    def plan_assets(self, ids: np.ndarray) -> dict[int, PlanAsset]:
        names = {number: ticker for ticker, number in self.ids.items()}
        return {
            i: PlanAsset(i, names[i], AssetClass.STOCK, self.first.get(names[i]), None, "XNYS")
            for i in ids.tolist()
        }

    def listings(self, ids: np.ndarray) -> pl.DataFrame:
        names = {number: ticker for ticker, number in self.ids.items()}
        return pl.DataFrame(
            {
                "asset_id": ids,
                "listed_on": [self.first.get(names[i]) for i in ids.tolist()],
                "delisted_on": [None] * len(ids),
            },
            schema={"asset_id": pl.Int32(), "listed_on": pl.Date(), "delisted_on": pl.Date()},
        )

    def owner_of_row(self, tile: Tile) -> pl.DataFrame:
        return self._owners({str(tile.symbol): tile.asset_id or 0})

    def naming(self, tile: Tile, endpoint: Endpoint) -> list[Tile]:
        return [tile]

    def roll_call(
        self, bars: pl.DataFrame, tile: Tile, endpoint: Endpoint, now: datetime
    ) -> RollCall:
        strangers = sorted(set(bars["symbol"].to_list()) - set(self.ids))
        cells = CellGrid.rectangle(self.ids.values(), [tile.start])
        return RollCall(self._owners(self.ids), cells, strangers=strangers)

    def _owners(self, ids: dict[str, int]) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "symbol": list(ids),
                "asset_id": list(ids.values()),
                **{name: [day] * len(ids) for name, day in FOREVER.items()},
            },
            schema_overrides={"asset_id": pl.Int32()},
        )

    def commit(self, batches: list[FetchBatch]) -> None:
        for batch in batches:
            for row in batch.marks.iter_rows(named=True):
                self.states[row["asset_id"], row["session"]] = (row["status"], row["reason"])

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = defaultdict(int)
        for status, _ in self.states.values():
            found[status] += 1
        return dict(found)


class FakeQuota:
    """Every source has all of its quota."""

    def state(self, source: str, limits: object) -> QuotaState:
        return QuotaState()


def with_endpoint(source: FakeSource, **changes: object) -> FakeSource:
    """The source with its endpoints changed."""
    endpoints = tuple(replace(e, **changes) for e in source.capabilities.endpoints)  # type: ignore[arg-type]  # test shorthand
    source.capabilities = replace(source.capabilities, endpoints=endpoints)
    return source
