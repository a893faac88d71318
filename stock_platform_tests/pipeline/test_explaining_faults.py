"""Ten cells, each with another fault, told as what they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stock_platform.domain.bars import PRICE_COLUMNS, UTC_STAMP
from stock_platform.domain.batches import FetchBatch
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.pipeline.deciding import decide
from stock_platform.pipeline.explaining import explain
from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import load_settings
from stock_platform.storage import assets, readers
from stock_platform_tests.storage.worlds import call, fetched, marks_of, raw_bars, splits_of

NOW = datetime(2024, 4, 1, 12, tzinfo=UTC)
FETCHED = NOW - timedelta(days=2)
DAYS = get_calendar("XNYS").sessions(date(2024, 1, 2), date(2024, 3, 28)).astype(object).tolist()
DAY, BEFORE, SPLIT = date(2024, 2, 7), date(2024, 2, 6), date(2024, 2, 9)
NAMES = ("HUND", "SPLT", "DUPL", "STAL", "SPIK", "FALL", "QUAR", "WAIT", "NLST", "ACCP")
FOUND = {
    "HUND": "unit_error", "SPLT": "split_adjustment", "DUPL": "duplicate_conflict",
    "STAL": "stale_repeat", "SPIK": "spike", "QUAR": "high_below_low",
    "ACCP": "session_not_over", "WAIT": "out of quota", "FALL": "stood in",
    "NLST": "not listed",
}  # fmt: skip


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A platform that judges strictly; nobody is asked."""
    settings = load_settings(
        database_url=database_url, home=tmp_path, market_time=NOW, polygon_api_key="k",
        sources=("polygon", "yahoo"), validation_level="comprehensive",
    )  # fmt: skip
    with Platform.from_settings(settings) as platform:
        yield platform


def bars_of(name: str, asset: int) -> pl.DataFrame:
    """An asset's bars, with the fault of its name on DAY."""
    source = "yahoo" if name in ("SPLT", "FALL") else "polygon"
    frame = raw_bars([asset], DAYS, source=source, seed=NAMES.index(name), fetched_at=FETCHED)
    day, here = pl.col("session"), pl.col("session") == DAY

    def scaled(times: float, rows: pl.Expr) -> list[pl.Expr]:
        return [pl.when(rows).then(pl.col(c) * times).otherwise(c).alias(c) for c in PRICE_COLUMNS]

    match name:
        case "HUND":
            return frame.with_columns(scaled(100, here))
        case "SPIK":
            return frame.with_columns(scaled(2.5, here))
        case "SPLT":  # adjusted for the split to come, but for three days before it
            forgotten = day.is_between(BEFORE, date(2024, 2, 8))
            return frame.with_columns(
                *scaled(4, forgotten), pl.lit("split_adjusted").alias("basis")
            )
        case "DUPL":
            other = frame.filter(here).with_columns(
                pl.col("ts").dt.offset_by("1h"),
                *(pl.col(c) * 1.1 for c in PRICE_COLUMNS),
            )
            return pl.concat([frame, other])
        case "STAL":
            again = frame.filter(day == BEFORE).with_columns(
                pl.lit(DAY).alias("session"), pl.col("ts").dt.offset_by("1d")
            )
            return pl.concat([frame.filter(~here), again])
        case "QUAR":
            return frame.with_columns(
                pl.when(here).then("low").otherwise("high").alias("high"),
                pl.when(here).then("high").otherwise("low").alias("low"),
            )
        case "ACCP":  # fetched before the close
            early = pl.lit(datetime(2024, 2, 7, 18, tzinfo=UTC)).cast(UTC_STAMP)
            return frame.with_columns(
                pl.when(here).then(early).otherwise("fetched_at").alias("fetched_at")
            )
        case "WAIT":
            return frame.filter(~here)
        case "NLST":
            return frame.filter(day >= SPLIT)
        case _:
            return frame


