"""The vendors there are.

Belongs here: one line a vendor. Does not: which of them are on (settings).
"""

from __future__ import annotations

from stock_platform.domain.errors import InputError, one_of
from stock_platform.sources import (
    alpaca,
    alpha_vantage,
    bank_of_canada,
    coingecko,
    crypto_exchanges,
    ecb,
    files,
    financedatabase,
    finnhub,
    fred,
    google_finance,
    marketwatch,
    nasdaq_screener,
    nasdaqtrader,
    polygon,
    sec,
    stooq,
    tiingo,
    yahoo,
    yahoo_page,
    yfinance_library,
)
from stock_platform.sources.base import Source
from stock_platform.sources.spec import Setup, SourceSpec

SOURCES: dict[str, SourceSpec] = {
    spec.capabilities.source: spec
    for spec in (
        files.SPEC,
        alpaca.SPEC,
        alpha_vantage.SPEC,
        bank_of_canada.SPEC,
        coingecko.SPEC,
        *crypto_exchanges.SPECS,
        ecb.SPEC,
        finnhub.SPEC,
        fred.SPEC,
        polygon.SPEC,
        stooq.SPEC,
        yahoo.SPEC,
        yfinance_library.SPEC,
        yahoo_page.SPEC,
        google_finance.SPEC,
        marketwatch.SPEC,
        nasdaqtrader.SPEC,
        nasdaq_screener.SPEC,
        sec.SPEC,
        financedatabase.SPEC,
        tiingo.SPEC,
    )
}


def spec_of(name: str) -> SourceSpec:
    """The vendor of that name. Raises InputError naming those there are."""
    try:
        return SOURCES[name]
    except KeyError:
        raise InputError("source", name, one_of(SOURCES, name)) from None


def build(setup: Setup) -> Source:
    """The source that ``setup.capabilities`` describes, ready to be asked.

    Raises:
        InputError: no such source, or something it needs is missing (a key, a folder).
    """
    return spec_of(setup.capabilities.source).build(setup)
