"""Merging sources into one directory, and refusing what cannot be one."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from stock_platform.domain.catalog import Sanity, issuer, judge, merge, same_name, share_kind
from stock_platform.sources.base import LISTINGS


def listing(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{"active": True} | r for r in rows], schema=LISTINGS, orient="row")


def many(count: int, exchange: str = "XNYS", letter: str = "S") -> pl.DataFrame:
    return listing(
        *({"symbol": f"{letter}{i}", "name": f"Name{i} Inc.", "exchange": exchange}
          for i in range(count))
    )  # fmt: skip


def test_each_source_is_believed_for_what_it_knows() -> None:
    """The directory says who is listed; the SEC adds CIKs, others dates and FIGIs."""
    merged = merge(
        {
            "sec": listing(
                {"symbol": "A", "name": "AGILENT", "cik": "0001090872", "exchange": "XNYS"},
                {"symbol": "GONE", "name": "GONE INC", "cik": "0000000009"},
            ),
            "polygon": listing({"symbol": "A", "figi": "BBG1", "cik": "0000000001"}),
            "nasdaqtrader": listing(
                {"symbol": "A", "name": "Agilent", "exchange": "XNYS", "asset_class": "stock"},
                {"symbol": "SPY", "name": "SPDR", "exchange": "ARCX", "asset_class": "etf"},
            ),
        }
    )
    assert merged["symbol"].to_list() == ["A", "SPY"]
    row = merged.row(0, named=True)
    assert (row["name"], row["cik"], row["figi"], row["source"]) == (
        "Agilent", "0001090872", "BBG1", "nasdaqtrader",
    )  # fmt: skip
    assert merged["kind"].to_list() == ["common", "etf"]
    assert merge({}).is_empty()


@pytest.mark.parametrize(
    ("now", "sanity", "words"),
    [
        (many(400), Sanity(), "600 of 1,000 symbols"),
        (many(0), Sanity(minimum=1), "suspiciously short: 0 symbols, of 1 at least"),
        (many(1000), Sanity(minimum=8000), "of 8,000 at least"),
        (pl.concat([many(1000), many(400, letter="N")]), Sanity(), "400 new symbols"),
        (many(1000).with_columns(pl.col("name").reverse()), Sanity(), "have other names"),
        (many(930), Sanity(days=7), "in 7 days, more than 5%"),
    ],
)
def test_a_directory_that_cannot_be_true_is_refused(
    now: pl.DataFrame, sanity: Sanity, words: str
) -> None:
    """Half a file, none, too many, a shifted column: told in words."""
    assert words in str(judge(now, many(1000), sanity))


def test_what_may_be_is_let_through() -> None:
    """The same, a week's changes, four months', a small market's coming and going."""
    assert judge(many(1000), many(1000), Sanity(days=7)) is None
    assert judge(many(960), many(1000), Sanity(days=7)) is None
    assert judge(many(930), many(1000), Sanity(days=115)) is None
    assert judge(many(3), many(12), Sanity()) is None
    assert judge(many(5), many(0), Sanity()) is None


def test_a_whole_exchange_does_not_vanish() -> None:
    """NASDAQ's file alone, in place of both: its symbols are a small part, and still missing."""
    known = pl.concat([many(2000), many(60, "XASE", "A")])
    reason = judge(many(2000), known, Sanity())
    assert reason is not None
    assert "XASE" in reason
    moved = pl.concat([many(2000), many(60, "XNAS", "A")])
    assert judge(moved, known, Sanity()) is None


@pytest.mark.parametrize(
    ("symbol", "name", "kind"),
    [
        ("BRK.B", "Berkshire Hathaway Inc. New Common Stock", "common B"),
        ("GOOGL", "Alphabet Inc. - Class A Common Stock", "common A"),
        ("BAC.PRB", "Bank of America Corporation Depositary Shares", "preferred B"),
        ("ACHR.WS", "Archer Aviation Inc.", "warrant"),
        ("AACBU", "Artius II Acquisition Inc. - Units", "unit"),
        ("AACBR", "Artius II Acquisition Inc. - Rights", "right"),
        ("AACG", "ATA Creativity Global - American Depositary Shares, each", "adr"),
        ("CELG.R", "Celgene Corporation Contingent Value Rights", "right"),
        ("AAN.WI", "The Aaron's Company When Issued", "common"),
        ("UNIT", "Uniti Group Inc. - Common Stock", "common"),
        ("WTFCP", "Wintrust Financial - Perpetual Preferred Stock, Series D", "preferred D"),
        ("ECCX", "Eagle Point Credit 6.6875% Notes due 2028", "note"),
    ],
)
def test_kinds_of_shares(symbol: str, name: str, kind: str) -> None:
    """The suffix tells where there is one, else the words behind the issuer's name."""
    assert share_kind(symbol, name, "stock") == kind


def test_issuers() -> None:
    """The issuer is what comes before what is listed, without its legal form."""
    assert issuer("Kimberly-Clark Corporation Common Stock") == "kimberly clark"
    assert issuer("Moog Inc. Class A Common Stock") == issuer("Moog Incorporated - Class A")
    assert same_name("U.S. Bancorp Common Stock", "US Bancorp - Common Stock")
    assert not same_name("Liberty Live Series A", "Liberty Live Series C")
    assert not same_name(None, None)