def fill(platform: Platform) -> None:
    """Ten assets, fetched with their faults, judged, and one row accepted by a person."""
    listed = date(2024, 2, 8)
    ids = assets.register(
        platform.db,
        [
            assets.NewAsset(n, "stock", "XNYS", listed_on=listed if n == "NLST" else None)
            for n in NAMES
        ],
    )
    split = splits_of([(ids["SPLT"], SPLIT, 4.0)]).with_columns(
        pl.lit(FETCHED).cast(UTC_STAMP).alias("fetched_at")
    )
    batches = [
        fetched(
            bars_of(n, ids[n]),
            **({"splits": split} if n == "SPLT" else {}),
        )
        for n in NAMES
    ]

    def cell(name: str) -> pl.DataFrame:
        return pl.DataFrame(
            {"asset_id": [ids[name]], "session": [DAY]}, schema_overrides={"asset_id": pl.Int32()}
        )

    later = NOW + timedelta(hours=6)
    down = call(
        source="polygon", endpoint="aggs", status="unavailable", http_status=503,
        tile="polygon aggs FALL 1d 2024-01-02..2024-03-28", error="503 from the vendor",
    )  # fmt: skip
    batches += [
        FetchBatch(down),
        FetchBatch(None, marks=marks_of(cell("WAIT"), "waiting", "polygon", "out of quota", later)),
        FetchBatch(None, marks=marks_of(cell("NLST"), "not_listed", "")),
    ]
    platform.write_fetch(batches, "run-7")
    for batch in platform.validate(CellGrid.rectangle(list(ids.values()), DAYS)):
        platform.write_validated(batch)
    entry = readers.quarantined(platform.db, [ids["ACCP"]], DAY, DAY)["quarantine_id"].item()
    decide(platform, entry, "accept", "the exchange says so", "ann")


def test_ten_faults_tell_ten_stories(platform: Platform) -> None:
    """Unit, split, duplicate, stale, spike, fallback, quarantine, quota, listing, person."""
    fill(platform)
    facts: dict[str, dict[str, Any]] = {n: explain(platform, n, DAY) for n in NAMES}
    told = {n: " ".join(f["story"]) for n, f in facts.items()}
    hundred, split = facts["HUND"], facts["SPLT"]
    said = hundred["quotes"][0]["as_it_came"]["close"]
    assert hundred["price"]["close"] == pytest.approx(said / 100)
    assert "unit_error" in told["HUND"]
    assert "times 0.01 it would fit" in told["HUND"]
    assert "the repair is certain, and was made" in told["HUND"]

    assert split["price"]["close"] == pytest.approx(split["quotes"][0]["as_it_came"]["close"])
    assert "split_adjustment" in told["SPLT"]
    assert "times 0.25 it would fit" in told["SPLT"]
    assert [(a["kind"], a["value"]) for a in split["actions"]] == [("split", 4.0)]

    assert "duplicate_conflict" in told["DUPL"]
    assert "it is the first of polygon's 2 bars of that day" in told["DUPL"]
    assert "says otherwise by 10.00%" in told["DUPL"]

    assert "stale_repeat" in told["STAL"]
    assert facts["STAL"]["price"] is None
    assert facts["SPIK"]["price"] is None
    assert "it failed spike (close 120.05, where 47.9295 is expected" in told["SPIK"]

    assert (
        "polygon was asked on 2026-01-02 22:00Z and failed: unavailable, HTTP 503" in (told["FALL"])
    )
    assert "yahoo stood in for polygon" in told["FALL"]
    assert facts["FALL"]["price"]["source"] == "yahoo"
    assert facts["FALL"]["quotes"][0]["call"]["run_id"] == "run-7"

    assert "high_below_low (high 54.17, low 55.35)" in told["QUAR"]
    assert "There is no price: every quote of that day failed a rule." in told["QUAR"]
    assert told["WAIT"] == "It waits for polygon until 2024-04-01 18:00Z: out of quota."
    assert "NLST was listed on 2024-02-08, after that day." in told["NLST"]
    assert "not listed on that day" in told["NLST"]
    assert "ann accepted polygon's quote on 2024-04-01: the exchange says so." in told["ACCP"]
    assert "a person accepted it" in told["ACCP"]
    for name in NAMES:
        for asset, rule in FOUND.items():
            assert (rule in told[name]) == (asset == name), f"{name} is told as {rule}"
