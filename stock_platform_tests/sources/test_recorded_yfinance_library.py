"""Recorded answers of Yahoo, replayed by a server of this machine: curl, yfinance and all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import (
    Malformed,
    NoData,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.base import Answer, Question, Source
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions

NOW = datetime(2026, 11, 21, tzinfo=UTC)

# file, symbol, bars, first session, last session, opening of the last, its close and volume
GOOD = [
    line.split()
    for line in """
aapl-1d-2020-01          AAPL          1    2020-01-02 2020-01-02 14:30 75.0875015258789   135480400
aapl-1d-2020-08-31_11-07-dividend AAPL 49   2020-08-31 2020-11-06 14:30 118.69000244140625 114457900
aapl-1d-2025             AAPL          126  2025-04-30 2025-10-28 13:30 269.0              41534800
btc-usd-1d               BTC-USD       3    2020-01-01 2020-01-03 00:00 7344.88427734375 28111481032
eurusd-x-1d              EUR/USD       3    2020-01-01 2020-01-03 00:00 1.1171437501907349 0
fund-0P000071W8-TO       0P000071W8.TO 1    2020-01-02 2020-01-02 14:30 73.72000122070312  0
gc-f-futures             GC=F          1    2020-01-02 2020-01-02 -     1524.5             214
gs2c-de-1d               GS2C.DE       4    2025-10-23 2025-10-28 08:00 20.079999923706055 28989
msft-1d-2021-dividends   MSFT          252  2021-02-01 2022-01-28 14:30 308.260009765625   49743700
nvda-1d-2021-split       NVDA          252  2021-02-01 2022-01-28 14:30 22.84000015258789  543774000
ocdo-l-GBp               OCDO.L        1    2020-01-02 2020-01-02 08:00 12.595             728520
pp-historical01          MUV2.DE       123  2017-11-27 2018-05-25 07:00 188.3              -
pp-historical02          MUV2.DE       124  2017-11-27 2018-05-25 07:00 188.3000030517578  553716
scheb-historicalData     AAPL          10   2024-09-30 2024-10-11 13:30 227.5500030517578  31668000
tsla-1d-max-no-dividends TSLA          3303 2010-06-29 2023-08-11 13:30 242.64999389648438 98866600
wskt-jk-1d               WSKT.JK       1    2020-01-02 2020-01-02 02:00 1505.0             23547100
wsu-de-null-bar          WSU.DE        3    2023-08-04 2023-08-08 07:00 33.20000076293945  10846
""".splitlines()
    if line
]
ERRORS: list[tuple[str, int, str, type[SourceError], str]] = [
    ("aapl-1m-weekend-empty.json", 200, "1m", NoData, "no bars in the range"),
    ("error-404-delisted.json", 404, "1d", UnknownSymbol, "may be delisted"),
    ("error-422-5m-range.json", 422, "5m", NoData, "within the last 60 days"),
    ("error-429-edge.txt", 429, "1d", RateLimited, "Too Many Requests"),
    ("error-429-edge.txt", 200, "1d", RateLimited, "Too Many Requests"),
    ("scheb-dividendData.json", 200, "1d", Malformed, "was given 1mo bars"),
    ("v7-download-400-no-data.txt", 400, "1d", NoData, "Data doesn't exist"),
    ("fund-0P0000XTS7-missing.json", 200, "1d", Malformed, "given 0P0000XTS7"),
]
ENDPOINTS = {"1d": "history", "1m": "history_1m", "5m": "history_5m"}


@dataclass
class Replay:
    """A server that gives the same answer to everybody."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def replay() -> Iterator[Replay]:
    told, stop = Replay(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
            stop.wait(told.delay)
            self.send_response(told.status)
            for name, value in {"content-length": str(len(told.body)), **told.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    yield told
    stop.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def source(replay: Replay) -> Iterator[Callable[..., Source]]:
    made: list[Source] = []

    def make(now: datetime = NOW, **options: Any) -> Source:
        setup = Setup(
            SOURCES["yfinance"].capabilities,
            MemoryQuota(),
            FixedClock(now),
            base_url=replay.url,
            http=HttpOptions(**{"backoff": 0.01, "max_wait": 0.0, **options}),
        )
        made.append(build(setup))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def fetch(
    replay: Replay, source: Callable[..., Source], shared_fixtures: Path
) -> Callable[..., Answer]:
    def read(name: str, symbol: str, status: int = 200, interval: str = "1d") -> Answer:
        replay.body = (shared_fixtures / "payloads" / "yahoo_chart" / name).read_bytes()
        replay.status = status
        start, end = date(1990, 1, 2), date(2025, 10, 28)
        if interval == "1m":
            start = end
        tile = Tile("yfinance", ENDPOINTS[interval], Interval(interval), start, end, 1, symbol)
        return source().fetch(tile)

    return read


@pytest.mark.parametrize("expected", GOOD, ids=[row[0] for row in GOOD])
def test_bars(fetch: Callable[..., Answer], expected: list[str]) -> None:
    """Dates in the exchange's zone, stamps at the opening, numbers as given: one request each."""
    name, symbol, count, first, last, opening, close, volume = expected
    answer = fetch(f"{name}.json", symbol)
    assert answer.bars.height == int(count)
    assert answer.bars["session"].is_sorted()
    assert answer.bars["session"].n_unique() == int(count)
    assert str(answer.bars["session"][0]) == first
    bar = answer.bars.row(-1, named=True)
    assert str(bar["session"]) == last
    if opening != "-":
        assert bar["ts"] == datetime.fromisoformat(f"{last}T{opening}+00:00")
    assert bar["close"] == float(close)
    assert bar["volume"] == (None if volume == "-" else float(volume))
    assert answer.rejected.is_empty()
    assert (answer.requests, answer.http_status) == (1, 200)


def test_live_last_bars_are_left_out(fetch: Callable[..., Answer]) -> None:
    """Both were recorded on 2025-10-29, in and after the session."""
    for name, symbol in (("aapl-1d-2025", "AAPL"), ("gs2c-de-1d", "GS2C.DE")):
        assert fetch(f"{name}.json", symbol).unfinished == {date(2025, 10, 29)}


def test_actions(fetch: Callable[..., Answer]) -> None:
    """Splits and dividends of the answers, on the exchange's dates."""
    answer = fetch("aapl-1d-2020-08-31_11-07-dividend.json", "AAPL")
    assert answer.splits.rows() == [("AAPL", date(2020, 8, 31), 4.0)]
    assert answer.dividends.rows() == [("AAPL", date(2020, 11, 6), 0.205, "USD")]
    answer = fetch("nvda-1d-2021-split.json", "NVDA")
    assert answer.splits.rows() == [("NVDA", date(2021, 7, 20), 4.0)]
    answer = fetch("msft-1d-2021-dividends.json", "MSFT")
    assert answer.dividends["amount"].to_list() == [0.56, 0.56, 0.56, 0.62]
    days = [date(2021, 2, 17), date(2021, 5, 19), date(2021, 8, 18), date(2021, 11, 17)]
    assert answer.dividends["ex_date"].to_list() == days


def test_listing_and_currency(fetch: Callable[..., Answer]) -> None:
    """First trade and currency of three exchanges."""
    for name, symbol, listed, currency in (
        ("aapl-1d-2020-01", "AAPL", date(1980, 12, 12), "USD"),
        ("ocdo-l-GBp", "OCDO.L", date(2010, 7, 21), "GBP"),
        ("wskt-jk-1d", "WSKT.JK", date(2012, 12, 19), "IDR"),
    ):
        answer = fetch(f"{name}.json", symbol)
        assert (answer.listed_from, answer.currency) == (listed, currency)


@pytest.mark.parametrize(("name", "status", "interval", "kind", "said"), ERRORS)
def test_errors(
    fetch: Callable[..., Answer],
    name: str,
    status: int,
    interval: str,
    kind: type[SourceError],
    said: str,
) -> None:
    """Empty results, errors by status, silent downsampling: the right error, in words."""
    with pytest.raises(kind, match=said) as caught:
        fetch(name, "AAPL", status, interval)
    assert caught.value.requests == 1


def test_the_recorded_quote(
    replay: Replay, source: Callable[..., Source], shared_fixtures: Path
) -> None:
    """AAPL on 14 February 2025, in one request."""
    replay.body = (shared_fixtures / "payloads/yahoo_other/v7-quote-aapl.json").read_bytes()
    facts = source().ask(Question(Feed.QUOTE, "AAPL"))
    assert facts.frame.row(0) == (
        "AAPL", datetime(2025, 2, 14, 21, tzinfo=UTC), 244.6, 241.07, 245.41, 241.0, 241.53,
        40896227.0, "USD",
    )  # fmt: skip
    assert facts.requests == 1


def test_the_recorded_chain(
    replay: Replay, source: Callable[..., Source], shared_fixtures: Path
) -> None:
    """84 calls and 80 puts of AAPL for 19 September 2025, in one request."""
    name = "payloads/yahoo_other/v7-options-aapl-2025-09-19.json"
    replay.body = (shared_fixtures / name).read_bytes()
    for expiry in (None, date(2025, 9, 19)):
        facts = source().ask(Question(Feed.OPTIONS, "AAPL", expiry=expiry))
        assert facts.frame["kind"].value_counts(sort=True).rows() == [("call", 84), ("put", 80)]
        assert facts.frame["expiry"].unique().to_list() == [date(2025, 9, 19)]
        assert facts.frame.row(0) == (
            "AAPL", "AAPL250919C00005000", "call", date(2025, 9, 19), 5.0, 234.1, 232.95, 234.7,
            37.0, 578.0, 23.8750025390625, True, datetime(2025, 9, 17, 17, 48, 47, tzinfo=UTC),
            "USD",
        )  # fmt: skip
        assert (facts.requests, facts.rejected.height) == (1, 0)
    with pytest.raises(NoData, match="no options of 2025-09-26, but of 2025-09-19"):
        source().ask(Question(Feed.OPTIONS, "AAPL", expiry=date(2025, 9, 26)))


@pytest.mark.parametrize(
    ("name", "status", "kind", "said"),
    [
        ("v1-search-400.json", 400, Malformed, "Missing required query parameter=q"),
        ("v7-download-aapl.csv", 200, Malformed, "text instead of JSON: Date,Open"),
        ("getcrumb.txt", 200, Malformed, "empty"),
        ("v7-quote-aapl.json", 200, Malformed, "quoteResponse in the answer"),
        ("v7-options-aapl-2025-09-19.json", 200, Malformed, "optionChain in the answer"),
    ],
)
def test_answers_to_other_questions(
    replay: Replay,
    source: Callable[..., Source],
    shared_fixtures: Path,
    name: str,
    status: int,
    kind: type[SourceError],
    said: str,
) -> None:
    """Said by every feed and by bars, in Yahoo's words where there are some."""
    replay.body = (shared_fixtures / "payloads" / "yahoo_other" / name).read_bytes()
    replay.status = status
    tile = Tile("yfinance", "history", Interval.DAY, date(2025, 1, 2), date(2025, 1, 3), 1, "AAPL")
    with pytest.raises(kind, match=said):
        source().fetch(tile)
    if "AAPL" not in replay.body.decode():
        for feed in SOURCES["yfinance"].capabilities.feeds:
            with pytest.raises(kind, match=said):
                source().ask(Question(feed, "AAPL"))


def test_a_consent_page_is_not_passed(replay: Replay, source: Callable[..., Source]) -> None:
    """The recorded 307 to guce.yahoo.com: nobody agrees to anything by us."""
    replay.status = 307
    replay.headers["location"] = "https://guce.yahoo.com/consent?brandType=nonEu&gcrumb=Xvxf4hA"
    with pytest.raises(Unavailable, match=r"sends us to guce\.yahoo\.com, perhaps a consent"):
        source().ask(Question(Feed.PROFILE, "AAPL"))
    assert {path.partition("?")[0] for path, _ in replay.asked} == {
        "/v10/finance/quoteSummary/AAPL"
    }


def test_every_recorded_answer_is_covered(shared_fixtures: Path) -> None:
    """A payload added to the folders needs an expectation here."""
    known = {f"{row[0]}.json" for row in GOOD} | {row[0] for row in ERRORS}
    known |= {
        "getcrumb.txt",
        "quote-page-307-consent.txt",
        "v1-search-400.json",
        "v7-download-aapl.csv",
        "v7-options-aapl-2025-09-19.json",
        "v7-quote-aapl.json",
    }
    found = {
        path.name
        for folder in ("yahoo_chart", "yahoo_other")
        for path in (shared_fixtures / "payloads" / folder).iterdir()
        if not path.name.endswith(".headers.json")
    }
    assert found == known


# ---- curl ----

QUOTE = Question(Feed.QUOTE, "AAPL")


def test_it_looks_like_a_browser(replay: Replay, source: Callable[..., Source]) -> None:
    """As yfinance does: Chrome's headers, and compressed answers."""
    replay.body = b"{}"
    with pytest.raises(Malformed, match="no quoteResponse"):
        source().ask(QUOTE)
    _, headers = replay.asked[0]
    assert "Chrome/" in headers["user-agent"]
    assert "gzip" in headers["accept-encoding"]


def test_retry_after_is_obeyed(replay: Replay, source: Callable[..., Source]) -> None:
    """A 429 blocks every later call, of the chart's source too: they share a host."""
    replay.status, replay.body = 429, b"Too Many Requests\r\n"
    replay.headers["retry-after"] = "3600"
    asked = source()
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            asked.ask(QUOTE)
        assert caught.value.retry_after == pytest.approx(3600, abs=5)
    assert len(replay.asked) == 1
    assert asked.capabilities.account == SOURCES["yahoo"].capabilities.account


def test_what_the_network_does(replay: Replay, source: Callable[..., Source]) -> None:
    """Silence, a huge answer, a server error, nobody there: in words, tried again or not."""
    replay.status, replay.body = 503, b"<title>Service Unavailable</title>"
    with pytest.raises(Unavailable, match=r"HTTP 503 from http://127.*Service Un") as caught:
        source().ask(QUOTE)
    assert caught.value.requests == 3
    replay.status, replay.body = 200, b" " * 5000
    with pytest.raises(Malformed, match="longer than 1000 bytes"):
        source(max_bytes=1000).ask(QUOTE)
    replay.delay = 20
    with pytest.raises(Unavailable, match="no answer from http://127"):
        source(connect_timeout=0.2, total_timeout=1.2, attempts=1).ask(QUOTE)
    replay.url = "http://127.0.0.1:9"
    with pytest.raises(Unavailable, match=r"cannot reach http://127\.0\.0\.1:9: .*onnect"):
        source().ask(QUOTE)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    replay: Replay, source: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not reach it."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    replay.body = b"{}"
    with pytest.raises(Malformed):
        source().ask(QUOTE)
    assert len(replay.asked) == 1
