"""The frames' schemas, and bringing a frame to one."""

from __future__ import annotations

import polars as pl
import pytest

from stock_platform.domain.bars import (
    PARSED_BARS,
    RAW_QUOTES,
    VALIDATED_PRICES,
    Adjust,
    Interval,
    conform,
    empty,
)
from stock_platform.domain.errors import InputError


@pytest.mark.parametrize("schema", [PARSED_BARS, RAW_QUOTES, VALIDATED_PRICES])
def test_no_rows_conform_to_no_rows(schema: dict[str, pl.DataType]) -> None:
    """An answer without bars does not become one bar of nulls, whatever columns it lacks."""
    for nothing in (pl.DataFrame(), pl.DataFrame([]), pl.DataFrame({"x": []}), empty(schema)):
        found = conform(nothing, schema)
        assert found.height == 0
        assert dict(found.schema) == schema


def test_absent_columns_are_null_and_others_are_left_out() -> None:
    """Columns come in the schema's order and types."""
    found = conform(
        pl.DataFrame({"close": [1, 2], "else": [3, 4], "symbol": ["A", "B"]}), PARSED_BARS
    )
    assert dict(found.schema) == PARSED_BARS
    assert found["close"].to_list() == [1.0, 2.0]
    assert found["volume"].to_list() == [None, None]


def test_unknown_words_name_their_parameter_and_the_choices() -> None:
    """Intervals and adjustments."""
    assert Interval.parse("5m").intraday
    assert not Interval.parse("1d").intraday
    assert Adjust.parse("all") is Adjust.ALL
    with pytest.raises(InputError, match=r"interval: '2d'.*1d"):
        Interval.parse("2d")
    with pytest.raises(InputError, match=r"adjust: 'some'.*splits"):
        Adjust.parse("some")
