"""What validation is told of each row."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl

from stock_platform.domain.bars import UTC_STAMP
from stock_platform.pipeline.validating import with_local_dates


def test_the_day_of_a_fetch_is_the_exchanges() -> None:
    """Half past one in UTC is the evening before in New York, and that morning in Tokyo."""
    fetched = datetime(2013, 2, 5, 1, 30, tzinfo=UTC)
    raw = pl.DataFrame(
        {"asset_id": [1, 2, 3], "fetched_at": [fetched] * 3},
        schema={"asset_id": pl.Int32(), "fetched_at": UTC_STAMP},
    )
    calendars = pl.DataFrame(
        {"asset_id": [1, 2, 3], "calendar": ["XNYS", "XTKS", "24/7"]},
        schema_overrides={"asset_id": pl.Int32()},
    )
    assert with_local_dates(raw, calendars)["fetched_on"].to_list() == [
        date(2013, 2, 4),
        date(2013, 2, 5),
        date(2013, 2, 5),
    ]
