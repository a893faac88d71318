"""robots.txt is asked for once, believed, and counted like any other request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from stock_platform.domain.capabilities import Limit
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import NotEntitled, RateLimited, SourceError, Unavailable
from stock_platform.sources.http import HttpClient
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.robots import FRESH_SECONDS, RobotsGate, forget_rules
from stock_platform.sources.transport import HttpOptions, Response
from stock_platform_tests.sources.vendors import NOON, FakeTime, Handler


@pytest.fixture(autouse=True)
def _no_rules() -> Iterator[None]:
    forget_rules()
    yield
    forget_rules()


class Site:
    """Answers /robots.txt as told and everything else with a word; remembers the paths."""

    def __init__(self, robots: str | httpx.Response | Exception | Handler, status: int = 200):
        self.robots, self.status = robots, status
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if not request.url.path.endswith("/robots.txt"):
            return httpx.Response(200, text="good")
        if isinstance(self.robots, Exception):
            raise self.robots
        if isinstance(self.robots, str):
            return httpx.Response(self.status, text=self.robots)
        if isinstance(self.robots, httpx.Response):
            return httpx.Response(
                self.robots.status_code, headers=self.robots.headers, content=self.robots.content
            )
        return self.robots(request)


def client(
    site: Site,
    time: FakeTime | None = None,
    base_url: str = "https://site.test",
    limits: tuple[Limit, ...] = (Limit(100, 60.0),),
) -> HttpClient:
    time = time or FakeTime()
    http = HttpClient(
        "s",
        base_url,
        quota=MemoryQuota(time.now, time.sleep),
        limits=limits,
        clock=FixedClock(NOON),
        options=replace(
            HttpOptions(), transport=httpx.MockTransport(site), wall=time.now, max_wait=1000.0
        ),
    )
    http.gate = RobotsGate(http)
    return http


def get(http: HttpClient, path: str = "/quote/AAPL/", **params: str) -> tuple[bytes, int]:
    def read(response: Response) -> bytes:
        return response.body

    with http.call() as call:
        return call.get(path, params, read), call.requests


RULES = """\
User-agent: *
Disallow: /private/
Disallow: /*?secret=

User-agent: other
Disallow: /
"""


def test_a_good_answer_is_believed() -> None:
    """Paths and queries are judged by the group that is for us; the error names both sides."""
    site = Site(RULES)
    http = client(site)
    assert get(http)[0] == b"good"
    for path, params in (("/private/x", {}), ("/quote/AAPL/", {"secret": "1"})):
        with pytest.raises(NotEntitled) as caught:
            get(http, path, **params)
        assert str(caught.value) == f"s: robots.txt of https://site.test does not allow {path}"
        assert caught.value.requests == 0
    assert site.asked == ["/robots.txt", "/quote/AAPL/"]


def test_our_own_group_comes_first() -> None:
    """Rules for stock_platform replace those for everybody."""
    site = Site("User-agent: *\nDisallow: /\n\nUser-agent: stock_platform\nDisallow: /no\n")
    http = client(site)
    assert get(http)[0] == b"good"
    with pytest.raises(NotEntitled):
        get(http, "/no/way")


def test_asked_once_a_day_and_counted() -> None:
    """The request for the rules is counted with the call that needed them."""
    site, time = Site(RULES), FakeTime()
    http = client(site, time)
    assert get(http)[1] == 2
    assert get(http)[1] == 1
    assert get(client(site, time))[1] == 1, "another client of the process knows the rules"
    assert get(client(site, time, "https://elsewhere.test"))[1] == 2
    time.seconds += FRESH_SECONDS + 1
    assert get(http)[1] == 2
    assert site.asked.count("/robots.txt") == 3


def test_a_base_address_with_a_path_has_its_own_rules() -> None:
    """A sandbox or a proxy serves the site, rules included, below a path."""
    site = Site(RULES)
    http = client(site, base_url="https://proxy.test/site")
    with pytest.raises(NotEntitled):
        get(http, "/private/x")
    assert site.asked == ["/site/robots.txt"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, "Not Found"),
        (401, "User-agent: *\nDisallow: /"),
        (403, "no"),
        (410, ""),
        (200, ""),
        (200, "<!DOCTYPE html><html><body>a page\nUser-agent: *\nDisallow: /\n</body></html>"),
        (200, "\ufeff \n<html></html>"),
        (200, "Date,Open,High,Low,Close,Volume\n01/14/2026,1,2,3,4,5"),
        (200, '{"chart": {"result": null}}'),
        (200, "\x00\xff garbage"),
    ],
)
def test_no_rules_allow_everything(status: int, body: str) -> None:
    """4xx, a page, and what is no robots.txt: a replay may answer every path with one page."""
    http = client(Site(body, status))
    assert get(http, "/private/x")[0] == b"good"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(503, text="out of order"), Unavailable),
        (httpx.Response(500), Unavailable),
        (httpx.Response(307, headers={"location": "https://consent.test/"}), Unavailable),
        (httpx.ConnectError("refused"), Unavailable),
        (httpx.ReadTimeout("slow"), Unavailable),
        (httpx.Response(429, headers={"retry-after": "3600"}), RateLimited),
    ],
)
def test_rules_that_cannot_be_had_allow_nothing(
    answer: httpx.Response | Exception, kind: type[SourceError]
) -> None:
    """RFC 9309: unreachable is a complete disallow, and is not remembered."""
    site = Site(answer)
    http = client(site)
    with pytest.raises(kind) as caught:
        get(http)
    assert set(site.asked) == {"/robots.txt"}
    assert caught.value.requests == len(site.asked)
    site.robots = RULES
    if kind is Unavailable:
        assert get(http)[0] == b"good"


@pytest.mark.parametrize(
    ("rules", "waits"),
    [
        ("Crawl-delay: 10", [10.0, 10.0]),
        ("Crawl-delay: 0.5", [0.5, 0.5]),
        ("Request-rate: 1/7s", [7.0, 7.0]),
        ("Crawl-delay: soon", []),
        ("Crawl-delay: 0", []),
    ],
)
def test_crawl_delay_is_waited_out(rules: str, waits: list[float]) -> None:
    """The site's pace is a further limit of the source, for all its requests."""
    time = FakeTime()
    http = client(Site(f"User-agent: *\n{rules}\n"), time)
    get(http)
    get(http)
    assert time.slept == waits


def test_our_own_pace_holds_for_the_rules_too() -> None:
    """The request for the rules takes a grant of the source's quota."""
    time = FakeTime()
    http = client(Site(RULES), time, limits=(Limit(1, 5.0),))
    get(http)
    assert time.slept == [5.0]


def test_without_a_gate_nothing_is_asked() -> None:
    """Sources of APIs have no gate."""
    site = Site("User-agent: *\nDisallow: /")
    http = client(site)
    http.gate = None
    assert get(http) == (b"good", 1)
