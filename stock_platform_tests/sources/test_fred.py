"""FRED's series, from a vendor that answers as tests say."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.capabilities import Feed, Tile
from stock_platform.domain.errors import (
    InputError,
    Malformed,
    NoData,
    NotEntitled,
    RateLimited,
    SourceError,
    Unavailable,
    UnknownSymbol,
)
from stock_platform.sources.base import FEED_SCHEMAS, Facts, Question
from stock_platform.sources.quota import MemoryQuota
from stock_platform.sources.registry import SOURCES, build
from stock_platform.sources.spec import Setup
from stock_platform.sources.transport import HttpOptions
from stock_platform_tests.sources.vendors import KEY, FakeTime, Vendor, as_json, source_of

QUARTERS = ["2023-10-01", "2024-01-01", "2024-04-01"]
INFO = {
    "id": "GDP", "realtime_start": "2024-10-30", "realtime_end": "2024-10-30",
    "title": "Gross Domestic Product", "observation_start": "1947-01-01",
    "observation_end": "2024-07-01", "frequency": "Quarterly", "units": "Billions of Dollars",
    "seasonal_adjustment": "Seasonally Adjusted Annual Rate",
    "last_updated": "2024-10-30 07:54:01-05",
}  # fmt: skip


def observation(day: str, value: object = "1.5", **changes: Any) -> dict[str, Any]:
    today = "2024-10-30"
    return {"realtime_start": today, "realtime_end": today, "date": day, "value": value, **changes}


def observations(*rows: dict[str, Any], **about: Any) -> dict[str, Any]:
    return {
        "units": "lin", "output_type": 1, "count": len(rows), "offset": 0, "limit": 100_000,
        **about, "observations": list(rows),
    }  # fmt: skip


def three() -> dict[str, Any]:
    return observations(*(observation(day, f"{n}.5") for n, day in enumerate(QUARTERS)))


def ask(answer: object, feed: Feed = Feed.SERIES, series: str | None = "GDP") -> Facts:
    made = answer if isinstance(answer, httpx.Response) else as_json(answer)
    return source_of("fred", Vendor([made])).ask(Question(feed, series))


def error(message: str, code: int = 400) -> httpx.Response:
    return as_json({"error_code": code, "error_message": message}, code)


def test_observations() -> None:
    """One request with the key as a parameter; rows of the schema."""
    vendor = Vendor([as_json(three())])
    facts = source_of("fred", vendor).ask(Question(Feed.SERIES, " gdp "))
    (request,) = vendor.asked
    assert request.url.path == "/series/observations"
    assert dict(request.url.params) == {
        "series_id": "GDP",
        "file_type": "json",
        "sort_order": "asc",
        "limit": "100000",
        "api_key": KEY,
    }
    assert dict(facts.frame.schema) == FEED_SCHEMAS[Feed.SERIES]
    asked = date(2024, 10, 30)
    assert facts.frame.rows() == [
        ("GDP", date(2023, 10, 1), 0.5, asked, asked),
        ("GDP", date(2024, 1, 1), 1.5, asked, asked),
        ("GDP", date(2024, 4, 1), 2.5, asked, asked),
    ]
    assert facts.rejected.is_empty()
    assert (facts.requests, facts.http_status) == (1, 200)


def test_a_range_is_asked_for_and_kept_to() -> None:
    """Both ends inclusive, whatever else comes."""
    vendor = Vendor([as_json(three())])
    source = source_of("fred", vendor)
    span = (date(2024, 1, 1), date(2024, 3, 31))
    facts = source.ask(Question(Feed.SERIES, "GDP", *span))
    assert vendor.asked[0].url.params["observation_start"] == "2024-01-01"
    assert vendor.asked[0].url.params["observation_end"] == "2024-03-31"
    assert facts.frame["date"].to_list() == [date(2024, 1, 1)]
    with pytest.raises(NoData, match=r"series GDP 2025-01-01\.\.: no observations"):
        source.ask(Question(Feed.SERIES, "GDP", date(2025, 1, 1)))


def test_a_missing_value_is_a_row() -> None:
    """A point is null; numbers may be written in any common way."""
    values = [".", " . ", "1,234.5", "-1.2e-3", 7]
    days = [f"2024-01-0{n}" for n in range(1, 6)]
    facts = ask(observations(*map(observation, days, values)))
    assert facts.frame["value"].to_list() == [None, None, 1234.5, -0.0012, 7.0]
    assert facts.rejected.is_empty()


def test_rows_that_cannot_be_read_are_told() -> None:
    """With their reasons; an answer of nothing else is malformed."""
    broken = [
        observation("2024-01-01", "n/a"),
        observation("2024-01-02", None),
        observation("2024-01-03", ""),
        observation("soon"),
        observation("2024-02-30"),
        {"date": "2024-01-04"},
        {"value": "1"},
        observation("2024-01-05", "1", realtime_start="now"),
    ]
    facts = ask(observations(*broken, observation("2024-01-06")))
    assert facts.frame.height == 1
    assert [reasons[0] for reasons in facts.rejected["reasons"]] == [
        "value: 'n/a' is not a number",
        "value is null",
        "value is empty",
        "date: 'soon' is not a date",
        "date: '2024-02-30' is not a date",
        "value is null",
        "date is null",
        "realtime_start: 'now' is not a date",
    ]
    assert facts.rejected["session"].to_list()[0] == date(2024, 1, 1)
    with pytest.raises(Malformed, match="none of 8 observations can be read"):
        ask(observations(*broken))


def test_repetitions_and_revisions() -> None:
    """The same twice is one; another value of the same publication is told; another one stays."""
    later = {"realtime_start": "2024-11-30", "realtime_end": "9999-12-31"}
    facts = ask(
        observations(
            observation("2024-01-01", "3.0", **later),
            observation("2024-01-01", "1.0"),
            observation("2024-01-01", "1.0"),
            observation("2024-01-01", "2.0"),
        )
    )
    assert facts.frame["value"].to_list() == [1.0, 3.0]
    assert facts.frame["realtime_end"].to_list() == [date(2024, 10, 30), date(9999, 12, 31)]
    assert facts.rejected["reasons"].to_list() == [["another value of the same date in one answer"]]


def test_follows_pages() -> None:
    """From where the last one ended, until all that are counted are there."""
    rows = [observation(f"2024-01-0{n}") for n in range(1, 6)]
    about = {"count": 5, "limit": 2}
    vendor = Vendor(
        [
            as_json(observations(*rows[:2], **about)),
            as_json(observations(*rows[2:4], **about, offset=2)),
            as_json(observations(*rows[4:], **about, offset=4)),
        ]
    )
    facts = source_of("fred", vendor).ask(Question(Feed.SERIES, "DGS10"))
    assert facts.frame["date"].dt.day().to_list() == [1, 2, 3, 4, 5]
    assert [r.url.params.get("offset") for r in vendor.asked] == [None, "2", "4"]
    assert facts.requests == 3


def test_a_page_that_comes_again_is_malformed() -> None:
    """Not a loop, nor a series with holes."""
    page = observations(observation("2024-01-01"), count=9, limit=1)
    with pytest.raises(Malformed, match="asked from number 1, was given from 0") as caught:
        ask(page)
    assert caught.value.requests == 2


def test_rows_that_are_lacking_are_told() -> None:
    """The envelope counts more than came, and no page is full: said, not hidden."""
    facts = ask(observations(observation("2024-01-01"), count=315))
    assert facts.frame.height == 1
    assert facts.rejected["reasons"].to_list() == [["1 of 315 observations came"]]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (observations(observation("2024-01-01"), units="pch"), "units is 'pch', not 'lin'"),
        (observations(observation("2024-01-01"), output_type=4), "output_type is 4"),
        (observations(observation("2024-01-01"), count="many"), "count: 'many' is not a number"),
        ({"observations": [1]}, "an entry of observations is int"),
        ({"observations": "x"}, "observations is str, not an array"),
        ({"categories": []}, "no observations in the answer, which has categories"),
        ({}, "which has nothing"),
        ([1], "not an object"),
    ],
)
def test_what_is_not_a_series(document: object, said: str) -> None:
    """Computed values and other documents are malformed."""
    with pytest.raises(Malformed, match=said):
        ask(document)


def test_a_series_without_observations() -> None:
    """No data."""
    with pytest.raises(NoData, match="series GDP: no observations"):
        ask(observations())


# ---- what a series is -----------------------------------------------------------------


def test_information() -> None:
    """The time of the last update is St. Louis's, told in UTC; notes may be missing."""
    vendor = Vendor([as_json({"seriess": [INFO]})])
    facts = source_of("fred", vendor).ask(Question(Feed.SERIES_INFO, "GDP"))
    assert vendor.asked[0].url.path == "/series"
    assert dict(facts.frame.schema) == FEED_SCHEMAS[Feed.SERIES_INFO]
    assert facts.frame.row(0, named=True) == {
        "series_id": "GDP",
        "title": "Gross Domestic Product",
        "units": "Billions of Dollars",
        "frequency": "Quarterly",
        "seasonal_adjustment": "Seasonally Adjusted Annual Rate",
        "first_date": date(1947, 1, 1),
        "last_date": date(2024, 7, 1),
        "updated_at": datetime(2024, 10, 30, 12, 54, 1, tzinfo=UTC),
        "notes": None,
    }


