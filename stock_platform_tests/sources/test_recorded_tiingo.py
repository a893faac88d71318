"""Real recorded answers of Tiingo give the bars that were looked up by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from stock_platform.domain.bars import Interval
from stock_platform.domain.errors import Malformed
from stock_platform.domain.symbols import parse_symbol
from stock_platform.sources.tiingo.envelope import document_of
from stock_platform.sources.tiingo.parse import Wanted, read_coin, read_rows
from stock_platform.sources.tiingo.profile import read_profile

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAILY = Wanted("GOOGL", Interval.DAY, "XNYS", NOW)
FIVE = Wanted("GOOGL", Interval.MINUTES_5, "XNYS", NOW, volumes=False, new_york_days=True)


def document(folder: Path, name: str) -> dict[str, object] | list[object]:
    body = (folder / "payloads" / "tiingo" / name).read_bytes()
    return document_of(200, body, "GOOGL", NOW)


def test_two_days_of_a_share(shared_fixtures: Path) -> None:
    """Raw prices; nothing split or paid."""
    page = read_rows(document(shared_fixtures, "ticker_price_with_date.json"), DAILY)
    assert page.bars.drop("vwap", "trades").rows() == [
        ("GOOGL", datetime(2015, 1, 2, 14, 30, tzinfo=UTC), date(2015, 1, 2),
         532.6, 535.8, 527.88, 529.55, 1327870.0),
        ("GOOGL", datetime(2015, 1, 5, 14, 30, tzinfo=UTC), date(2015, 1, 5),
         527.15, 527.9899, 517.75, 519.46, 2059119.0),
    ]  # fmt: skip
    assert page.splits.is_empty()
    assert page.dividends.is_empty()
    assert page.rejected.is_empty()


def test_weeks_are_no_days(shared_fixtures: Path) -> None:
    """The same form, Fridays seven days apart."""
    with pytest.raises(Malformed, match="was given bars 7 days apart, which are weeks"):
        read_rows(document(shared_fixtures, "ticker_price_weekly.json"), DAILY)


def test_half_hours_are_no_five_minutes(shared_fixtures: Path) -> None:
    """Thirteen of them are enough to tell, whichever of our intervals was asked for."""
    half_hours = document(shared_fixtures, "intraday_price.json")
    for interval in (Interval.MINUTE, Interval.MINUTES_5, Interval.MINUTES_15, Interval.HOUR):
        wanted = Wanted("GOOGL", interval, "XNYS", NOW, new_york_days=True)
        with pytest.raises(Malformed, match=f"asked for {interval}, was given bars 0:30:00 apart"):
            read_rows(half_hours, wanted)
    with pytest.raises(Malformed, match="times of the day"):
        read_rows(half_hours, DAILY)


def test_rows_of_minutes(shared_fixtures: Path) -> None:
    """Its first bars, too few to tell their length: UTC stamps, New York's date."""
    rows = document(shared_fixtures, "intraday_price.json")
    assert isinstance(rows, list)
    page = read_rows(rows[:3], FIVE)
    assert page.bars.drop("volume", "vwap", "trades").row(0) == (
        "GOOGL", datetime(2018, 1, 2, 14, 30, tzinfo=UTC), date(2018, 1, 2),
        1057.47, 1061.91, 1054.17, 1061.91,
    )  # fmt: skip
    assert page.bars["close"].to_list() == [1061.91, 1066.945, 1070.26]


def test_two_days_of_two_coins(shared_fixtures: Path) -> None:
    """Each by its name; exchanges' own prices are left alone."""
    coins = document(shared_fixtures, "crypto_price_history.json")
    wanted = Wanted("BTC-USD", Interval.DAY, "24/7", NOW)
    page, currency = read_coin(coins, "btcusd", wanted)
    assert currency == "USD"
    assert page.bars.drop("vwap").rows() == [
        ("BTC-USD", datetime(2019, 5, 1, tzinfo=UTC), date(2019, 5, 1), 5367.348827845256,
         5443.811868611532, 5358.100876910302, 5420.0896708474575, 27749.729226739997, 214889),
        ("BTC-USD", datetime(2019, 5, 2, tzinfo=UTC), date(2019, 5, 2), 5441.491804492167,
         5590.235084334595, 5426.033480300644, 5545.697488248552, 40036.510605330004, 241005),
    ]  # fmt: skip
    small, currency = read_coin(coins, "fldcbtc", Wanted("FLDC-BTC", Interval.DAY, "24/7", NOW))
    assert (small.bars["close"].to_list(), currency) == ([1.9e-7, 1.8e-7], "BTC")


def test_a_company(shared_fixtures: Path) -> None:
    """Alphabet, with a price since its first day."""
    found = document(shared_fixtures, "ticker_metadata.json")
    row = read_profile(found, parse_symbol("GOOGL")).row(0, named=True)
    assert row["name"] == 'Alphabet Inc.("Google") - Class A'
    assert (row["exchange"], row["listed_on"]) == ("XNAS", date(2004, 8, 19))
    with pytest.raises(Malformed, match="asked for AAPL, was given GOOGL"):
        read_profile(found, parse_symbol("AAPL"))


def test_every_recorded_answer_is_covered(shared_fixtures: Path) -> None:
    """A payload added to the folder needs an expectation here."""
    assert {p.name for p in (shared_fixtures / "payloads" / "tiingo").iterdir()} == {
        "crypto_price_history.json",
        "intraday_price.json",
        "ticker_metadata.json",
        "ticker_price_weekly.json",
        "ticker_price_with_date.json",
    }
