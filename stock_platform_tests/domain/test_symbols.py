"""Symbols: one spelling for every instrument."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_platform.domain.errors import InputError
from stock_platform.domain.symbols import (
    FOREIGN,
    VENDORS,
    AssetClass,
    Symbol,
    Vendor,
    default_calendar,
    default_currency,
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
        ("INF", "INF", STOCK),
        ("Bp", "BP", STOCK),
        ("BRK.Bw BRK.B#", "BRK.B.WI", STOCK),
        ("NXGrw NXG^# NXG.RWI", "NXG.R.WI", STOCK),
        ("BACpB.CL BAC-B*", "BAC.PRB.CL", STOCK),
        ("NE.WS.A NE+A NE-WTA", "NE.WS.A", STOCK),
        ("RCI-B.TO", "RCI-B.TO", STOCK),
        ("VFINX", "VFINX", AssetClass.FUND),
        ("VOD.L vod.l", "VOD.L", STOCK),
        ("7203.T", "7203.T", STOCK),
        ("btc-usd BTCUSD X:BTCUSD BTC/USD", "BTC-USD", CRYPTO),
        ("EURUSD=X eur/usd C:EURUSD EURUSD", "EUR/USD", FX),
        ("JPY=X", "USD/JPY", FX),
        ("EURISK=X C:EURISK", "EUR/ISK", FX),
        ("S-USD X:SUSD", "S-USD", CRYPTO),
        ("DOGEUSDT", "DOGE-USDT", CRYPTO),
        ("^gspc ^SPX I:SPX", "^GSPC", AssetClass.INDEX),
        ("I:COMP", "^IXIC", AssetClass.INDEX),
        ("GC=F", "GC=F", AssetClass.COMMODITY),
        ("CLZ26.NYM", "CLZ26.NYM", AssetClass.COMMODITY),
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
    [
        "", "  ", "-", ".", "$", "^", "=X", "=F", "../etc/passwd", "'; drop table", "OR 1=1",
        "A" * 40, "A\x00B", "BRK..B", "BRK.B.C", "AAPL MSFT", "ÄÖ", "ß", "\uff21\uff22", "N/A",
        "#N/A", "USD=X", "USD-USD", "XYZ-T",
    ],
)  # fmt: skip
def test_rubbish_is_refused_by_name(rubbish: str) -> None:
    """The error names the parameter and what is allowed."""
    with pytest.raises(InputError, match=r"ticker.*use a ticker like AAPL"):
        parse_symbol(rubbish)


@given(st.text(max_size=20) | st.from_regex(r"[A-Za-z0-9.^=$+#*%/: -]{1,14}", fullmatch=True))
def test_any_text_is_a_symbol_or_an_input_error(text: str) -> None:
    """Nothing else is raised, and a canonical ticker is its own spelling."""
    try:
        symbol = parse_symbol(text)
    except InputError:
        return
    assert parse_symbol(symbol.ticker) == symbol


ROOTS = st.from_regex(r"[A-Z]{2,5}", fullmatch=True)
SERIES = st.sampled_from("ABCDEGHIJKMNOQSVXYZ")
KINDS = st.one_of(
    st.just(""),
    SERIES.map(".{}".format),
    st.sampled_from("ABFLPRTUW").map(".PR{}".format),
    st.sampled_from([".PR", ".WS", ".U", ".R"]),
    SERIES.map(".WS.{}".format),
)
TAILS = st.sampled_from(["", ".WI", ".WD", ".CL", ".CV", ".CV.CL"])


@given(ROOTS, KINDS, TAILS, st.sampled_from(VENDORS))
def test_us_symbols_round_trip_through_every_vendor(
    root: str, kind: str, tails: str, vendor: Vendor
) -> None:
    """What is written for a vendor is read back as the same symbol."""
    symbol = parse_symbol(root + kind + tails)
    assert symbol.ticker == root + kind + tails
    assert from_vendor(to_vendor(symbol, vendor), vendor) == symbol


@pytest.mark.parametrize(
    ("ticker", "polygon"),
    [
        ("BTC-USD", "X:BTCUSD"),
        ("1INCH-USD", "X:1INCHUSD"),
        ("EUR/USD", "C:EURUSD"),
        ("^GSPC", "I:SPX"),
        ("^IXIC", "I:COMP"),
        ("^NDX", "I:NDX"),
        ("GC=F", None),
        ("VOD.L", None),
    ],
)
def test_other_symbols_round_trip_where_the_vendor_has_them(
    ticker: str, polygon: str | None
) -> None:
    """Coins, currencies, indices, futures and listings abroad too; NASDAQ lists US shares."""
    symbol = parse_symbol(ticker)
    assert from_vendor(to_vendor(symbol, "yahoo"), "yahoo") == symbol
    if polygon is None:
        with pytest.raises(InputError, match="polygon has"):
            to_vendor(symbol, "polygon")
    else:
        assert to_vendor(symbol, "polygon") == polygon
        assert from_vendor(polygon, "polygon") == symbol
    with pytest.raises(InputError, match="nasdaq has"):
        to_vendor(symbol, "nasdaq")


@pytest.mark.parametrize(
    ("text", "vendor", "ticker"),
    [
        ("ABR-D", "nasdaq", "ABR.PRD"),
        ("ABR-D", "yahoo", "ABR.D"),
        ("TY-", "nasdaq", "TY.PR"),
        ("TY$", "nasdaq", "TY.PR"),
        ("T.WD", "polygon", "T.WD"),
        ("BTCUSD", "polygon", "BTCUSD"),
        ("VOD.L", "yahoo", "VOD.L"),
    ],
)
def test_a_spelling_means_what_its_vendor_means(text: str, vendor: Vendor, ticker: str) -> None:
    """A hyphen is a preferred at NASDAQ and a class at Yahoo; Polygon marks coins."""
    assert from_vendor(text, vendor).ticker == ticker


def test_no_us_class_is_taken_for_a_listing_abroad() -> None:
    """VOD.L is London's; a class L, which no US share has, is refused."""
    vendors: tuple[Vendor, ...] = ("polygon", "nasdaq")
    for vendor in vendors:
        with pytest.raises(InputError, match="ticker"):
            from_vendor("VOD.L", vendor)


