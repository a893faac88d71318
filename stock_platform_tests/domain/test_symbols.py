"""Symbols: one spelling for every instrument."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.errors import InputError
from stock_platform.domain.symbols import (
    VENDORS,
    AssetClass,
    Symbol,
    Vendor,
    default_calendar,
    from_vendor,
    parse_symbol,
    to_vendor,
)

STOCK, FX, CRYPTO = AssetClass.STOCK, AssetClass.FX, AssetClass.CRYPTO


@pytest.mark.parametrize(
    ("spellings", "ticker", "asset_class"),
    [
        ("aapl AAPL", "AAPL", STOCK),
        ("brk-b BRK.B BRK/B", "BRK.B", STOCK),
        ("BF-B BF.B", "BF.B", STOCK),
        ("BACpB BAC-PB BAC$B BAC.PRB", "BAC.PRB", STOCK),
        ("PSA-PR PSApR PSA$R", "PSA.PRR", STOCK),
        ("TRT$ TRTp TRT.PR", "TRT.PR", STOCK),
        ("ACHR.W ACHR-WT ACHR.WS ACHR+", "ACHR.WS", STOCK),
        ("AAM.U AAM-UN AAM=", "AAM.U", STOCK),
        ("AKO.A", "AKO.A", STOCK),
        ("MKC.V", "MKC.V", STOCK),
        ("NA", "NA", STOCK),
        ("TRUE", "TRUE", STOCK),
        ("NULL", "NULL", STOCK),
        ("NAN", "NAN", STOCK),
        ("VFINX", "VFINX", AssetClass.FUND),
        ("VOD.L vod.l", "VOD.L", STOCK),
        ("7203.T", "7203.T", STOCK),
        ("btc-usd BTCUSD X:BTCUSD BTC/USD", "BTC-USD", CRYPTO),
        ("EURUSD=X eur/usd C:EURUSD EURUSD", "EUR/USD", FX),
        ("JPY=X", "USD/JPY", FX),
        ("^gspc", "^GSPC", AssetClass.INDEX),
        ("GC=F", "GC=F", AssetClass.COMMODITY),
    ],
)
def test_every_common_spelling_is_one_symbol(
    spellings: str, ticker: str, asset_class: AssetClass
) -> None:
    """What people and vendors write means one canonical ticker."""
    for text in [*spellings.split(), ticker]:
        assert parse_symbol(text) == Symbol(ticker, asset_class), text


def test_a_space_before_a_class_is_a_spelling_too() -> None:
    """``BRK B`` is BRK.B, and blanks around a ticker do not matter."""
    assert parse_symbol(" BRK B ").ticker == "BRK.B"


@pytest.mark.parametrize(
    "rubbish",
    ["", "  ", "-", ".", "$", "../etc/passwd", "'; drop table", "A" * 40, "A\x00B", "BRK..B", "ÄÖ"],
)
def test_rubbish_is_refused_by_name(rubbish: str) -> None:
    """The error names the parameter and what is allowed."""
    with pytest.raises(InputError, match=r"ticker.*use a ticker like AAPL"):
        parse_symbol(rubbish)


ROOTS = st.from_regex(r"[A-Z]{1,4}", fullmatch=True)
SUFFIXES = st.sampled_from(["", ".A", ".B", ".PRA", ".PR", ".PRR", ".WS", ".U", ".R", ".WI"])


@given(ROOTS, SUFFIXES, st.sampled_from(VENDORS))
def test_us_symbols_round_trip_through_every_vendor(root: str, suffix: str, vendor: Vendor) -> None:
    """What is written for a vendor is read back as the same symbol."""
    symbol = parse_symbol(root + suffix)
    assert from_vendor(to_vendor(symbol, vendor), vendor) == symbol


@pytest.mark.parametrize("ticker", ["BTC-USD", "EUR/USD", "^GSPC", "GC=F", "VOD.L"])
def test_other_symbols_round_trip_through_yahoo(ticker: str) -> None:
    """Coins, currencies, indices, futures and listings abroad too."""
    symbol = parse_symbol(ticker)
    assert from_vendor(to_vendor(symbol, "yahoo"), "yahoo") == symbol


def test_a_vendor_without_a_listing_says_so() -> None:
    """Polygon's stocks are US listings."""
    with pytest.raises(InputError, match="US listings only"):
        to_vendor(parse_symbol("VOD.L"), "polygon")


def test_calendars() -> None:
    """Each kind trades by its own calendar."""
    expected = {
        "AAPL": "XNYS", "V": "XNYS", "BRK.B": "XNYS", "VOD.L": "XLON", "7203.T": "XTKS",
        "BTC-USD": "24/7", "EUR/USD": "24/5", "GC=F": "CMES",
    }  # fmt: skip
    assert {t: default_calendar(parse_symbol(t)) for t in expected} == expected


def test_the_us_directory_parses_round_trips_and_does_not_collide(shared_fixtures: Path) -> None:
    """All 11,000 listed symbols are told apart in every vendor's spelling."""
    seen: dict[str, str] = {}
    folder = shared_fixtures / "payloads" / "nasdaqtrader"
    for name, test_column in (("otherlisted", 6), ("nasdaqlisted", 3)):
        with (folder / f"{name}-2025-07-21.txt").open() as file:
            rows = list(csv.reader(file, delimiter="|"))[1:-1]
        for row in rows:
            if row[test_column] == "Y":
                continue
            symbol = from_vendor(row[0], "nasdaq")
            if name == "otherlisted" and row[3] not in ("NE.WS.A", "NXGrw"):  # ACT says less
                assert from_vendor(row[3], "polygon") == symbol, row
            for vendor in VENDORS:
                assert from_vendor(to_vendor(symbol, vendor), vendor) == symbol, (row[0], vendor)
            assert symbol.ticker not in seen, (row[0], seen[symbol.ticker])
            seen[symbol.ticker] = row[0]
    assert len(seen) > 10_000
