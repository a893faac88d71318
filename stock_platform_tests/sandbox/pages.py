"""What the tests of the sandbox's web pages share: our sources against it, on its clock."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl

from stock_platform.domain.clock import FixedClock
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sources.base import Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.robots import forget_rules
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sandbox.conftest import NOW

START, FRIDAY = date(2012, 3, 5), date(2013, 3, 1)
PRICES = ("open", "high", "low", "close")


def ours(sandbox: SandboxServer, name: str, now: datetime = NOW) -> Source:
    """The source, that has not read robots.txt and waits on a clock of its own."""
    forget_rules()
    elapsed = [1_362_225_600.0]

    def sleep(seconds: float) -> None:
        elapsed[0] += seconds

    setup = Setup(
        capabilities=SOURCES[name].capabilities,
        quota=MemoryQuota(lambda: elapsed[0], sleep),
        clock=FixedClock(now),
        base_url=sandbox.base_url(name),
        http=HttpOptions(backoff=0.0, max_wait=3600.0),
    )
    return build(setup)


def close_to(bars: pl.DataFrame, truth: pl.DataFrame, cents: float = 0.005) -> None:
    """Assert the same sessions and prices, but for the rounding of a page."""
    assert bars["session"].to_list() == truth["session"].to_list()
    for name in PRICES:
        off = (bars[name] - truth[name]).abs().max()
        assert isinstance(off, float)
        assert off <= cents + 1e-9, name


def adjusted(sandbox: SandboxServer, symbol: str, truth: pl.DataFrame) -> pl.DataFrame:
    """The true bars, split-adjusted as of now."""
    for ex_date, ratio in sandbox.market.splits(symbol).iter_rows():
        before = pl.col("session") < ex_date
        truth = truth.with_columns(
            *(pl.when(before).then(pl.col(p) / ratio).otherwise(p).alias(p) for p in PRICES),
            pl.when(before).then(pl.col("volume") * ratio).otherwise("volume").alias("volume"),
        )
    return truth


def split_symbol(sandbox: SandboxServer, since: date = START) -> str:
    """A company that has split since a date, and trades."""
    table = sandbox.market.listing().filter(
        pl.col("delisted_on").is_null() & (pl.col("kind") == "CS")
    )
    for symbol in table["symbol"]:
        if sandbox.market.splits(symbol).filter(pl.col("ex_date") > since).height:
            return str(symbol)
    raise AssertionError("no split in the market")
