"""Properties of the choice among sources and of adjusting on read, for any input."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stock_platform.domain.bars import RAW_QUOTES, Adjust, conform
from stock_platform.domain.calendar import get_calendar
from stock_platform.domain.corporate_actions import SPLITS, apply_adjustments
from stock_platform.domain.validation import Verdict, choose
from stock_platform.domain.validation.schema import ValidatedBars
from stock_platform_tests.domain.test_corporate_actions import bars, dividends, splits

NOW = datetime(2024, 3, 18, tzinfo=UTC)
FIRST = date(2024, 1, 1)
TABLE = get_calendar("XNYS").table(date(2024, 3, 4), date(2024, 3, 15))
SESSIONS = TABLE.join(
    pl.DataFrame({"asset_id": [1, 2]}, schema={"asset_id": pl.Int32()}), how="cross"
)
PREFERENCE = ["c", "a"]  # not the order of names; b comes after them
PRICE = st.sampled_from([9.5, 10.0, 10.5, 0.0, 11.0])


@st.composite
def quotes(draw: st.DrawFn) -> pl.DataFrame:
    """RAW_QUOTES of two assets and three sources, sound and broken, no key twice."""
    keys = draw(
        st.lists(
            st.tuples(st.sampled_from([1, 2]), st.sampled_from("abc"), st.integers(8, 9)),
            max_size=12,
            unique=True,
        )
    )
    rows: list[dict[str, Any]] = []
    for asset, source, nth in keys:
        session, opens, closes = TABLE.row(nth)
        rows.append(
            {
                "asset_id": asset,
                "interval": "1d",
                "source": source,
                "ts": opens,
                "session": session,
                "open": draw(PRICE),
                "high": draw(st.sampled_from([10.5, 11.0, 11.0, None])),
                "low": draw(st.sampled_from([9.0, 9.5])),
                "close": draw(PRICE),
                "volume": draw(st.sampled_from([100.0, 0.0, None, -1.0])),
                "basis": draw(st.sampled_from(["as_traded", "split_adjusted"])),
                "fetched_at": closes + timedelta(minutes=draw(st.sampled_from([60, 0, -1]))),
            }
        )
    return conform(pl.DataFrame(rows, infer_schema_length=None), RAW_QUOTES)


def chosen(raw: pl.DataFrame) -> Verdict:
    return choose(
        raw, splits=pl.DataFrame(schema=SPLITS), sessions=SESSIONS, preference=PREFERENCE, now=NOW
    )


@settings(deadline=None)
@given(quotes(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(raw: pl.DataFrame, random: Any) -> None:
    """Shuffled quotes give the same bars and the same rows put aside."""
    order = list(range(raw.height))
    random.shuffle(order)
    one, other = chosen(raw), chosen(raw[order])
    assert_frame_equal(one.accepted, other.accepted)
    assert_frame_equal(one.quarantined, other.quarantined, check_row_order=False)


@settings(deadline=None)
@given(quotes())
def test_every_quote_is_put_aside_or_stood_for_by_one_bar(raw: pl.DataFrame) -> None:
    """Nothing vanishes: a session with a sound quote has one bar, of the best such source."""
    verdict = chosen(raw)
    aside = verdict.quarantined.select("asset_id", "session", "source").rows()
    sound: dict[tuple[int, date], list[tuple[bool, int, str]]] = {}
    for asset, session, source, basis in raw.select(
        "asset_id", "session", "source", "basis"
    ).iter_rows():
        if (asset, session, source) not in aside:
            rank = "cab".index(source)
            sound.setdefault((asset, session), []).append((basis != "as_traded", rank, source))
    bars_of = verdict.accepted.select("asset_id", "session", "source").rows()
    assert bars_of == [(*key, min(offers)[2]) for key, offers in sorted(sound.items())]


@settings(deadline=None, max_examples=30)
@given(quotes())
def test_what_is_chosen_keeps_the_contract(raw: pl.DataFrame) -> None:
    """pandera has nothing against any verdict, even an empty one."""
    ValidatedBars.validate(chosen(raw).accepted)


@given(
    st.lists(st.floats(50, 150), min_size=3, max_size=20),
    st.data(),
)
def test_returns_of_adjusted_closes_are_total_returns(
    closes: list[float], data: st.DataObject
) -> None:
    """Whoever held one share: (ratio x (close + cash)) over the close before.

    CRSP's factor is 1 - cash / close before, so on an ex-date the return of adjusted closes is
    ratio x close over (close before - ratio x cash); the two agree to first order in the cash.
    """
    on = data.draw(st.integers(1, len(closes) - 1))
    ratio = data.draw(st.sampled_from([1.0, 2.0, 7.0, 0.1]))
    cash = data.draw(st.floats(0.01, 1.0)) / ratio
    day = FIRST + timedelta(days=on)
    traded = [c if n < on else c / ratio for n, c in enumerate(closes)]
    known = splits((day, ratio)) if ratio != 1 else splits()
    adjusted = apply_adjustments(bars(traded), known, dividends((day, cash)), Adjust.ALL)["close"]
    growth = adjusted.to_numpy()[1:] / adjusted.to_numpy()[:-1]
    expected = np.asarray(closes[1:]) / np.asarray(closes[:-1])
    expected[on - 1] = closes[on] / (closes[on - 1] - cash * ratio)
    np.testing.assert_allclose(growth, expected, rtol=1e-9)
    held = (closes[on] + cash * ratio) / closes[on - 1]
    assert abs(growth[on - 1] - held) <= 4 * cash * ratio / closes[on - 1]


def offers(*told: dict[str, Any]) -> Verdict:
    """What is chosen of sound quotes of one session that differ as ``told``."""
    session, opens, closes = TABLE.row(0)
    sound = {
        "asset_id": 1,
        "interval": "1d",
        "ts": opens,
        "session": session,
        **dict.fromkeys(["open", "high", "low", "close"], 10.0),
        "volume": 100.0,
        "basis": "as_traded",
        "fetched_at": closes,
    }
    return chosen(conform(pl.DataFrame([sound | row for row in told]), RAW_QUOTES))


def test_the_order_of_preference_is_not_that_of_names() -> None:
    """c goes first, then a, then what nobody prefers; what was derived comes after all."""
    a, b, c = ({"source": name} for name in "abc")
    derived = {"source": "c", "basis": "split_adjusted"}
    for told, best in (((a, b, c), "c"), ((b, a), "a"), ((b,), "b"), ((b, derived), "b")):
        assert offers(*told).accepted["source"].to_list() == [best]


def test_a_bar_fetched_at_the_close_is_final_and_a_second_before_is_not() -> None:
    """One second decides, and the live bar is put aside by the rule's name."""
    closes = TABLE["closes"][0]
    assert offers({"source": "a", "fetched_at": closes}).accepted.height == 1
    live = offers({"source": "a", "fetched_at": closes - timedelta(seconds=1)})
    assert live.accepted.is_empty()
    assert live.quarantined["reasons"].to_list() == [["session_not_over"]]
