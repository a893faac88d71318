"""FRED in the sandbox, and the series of the market behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from stock_platform.domain.capabilities import Feed
from stock_platform.domain.clock import FixedClock
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sandbox.market.macro import FOREVER, MEASURES, Macro
from stock_platform.sandbox.server import SandboxServer
from stock_platform.sandbox.vendors.fred import Fred
from stock_platform.sources.base import Question, Source
from stock_platform.sources.fred.parse import parse_info, parse_page, read_observations
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sandbox.conftest import NOW

TODAY = NOW.date()
Ours = Callable[..., Source]


@pytest.fixture(autouse=True)
def _unlimited(sandbox: SandboxServer) -> Iterator[None]:
    sandbox.app.limits.configure("fred", [])
    yield
    sandbox.app.limits.configure("fred", Fred.limits)


@pytest.fixture
def macro(sandbox: SandboxServer) -> Macro:
    return Macro(sandbox.market.config.seed)


@pytest.fixture
def ours(sandbox: SandboxServer) -> Iterator[Ours]:
    """Our source against the sandbox; closed in the end."""
    made: list[Source] = []

    def source(key: str = "k", address: str = "") -> Source:
        elapsed = [1_362_225_600.0]

        def sleep(seconds: float) -> None:
            elapsed[0] += seconds

        setup = Setup(
            capabilities=SOURCES["fred"].capabilities,
            quota=MemoryQuota(lambda: elapsed[0], sleep),
            clock=FixedClock(NOW),
            keys={"FRED_API_KEY": key},
            base_url=sandbox.base_url("fred") + address,
            http=HttpOptions(backoff=0.0, max_wait=10.0),
        )
        made.append(build(setup))
        return made[-1]

    yield source
    for one in made:
        one.close()


def get(client: httpx.Client, path: str, **query: str) -> httpx.Response:
    return client.get(f"/fred{path}", params={"api_key": "k", "file_type": "json", **query})


# ---- the series -----------------------------------------------------------------------


@pytest.mark.parametrize("series", sorted(MEASURES))
def test_a_later_day_changes_no_earlier_one(series: str) -> None:
    """What was known on a day is known for ever; other seeds know something else."""
    early, late = date(2009, 8, 17), date(2013, 3, 2)
    known = Macro(7).known(series, early)
    told = [(p.day, p.value) for p in known]
    history = [p for p in Macro(7).history(series, late) if p.since <= early <= p.until]
    assert [(p.day, p.value) for p in history] == told
    assert Macro(7).known(series, early) == known
    assert [(p.day, p.value) for p in Macro(8).known(series, early)] != told
    assert max(p.since for p in known) <= early
    assert {p.until for p in known} == {FOREVER}


def test_the_national_product_is_revised_twice() -> None:
    """Thirty, sixty and ninety days after its quarter; before vintages were kept, once."""
    history = Macro(7).history("GDP", date(2013, 3, 2))
    second = [p for p in history if p.day == date(2012, 4, 1)]
    assert [p.since for p in second] == [date(2012, 7, 30), date(2012, 8, 29), date(2012, 9, 28)]
    assert [p.until for p in second] == [date(2012, 8, 28), date(2012, 9, 27), FOREVER]
    assert len({p.value for p in second}) == 3
    old = [p for p in history if p.day == date(1950, 1, 1)]
    assert [(p.since, p.until) for p in old] == [(date(1991, 12, 4), FOREVER)]
    assert [p.value for p in history[:4]] == [None] * 4


def test_yields_have_holidays() -> None:
    """Weekdays only; Christmas is an observation without a value."""
    known = {p.day: p.value for p in Macro(7).known("DGS10", date(2013, 3, 2))}
    assert all(day.weekday() < 5 for day in known)
    assert known[date(2012, 12, 25)] is None
    assert known[date(2012, 12, 26)] is not None
    assert max(known) == date(2013, 2, 28), "Friday's is published on Monday"


def test_an_unknown_series_is_named() -> None:
    """With those there are."""
    with pytest.raises(InputError, match="use one of GDP, UNRATE, CPIAUCSL, FEDFUNDS, DGS10"):
        Macro(7).known("NOPE", TODAY)


# ---- our adapter ----------------------------------------------------------------------


@pytest.mark.parametrize("address", ["", "/fred"])
@pytest.mark.parametrize("series", sorted(MEASURES))
def test_our_series_are_the_market_s(macro: Macro, ours: Ours, series: str, address: str) -> None:
    """Every value, in one request, as of today; what it is agrees."""
    source = ours(address=address)
    facts = source.ask(Question(Feed.SERIES, series))
    truth = macro.known(series, TODAY)
    assert facts.requests == 1
    assert facts.rejected.is_empty()
    assert list(facts.frame.select("date", "value").iter_rows()) == [
        (p.day, p.value) for p in truth
    ]
    assert set(facts.frame["realtime_start"]) == set(facts.frame["realtime_end"]) == {TODAY}
    info = source.ask(Question(Feed.SERIES_INFO, series)).frame.row(0, named=True)
    assert (info["title"], info["frequency"]) == (
        MEASURES[series].title,
        MEASURES[series].frequency,
    )
    assert info["last_date"] == truth[-1].day
    assert info["updated_at"].date() == max(p.since for p in truth)


def test_a_range(macro: Macro, ours: Ours) -> None:
    """Both ends inclusive."""
    span = (date(2012, 12, 24), date(2013, 1, 2))
    facts = ours().ask(Question(Feed.SERIES, "DGS10", *span))
    truth = [p for p in macro.known("DGS10", TODAY) if span[0] <= p.day <= span[1]]
    assert facts.frame["date"].to_list() == [p.day for p in truth]
    assert facts.frame["value"].null_count() == 2


def test_nothing_later_than_now(sandbox: SandboxServer, macro: Macro, ours: Ours) -> None:
    """A year earlier the market knew less, and other values of the national product."""
    sandbox.market.time.freeze(datetime(2012, 8, 1, 12, tzinfo=UTC))
    facts = ours().ask(Question(Feed.SERIES, "GDP"))
    day = date(2012, 8, 1)
    truth = macro.known("GDP", day)
    assert facts.frame["value"].to_list() == [p.value for p in truth]
    assert set(facts.frame["realtime_start"]) == {day}
    assert facts.frame["date"].max() == date(2012, 4, 1)
    now = {p.day: p.value for p in macro.known("GDP", TODAY)}
    assert truth[-1].value != now[date(2012, 4, 1)]


def test_our_errors(sandbox: SandboxServer, ours: Ours) -> None:
    """An unknown series, an unknown key."""
    for feed in (Feed.SERIES, Feed.SERIES_INFO):
        with pytest.raises(UnknownSymbol, match=r"The series does not exist\."):
            ours().ask(Question(feed, "NOPE"))
    refused = sandbox.app.vendors["fred"].authorize("bad", ["good"])
    assert refused is not None
    with pytest.raises(NotEntitled, match="not registered"):
        parse_page(refused.status, refused.body, "GDP")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("http_429", RateLimited),
        ("http_503", Unavailable),
        ("http_500", Unavailable),
        ("error_200", Unavailable),
        ("html", Malformed),
        ("empty", Malformed),
        ("truncated", Malformed),
    ],
)
def test_faults(sandbox: SandboxServer, ours: Ours, kind: str, error: type[SourceError]) -> None:
    """Whatever goes wrong becomes an error of ours."""
    sandbox.app.faults.add([{"kind": kind, "vendor": "fred"}])
    with pytest.raises(error):
        ours().ask(Question(Feed.SERIES, "GDP"))


def test_no_limit_is_broken(sandbox: SandboxServer, ours: Ours) -> None:
    """Two a second for the sandbox too: the third call within a second is 429."""
    sandbox.app.limits.configure("fred", [(2, 600.0)])
    source = ours("limited")
    for _ in range(2):
        source.ask(Question(Feed.SERIES_INFO, "GDP"))
    with pytest.raises(RateLimited, match="Exceeded Rate Limit"):
        source.ask(Question(Feed.SERIES_INFO, "GDP"))


def test_no_key_is_in_the_log(sandbox: SandboxServer, ours: Ours) -> None:
    """Though it is in every address."""
    ours("hidden-key").ask(Question(Feed.SERIES, "GDP"))
    assert "hidden-key" not in json.dumps(sandbox.report(log=True))


# ---- the vendor's own ways ------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "path", "rows"),
    [
        ("series-observations.json", "/series/observations", "observations"),
        ("series-info.json", "/series", "seriess"),
        ("vintagedates.json", "/series/vintagedates", "vintage_dates"),
    ],
)
def test_keys_are_those_recorded(
    client: httpx.Client, shared_fixtures: Path, recorded: str, path: str, rows: str
) -> None:
    """Names in their order, of the whole and of a row."""
    theirs = json.loads((shared_fixtures / "payloads/fred" / recorded).read_text())
    ours = get(client, path, series_id="GDP").json()
    assert list(ours) == list(theirs)
    first, other = ours[rows][0], theirs[rows][0]
    assert type(first) is type(other)
    assert list(first) == list(other)
    assert ours["realtime_end"] == (str(FOREVER) if rows == "vintage_dates" else str(TODAY))
    for name in set(ours) - {rows, "realtime_start", "realtime_end", "count"}:
        assert ours[name] == theirs[name]


@pytest.mark.parametrize(
    ("recorded", "query"),
    [
        ("error-400-no-key.json", {"api_key": ""}),
        ("error-400-realtime-future.json", {"realtime_end": "2030-01-01"}),
    ],
)
def test_errors_are_those_recorded(
    client: httpx.Client, shared_fixtures: Path, recorded: str, query: dict[str, str]
) -> None:
    """To the letter, but for the date."""
    theirs = json.loads((shared_fixtures / "payloads/fred" / recorded).read_text())
    answer = get(client, "/series/observations", series_id="GDP", **query)
    assert answer.status_code == 400
    said = theirs["error_message"].replace("2026-09-18", str(TODAY))
    assert answer.json() == {"error_code": 400, "error_message": said}


def test_xml_is_what_it_writes_by_itself(client: httpx.Client) -> None:
    """Attributes as in JSON; errors too; our parser reads both alike."""
    query = {"series_id": "GDP", "api_key": "k"}
    whole = client.get("/fred/series/observations", params=query)
    assert whole.headers["content-type"].startswith("text/xml")
    in_json = get(client, "/series/observations", series_id="GDP")
    read = [
        read_observations(parse_page(200, answer.content, "GDP").rows, "GDP").frame
        for answer in (whole, in_json)
    ]
    assert read[0].equals(read[1])
    info = client.get("/fred/series", params=query)
    same = get(client, "/series", series_id="GDP")
    assert parse_info(200, info.content, "GDP").frame.equals(
        parse_info(200, same.content, "GDP").frame
    )
    days = client.get("/fred/series/vintagedates", params=query).text.splitlines()
    assert days[1].startswith('<vintage_dates realtime_start="1776-07-04"')
    assert days[2] == "  <vintage_date>1991-12-04</vintage_date>"
    refused = client.get("/fred/series", params={**query, "series_id": "NOPE"})
    assert refused.status_code == 400
    said = '<error code="400" message="Bad Request.  The series does not exist." />'
    assert refused.text.splitlines()[1] == said


def test_real_time_periods(client: httpx.Client, macro: Macro) -> None:
    """Each value with the days over which it was published, cut to the period."""
    span = {"realtime_start": "2012-08-15", "realtime_end": "2012-09-15"}
    found = get(
        client, "/series/observations", series_id="GDP", observation_start="2012-04-01", **span
    ).json()
    first, second = [p for p in macro.history("GDP", TODAY) if p.day == date(2012, 4, 1)][:2]
    assert found["observations"] == [
        {
            "realtime_start": "2012-08-15",
            "realtime_end": "2012-08-28",
            "date": "2012-04-01",
            "value": f"{first.value:.3f}",
        },
        {
            "realtime_start": "2012-08-29",
            "realtime_end": "2012-09-15",
            "date": "2012-04-01",
            "value": f"{second.value:.3f}",
        },
    ]
    whole = {"realtime_start": "1776-07-04", "realtime_end": "9999-12-31"}
    rows = get(client, "/series/observations", series_id="GDP", **whole).json()["observations"]
    assert len(rows) == len(macro.history("GDP", TODAY))
    assert all(r["realtime_end"] <= str(TODAY) or r["realtime_end"] == str(FOREVER) for r in rows)


def test_pages_and_order(client: httpx.Client) -> None:
    """Offset, limit, and the newest first."""
    about = {"series_id": "UNRATE", "limit": "10"}
    whole = get(client, "/series/observations", series_id="UNRATE").json()
    part = get(client, "/series/observations", **about, offset="5").json()
    assert part["observations"] == whole["observations"][5:15]
    assert (part["count"], part["offset"], part["limit"]) == (whole["count"], 5, 10)
    newest = get(client, "/series/observations", **about, sort_order="desc").json()
    assert newest["observations"] == whole["observations"][::-1][:10]


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/series", {}, "Variable series_id is not set."),
        ("/series", {"series_id": "GDP", "file_type": "txt"}, "Value of file_type"),
        ("/series", {"series_id": "GDP", "realtime_start": "1950-01-01", "realtime_end":
         "1950-01-02"}, "does not exist in ALFRED"),
        ("/series/observations", {"series_id": "GDP", "units": "pch"}, "Value of units"),
        ("/series/observations", {"series_id": "GDP", "limit": "0"}, "Variable limit"),
        ("/series/observations", {"series_id": "GDP", "offset": "-1"}, "Variable offset"),
        ("/series/observations", {"series_id": "GDP", "sort_order": "up"}, "sort_order"),
        ("/series/observations", {"series_id": "GDP", "observation_start": "2013-02-30"},
         "observation_start is not a YYYY-MM-DD"),
        ("/series/observations", {"series_id": "GDP", "observation_start": "2013-01-01",
         "observation_end": "2012-01-01"}, "can not be after observation_end"),
        ("/series/observations", {"series_id": "GDP", "realtime_start": "2013-01-01",
         "realtime_end": "2012-01-01"}, "can not be after realtime_end"),
    ],
)  # fmt: skip
def test_what_it_refuses(client: httpx.Client, path: str, query: dict[str, str], said: str) -> None:
    """400, and why."""
    answer = get(client, path, **query)
    assert answer.status_code == 400
    assert said in answer.text


def test_other_paths(client: httpx.Client) -> None:
    """Not found, in its words."""
    answer = get(client, "/series/categories", series_id="GDP")
    assert answer.status_code == 404
    assert answer.json()["error_message"] == "Not Found."
