"""Symbols: one spelling for every instrument, and each vendor's spelling of it.

Belongs here: parsing what people and vendors write, writing what vendors expect, and the
calendar an instrument trades by. Does not: which asset a ticker belongs to, which changes
over time (storage/assets.py).

Canonical forms:

    AAPL, NA, TRUE         a plain US ticker (up to six letters)
    BRK.B                  a class of shares
    BAC.PRB, TRT.PR        a preferred share, with and without a series
    ACHR.WS, NE.WS.A       a warrant; AAM.U a unit; CELG.R a right; AAN.WI when issued
    VOD.L, 7203.T          a listing abroad, with Yahoo's suffix of its exchange
    BTC-USD                a coin in a currency
    EUR/USD                a currency pair: dollars for one euro
    ^GSPC                  an index
    GC=F, CLZ26.NYM        a future, continuous and dated (Yahoo's exchange codes)
    VFINX                  a mutual fund (five letters, the last an X)

A pair of currencies is ISO 4217's codes. An index has Yahoo's name, but where Polygon's and
Yahoo's differ both mean one (I:SPX, ^SPX and ^GSPC). A US class L, F or T would read like a
listing in London, Frankfurt or Tokyo; there is none, and it is refused.

Kinds of US shares: us_shares.py. Sources: Yahoo's suffixes https://help.yahoo.com/kb/SLN2310.html .
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from stock_platform.domain.errors import InputError, one_of
from stock_platform.domain.us_shares import (
    ROOT,
    UsShare,
    read_cqs,
    read_platform,
    read_written,
)

Vendor = Literal["yahoo", "polygon", "nasdaq"]
VENDORS: tuple[Vendor, ...] = ("yahoo", "polygon", "nasdaq")


class AssetClass(StrEnum):
    """What kind of thing a symbol names."""

    STOCK = "stock"
    ETF = "etf"
    FUND = "fund"
    CRYPTO = "crypto"
    FX = "fx"
    COMMODITY = "commodity"
    INDEX = "index"


@dataclass(frozen=True)
class Symbol:
    """An instrument's canonical ticker and its class.

    A spelling does not tell stocks from ETFs, so both parse as ``STOCK``.
    """

    ticker: str
    asset_class: AssetClass

    def __str__(self) -> str:
        return self.ticker


# Currencies of ISO 4217, gold (XAU) and silver (XAG), and offshore yuan (CNH).
FIAT = frozenset(
    (  # noqa: SIM905  # words read better than two hundred lines
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN "
        "BWP BYN BZD CAD CDF CHF CLP CNH CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR "
        "FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD "
        "JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK "
        "MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN "
        "PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB "
        "TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XAG XAU XCD XOF "
        "XPD XPF XPT YER ZAR ZMW ZWL"
    ).split()
)
# What coins are quoted in; longer ones first, so that BTCUSDT is not BTCUSD and a T.
COIN_QUOTES = (
    "USDC", "USDT", "AUD", "BRL", "BTC", "CAD", "CHF", "CNY", "ETH", "EUR", "GBP", "HKD", "IDR",
    "INR", "JPY", "KRW", "MXN", "NZD", "PLN", "RUB", "SGD", "THB", "TRY", "TWD", "UAH", "USD",
    "ZAR",
)  # fmt: skip
# Coins known without a mark: BTCUSD is bitcoin in dollars.
COINS = frozenset(
    (  # noqa: SIM905  # words read better than forty lines
        "ADA ALGO ATOM AVAX BCH BNB BTC DOGE DOT ETC ETH FIL LINK LTC MATIC NEAR SHIB SOL TRX "
        "UNI USDC USDT XLM XMR XRP XTZ"
    ).split()
)

# Yahoo's exchange suffixes that mark a listing abroad, and the calendar of each.
FOREIGN = {
    "L": "XLON", "IL": "XLON", "PA": "XPAR", "AS": "XAMS", "BR": "XBRU", "LS": "XLIS",
    "DE": "XETR", "F": "XFRA", "MI": "XMIL", "MC": "XMAD", "SW": "XSWX", "VI": "XWBO",
    "ST": "XSTO", "HE": "XHEL", "CO": "XCSE", "OL": "XOSL", "IC": "XICE", "IR": "XDUB",
    "WA": "XWAR", "BD": "XBUD", "AT": "ASEX", "IS": "XIST", "TA": "XTAE",
    "JO": "XJSE", "T": "XTKS", "HK": "XHKG", "SS": "XSHG", "SZ": "XSHG", "KS": "XKRX",
    "KQ": "XKRX", "TW": "XTAI", "TWO": "XTAI", "SI": "XSES", "KL": "XKLS", "BK": "XBKK",
    "JK": "XIDX", "NS": "XNSE", "BO": "XBOM", "AX": "XASX", "NZ": "XNZE", "TO": "XTSE",
    "NE": "XTSE", "CN": "XTSE", "MX": "XMEX", "SA": "BVMF", "BA": "XBUE",
}  # fmt: skip

# What shares of an exchange are quoted in; its pence, cents and agorot are of this currency.
_CURRENCY = {
    **dict.fromkeys(
        ("XPAR", "XAMS", "XBRU", "XLIS", "XETR", "XFRA", "XMIL", "XMAD", "XWBO", "XHEL", "XDUB",
         "ASEX"), "EUR",
    ),
    "XLON": "GBP", "XSWX": "CHF", "XSTO": "SEK", "XCSE": "DKK", "XOSL": "NOK", "XICE": "ISK",
    "XWAR": "PLN", "XBUD": "HUF", "XIST": "TRY", "XTAE": "ILS", "XJSE": "ZAR", "XTKS": "JPY",
    "XHKG": "HKD", "XSHG": "CNY", "XKRX": "KRW", "XTAI": "TWD", "XSES": "SGD", "XKLS": "MYR",
    "XBKK": "THB", "XIDX": "IDR", "XNSE": "INR", "XBOM": "INR", "XASX": "AUD", "XNZE": "NZD",
    "XTSE": "CAD", "XMEX": "MXN", "BVMF": "BRL", "XBUE": "ARS",
}  # fmt: skip

# Indices: Polygon's name where it is not Yahoo's, and the calendar where it is not New York's.
_POLYGON_INDEX = {"GSPC": "SPX", "IXIC": "COMP"}
_YAHOO_INDEX = {polygon: yahoo for yahoo, polygon in _POLYGON_INDEX.items()}
_INDEX_CALENDAR = {
    "AEX": "XAMS", "AORD": "XASX", "ATX": "XWBO", "AXJO": "XASX", "BFX": "XBRU", "BSESN": "XBOM",
    "BVSP": "BVMF", "FCHI": "XPAR", "FTMC": "XLON", "FTSE": "XLON", "GDAXI": "XETR",
    "GSPTSE": "XTSE", "HSI": "XHKG", "IBEX": "XMAD", "JKSE": "XIDX", "KLSE": "XKLS", "KQ11": "XKRX",
    "KS11": "XKRX", "MDAXI": "XETR", "MERV": "XBUE", "MXX": "XMEX", "N100": "XPAR", "N225": "XTKS",
    "NSEBANK": "XNSE", "NSEI": "XNSE", "NZ50": "XNZE", "OMX": "XSTO", "OMXC25": "XCSE",
    "OMXH25": "XHEL", "SSMI": "XSWX", "STI": "XSES", "STOXX50E": "XETR", "TWII": "XTAI",
}  # fmt: skip

_ALLOWED = "use a ticker like AAPL, BRK.B, BAC.PRB, VOD.L, BTC-USD, EUR/USD, ^GSPC or GC=F"
_NOTHING = frozenset({"N/A", "#N/A"})
"""What spreadsheets write where there is no ticker."""

_PLAIN = re.compile(ROOT)
_FUND = re.compile(r"[A-Z]{4}X")
_ABROAD = re.compile(r"([A-Z0-9][A-Z0-9&-]{0,11})\.([A-Z]{1,3})")
_PAIR = re.compile(r"([A-Z0-9]{1,12})[-/]([A-Z]{3,4})")
_INDEX = re.compile(r"(?:\^|I:)([A-Z0-9][A-Z0-9.-]{0,14})")
_FUTURE = re.compile(r"[A-Z0-9]{1,6}=F|[A-Z0-9][A-Z0-9-]{0,7}\.(?:CBT|CME|CMX|NYB|NYM)")
_TITLE_CASE = re.compile(r"[A-Z][a-z]")


def parse_symbol(text: str) -> Symbol:
    """The symbol that ``text`` spells, in any vendor's or common style.

    Raises:
        InputError: it cannot be a ticker.
    """
    raw = text.strip()
    if not raw.isascii() or raw.upper() in _NOTHING:
        raise InputError("ticker", text, _ALLOWED)
    upper = raw.upper()
    marked_small = raw != upper and not _TITLE_CASE.fullmatch(raw)  # BACpB; but Bp is BP
    found = (
        (_suffixed(raw, read_cqs) if marked_small else None)
        or _marked(upper)
        or _pair(upper)
        or _plain(upper)
        or _listed_abroad(upper)
        or (_suffixed(upper, read_platform) if set("$+=^*%#") & set(upper) else None)
        or _suffixed(upper, read_written)
    )
    if found is None:
        raise InputError("ticker", text, _ALLOWED)
    return found


def to_vendor(symbol: Symbol, vendor: Vendor) -> str:
    """How ``vendor`` spells the symbol.

    Raises:
        InputError: an unknown vendor, or a symbol it has no spelling for.
    """
    if vendor not in VENDORS:
        raise InputError("vendor", vendor, one_of(VENDORS))
    ticker, kind = symbol.ticker, symbol.asset_class
    if kind in (AssetClass.FX, AssetClass.CRYPTO, AssetClass.INDEX, AssetClass.COMMODITY):
        spelling = _marked_for(ticker, kind, vendor)
        if spelling is None:
            raise InputError("ticker", ticker, f"{vendor} has no {kind}")
        return spelling
    if "." not in ticker:
        return ticker
    if _listed_abroad(ticker) is not None:
        if vendor != "yahoo":
            raise InputError("ticker", ticker, f"{vendor} has US listings only")
        return ticker
    share = read_written(ticker)
    if share is None:
        raise InputError("ticker", ticker, _ALLOWED)
    return {"yahoo": share.yahoo, "polygon": share.cqs, "nasdaq": share.nasdaq}[vendor]


def from_vendor(text: str, vendor: Vendor) -> Symbol:
    """The symbol that a vendor's spelling means.

    Polygon's and NASDAQ's are never listings abroad. Of the columns in NASDAQ's directory,
    "CQS Symbol" (read as polygon) and "NASDAQ Symbol" are exact; "ACT Symbol" says less: a
    second warrant looks like a class there.

    Raises:
        InputError: an unknown vendor, or text that cannot be its ticker.
    """
    if vendor == "yahoo":
        return parse_symbol(text)
    if vendor not in VENDORS:
        raise InputError("vendor", vendor, one_of(VENDORS))
    if vendor == "polygon":
        marked = _marked(text) if text[1:2] == ":" else None
        found = marked or _plain(text) or _suffixed(text, read_cqs)
    else:
        found = _plain(text) or _suffixed(text, read_platform)
    found = found or _suffixed(text, read_written)
    if found is None:
        raise InputError("ticker", text, f"use a ticker as {vendor} writes it, like BRK.B")
    return found


def us_share(symbol: Symbol) -> UsShare | None:
    """The parts of a US listing's ticker with a suffix (BRK.B, BAC.PRB); None for all others.

    For vendors whose spelling is like none of those here: ``share.cqs`` is BRK.B and BACpB,
    ``share.yahoo`` BRK-B and BAC-PB, ``share.nasdaq`` BRK.B and BAC-B.
    """
    if symbol.asset_class not in (AssetClass.STOCK, AssetClass.ETF, AssetClass.FUND):
        return None
    abroad = "." not in symbol.ticker or _listed_abroad(symbol.ticker) is not None
    return None if abroad else read_written(symbol.ticker)


def pair_of(symbol: Symbol) -> tuple[str, str] | None:
    """Base and quote of a currency pair or a coin: EUR/USD is (EUR, USD); None for others."""
    for kind, mark in ((AssetClass.FX, "/"), (AssetClass.CRYPTO, "-")):
        if symbol.asset_class is kind:
            base, _, quote = symbol.ticker.rpartition(mark)
            return base, quote
    return None


def default_calendar(symbol: Symbol) -> str:
    """The calendar a symbol trades by: an exchange's MIC, ``24/7`` or ``24/5``."""
    match symbol.asset_class:
        case AssetClass.CRYPTO:
            return "24/7"
        case AssetClass.FX:
            return "24/5"
        case AssetClass.COMMODITY:
            return "CMES"
        case AssetClass.INDEX:
            return _INDEX_CALENDAR.get(symbol.ticker[1:], "XNYS")
        case _:
            return FOREIGN.get(symbol.ticker.partition(".")[2], "XNYS")