def test_the_newest_of_several_versions() -> None:
    """A series whose title changed comes once for each."""
    old = {**INFO, "title": "Gross National Product", "realtime_end": "1991-12-03"}
    facts = ask({"seriess": [INFO, old]}, Feed.SERIES_INFO)
    assert facts.frame["title"].to_list() == ["Gross Domestic Product"]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"seriess": [{**INFO, "id": "GNP"}]}, "asked for GDP, was given GNP"),
        ({"seriess": []}, "was given none"),
        ({"seriess": [{"id": "GDP"}]}, "title is null"),
        ({"seriess": [{**INFO, "last_updated": "lately"}]}, "'lately' is not a time"),
        ({"seriess": [{**INFO, "last_updated": "2024-10-30 07:54:01"}]}, "no time zone"),
        ({"seriess": [{**INFO, "observation_end": "never"}]}, "'never' is not a date"),
        (three(), "no seriess in the answer"),
    ],
)
def test_information_that_is_none(document: object, said: str) -> None:
    """Of another series, or of none."""
    with pytest.raises(Malformed, match=said):
        ask(document, Feed.SERIES_INFO)


# ---- errors ---------------------------------------------------------------------------

ERRORS: list[tuple[str, int, type[SourceError]]] = [
    ("Bad Request.  The series does not exist.", 400, UnknownSymbol),
    ("Bad Request.  Invalid value for variable series_id.", 400, UnknownSymbol),
    ("Bad Request.  Variable series_id is not set.", 400, Malformed),
    ("Bad Request.  Variable api_key is not set.", 400, NotEntitled),
    ("Bad Request.  The value for variable api_key is not registered.", 400, NotEntitled),
    ("Bad Request.  Variable offset is not an integer.", 400, Malformed),
    ("Forbidden", 403, NotEntitled),
    ("Not Found", 404, Malformed),
    ("Locked", 423, Unavailable),
    ("Internal Server Error", 500, Unavailable),
    ("Too Many Requests.  Exceeded Rate Limit", 429, RateLimited),
]


