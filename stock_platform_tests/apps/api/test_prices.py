"""``/v1/prices``: formats, pages, ETags."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from starlette.testclient import TestClient

from stock_platform.pipeline.store import Store
from stock_platform.storage.assets import resolve
from stock_platform.storage.connection import Database
from stock_platform.storage.writers import write_fetch, write_validated
from stock_platform_tests.apps.api.conftest import SESSIONS, START
from stock_platform_tests.storage import worlds

ADDRESS = "/v1/prices/AAPL"


def add_split(db: Database, ticker: str = "AAPL") -> None:
    asset = resolve(db, [ticker])[ticker]
    write_fetch(
        db,
        [
            worlds.fetched(
                worlds.raw_bars([asset], [START]),
                splits=worlds.splits_of([(asset, date(2023, 6, 1), 4.0)]),
                dividends=worlds.dividends_of([(asset, date(2023, 8, 1), 0.5)]),
            )
        ],
        None,
    )


@pytest.mark.parametrize("adjust", ["none", "splits", "all"])
@pytest.mark.parametrize("interval", ["1d", "1wk", "1mo"])
def test_arrow_is_what_the_store_gives(
    client: TestClient, filled: Database, adjust: str, interval: str
) -> None:
    """Arrow holds the very frame of Store.prices, for every adjustment and period."""
    add_split(filled)
    for stream in ("false", "true"):
        answer = client.get(
            ADDRESS,
            params={"adjust": adjust, "interval": interval, "format": "arrow", "stream": stream},
        )
        assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
        got = pl.read_ipc_stream(io.BytesIO(answer.content))
        want = Store(filled).prices("AAPL", adjust=adjust, interval=interval)
        assert_frame_equal(got, want)


def test_json_and_csv_hold_the_same_rows(client: TestClient, filled: Database) -> None:
    """JSON, CSV and the store agree; Accept chooses the format."""
    want = Store(filled).prices("BRK.B", "2023-03-01", "2023-03-31")
    span = {"start": "2023-03-01", "end": "2023-03-31"}
    told = client.get("/v1/prices/brk-b", params=span).json()
    assert (told["ticker"], told["next"]) == ("BRK.B", None)
    assert [row["close"] for row in told["prices"]] == want["close"].to_list()
    assert told["prices"][0]["ts"] == "2023-03-01T14:30:00Z"
    csv = client.get("/v1/prices/BRK.B", params=span, headers={"accept": "text/csv"})
    assert csv.headers["content-type"].startswith("text/csv")
    rows = pl.read_csv(io.BytesIO(csv.content), try_parse_dates=True)
    assert rows["close"].to_list() == want["close"].to_list()
    assert rows["session"].to_list() == want["session"].to_list()
    assert client.get(ADDRESS, headers={"accept": "image/png"}).status_code == 406


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(limit=st.integers(1, 400), interval=st.sampled_from(["1d", "1wk"]))
def test_pages_visit_each_row_once(client: TestClient, limit: int, interval: str) -> None:
    """Following `next` from any page size gives the whole, in order, without repeats."""
    params: dict[str, Any] = {"limit": max(limit, 20), "interval": interval}
    whole = client.get(ADDRESS, params={"interval": interval}).json()["prices"]
    seen: list[Any] = []
    while True:
        answer = client.get(ADDRESS, params=params)
        page = answer.json()
        seen += page["prices"]
        assert len(page["prices"]) <= params["limit"]
        assert ("link" in answer.headers) == (page["next"] is not None)
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert seen == whole
    if interval == "1d":
        assert len(seen) == SESSIONS


def test_intraday_pages_and_streams(client: TestClient, filled: Database) -> None:
    """Minutes of weeks come whole, in pages and as a stream."""
    asset = resolve(filled, ["MSFT"])["MSFT"]
    bars = worlds.intraday_bars([asset], worlds.weekdays(START, 40))
    write_validated(filled, worlds.validated(bars))
    want = Store(filled).prices("MSFT", interval="15m")
    assert want.height == 40 * 26
    address = "/v1/prices/MSFT"
    params: dict[str, Any] = {"interval": "15m", "limit": 300}
    seen = []
    while True:
        page = client.get(address, params=params).json()
        seen += page["prices"]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert [row["close"] for row in seen] == want["close"].to_list()
    streamed = client.get(address, params={"interval": "15m", "stream": True}).json()
    assert streamed["prices"] == seen


def test_an_etag_spares_the_body_until_prices_change(client: TestClient, filled: Database) -> None:
    """304 while nothing changed; another ETag after a new price, and after a split."""
    first = client.get(ADDRESS)
    etag = first.headers["etag"]
    again = client.get(ADDRESS, headers={"if-none-match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get(ADDRESS, params={"adjust": "all"}).headers["etag"] != etag
    asset = resolve(filled, ["AAPL"])["AAPL"]
    day = worlds.weekdays(START, SESSIONS)[7]
    changed = worlds.raw_bars([asset], [day], seed=5)
    write_validated(filled, worlds.validated(changed))
    after = client.get(ADDRESS, headers={"if-none-match": etag})
    assert after.status_code == 200
    assert after.json()["prices"][7]["close"] == changed["close"][0]
    add_split(filled)
    assert client.get(ADDRESS).headers["etag"] not in (etag, after.headers["etag"])


def test_a_ticker_without_prices_and_one_that_is_unknown(client: TestClient) -> None:
    """The first is an empty page, the second a 404 that suggests the nearest."""
    assert client.get("/v1/prices/NODATA").json()["prices"] == []
    for kind in ("csv", "arrow"):
        assert client.get("/v1/prices/NODATA", params={"format": kind}).status_code == 200
    assert client.get("/v1/prices/NODATA", params={"stream": True}).json()["prices"] == []
    unknown = client.get("/v1/prices/APPL")
    assert unknown.status_code == 404
    assert "did you mean AAPL" in unknown.json()["detail"]
