"""Real recorded answers of FRED give what was looked up by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_platform.domain.errors import Malformed, NotEntitled, SourceError, UnknownSymbol
from stock_platform.sources.fred.parse import (
    Read,
    parse_info,
    parse_page,
    read_observations,
)

OBSERVATIONS = {"series-observations.json", "observations-xml-0.xml"}
INFO = {"series-info.json", "series-xml-0.xml", "series-xml-1.xml"}
OTHERS = {"category.json", "series-release.json", "vintagedates.json"}
# file, error, its words
ERRORS: list[tuple[str, type[SourceError], str]] = [
    ("error-400-no-key.json", NotEntitled, r"^fred: Bad Request\. Variable api_key is not set\."),
    ("error-400-unregistered-key.json", NotEntitled, "variable api_key is not registered"),
    ("error-400-realtime-future.json", Malformed, "refused: .*realtime_end can not be after"),
    ("error-xml-0.xml", UnknownSymbol, r"GDP: Bad Request\. The series does not exist\."),
    ("error-xml-1.xml", Malformed, r"refused: \{\}"),  # the recording's own placeholder
]


def body(folder: Path, name: str) -> bytes:
    return (folder / "payloads" / "fred" / name).read_bytes()


def read(folder: Path, name: str, series: str) -> Read:
    page = parse_page(200, body(folder, name), series)
    assert page.next_offset is None
    return read_observations(page.rows, series, page.lacking)


def test_gdp(shared_fixtures: Path) -> None:
    """315 quarters from 1946, the first four missing, as of 30 October 2024."""
    found = read(shared_fixtures, "series-observations.json", "GDP")
    assert found.rejected.is_empty()
    assert found.frame.height == 315
    asked = date(2024, 10, 30)
    assert found.frame.row(0) == ("GDP", date(1946, 1, 1), None, asked, asked)
    assert found.frame["value"].null_count() == 4
    values = dict(found.frame.select("date", "value").iter_rows())
    assert values[date(1947, 1, 1)] == 243.164
    assert values[date(1949, 1, 1)] is not None
    assert values[date(2023, 10, 1)] == 28296.967
    assert found.frame.row(-1) == ("GDP", date(2024, 7, 1), 29349.924, asked, asked)


def test_sp500_in_xml(shared_fixtures: Path) -> None:
    """Four days of September 2014."""
    found = read(shared_fixtures, "observations-xml-0.xml", "SP500")
    assert found.rejected.is_empty()
    assert found.frame.select("date", "value").rows() == [
        (date(2014, 9, 2), 2002.28),
        (date(2014, 9, 3), 2000.72),
        (date(2014, 9, 4), 1997.65),
        (date(2014, 9, 5), 2007.71),
    ]
    assert set(found.frame["realtime_start"]) == {date(2015, 6, 28)}


def test_what_gdp_is(shared_fixtures: Path) -> None:
    """With its notes."""
    found = parse_info(200, body(shared_fixtures, "series-info.json"), "GDP")
    row = found.frame.row(0, named=True)
    assert row.pop("notes").startswith("BEA Account Code: A191RC\n\nGross domestic product")
    assert row == {
        "series_id": "GDP",
        "title": "Gross Domestic Product",
        "units": "Billions of Dollars",
        "frequency": "Quarterly",
        "seasonal_adjustment": "Seasonally Adjusted Annual Rate",
        "first_date": date(1947, 1, 1),
        "last_date": date(2024, 7, 1),
        "updated_at": datetime(2024, 10, 30, 12, 54, 1, tzinfo=UTC),
    }


def test_what_payems_is_in_xml(shared_fixtures: Path) -> None:
    """One series."""
    found = parse_info(200, body(shared_fixtures, "series-xml-1.xml"), "PAYEMS")
    assert found.frame.row(0) == (
        "PAYEMS",
        "All Employees: Total Nonfarm Payrolls",
        "Thousands of Persons",
        "Monthly",
        "Seasonally Adjusted",
        date(1939, 1, 1),
        date(2015, 5, 1),
        datetime(2015, 6, 5, 13, 47, 20, tzinfo=UTC),
        "...",
    )


@pytest.mark.parametrize(
    ("series", "county"),
    [("PCPI01001", "Autauga"), ("PCPI01003", "Baldwin"), ("PCPI01005", "Barb")],
)
def test_one_of_many_in_xml(shared_fixtures: Path, series: str, county: str) -> None:
    """A search's answer holds others too: the one asked for is found by its id."""
    answer = body(shared_fixtures, "series-xml-0.xml")
    row = parse_info(200, answer, series).frame.row(0, named=True)
    assert county in row["title"]
    assert (row["frequency"], row["last_date"]) == ("Annual", date(2013, 1, 1))
    assert row["updated_at"] == datetime(2015, 1, 29, 18, 10, 21, tzinfo=UTC)
    with pytest.raises(Malformed, match="asked for GDP, was given PCPI01001"):
        parse_info(200, answer, "GDP")


@pytest.mark.parametrize(("name", "error", "said"), ERRORS)
@pytest.mark.parametrize("status", [400, 200])
def test_errors(
    shared_fixtures: Path, name: str, error: type[SourceError], said: str, status: int
) -> None:
    """With their status, or replayed with a good one; whatever was asked."""
    parsers: list[Callable[[int, bytes, str], object]] = [parse_page, parse_info]
    for parse in parsers:
        with pytest.raises(error, match=said):
            parse(status, body(shared_fixtures, name), "GDP")


def test_answers_of_other_endpoints_are_malformed(shared_fixtures: Path) -> None:
    """Categories, releases and vintages are neither; nor is one of ours the other."""
    for name in OTHERS | INFO:
        with pytest.raises(Malformed, match="no observations in the answer"):
            parse_page(200, body(shared_fixtures, name), "GDP")
    for name in OTHERS | OBSERVATIONS:
        with pytest.raises(Malformed, match="no seriess in the answer"):
            parse_info(200, body(shared_fixtures, name), "GDP")


def test_every_recorded_answer_is_covered(shared_fixtures: Path) -> None:
    """A payload added to the folder needs an expectation here."""
    folder = shared_fixtures / "payloads" / "fred"
    known = OBSERVATIONS | INFO | OTHERS | {name for name, _, _ in ERRORS}
    assert {p.name for p in folder.iterdir()} == known
