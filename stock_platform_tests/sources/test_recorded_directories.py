"""Real recorded directories (NASDAQ Trader, its screener, the SEC, FinanceDatabase) are read."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.capabilities import Feed
from stock_platform.sources.base import LISTINGS, PROFILES
from stock_platform.sources.financedatabase.parse import gather, read_rows
from stock_platform.sources.gathered import Gathered
from stock_platform.sources.nasdaq_screener.parse import parse_screener
from stock_platform.sources.nasdaqtrader.parse import parse_directory
from stock_platform.sources.sec.parse import parse_tickers

# file: rows but header, footer and test issues; funds among them; rows by exchange
DIRECTORIES = {
    "nasdaqlisted-2025-03-28.txt": (4821, 827, {"XNAS": 4821}),
    "nasdaqlisted-2025-07-21.txt": (4965, 914, {"XNAS": 4965}),
    "otherlisted-2025-03-28.txt": (
        6440, 3283, {"XNYS": 2877, "ARCX": 2310, "BATS": 942, "XASE": 311}
    ),
    "otherlisted-2025-07-21.txt": (
        6581, 3430, {"XNYS": 2879, "ARCX": 2389, "BATS": 1005, "XASE": 308}
    ),
}  # fmt: skip
SCREENERS = {"screener-nasdaq-2026-08-22.json": 4179, "screener-nyse-2026-08-22.json": 2711}
# file: rows read, rows of a symbol spelled twice
DATABASES = {
    "equities-ASE.csv": (1101, 14),
    "equities-BTS.csv": (3, 0),
    "equities-NCM.csv": (958, 0),
    "equities-NGM.csv": (271, 0),
    "equities-PCX.csv": (6, 0),
    "etfs-ASE.csv": (5, 0),
    "etfs-BTS.csv": (484, 0),
    "etfs-NCM.csv": (1, 0),
    "etfs-NGM.csv": (205, 0),
    "etfs-NMS.csv": (219, 0),
    "etfs-NYQ.csv": (19, 0),
    "etfs-PCX.csv": (1699, 0),
}


def body(folder: Path, vendor: str, name: str) -> bytes:
    return (folder / "payloads" / vendor / name).read_bytes()


def directory(folder: Path, name: str) -> pl.DataFrame:
    frame, rejected = parse_directory(200, body(folder, "nasdaqtrader", name))
    assert rejected.is_empty()
    return frame


def one(frame: pl.DataFrame, symbol: str) -> dict[str, object]:
    return frame.filter(pl.col("symbol") == symbol).row(0, named=True)


@pytest.mark.parametrize("name", DIRECTORIES)
def test_a_symbol_directory(shared_fixtures: Path, name: str) -> None:
    """Every row but test issues, none rejected, each symbol once."""
    count, funds, exchanges = DIRECTORIES[name]
    frame = directory(shared_fixtures, name)
    assert (frame.height, frame["symbol"].n_unique()) == (count, count)
    assert frame.filter(pl.col("asset_class") == "etf").height == funds
    assert dict(frame["exchange"].value_counts().rows()) == exchanges
    assert not frame["symbol"].is_in(["ZVZZT", "ZXIET", "ATEST.A"]).any()


def test_spellings_of_the_directory(shared_fixtures: Path) -> None:
    """A class, a preferred, warrants, a unit, rights when issued, and words."""
    other = directory(shared_fixtures, "otherlisted-2025-07-21.txt")
    spelled = dict(other.select("vendor_symbol", "symbol").rows())
    assert {text: spelled[text] for text in ("AKO.B", "ABR$D", "AACT.W", "AACT.U", "NE.A")} == {
        "AKO.B": "AKO.B", "ABR$D": "ABR.PRD", "AACT.W": "AACT.WS", "AACT.U": "AACT.U",
        "NE.A": "NE.WS.A",
    }  # fmt: skip
    assert spelled["NXG.V"] == "NXG.R.WI"
    own = directory(shared_fixtures, "nasdaqlisted-2025-07-21.txt")
    assert one(own, "NA")["exchange"] == "XNAS"
    assert one(own, "TRUE")["name"] == "TrueCar, Inc. - Common Stock"
    assert one(other, "AA")["name"] == "Alcoa Corporation Common Stock"


def test_what_was_listed_between_two_days(shared_fixtures: Path) -> None:
    """Two files of one directory differ by real listings and delistings."""
    days = [directory(shared_fixtures, f"nasdaqlisted-2025-{d}.txt") for d in ("03-28", "07-21")]
    before, after = (set(day["symbol"]) for day in days)
    assert "AACB" in after - before
    assert (len(after - before), len(before - after)) == (369, 225)


@pytest.mark.parametrize("name", SCREENERS)
def test_the_screener(shared_fixtures: Path, name: str) -> None:
    """Every row, none rejected, as a directory and as profiles."""
    for feed, schema in ((Feed.LISTING, LISTINGS), (Feed.PROFILE, PROFILES)):
        frame, rejected = parse_screener(200, body(shared_fixtures, "nasdaqtrader", name), feed)
        assert (frame.height, rejected.height) == (SCREENERS[name], 0)
        assert dict(frame.schema) == schema


def test_numbers_of_the_screener(shared_fixtures: Path) -> None:
    """Capitalizations in dollars; an empty one and a zero are none."""
    names = ("screener-nasdaq-2026-08-22.json", "screener-nyse-2026-08-22.json")
    own, nyse = (
        parse_screener(200, body(shared_fixtures, "nasdaqtrader", name), Feed.PROFILE)[0]
        for name in names
    )
    aacg = one(own, "AACG")
    assert (aacg["market_cap"], aacg["country"]) == (66410099.0, "China")
    assert (aacg["sector"], aacg["industry"]) == ("Real Estate", "Other Consumer Services")
    assert own["market_cap"].null_count() == 644
    assert one(nyse, "A")["market_cap"] == 44906679096.0
    assert one(nyse, "ABR.PRD")["market_cap"] is None
    assert one(nyse, "AKO.B")["country"] == "Chile"


def test_the_secs_tickers(shared_fixtures: Path) -> None:
    """Every row has a ticker we can read, and a CIK of ten digits."""
    frame, rejected = parse_tickers(200, body(shared_fixtures, "sec", "company_tickers.json"))
    assert (frame.height, rejected.height) == (9610, 0)
    assert set(frame["cik"].str.len_chars()) == {10}
    assert one(frame, "AAPL")["cik"] == "0000320193"
    assert one(frame, "BRK.B")["cik"] == one(frame, "BRK.A")["cik"] == "0001067983"
    assert one(frame, "BML.PRG")["vendor_symbol"] == "BML-PG"
    assert frame.filter(pl.col("asset_class") == "fund").height == 39


@pytest.mark.parametrize("name", DATABASES)
def test_finance_database(shared_fixtures: Path, name: str) -> None:
    """Every row; a preferred that is there in two spellings counts once, and is told."""
    found = Gathered("financedatabase", name)
    gather(found, read_rows(200, body(shared_fixtures, "financedatabase", name), name))
    frame, rejected = found.frames(LISTINGS)
    assert (frame.height, rejected.height) == DATABASES[name]
    kind = "index" if name == "etfs-ASE.csv" else "etf" if name.startswith("etfs") else "stock"
    assert set(frame["asset_class"]) == {kind}


def test_rows_of_finance_database(shared_fixtures: Path) -> None:
    """Identifiers and sectors; the delisted are among them."""
    found = Gathered("financedatabase", "NGM")
    gather(found, read_rows(200, body(shared_fixtures, "financedatabase", "equities-NGM.csv"), ""))
    aacg = one(found.frames(PROFILES)[0], "AACG")
    assert (aacg["name"], aacg["country"]) == ("ATA Creativity Global", "China")
    assert (aacg["sector"], aacg["industry"]) == ("Consumer Staples", "Household Products")
    assert (aacg["website"], aacg["figi"]) == ("http://www.atai.net.cn", "BBG000V2S3P6")
    listing = found.frames(LISTINGS)[0]
    assert dict(listing["active"].value_counts().rows()) == {True: 196, False: 75}


def test_every_recorded_answer_is_covered(shared_fixtures: Path) -> None:
    """A payload added to a folder needs an expectation here."""
    known = {
        "nasdaqtrader": {*DIRECTORIES, *SCREENERS},
        "sec": {"company_tickers.json"},
        "financedatabase": set(DATABASES),
    }
    for folder, names in known.items():
        assert {p.name for p in (shared_fixtures / "payloads" / folder).iterdir()} == names
