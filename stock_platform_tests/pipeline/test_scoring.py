"""Scores and gaps of a small store with planted faults, against what was planted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event, Timer, current_thread

import polars as pl
import pytest

from stock_platform.domain.batches import FetchBatch, ValidatedBatch
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.cells import CellGrid
from stock_platform.pipeline.runtime import Platform
from stock_platform.pipeline.scoring import score
from stock_platform.settings import load_settings
from stock_platform.storage import assets, quality
from stock_platform.storage.connection import Database
from stock_platform.storage.writers import write_validated
from stock_platform_tests.storage.worlds import fetched, marks_of, raw_bars

NOW = datetime(2024, 4, 1, 12, tzinfo=UTC)
pytestmark = pytest.mark.both_servers

XNYS = get_calendar("XNYS")
DAYS = XNYS.sessions(date(2024, 1, 2), date(2024, 3, 28)).astype(object).tolist()
NAMES = ("GOOD", "GAPS", "LATE", "BAD")


@pytest.fixture
def platform(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    """Four tracked assets, asked of two sources, each with its own faults."""
    settings = load_settings(
        database_url=database_url, home=tmp_path, market_time=NOW, polygon_api_key="k",
        sources=("polygon", "yahoo"), start_date=date(2024, 1, 2),
    )  # fmt: skip
    with Platform.from_settings(settings) as platform:
        platform.assets_for(list(NAMES))
        fill(platform)
        yield platform


def ids_of(platform: Platform) -> dict[str, int]:
    return assets.resolve(platform.db, NAMES)


def on_time(frame: pl.DataFrame, hours: dict[date, int] | int = 2) -> pl.DataFrame:
    """Fetched so many hours after each session's close."""
    closes = dict(XNYS.table(DAYS[0], DAYS[-1]).select("session", "closes").iter_rows())
    late = hours if isinstance(hours, dict) else {}
    usual = hours if isinstance(hours, int) else 2
    stamps = [closes[d] + timedelta(hours=late.get(d, usual)) for d in frame["session"]]
    return frame.with_columns(pl.Series("fetched_at", stamps, dtype=frame.schema["fetched_at"]))


def cells(asset: int, days: list[date]) -> pl.DataFrame:
    return pl.DataFrame(
        {"asset_id": [asset] * len(days), "session": days},
        schema_overrides={"asset_id": pl.Int32()},
    )


def fill(platform: Platform) -> None:
    ids = ids_of(platform)
    whole = {n: on_time(raw_bars([i], DAYS, source="polygon", seed=i)) for n, i in ids.items()}
    day = pl.col("session")
    gone = DAYS[10:13]  # never asked for
    halt, hole = DAYS[20:22], DAYS[30:31]
    gaps = whole["GAPS"].filter(~day.is_in([*gone, *halt, *hole, DAYS[40], DAYS[41]]))
    late = on_time(whole["LATE"].drop("fetched_at").with_columns(
        pl.lit(NOW).cast(whole["LATE"].schema["fetched_at"]).alias("fetched_at")
    ).select(whole["LATE"].columns), dict.fromkeys(DAYS[-5:], 30))  # fmt: skip
    bad = whole["BAD"].with_columns(
        pl.when(day.is_in(DAYS[5:11])).then("low").otherwise("high").alias("high"),
        pl.when(day.is_in(DAYS[5:11])).then("high").otherwise("low").alias("low"),
    )
    frames = [whole["GOOD"], gaps, late, bad]
    later = NOW + timedelta(hours=6)
    gap = ids["GAPS"]
    marks = [
        marks_of(cells(gap, [*halt, *hole]), "no_data", "polygon"),
        marks_of(cells(gap, halt), "no_data", "yahoo"),
        marks_of(cells(gap, [DAYS[40]]), "waiting", "polygon", "out of quota", later),
        marks_of(cells(gap, [DAYS[41]]), "failed", "polygon", "malformed", later),
    ]
    platform.write_fetch(
        [*map(fetched, frames), *(FetchBatch(None, marks=m) for m in marks)], "run"
    )
    grid = CellGrid.rectangle(list(ids.values()), DAYS)
    for batch in platform.validate(grid):
        platform.write_validated(batch)