def test_a_vendor_without_a_listing_says_so() -> None:
    """Polygon's stocks are US listings."""
    with pytest.raises(InputError, match="US listings only"):
        to_vendor(parse_symbol("VOD.L"), "polygon")


def test_calendars() -> None:
    """Each kind trades by its own calendar."""
    expected = {
        "AAPL": "XNYS", "T": "XNYS", "F": "XNYS", "L": "XNYS", "DE": "XNYS",
        "V": "XNYS", "BRK.B": "XNYS", "VOD.L": "XLON", "7203.T": "XTKS",
        "BTC-USD": "24/7", "EUR/USD": "24/5", "GC=F": "CMES", "^GSPC": "XNYS", "^N225": "XTKS",
        "BAC.PRT": "XNYS", "BRK.B.WI": "XNYS", "RCI-B.TO": "XTSE",
    }  # fmt: skip
    assert {t: default_calendar(parse_symbol(t)) for t in expected} == expected


@pytest.mark.parametrize("day", ["2025-03-28", "2025-07-21"])
def test_the_us_directory_parses_round_trips_and_does_not_collide(
    shared_fixtures: Path, day: str
) -> None:
    """All 11,000 listed symbols are told apart in every vendor's spelling."""
    found: list[Symbol] = []
    for row in directory(shared_fixtures, f"nasdaqlisted-{day}.txt", test_column=3):
        found.append(from_vendor(row[0], "nasdaq"))
        assert found[-1].ticker == row[0]
    for row in directory(shared_fixtures, f"otherlisted-{day}.txt", test_column=6):
        act, cqs, platform = row[0], row[3], row[7]
        found.append(from_vendor(cqs, "polygon"))
        assert from_vendor(platform, "nasdaq") == found[-1], row
        assert to_vendor(found[-1], "polygon") == cqs
        if act not in ("NE.A", "JQC.V", "NXG.V"):  # where ACT says less
            assert from_vendor(act, "nasdaq") == found[-1], row
    assert len(found) > 10_000
    assert {symbol.asset_class for symbol in found} == {STOCK}
    for vendor in VENDORS:
        spelled = {to_vendor(symbol, vendor): symbol for symbol in found}
        assert len(spelled) == len(found)
        assert all(from_vendor(text, vendor) == symbol for text, symbol in spelled.items())


def directory(shared: Path, name: str, test_column: int) -> list[list[str]]:
    """The rows of a symbol directory, without header, footer and test issues."""
    with (shared / "payloads" / "nasdaqtrader" / name).open() as file:
        rows = list(csv.reader(file, delimiter="|"))[1:-1]
    return [row for row in rows if row[test_column] != "Y"]


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("AAPL", "USD"),
        ("VOD.L", "GBP"),
        ("SAP.DE", "EUR"),
        ("7203.T", "JPY"),
        ("BTC-EUR", "EUR"),
        ("EUR/USD", "USD"),
        ("^GSPC", "USD"),
        ("GC=F", "USD"),
    ],
)
def test_the_usual_currency_of_a_symbol(text: str, currency: str) -> None:
    """Of its exchange, or the quote of a pair."""
    assert default_currency(parse_symbol(text)) == currency


def test_every_exchange_has_a_currency() -> None:
    """No listing abroad is taken for dollars because its exchange was forgotten."""
    for suffix in FOREIGN:
        assert default_currency(parse_symbol(f"ABC.{suffix}")) != "USD", suffix
