from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from dagster import AssetKey
from dagster._core.definitions.partitions.context import partition_loading_context

from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.errors import InputError
from stock_platform.orchestration.partitions import (
    SHARD_KEYS,
    build_scopes,
    rectangles,
    runs_of,
    scope_of,
    session_partitions,
)
from stock_platform.settings import load_settings


@pytest.mark.parametrize("calendar", ["XNYS", "XLON", "XTAE", "24/7", "24/5"])
def test_dates_are_sessions(calendar: str) -> None:
    """Keys are the exchange's sessions: no weekend, no holiday, none left out."""
    settings = load_settings(calendar=calendar, start_date=date(2016, 1, 4))
    keys = session_partitions(settings).get_partition_keys()
    expected = get_calendar(calendar).sessions(date(2016, 1, 4), date.fromisoformat(keys[-1]))
    assert keys == expected.astype(str).tolist()


def test_a_pinned_market_ends_with_its_last_completed_session() -> None:
    """Friday is the last key on Saturday, and can be the end of a range."""
    settings = load_settings(market_time=datetime(2024, 3, 9, 12, tzinfo=UTC))
    dates = session_partitions(settings)
    assert dates.get_last_partition_key() == "2024-03-08"


def test_a_session_has_its_key_on_its_day() -> None:
    """On Friday the key of Friday is there: end_offset=0 would show it on Monday."""
    dates = session_partitions(load_settings())
    with partition_loading_context(datetime(2024, 3, 8, 15, tzinfo=UTC)):
        assert dates.get_last_partition_key() == "2024-03-08"


def test_a_start_after_the_pinned_market_is_refused() -> None:
    """There must be a session to make a partition of."""
    settings = load_settings(
        market_time=datetime(2013, 3, 1, 23, tzinfo=UTC), start_date=date(2016, 1, 4)
    )
    with pytest.raises(InputError, match="STOCK_PLATFORM_START_DATE"):
        session_partitions(settings)


def test_shards_are_frozen() -> None:
    """32 shards, in two digits."""
    market = build_scopes(load_settings())["market"]
    assert list(SHARD_KEYS) == [f"{i:02d}" for i in range(32)]
    assert market.key("2024-03-08", "07") == "2024-03-08|07"


def test_keys_are_taken_apart_into_rectangles() -> None:
    """An L of three cells is two rectangles; a key of another form is refused."""
    keys = ["2024-03-08|AAA", "2024-03-07|AAA", "2024-03-08|BBB"]
    assert rectangles(keys) == {
        (date(2024, 3, 7), date(2024, 3, 8)): ["AAA"],
        (date(2024, 3, 8),): ["BBB"],
    }
    with pytest.raises(InputError, match="partition"):
        rectangles(["2024-03-08"])


def test_neighbours_share_a_run() -> None:
    """Stretches of neighbours, in the order of the partitions."""
    assert runs_of("ABCDE", "BCE") == [("B", "C"), ("E", "E")]
    assert runs_of("ABC", "CBA") == [("A", "C")]
    assert runs_of("ABC", "") == []


def test_a_scope_is_the_prefix_of_a_key() -> None:
    """Other prefixes are refused."""
    assert scope_of(AssetKey(["market", "raw_quotes"])) == "market"
    with pytest.raises(InputError):
        scope_of(AssetKey("catalog"))