def scores_of(platform: Platform, kind: str, scope: str | None = None) -> pl.DataFrame:
    frame = quality.scores(platform.db, kind, scope=scope)
    names = {i: n for n, i in ids_of(platform).items()}
    return frame.with_columns(
        pl.col("asset_id").replace_strict(names, default="", return_dtype=pl.String).alias("name")
    )


def test_each_score_is_what_was_planted(platform: Platform) -> None:
    """By ticker: what is missing, doubted or late, and nothing else, lowers a score."""
    scored = score(platform)
    n = len(DAYS)
    by = {r["name"]: r for r in scores_of(platform, "ticker").to_dicts()}
    assert {by["GOOD"][s] for s in ("completeness", "accuracy", "timeliness", "overall")} == {100.0}
    assert by["GOOD"]["consistency"] is None
    assert by["GAPS"]["completeness"] == pytest.approx(100 * (n - 8) / (n - 3), abs=0.01)
    assert by["GAPS"]["accuracy"] == 100
    assert by["LATE"]["completeness"] == 100
    assert by["LATE"]["timeliness"] == 80  # four of twenty; the last session is there
    assert by["BAD"]["accuracy"] == pytest.approx(100 * (n - 6) / n, abs=0.01)
    assert by["BAD"]["last_session"] == DAYS[-1]
    day = {r["session"]: r for r in scores_of(platform, "day", scope="watchlist").to_dicts()}
    assert day[DAYS[10]]["completeness"] == 75
    assert day[DAYS[10]]["accuracy"] == pytest.approx(66.67)
    assert day[DAYS[20]]["completeness"] == 100  # explained
    assert day[DAYS[-3]]["timeliness"] == 75
    parts = scores_of(platform, "partition", scope="watchlist")
    cell = parts.filter(pl.col("name") == "BAD", pl.col("session") == DAYS[5]).row(0, named=True)
    assert (cell["completeness"], cell["accuracy"]) == (100, 0)
    assert scored.rows.filter(pl.col("kind") == "partition", pl.col("shard") >= 0).height > 0
    (source,) = scores_of(platform, "source").to_dicts()
    assert source["source"] == "polygon"
    assert source["accuracy"] == pytest.approx(100 * (4 * n - 14) / (4 * n - 8), abs=0.01)
    (whole,) = scores_of(platform, "scope", scope="watchlist").to_dicts()
    assert 90 < whole["overall"] < 100


def test_gaps_have_reasons(platform: Platform) -> None:
    """Never asked, halt by two voices, one vendor's hole, waiting, failed, quarantined."""
    found = score(platform).gaps
    ids = ids_of(platform)
    mine = found.filter(asset_id=ids["GAPS"])
    assert mine.select("first_session", "last_session", "sessions", "state").rows() == [
        (DAYS[10], DAYS[12], 3, "missing"),
        (DAYS[20], DAYS[21], 2, "halt"),
        (DAYS[30], DAYS[30], 1, "no_data"),
        (DAYS[40], DAYS[40], 1, "waiting"),
        (DAYS[41], DAYS[41], 1, "failed"),
    ]
    assert mine["sources"].to_list()[1:3] == [["polygon", "yahoo"], ["polygon"]]
    bad = found.filter(asset_id=ids["BAD"])
    assert bad.select("sessions", "state", "reason").row(0) == (
        6, "quarantined", "every quote failed a rule",
    )  # fmt: skip
    assert quality.gap_counts(platform.db)["halt"] == (1, 2)


