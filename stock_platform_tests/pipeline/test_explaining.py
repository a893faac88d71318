"""What is told of cells with planted faults, and what people's decisions lead to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stock_platform.domain.bars import PRICE_COLUMNS, UTC_STAMP
from stock_platform.domain.batches import QUARANTINE, FetchBatch
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.errors import InputError
from stock_platform.pipeline.deciding import decide
from stock_platform.pipeline.explaining import explain
from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import load_settings
from stock_platform.storage import assets, decisions, readers
from stock_platform_tests.storage.worlds import (
    call,
    dividends_of,
    fetched,
    marks_of,
    raw_bars,
    splits_of,
)

NOW = datetime(2024, 4, 1, 12, tzinfo=UTC)
DAYS = get_calendar("XNYS").sessions(date(2024, 1, 2), date(2024, 3, 28)).astype(object).tolist()
SPLIT, PAID = date(2024, 3, 4), date(2024, 2, 15)

PLAIN, PENCE, BROKEN, EARLY, APART, ADJUSTED = (date(2024, 2, d) for d in (5, 6, 7, 8, 9, 12))
NO_DATA, WAITING, FAILED, UNREAD = (date(2024, 2, d) for d in (13, 14, 20, 21))
MISSING = (NO_DATA, WAITING, FAILED, UNREAD)
UNSEEN = date(2024, 3, 28)


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    """A platform that judges at the highest level; nobody is asked."""
    settings = load_settings(
        database_url=database_url,
        home=tmp_path,
        market_time=NOW,
        sources=("polygon", "yahoo"),
        polygon_api_key="k",
        validation_level="comprehensive",
    )
    with Platform.from_settings(settings) as platform:
        yield platform


def planted(asset: int) -> dict[str, pl.DataFrame]:
    """Bars of two sources, with a fault a day."""
    whole = raw_bars([asset], DAYS[:-1], seed=3, fetched_at=NOW - timedelta(days=2))
    whole = whole.with_columns(
        pl.when(pl.col("session") >= SPLIT).then(pl.col(c) / 4).otherwise(c).round(4).alias(c)
        for c in PRICE_COLUMNS
    )
    polygon = whole.filter(~pl.col("session").is_in(MISSING)).with_columns(source=pl.lit("polygon"))
    day = pl.col("session")
    polygon = polygon.with_columns(
        *(
            pl.when(day == PENCE)
            .then(pl.col(c) * 100)
            .when(day == APART)
            .then(pl.col(c) * 1.004)
            .otherwise(pl.col(c))
            .round(4)
            .alias(c)
            for c in PRICE_COLUMNS
        ),
        pl.when(day == EARLY)
        .then(pl.lit(datetime(2024, 2, 8, 18, tzinfo=UTC)).cast(UTC_STAMP))
        .otherwise("fetched_at")
        .alias("fetched_at"),
        pl.when(day == ADJUSTED).then(pl.lit("fully_adjusted")).otherwise("basis").alias("basis"),
    )
    polygon = polygon.with_columns(
        pl.when(day == BROKEN).then("low").otherwise("high").alias("high"),
        pl.when(day == BROKEN).then("high").otherwise("low").alias("low"),
    )
    yahoo = whole.filter(day.is_in([PLAIN, APART])).with_columns(
        *((pl.col(c) / 4).alias(c) for c in PRICE_COLUMNS), basis=pl.lit("split_adjusted")
    )
    return {"polygon": polygon, "yahoo": yahoo}


@pytest.fixture
def asset(platform: Platform) -> int:
    """An asset whose days have faults of ten kinds, fetched and validated."""
    new = assets.NewAsset("MADE", "stock", "XNYS", listed_on=date(2023, 6, 1))
    (made,) = assets.register(platform.db, [new]).values()
    bars = planted(made)

    def one(day: date) -> pl.DataFrame:
        return pl.DataFrame(
            {"asset_id": [made], "session": [day]}, schema_overrides={"asset_id": pl.Int32()}
        )

    unread = one(UNREAD).with_columns(
        interval=pl.lit("1d"), source=pl.lit("yahoo"), row=pl.lit('"12;x"'),
        reasons=pl.lit(["unreadable"], pl.List(pl.String)), ticker=pl.lit("MADE"),
        ts=pl.lit(None).cast(UTC_STAMP),
    ).select(list(QUARANTINE))  # fmt: skip
    later = NOW + timedelta(hours=6)
    platform.write_fetch(
        [
            fetched(
                bars["polygon"],
                splits=splits_of([(made, SPLIT, 4.0)], "polygon"),
                dividends=dividends_of([(made, PAID, 0.5)], "polygon"),
            ),
            fetched(
                bars["yahoo"],
                rejected=unread,
                splits=splits_of([(made, SPLIT, 4.0)]).with_columns(
                    pl.lit(NOW - timedelta(days=2)).cast(UTC_STAMP).alias("fetched_at")
                ),
            ),
            FetchBatch(call(source="polygon"), marks=marks_of(one(NO_DATA), "no_data", "polygon")),
            FetchBatch(
                None, marks=marks_of(one(WAITING), "waiting", "polygon", "out of quota", later)
            ),
            FetchBatch(None, marks=marks_of(one(FAILED), "failed", "yahoo", "malformed", later)),
        ],
        "run-7",
    )
    validate(platform, made)
    return made


def validate(platform: Platform, asset: int, days: list[date] = DAYS) -> None:
    for batch in platform.validate(CellGrid.rectangle([asset], days)):
        platform.write_validated(batch)


def told(platform: Platform, day: date) -> tuple[dict[str, Any], str]:
    facts = explain(platform, "MADE", day)
    return facts, " ".join(facts["story"])


def test_ten_cells_tell_their_story(platform: Platform, asset: int) -> None:
    """Each planted fault is told as what it is, with who said what and what was chosen."""
    facts, story = told(platform, PLAIN)
    assert facts["price"]["source"] == "polygon"
    assert "it came as traded, where splits had to be undone in others; yahoo agrees" in story
    yahoo = next(q for q in facts["quotes"] if q["source"] == "yahoo")
    assert yahoo["as_traded"]["close"] == pytest.approx(4 * yahoo["as_it_came"]["close"])
    assert yahoo["call"]["run_id"] == "run-7"
    assert {a["kind"] for a in facts["actions"]} == {"split", "dividend"}
    close = facts["price"]["close"]
    assert facts["adjusted"]["splits"]["close"] == pytest.approx(close / 4)
    assert facts["adjusted"]["all"]["close"] < close / 4
    verdicts = {r["verdict"] for q in facts["quotes"] for r in q["rules"]}
    assert verdicts == {"passed", "not applicable"}

    facts, story = told(platform, PENCE)
    assert facts["price"]["flags"].count("repaired") == 1
    (quote,) = facts["quotes"]
    failed = [r for r in quote["rules"] if r["verdict"] == "failed"]
    assert [r["rule"] for r in failed] == ["unit_error"]
    assert "times 0.01 it would fit" in failed[0]["detail"]
    assert "marks repaired, unit_error" in story

    facts, story = told(platform, BROKEN)
    assert facts["price"] is None
    assert "close_outside_range (close 49.32, high 48.68, low 49.81)" in story
    assert "high_below_low" in story
    assert "There is no price: every quote of that day failed a rule." in story

    _, story = told(platform, EARLY)
    assert "session_not_over (fetched_at 2024-02-08 18:00Z, closes 2024-02-08 21:00Z)" in story

    _, story = told(platform, APART)
    assert "yahoo differs by 0.40%" in story

    facts, story = told(platform, ADJUSTED)
    assert "not_as_traded (basis fully_adjusted)" in story
    assert facts["quotes"][0]["as_traded"] is None

    assert "polygon says that there is no bar of that day." in told(platform, NO_DATA)[1]
    waiting = told(platform, WAITING)[1]
    assert "It waits for polygon until 2024-04-01 18:00Z: out of quota." in waiting
    assert "It could not be had from yahoo: malformed; due" in told(platform, FAILED)[1]
    assert "could not be read (unreadable)" in told(platform, UNREAD)[1]


def test_days_without_a_cell(platform: Platform, asset: int) -> None:
    """Weekends, holidays, days before the listing, days nobody asked for, and strangers."""
    assert "Saturday 2024-02-10 is no session of XNYS: weekend." in told(
        platform, date(2024, 2, 10)
    )[1]  # fmt: skip
    assert "is no session of XNYS: President's Day." in told(platform, date(2024, 2, 19))[1]
    assert "was listed on 2023-06-01, after that day." in told(platform, date(2023, 5, 31))[1]
    assert told(platform, UNSEEN)[1] == "Nobody has asked for this cell yet."
    assert "closed early, at 18:00 UTC" in told(platform, date(2023, 11, 24))[1]
    with pytest.raises(InputError, match="did you mean MADE"):
        explain(platform, "MAD", PLAIN)


def test_an_accepted_row_is_the_price_until_its_source_says_otherwise(
    platform: Platform, asset: int
) -> None:
    """Judged again it stays; a changed raw row voids the decision, and explain says so."""
    entry = readers.quarantined(platform.db, [asset], EARLY, EARLY)["quarantine_id"].item()
    made = decide(platform, entry[:8], "accept", "checked with the exchange", "ann")
    assert not made["in_quarantine"]
    price = readers.prices(platform.db, [asset], EARLY, EARLY).row(0, named=True)
    assert {"accepted_by_person", "session_not_over"} <= set(price["flags"])
    validate(platform, asset)
    facts, story = told(platform, EARLY)
    assert facts["price"]["close"] == price["close"]
    assert "ann accepted polygon's quote on 2024-04-01: checked with the exchange." in story
    assert "a person accepted it" in story
    changed = planted(asset)["polygon"].filter(session=EARLY).with_columns(pl.col("close") - 0.01)
    platform.write_fetch([fetched(changed)])
    validate(platform, asset)
    assert readers.prices(platform.db, [asset], EARLY, EARLY).is_empty()
    assert "the source says otherwise now" in told(platform, EARLY)[1]
    assert decisions.listed(platform.db, [entry]) == {}


def test_a_rejected_row_stays_out_and_can_be_judged_again(platform: Platform, asset: int) -> None:
    """Rejecting marks it; accepting later replaces the decision; both are kept."""
    entry = readers.quarantined(platform.db, [asset], EARLY, EARLY)["quarantine_id"].item()
    assert decide(platform, entry, "reject", "too early", "bob")["in_quarantine"]
    assert decisions.listed(platform.db, [entry]) == {entry: "reject"}
    row = readers.quarantined(platform.db, [asset], EARLY, EARLY).row(0, named=True)
    assert row["reasons"] == ["session_not_over", "rejected_by_person"]
    assert not decide(platform, entry, "accept", "it was final", "ann")["in_quarantine"]
    again = decide(platform, entry, "reject", "no, it was not", "ann")
    assert again["in_quarantine"]
    assert [d["verdict"] for d in again["decisions"]] == ["reject", "accept", "reject"]
    assert readers.prices(platform.db, [asset], EARLY, EARLY).is_empty()


def test_what_no_price_can_be_is_not_accepted(platform: Platform, asset: int) -> None:
    """Broken bars, unreadable rows, unknown ids and empty reasons are refused by name."""
    broken = readers.quarantined(platform.db, [asset], BROKEN, BROKEN)["quarantine_id"].item()
    with pytest.raises(InputError, match=r"no price can be such a row .*high_below_low"):
        decide(platform, broken, "accept", "please", "ann")
    unread = readers.quarantined(platform.db, [asset], UNREAD, UNREAD)["quarantine_id"].item()
    with pytest.raises(InputError, match="could not be read"):
        decide(platform, unread, "accept", "please", "ann")
    assert decide(platform, unread, "reject", "noise", "ann")["decisions"]
    with pytest.raises(InputError, match="reason"):
        decide(platform, broken, "reject", "  ", "ann")
    with pytest.raises(InputError, match="quarantine list"):
        decide(platform, "0" * 12, "reject", "who", "ann")
