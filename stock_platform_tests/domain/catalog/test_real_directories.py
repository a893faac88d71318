"""Two real symbol directories, sixteen weeks apart: exactly what happened in between."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from stock_platform.domain.catalog import CatalogDiff, Sanity, judge, merge
from stock_platform.sources.nasdaqtrader.parse import parse_directory
from stock_platform_tests.domain.catalog.builders import after, known

RENAMED = {
    "CEAD": "VAPE", "CEADW": "VAPEW", "CSLR": "SPWR", "CSLRW": "SPWRW", "CSWI": "CSW",
    "FNGB": "FNGU", "GXG": "COLO", "HSRT": "TRPA", "HSUN": "HFSI", "KDLY": "NAKA",
    "KDLYW": "NAKAW", "KIND": "NXDR", "LTRY": "SEGG", "NVW": "NVDW", "PGHL": "ZDAI",
    "STSB": "CHGX", "TCTM": "VSA", "TSW": "TSLW", "YY": "JOYY", "ZI": "GTM",
}  # fmt: skip
"""Announced by the companies and funds; CHGX was another fund's until STSB took it over."""

MOVED = {"KMB", "SHOP", "VIRT", "ARKK", "LION", "TIC", "SEG", "FRD"}


def load(shared: Path, day: date) -> pl.DataFrame:
    files = (shared / "payloads" / "nasdaqtrader" / f"{kind}-{day}.txt"
             for kind in ("nasdaqlisted", "otherlisted"))  # fmt: skip
    return pl.concat([parse_directory(200, file.read_bytes())[0] for file in files])


@pytest.fixture(scope="module")
def pair(shared_fixtures: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    return load(shared_fixtures, date(2025, 3, 28)), load(shared_fixtures, date(2025, 7, 21))


@pytest.fixture(scope="module")
def diff(pair: tuple[pl.DataFrame, pl.DataFrame]) -> CatalogDiff:
    before, now = (merge({"nasdaqtrader": side}) for side in pair)
    return after(known(before), now)


def test_exactly_the_true_changes(
    diff: CatalogDiff, pair: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    """Twenty renames; every other symbol that came is a listing, every one gone a delisting."""
    done = diff.changes.filter("applied")
    renames = done.filter(kind="renamed").select("former_ticker", "ticker").rows()
    assert dict(renames) == RENAMED
    before, now = (set(side["symbol"]) for side in pair)
    assert set(done.filter(kind="listed")["ticker"]) == now - before - set(RENAMED.values())
    assert set(done.filter(kind="delisted")["ticker"]) == before - now - set(RENAMED)
    assert done.filter(kind="reused")["ticker"].to_list() == ["CHGX"]
    moved = set(done.filter(kind="moved")["ticker"])
    assert len(moved) == 33
    assert moved > MOVED


def test_nothing_doubtful_is_applied(diff: CatalogDiff) -> None:
    """Barrick's new name and ticker cannot be told by names alone: shown, for people to judge."""
    doubtful = diff.changes.filter(~pl.col("applied"))
    pairs = dict(doubtful.select("former_ticker", "ticker").rows())
    assert pairs["GOLD"] == "B"
    assert doubtful.height < 15


def test_the_pair_is_plausible_and_half_of_it_is_not(
    pair: tuple[pl.DataFrame, pl.DataFrame],
) -> None:
    """Sixteen weeks' changes pass; half the file, or one of the two files, does not."""
    before, now = pair
    assert judge(now, before, Sanity(8_000, 115)) is None
    assert judge(now.head(now.height // 2), before, Sanity(1, 115)) is not None
    assert judge(now.filter(pl.col("exchange") == "XNAS"), before, Sanity(1, 115)) is not None
    assert "of 8,000 at least" in str(judge(now.head(900), before.clear(), Sanity(8_000)))