@pytest.mark.parametrize(("message", "code", "kind"), ERRORS)
def test_errors_in_both_formats(message: str, code: int, kind: type[SourceError]) -> None:
    """By status, or by the code inside a 200; in the vendor's words."""
    as_xml = f'<?xml version="1.0" encoding="utf-8" ?>\n<error code="{code}" message="{message}" />'
    said = as_json({"error_code": code, "error_message": message})
    for answer in (error(message, code), said, httpx.Response(200, text=as_xml)):
        with pytest.raises(kind, match=message.split(maxsplit=1)[0]):
            ask(answer)


def test_too_many_calls_are_waited_out() -> None:
    """429 without Retry-After: a second, then two."""
    clock = FakeTime()
    limited = error("Too Many Requests.  Exceeded Rate Limit", 429)
    vendor = Vendor([limited, limited, as_json(three())])
    facts = source_of("fred", vendor, time=clock).ask(Question(Feed.SERIES, "GDP"))
    assert (facts.frame.height, facts.requests, facts.rate_limited) == (3, 3, 2)
    assert clock.slept == [1.0, 2.0]


def test_two_a_second() -> None:
    """The third call waits for the first's second to pass."""
    clock = FakeTime()
    source = source_of("fred", Vendor([as_json(three())]), time=clock)
    for _ in range(3):
        source.ask(Question(Feed.SERIES, "GDP"))
    assert clock.slept == [1.0]


