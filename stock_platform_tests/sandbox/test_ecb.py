"""The two central banks in the sandbox, and our adapters against them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
import polars as pl
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Tile
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import Malformed, UnknownSymbol
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sandbox.vendors.ecb import closed
from stock_platform.sources.base import Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions

NOW = datetime(2018, 3, 3, 12, tzinfo=UTC)
CONFIG = SandboxConfig(symbols=3, now=NOW, start=date(2016, 1, 4))
START, END = date(2017, 1, 3), date(2018, 3, 2)
PATH = "/stats/eurofxref/eurofxref-"
BANKS = [("ecb", "reference", "EUR/USD"), ("bank_of_canada", "observations", "USD/CAD")]
Adapter = Callable[..., Source]


@pytest.fixture(scope="module")
def _running() -> Iterator[SandboxServer]:
    with SandboxServer(CONFIG) as server:
        yield server


@pytest.fixture
def sandbox(_running: SandboxServer) -> Iterator[SandboxServer]:
    _running.app.reset()
    _running.market.time.freeze(NOW)
    yield _running
    _running.app.reset()
    _running.market.time.freeze(NOW)


@pytest.fixture
def adapter(sandbox: SandboxServer) -> Iterator[Adapter]:
    made: list[Source] = []

    def make(name: str, now: datetime = NOW) -> Source:
        sandbox.market.time.freeze(now)
        capabilities = SOURCES[name].capabilities
        options = HttpOptions(backoff=0.01)
        address = sandbox.base_url(name)
        made.append(
            build(
                Setup(capabilities, MemoryQuota(), FixedClock(now), base_url=address, http=options)
            )
        )
        return made[-1]

    yield make
    for source in made:
        source.close()


def tile(name: str, endpoint: str, symbol: str, start: date = START, end: date = END) -> Tile:
    return Tile(name, endpoint, Interval.DAY, start, end, 1, symbol)


@pytest.mark.parametrize(
    ("name", "endpoint", "symbol"),
    [*BANKS, ("ecb", "reference", "EUR/JPY"), ("bank_of_canada", "observations", "CAD/JPY")],
)
def test_our_adapters_read_the_truth(
    sandbox: SandboxServer, adapter: Adapter, name: str, endpoint: str, symbol: str
) -> None:
    """One rate a day that the bank works: the day's first price, as all four."""
    answer = adapter(name).fetch(tile(name, endpoint, symbol))
    truth = sandbox.market.others.bars(symbol, START, END)
    there = truth.filter(pl.col("session").is_in(answer.bars["session"].implode()))
    assert 0 < truth.height - there.height < 12, "holidays"
    for price in ("open", "high", "low", "close"):
        assert answer.bars[price].to_list() == there["open"].to_list()
    assert answer.bars["session"].to_list() == there["session"].to_list()
    assert answer.bars["volume"].null_count() == answer.bars.height
    assert answer.requests == 1


@pytest.mark.parametrize(("name", "endpoint", "symbol"), BANKS)
def test_todays_rate_comes_in_the_afternoon(
    adapter: Adapter, name: str, endpoint: str, symbol: str
) -> None:
    """Before, the day is unfinished; the rate of the afternoon is the one of next week."""
    asked = tile(name, endpoint, symbol, date(2018, 3, 1), END)
    morning = adapter(name, datetime(2018, 3, 2, 14, tzinfo=UTC)).fetch(asked)
    assert (morning.bars.height, morning.unfinished) == (1, frozenset({END}))
    evening = adapter(name, datetime(2018, 3, 2, 22, tzinfo=UTC)).fetch(asked)
    assert (evening.bars.height, evening.unfinished) == (2, frozenset())
    assert evening.bars.equals(adapter(name).fetch(asked).bars)


def test_three_files(sandbox: SandboxServer) -> None:
    """One day, ninety days, everything; newest first."""
    heights = []
    for name in ("daily", "hist-90d", "hist"):
        answer = httpx.get(f"{sandbox.base_url('ecb')}{PATH}{name}.xml")
        assert answer.headers["content-type"].startswith("text/xml")
        days = [cube.get("time") for cube in ET.fromstring(answer.text)[-1]]  # noqa: S314 - ours
        assert days == sorted(days, key=str, reverse=True)
        assert days[0] == "2018-03-02"
        heights.append(len(days))
    assert heights == [1, 62, 556]
    assert httpx.get(f"{sandbox.base_url('ecb')}/stats/nothing.xml").status_code == 404


def test_the_file_has_the_recorded_form(sandbox: SandboxServer, shared_fixtures: Path) -> None:
    """The same elements and attributes at every level."""

    def form(text: bytes | str) -> list[tuple[str, list[str]]]:
        root = ET.fromstring(text)  # noqa: S314 - ours and recorded
        return sorted({(e.tag, *sorted(e.attrib)) for e in root.iter()})  # type: ignore[misc]

    theirs = shared_fixtures / "payloads/forex/ecb-eurofxref-hist-partial.xml"
    ours = httpx.get(f"{sandbox.base_url('ecb')}{PATH}hist-90d.xml")
    assert form(ours.text) == form(theirs.read_bytes())


@pytest.mark.parametrize(
    ("day", "shut"),
    [
        (date(2017, 4, 14), True),  # Good Friday
        (date(2017, 4, 17), True),
        (date(2018, 3, 30), True),
        (date(2018, 4, 2), True),
        (date(2017, 5, 1), True),
        (date(2017, 12, 26), True),
        (date(2017, 7, 4), False),
    ],
)
def test_days_of_target(day: date, shut: bool) -> None:
    """Its holidays are six."""
    assert closed(day) is shut


def test_valet_refuses_in_words(sandbox: SandboxServer, adapter: Adapter) -> None:
    """A series there is not, and dates it cannot read."""
    url = sandbox.base_url("bank_of_canada") + "/valet/observations/"
    missing = httpx.get(url + "FXEURUSD/json")
    assert (missing.status_code, missing.json()["message"]) == (404, "Series FXEURUSD not found.")
    assert httpx.get(url + "FXUSDCAD/json", params={"start_date": "soon"}).status_code == 400
    later = {"start_date": "2018-02-02", "end_date": "2018-02-01"}
    assert httpx.get(url + "FXUSDCAD/json", params=later).status_code == 400
    source = adapter("bank_of_canada")
    with pytest.raises(UnknownSymbol, match="Series FXVNDCAD not found"):
        source.fetch(tile("bank_of_canada", "observations", "VND/CAD"))


@pytest.mark.parametrize(("name", "endpoint", "symbol"), BANKS)
@pytest.mark.parametrize("kind", ["http_429", "http_500", "http_503", "disconnect"])
def test_faults_that_pass(
    sandbox: SandboxServer, adapter: Adapter, name: str, endpoint: str, symbol: str, kind: str
) -> None:
    """A fault that befalls one call costs a try, not the answer."""
    sandbox.app.faults.add([{"kind": kind, "retry_after": 0.1, "once": True}])
    assert adapter(name).fetch(tile(name, endpoint, symbol)).requests == 2


@pytest.mark.parametrize(("name", "endpoint", "symbol"), BANKS)
@pytest.mark.parametrize("kind", ["html", "truncated", "empty"])
def test_faults_that_spoil_the_answer(
    sandbox: SandboxServer, adapter: Adapter, name: str, endpoint: str, symbol: str, kind: str
) -> None:
    """What is not the documented form is Malformed, whole."""
    sandbox.app.faults.add([{"kind": kind}])
    with pytest.raises(Malformed):
        adapter(name).fetch(tile(name, endpoint, symbol))
