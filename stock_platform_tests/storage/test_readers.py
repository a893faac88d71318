"""Reading: the right rows, in order, whole."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from stock_platform.domain.bars import VALIDATED_PRICES
from stock_platform.domain.cells import CellGrid
from stock_platform.domain.corporate_actions import DIVIDENDS, SPLITS
from stock_platform.domain.errors import InputError
from stock_platform.storage import assets, readers, writers
from stock_platform.storage.connection import Database
from stock_platform_tests.storage import worlds

DAYS = worlds.weekdays(date(2024, 1, 2), 12)


@pytest.fixture
def ids(database: Database) -> list[int]:
    known = assets.register(database, [assets.NewAsset(f"T{i}", "stock", "XNYS") for i in range(3)])
    return sorted(known.values())


@pytest.fixture
def bars(database: Database, ids: list[int]) -> pl.DataFrame:
    frame = worlds.raw_bars(ids, DAYS)
    actions = {
        "splits": worlds.splits_of([(ids[0], DAYS[4], 2.0)]),
        "dividends": worlds.dividends_of([(ids[0], DAYS[0], 0.5), (ids[0], DAYS[6], 0.5)]),
    }
    writers.write_fetch(database, [worlds.fetched(frame, **actions)], "run")
    flagged = worlds.validated(frame).prices.with_columns(
        pl.Series("flags", [["spike", 'odd "quoted", \\ too']] + [[]] * (frame.height - 1))
    )
    batch = worlds.validated(frame)
    writers.write_validated(database, type(batch)(batch.grid, flagged, batch.quarantined))
    return frame


def test_prices_by_range(database: Database, ids: list[int], bars: pl.DataFrame) -> None:
    """Start and end are inclusive sessions; flags come back as lists; the schema is kept."""
    frame = readers.prices(database, ids[:2], DAYS[0], DAYS[2])
    assert frame.schema == pl.Schema(VALIDATED_PRICES)
    assert frame.select("asset_id", "session").rows() == [(i, d) for i in ids[:2] for d in DAYS[:3]]
    assert frame["flags"].to_list()[:2] == [["spike", 'odd "quoted", \\ too'], []]
    assert readers.prices(database, ids).height == 36
    assert readers.prices(database, ids, date(1, 1, 1), date(9999, 12, 31)).height == 36
    assert readers.prices(database, []).schema == pl.Schema(VALIDATED_PRICES)


def test_raw_of_a_sparse_grid(database: Database, ids: list[int], bars: pl.DataFrame) -> None:
    """Only the grid's cells come, not the rectangle around them."""
    grid = CellGrid.from_pairs([(ids[0], DAYS[0]), (ids[2], DAYS[5])])
    assert readers.raw(database, grid).select("asset_id", "session").rows() == list(grid.pairs())


def test_latest(database: Database, ids: list[int], bars: pl.DataFrame) -> None:
    """The last price of each asset, and the last up to a day."""
    assert readers.latest(database, [*ids, 99])["session"].to_list() == [DAYS[-1]] * 3
    past = readers.latest(database, ids[:1], until=DAYS[3])
    assert past["session"].to_list() == [DAYS[3]]
    assert readers.latest(database, ids, until=date(2020, 1, 1)).is_empty()


def test_actions(database: Database, ids: list[int], bars: pl.DataFrame) -> None:
    """Splits and dividends in force; a dividend with no close before it has none."""
    assert readers.splits(database, ids).schema == pl.Schema(SPLITS)
    assert readers.dividends(database, ids).schema == pl.Schema(DIVIDENDS)
    closes = readers.closes_before_dividends(database, ids)
    before = bars.filter((pl.col("asset_id") == ids[0]) & (pl.col("session") == DAYS[5]))
    assert closes.rows() == [(ids[0], DAYS[6], before["close"].item())]


def test_the_sql_views_adjust(database: Database, ids: list[int], bars: pl.DataFrame) -> None:
    """Views divide by later splits and take dividends off, as the frames do."""
    with database.connect() as connection:
        rows = connection.execute(
            "select s.close::float8, a.close::float8 from stocks.prices_split_adjusted s "
            "join stocks.prices_adjusted a using (asset_id, interval, ts) "
            "where asset_id = %s order by ts",
            [ids[0]],
        ).fetchall()
    close = bars.filter(pl.col("asset_id") == ids[0])["close"].to_list()
    factor = 1 - 0.5 / close[5]
    assert rows[0] == (pytest.approx(close[0] / 2), pytest.approx(close[0] / 2 * factor))
    assert rows[-1] == (pytest.approx(close[-1]), pytest.approx(close[-1]))


def test_periods_by_range(database: Database, ids: list[int], bars: pl.DataFrame) -> None:
    """A period with any session in the range comes; an unknown period is refused."""
    weeks = readers.weekly(database, ids[:1], start=DAYS[4], end=DAYS[4])
    assert weeks["period"].to_list() == [date(2024, 1, 8)]
    assert weeks["session"].equals(weeks["last_session"].alias("session"))
    assert readers.monthly(database, ids).height == 3
    with pytest.raises(InputError, match="weekly, monthly"):
        readers.periods(database, ids, "yearly")


def test_records(database: Database, bars: pl.DataFrame) -> None:
    """The fetch log and its summary, by run and by time."""
    log = readers.fetch_log(database, run_id="run")
    assert log.select("source", "rows", "http_status", "cached").rows() == [
        ("yahoo", 36, 200, False)
    ]
    assert readers.fetch_log(database, run_id="other").is_empty()
    assert readers.fetch_summary(database, since=worlds.NOW)["calls"].to_list() == [1]


def test_the_digest_sees_content_alone(
    database: Database, ids: list[int], bars: pl.DataFrame
) -> None:
    """Any value changes it; when and by which call something was written does not."""
    before = readers.content_hash(database)
    with database.connect() as connection:
        connection.execute("update stocks.raw_quotes set fetched_at = now(), fetch_id = 77")
        connection.execute("update stocks.coverage_bits set attempts = 9, updated_at = now()")
    assert readers.content_hash(database) == before
    with database.connect() as connection:
        connection.execute(
            "update stocks.raw_quotes set close = close + 0.00000001 "
            "where asset_id = %s and session = %s",
            [ids[0], DAYS[0]],
        )
    assert readers.content_hash(database) != before