def test_what_passes_is_tried_again() -> None:
    """423 is not of the transport's kind and ours all the same; 503 is."""
    for first in (error("Locked", 423), httpx.Response(503), httpx.ConnectError("refused")):
        vendor = Vendor([first, as_json(three())])
        facts = source_of("fred", vendor).ask(Question(Feed.SERIES, "GDP"))
        assert (facts.frame.height, facts.requests) == (3, 2)


def test_the_key_stays_secret() -> None:
    """Even where the vendor echoes it."""
    with pytest.raises(NotEntitled) as caught:
        ask(error(f"Bad Request.  The value {KEY} for variable api_key is not registered."))
    assert KEY not in str(caught.value)
    assert "***" in str(caught.value)


# ---- XML and other texts --------------------------------------------------------------


def test_xml() -> None:
    """As FRED answers without file_type; told by its content."""
    text = """<?xml version="1.0" encoding="utf-8" ?>
    <observations units="lin" output_type="1" count="2" offset="0" limit="100000">
      <observation realtime_start="2024-10-30" realtime_end="2024-10-30" date="2024-01-01"
                   value="."/>
      <observation realtime_start="2024-10-30" realtime_end="2024-10-30" date="2024-01-02"
                   value="4.01"/>
    </observations>"""
    facts = ask(httpx.Response(200, text="\n " + text))
    assert facts.frame["value"].to_list() == [None, 4.01]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty answer"),
        ("<!DOCTYPE html><html><head><title>Access</title></head></html>", "HTML page.*Access"),
        ("Service down", "text instead of JSON"),
        ('{"observations": [', "cut short"),
        ('<?xml version="1.0"?><observations count="1"><observation', "XML cut short"),
        ('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><observations/>', "refused"),
        ('<?xml version="1.0"?><vintage_dates count="1"/>', "no observations"),
    ],
)
def test_what_came_instead(text: str, said: str) -> None:
    """Malformed, and says what it was."""
    with pytest.raises(Malformed, match=said):
        ask(httpx.Response(200, text=text))


def test_a_page_with_a_status() -> None:
    """A refusal by what stands before FRED."""
    page = "<html><head><title>Access Denied</title></head></html>"
    for status, kind in ((403, Unavailable), (400, Malformed), (423, Unavailable)):
        with pytest.raises(kind, match="Access Denied"):
            ask(httpx.Response(status, text=page))


def test_truncated_bodies() -> None:
    """Cut short anywhere, never half an answer."""
    whole = as_json(three()).content
    for cut in range(2, len(whole) - 1, 29):
        with pytest.raises(Malformed, match=r"cut short|broken JSON"):
            ask(httpx.Response(200, content=whole[:cut]))


# ---- what cannot be asked -------------------------------------------------------------


def test_what_cannot_be_asked() -> None:
    """No id, other feeds, bars, no key."""
    source = source_of("fred", Vendor([as_json(three())]))
    with pytest.raises(InputError, match="name a series"):
        source.ask(Question(Feed.SERIES))
    with pytest.raises(InputError, match="use one of series, series_info"):
        source.ask(Question(Feed.QUOTE, "AAPL"))
    day = date(2024, 3, 8)
    with pytest.raises(InputError, match="has no such thing"):
        source.fetch(Tile("fred", "series", Interval.DAY, day, day, 1, "GDP"))
    with pytest.raises(InputError, match=r"FRED_API_KEY.*get one at"):
        build(Setup(SOURCES["fred"].capabilities, MemoryQuota()))


def test_is_never_cached(tmp_path: Any) -> None:
    """The past is revised."""
    vendor = Vendor([as_json(three())])
    options = HttpOptions(cache_dir=tmp_path)
    source = source_of("fred", vendor, base_url=None, http=options)
    for _ in range(2):
        source.ask(Question(Feed.SERIES, "GDP", date(2020, 1, 1), date(2024, 1, 1)))
    assert len(vendor.asked) == 2
    assert vendor.asked[0].url.host == "api.stlouisfed.org"
    assert vendor.asked[0].url.path == "/fred/series/observations"
