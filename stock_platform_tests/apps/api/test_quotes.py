"""Live quotes over HTTP: ``/v1/quotes`` and their ages in ``/metrics``."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from stock_platform.domain.batches import QUARANTINE, CallRecord
from stock_platform.domain.live import QUOTED
from stock_platform.storage import quotes
from stock_platform.storage.assets import resolve
from stock_platform.storage.connection import Database
from stock_platform_tests.apps.api.conftest import START

STAMP = datetime(2024, 3, 1, 15, 0, tzinfo=UTC)


def tell(db: Database, ticker: str, price: float, session: date, age: float) -> None:
    """Store a quote as a round does."""
    row = {
        "asset_id": resolve(db, [ticker])[ticker], "source": "yahoo", "quoted_at": STAMP,
        "session": session, "price": price, "previous_close": 100.0, "volume": 5.0,
        "currency": "USD", "fetched_at": STAMP, "reasons": [],
    }  # fmt: skip
    now = STAMP + timedelta(seconds=age)
    call = CallRecord(
        source="yahoo", endpoint="quote", tile=f"quote {ticker}", status="ok", requests=1, rows=1,
        latency_ms=10, started_at=now, finished_at=now,
    )  # fmt: skip
    frame = pl.DataFrame(
        [{**dict.fromkeys(QUOTED), **row}], schema={**QUOTED, "reasons": pl.List(pl.String())}
    )
    quotes.store(db, call, frame, pl.DataFrame(schema=QUARANTINE), now)


def test_a_live_quote_until_the_close_is_there(client: TestClient, filled: Database) -> None:
    """Of a session without a validated close the quote counts, else the close; what has neither
    is missing."""
    tell(filled, "AAPL", 123.25, date(2024, 3, 1), 1.0)
    tell(filled, "MSFT", 99.0, START, 1.0)
    tell(filled, "NODATA", 7.5, date(2024, 3, 1), 1.0)
    found = client.get("/v1/quotes", params={"tickers": "AAPL,BRK.B,MSFT,NODATA"}).json()
    kinds = {q["ticker"]: q["kind"] for q in found["quotes"]}
    assert kinds == {"AAPL": "quote", "BRK.B": "close", "MSFT": "close", "NODATA": "quote"}
    apple = found["quotes"][0]
    assert (apple["price"], apple["previous_close"], apple["source"]) == (123.25, 100.0, "yahoo")
    assert datetime.fromisoformat(apple["quoted_at"]) == STAMP
    assert client.get("/v1/quotes").json() == found


def test_ages_are_metrics(client: TestClient, filled: Database) -> None:
    """A histogram from the exchange's stamp to stored, by source, and the newest stamp."""
    for ticker, age in (("AAPL", 0.5), ("MSFT", 20.0), ("NODATA", 1000.0), ("BRK.B", 9999.0)):
        tell(filled, ticker, 1.0, date(2024, 3, 1), age)
    tell(filled, "AAPL", 1.0, date(2024, 3, 1), 3.0)  # told before: counted once
    families = {f.name: f for f in text_string_to_metric_families(client.get("/metrics").text)}
    ages = families["stock_platform_quote_age_seconds"]
    values = {(s.name.rpartition("_")[2], s.labels.get("le")): s.value for s in ages.samples}
    assert {s.labels["source"] for s in ages.samples} == {"yahoo"}
    wanted = {"1.0": 1, "15.0": 1, "60.0": 2, "900.0": 2, "1200.0": 3, "3600.0": 3, "+Inf": 4}
    assert {le: values["bucket", le] for le in wanted} == wanted
    assert values["count", None] == 4
    assert values["sum", None] == 0.5 + 20 + 1000 + 9999
    newest = families["stock_platform_newest_quote_timestamp_seconds"].samples
    assert [(s.labels, s.value) for s in newest] == [({"calendar": "XNYS"}, STAMP.timestamp())]
