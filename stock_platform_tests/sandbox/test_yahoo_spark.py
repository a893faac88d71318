"""Yahoo's spark, and our source reading it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

import httpx
import polars as pl
import pytest

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.clock import FixedClock
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sources.base import Question
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup

NOON = datetime(2013, 2, 26, 17, tzinfo=UTC)


def test_its_metas_are_the_charts(client: httpx.Client, sandbox: SandboxServer) -> None:
    """One call, all classes; unknown ones are left out, alone they are a 404; 21 are a 400."""
    sandbox.market.time.freeze(NOON)
    path, names = "/yahoo/v7/finance/spark", ["AAPL", "BTC-USD", "EURUSD=X", "^FTSE"]
    answer = client.get(path, params={"symbols": ",".join([*names, "QQQZZ"])})
    found = {r["symbol"]: r["response"][0] for r in answer.json()["spark"]["result"]}
    assert list(found) == names
    for name in names:
        one = client.get(
            f"/yahoo/v8/finance/chart/{name}", params={"range": "1d", "interval": "1d"}
        ).json()["chart"]["result"][0]
        assert found[name]["meta"] == one["meta"]
        assert set(found[name]["indicators"]["quote"][0]) == {"close"}
    assert client.get(path, params={"symbols": "QQQZZ"}).status_code == 404
    many = ",".join(f"A{n}" for n in range(21))
    assert client.get(path, params={"symbols": many}).status_code == 400
    assert client.get(path).json()["spark"]["error"]["code"] == "Bad Request"


def test_our_source_reads_it(sandbox: SandboxServer) -> None:
    """Prices of now by the exchange's stamp: New York is open, London has closed."""
    sandbox.market.time.freeze(NOON)
    setup = Setup(
        SOURCES["yahoo"].capabilities,
        quota=MemoryQuota(),
        clock=FixedClock(NOON),
        base_url=f"{sandbox.url}/yahoo",
    )
    question = Question(Feed.QUOTE, symbols=("AAPL", "BTC-USD", "^FTSE"))
    with closing(build(setup)) as source:
        frame = source.ask(question).frame
    stamps = dict(frame.select("symbol", "ts").iter_rows())
    assert set(stamps) == {"AAPL", "BTC-USD", "^FTSE"}
    assert (NOON - stamps["AAPL"]).total_seconds() < 120
    assert (NOON - stamps["BTC-USD"]).total_seconds() < 120
    assert stamps["^FTSE"] <= datetime(2013, 2, 26, 16, 36, tzinfo=UTC)
    assert (frame["price"] > 0).all()
    others = sandbox.market.others
    for symbol in ("BTC-USD", "^FTSE"):
        told = frame.row(by_predicate=pl.col("symbol") == symbol, named=True)["previous_close"]
        yesterday = others.bars(symbol, live=True, now=NOON)["close"][-2]
        assert told == pytest.approx(yesterday, rel=1e-5)