def default_currency(symbol: Symbol) -> str:
    """What a symbol is usually quoted in, where nobody has said: ISO 4217's code."""
    pair = pair_of(symbol)
    return pair[1] if pair else _CURRENCY.get(default_calendar(symbol), "USD")


def _marked_for(ticker: str, kind: AssetClass, vendor: Vendor) -> str | None:
    """How a vendor spells what is no share; None where it has no such thing."""
    joined = ticker.replace("/", "").replace("-", "")
    if vendor == "yahoo":
        return f"{joined}=X" if kind is AssetClass.FX else ticker
    if vendor == "polygon" and kind is not AssetClass.COMMODITY:
        index = _POLYGON_INDEX.get(ticker[1:], ticker[1:])
        mark = {AssetClass.FX: f"C:{joined}", AssetClass.CRYPTO: f"X:{joined}"}
        return mark.get(kind, f"I:{index}")
    return None


def _marked(text: str) -> Symbol | None:
    """Spellings that carry a mark of their kind: ^GSPC, GC=F, EURUSD=X, X:BTCUSD."""
    index = _INDEX.fullmatch(text)
    if index is not None:
        return Symbol(f"^{_YAHOO_INDEX.get(index[1], index[1])}", AssetClass.INDEX)
    if _FUTURE.fullmatch(text):
        return Symbol(text, AssetClass.COMMODITY)
    if text.endswith("=X") or text.startswith("C:") or len(text) == 6:
        pair = text.removesuffix("=X").removeprefix("C:").replace("/", "")
        pair = f"USD{pair}" if len(pair) == 3 else pair
        if pair[:3] in FIAT and pair[3:] in FIAT and pair[:3] != pair[3:]:
            return Symbol(f"{pair[:3]}/{pair[3:]}", AssetClass.FX)
    if text.startswith("X:") or text.isalnum():
        coin = text.removeprefix("X:").replace("-", "").replace("/", "")
        if coin in COINS:
            return None
        for quote in COIN_QUOTES:
            base = coin.removesuffix(quote)
            if base != coin and (base in COINS or (text.startswith("X:") and base.isalnum())):
                return Symbol(f"{base}-{quote}", AssetClass.CRYPTO)
    return None


def _pair(text: str) -> Symbol | None:
    match = _PAIR.fullmatch(text)
    if match is None:
        return None
    base, quote = match.groups()
    if base in FIAT and quote in FIAT and base != quote:
        return Symbol(f"{base}/{quote}", AssetClass.FX)
    if quote in COIN_QUOTES and base != quote:
        return Symbol(f"{base}-{quote}", AssetClass.CRYPTO)
    return None


def _plain(text: str) -> Symbol | None:
    if not _PLAIN.fullmatch(text):
        return None
    return Symbol(text, AssetClass.FUND if _FUND.fullmatch(text) else AssetClass.STOCK)


def _listed_abroad(text: str) -> Symbol | None:
    abroad = _ABROAD.fullmatch(text)
    known = abroad is not None and abroad[2] in FOREIGN
    return Symbol(text, AssetClass.STOCK) if known else None


def _suffixed(text: str, read: Callable[[str], UsShare | None]) -> Symbol | None:
    share = read(text)
    return None if share is None else Symbol(share.canonical, AssetClass.STOCK)
