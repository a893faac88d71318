"""Real recorded answers of central banks give the rates that were looked up by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.errors import Malformed, NoData, UnknownSymbol
from stock_platform.sources.bank_of_canada.parse import parse_observations
from stock_platform.sources.ecb.parse import parse_rates

YAHOO = "yahoo-v7-eurusd.json"
"""A quote of Yahoo's: another vendor's, and no file of rates."""


def body(folder: Path, name: str) -> bytes:
    return (folder / "payloads" / "forex" / name).read_bytes()


@pytest.mark.parametrize(
    ("currency", "last"), [("USD", 1.225), ("JPY", 127.26), ("IDR", 17247.33), ("RUB", 90.8)]
)
def test_reference_rates_of_the_euro(shared_fixtures: Path, currency: str, last: float) -> None:
    """Days in any order in the file, oldest first in the frame; every price is the rate."""
    whole = body(shared_fixtures, "ecb-eurofxref-hist-partial.xml")
    rates = parse_rates(200, whole, symbol=f"EUR/{currency}", currency=currency, whole=True)
    assert rates.rejected.is_empty()
    assert rates.bars["session"].is_sorted()
    (row,) = rates.bars.filter(pl.col("session") == date(2021, 1, 8)).to_dicts()
    assert row["ts"] == datetime(2021, 1, 8, tzinfo=UTC)
    assert [row[n] for n in ("open", "high", "low", "close")] == [last] * 4
    assert row["volume"] is None


def test_days_of_the_euro(shared_fixtures: Path) -> None:
    """The days of the extract, and a currency that none of them has."""
    whole = body(shared_fixtures, "ecb-eurofxref-hist-partial.xml")
    rates = parse_rates(200, whole, symbol="EUR/USD", currency="USD", whole=True)
    by_day = dict(rates.bars.select("session", "close").iter_rows())
    assert by_day[date(2021, 1, 7)] == 1.2276
    assert by_day[date(2021, 6, 25)] == 1.195
    assert by_day[date(1999, 1, 4)] == 1.1789
    assert rates.bars.height == whole.count(b"<Cube time=") == 11
    with pytest.raises(UnknownSymbol):
        parse_rates(200, whole, symbol="EUR/VND", currency="VND", whole=True)


def test_a_file_without_rates(shared_fixtures: Path) -> None:
    """Well-formed and empty: no data, about no currency in particular."""
    empty = body(shared_fixtures, "ecb-eurofxref-hist-empty.xml")
    with pytest.raises(NoData):
        parse_rates(200, empty, symbol="EUR/USD", currency="USD", whole=True)


@pytest.mark.parametrize(("name", "days"), [("boc-fx-recent.json", 4), ("boc-fx-partial.json", 14)])
def test_rates_of_the_canadian_dollar(shared_fixtures: Path, name: str, days: int) -> None:
    """Values are text; both extracts end on 7 January 2021."""
    answer = body(shared_fixtures, name)
    rates = parse_observations(200, answer, symbol="CAD/USD", series="FXCADUSD")
    assert rates.bars.height == days
    assert rates.rejected.is_empty()
    assert rates.bars["close"].to_list()[-4:] == [0.7843, 0.787, 0.7883, 0.787]
    assert rates.bars["ts"][-1] == datetime(2021, 1, 7, tzinfo=UTC)
    with pytest.raises(Malformed, match="asked for FXUSDCAD, was given FXCADUSD"):
        parse_observations(200, answer, symbol="USD/CAD", series="FXUSDCAD")


def test_answers_of_other_vendors_are_malformed(shared_fixtures: Path) -> None:
    """None is taken for another's."""
    answers = {p.name: p.read_bytes() for p in (shared_fixtures / "payloads" / "forex").iterdir()}
    for name, answer in answers.items():
        if not name.startswith("ecb"):
            with pytest.raises(Malformed):
                parse_rates(200, answer, symbol="EUR/USD", currency="USD", whole=True)
        if not name.startswith("boc"):
            with pytest.raises(Malformed):
                parse_observations(200, answer, symbol="CAD/USD", series="FXCADUSD")


def test_every_recorded_answer_is_covered(shared_fixtures: Path) -> None:
    """A payload added to the folder needs an expectation here."""
    assert {p.name for p in (shared_fixtures / "payloads" / "forex").iterdir()} == {
        "boc-fx-partial.json",
        "boc-fx-recent.json",
        "ecb-eurofxref-hist-empty.xml",
        "ecb-eurofxref-hist-partial.xml",
        YAHOO,
    }
