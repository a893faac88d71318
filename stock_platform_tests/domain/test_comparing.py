"""Who is believed where sources differ, what is compared, and what it says of a source."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.comparing import CELL, accuracy, compare, sample
from stock_platform.domain.symbols import AssetClass

DAY = date(2024, 3, 4)


def quotes(**closes: float) -> pl.DataFrame:
    """One cell as sources have it: flat bars at these prices."""
    return pl.DataFrame(
        {
            "asset_id": [1] * len(closes), "interval": "1d", "session": DAY,
            "source": list(closes),
            **{c: list(closes.values()) for c in ("open", "high", "low", "close")},
            "volume": 1000.0,
        },
        schema_overrides={"asset_id": pl.Int32()},
    )  # fmt: skip


def said(
    frame: pl.DataFrame, *, kind: AssetClass = AssetClass.STOCK, **voices: str
) -> dict[str, str]:
    found = compare(frame, voices, {1: str(kind)})
    return dict(found.select("source", "opinion").iter_rows())


@pytest.mark.parametrize(
    ("closes", "expected"),
    [
        ({"a": 10.0}, {}),
        ({"a": 10.0, "b": 10.01}, {"a": "agreed", "b": "agreed"}),
        ({"a": 10.0, "b": 1000.0}, {"a": "undecided", "b": "undecided"}),
        ({"a": 10.0, "b": 1000.0, "c": 10.0}, {"a": "agreed", "b": "outvoted", "c": "agreed"}),
        ({"a": 1.0, "b": 2.0, "c": 3.0}, dict.fromkeys("abc", "undecided")),
        ({"a": 1.0, "b": 1.0, "c": 3.0, "d": 3.0}, dict.fromkeys("abcd", "undecided")),
    ],
)
def test_the_vote(closes: dict[str, float], expected: dict[str, str]) -> None:
    """Two against one outvote; one against one, or two against two, stay open."""
    assert said(quotes(**closes)) == expected


def test_one_host_is_one_voice() -> None:
    """Two sources of one host repeat each other: together they outvote nobody."""
    frame = quotes(a=10.0, a_page=10.0, b=20.0)
    assert said(frame, a="host", a_page="host") == dict.fromkeys(("a", "a_page", "b"), "undecided")
    assert said(quotes(a=10.0, a_page=10.0), a="host", a_page="host") == {}


def test_tolerance_is_of_the_class() -> None:
    """A percent apart is two prices of a share, and one of a coin."""
    frame = quotes(a=100.0, b=101.0)
    assert set(said(frame).values()) == {"undecided"}
    assert set(said(frame, kind=AssetClass.CRYPTO).values()) == {"agreed"}


def test_volumes_of_other_units_differ() -> None:
    """One exchange's share of the volume agrees with the tape; a count in other units does not."""
    frame = quotes(a=10.0, b=10.0)
    one_exchange = frame.with_columns(volume=pl.Series([1_000_000.0, 20_000.0]))
    assert set(said(one_exchange).values()) == {"agreed"}
    units = frame.with_columns(volume=pl.Series([1_000_000.0, 1_000.0]))
    found = compare(units, {}, {})
    assert found["opinion"].to_list() == ["undecided"] * 2
    assert found["field"].to_list() == ["volume"] * 2


@given(
    st.lists(st.sampled_from([10.0, 10.004, 20.0, 1000.0, -3.0]), min_size=1, max_size=6),
    st.integers(0, 100),
)
def test_the_order_of_sources_does_not_matter(prices: list[float], seed: int) -> None:
    """Opinions hang on the quotes alone, and no majority is ever outvoted."""
    frame = quotes(**{f"s{n}": price for n, price in enumerate(prices)})
    mixed = frame.sample(fraction=1.0, shuffle=True, seed=seed)
    assert compare(frame, {}, {}).equals(compare(mixed, {}, {}))
    found = compare(frame, {}, {})
    assert found.filter(opinion="outvoted").height * 2 < max(1, found.height)


def test_the_sample_is_the_days() -> None:
    """The same cells on one day, others on the next; about the share, and some of each source."""
    number = pl.int_range(50_000, eager=True)
    stored = pl.DataFrame({"asset_id": (number // 1000).cast(pl.Int32)}).select(
        "asset_id",
        pl.lit("1d").alias("interval"),
        (number % 1000 + 18_000).cast(pl.Int32).cast(pl.Date).alias("session"),
        pl.when(pl.col("asset_id") == 0)
        .then(pl.lit("small")).otherwise(pl.lit("big")).alias("source"),
    )  # fmt: skip
    first = sample(stored, DAY)
    assert first.equals(sample(stored.sample(fraction=1.0, shuffle=True, seed=2), DAY))
    assert 70 < first.height < 150
    small = first.join(stored.filter(source="small"), on=CELL, how="semi")
    assert small.height >= 20
    later = sample(stored, date(2024, 3, 5))
    assert first.join(later, on=CELL, how="semi").height < 10
    assert sample(stored, DAY, checked={"small": 20, "big": 20}).height < first.height


def test_disputed_cells_do_not_stand_for_the_others() -> None:
    """Ten disputed bars of a thousand, all wrong, and a clean sample: 99 % are right."""
    found = accuracy(stored=1000, disputed=10, of_disputed=(0, 10), of_others=(50, 0))
    assert found == pytest.approx(0.99)
    assert accuracy(stored=1000, disputed=10, of_disputed=(0, 10), of_others=(0, 0)) is None