def test_only_what_was_touched_is_read_again(platform: Platform) -> None:
    """A second scoring reads nothing and changes nothing; one new bar has its asset's year read."""
    first = score(platform)
    assert first.cells_read >= len(NAMES) * 366
    again = score(platform)
    assert (again.cells_read, again.changed) == (0, 0)
    asset = ids_of(platform)["GAPS"]
    bar = on_time(raw_bars([asset], DAYS, source="polygon", seed=asset)).filter(
        pl.col("session") == DAYS[10]
    )
    platform.write_fetch([fetched(bar)])
    for batch in platform.validate(CellGrid.rectangle([asset], [DAYS[10]])):
        platform.write_validated(batch)
    third = score(platform)
    assert third.cells_read == 366
    n = len(DAYS)
    row = quality.scores(platform.db, "ticker", asset_ids=[asset]).row(0, named=True)
    assert row["completeness"] == pytest.approx(100 * (n - 7) / (n - 3), abs=0.01)
    assert third.gaps.filter(asset_id=asset)["first_session"][0] == DAYS[11]


def test_scoring_anew_is_the_same(platform: Platform) -> None:
    """What increments made is what reading everything again makes."""
    test_only_what_was_touched_is_read_again(platform)
    before = {k: quality.scores(platform.db, k).drop("scored_at") for k in ("ticker", "partition")}
    with platform.db.connect() as connection:
        connection.execute("delete from stocks.quality_facts")
        connection.execute(
            "insert into stocks.quality_touched (asset_id, year) "
            "select distinct asset_id, year from stocks.coverage_bits"
        )
    assert score(platform).changed == 0
    for kind, frame in before.items():
        assert quality.scores(platform.db, kind).drop("scored_at").equals(frame)


def test_the_trend_has_a_row_a_day_that_differs(platform: Platform) -> None:
    """Days on which nothing changed have none."""
    score(platform)
    asset = ids_of(platform)["GAPS"]
    assert quality.trend(platform.db, "ticker", asset_id=asset).height == 1
    rows = pl.concat(
        [quality.scores(platform.db, k) for k in ("scope", "ticker", "source", "day", "partition")]
    )
    quality.put_scores(platform.db, rows, date(2024, 4, 2))
    assert quality.trend(platform.db, "ticker", asset_id=asset).height == 1
    worse = rows.with_columns(
        pl.when(pl.col("asset_id") == asset).then(50.0).otherwise("overall").alias("overall")
    )
    quality.put_scores(platform.db, worse, date(2024, 4, 3))
    quality.put_scores(platform.db, worse, date(2024, 4, 3))
    found = quality.trend(platform.db, "ticker", asset_id=asset)
    assert found["day"].to_list() == [date(2024, 4, 1), date(2024, 4, 3)]
    assert found["overall"].to_list()[-1] == 50


def test_what_changes_while_others_score_is_scored(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two scorings at once the slower one does not put back what it read before a change."""
    asset = ids_of(platform)["GOOD"]
    score(platform)
    read, go_on, slow = Event(), Event(), current_thread()

    def delayed(
        db: Database, facts: pl.DataFrame, findings: pl.DataFrame, touches: Sequence[int]
    ) -> int:
        if current_thread() is not slow:
            read.set()
            go_on.wait(20)
        return write_facts(db, facts, findings, touches)

    write_facts = quality.write_facts
    monkeypatch.setattr(quality, "write_facts", delayed)
    forget(platform, asset, DAYS[3])
    with ThreadPoolExecutor(1) as threads:
        slower = threads.submit(score, platform)
        assert read.wait(20)
        forget(platform, asset, DAYS[4])
        Timer(1.0, go_on.set).start()
        score(platform)
        go_on.set()
        slower.result()
    score(platform)
    (row,) = quality.scores(platform.db, "ticker", asset_ids=[asset]).to_dicts()
    assert row["stored"] - row["priced"] == 2


def forget(platform: Platform, asset: int, day: date) -> None:
    """Take a validated price away, as judging again may."""
    cell = CellGrid.rectangle([asset], [day])
    none = pl.DataFrame()
    write_validated(platform.db, ValidatedBatch(cell, none, none, NOW))
