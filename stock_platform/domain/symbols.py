"""Symbols: one spelling for every instrument, and each vendor's spelling of it.

Belongs here: parsing what people and vendors write, writing what vendors expect, and the
calendar an instrument trades by. Does not: which asset a ticker belongs to, which changes
over time (storage/assets.py).

Canonical forms:

    AAPL, NA, TRUE         a plain US ticker (up to six letters)
    BRK.B                  a class of shares
    BAC.PRB, TRT.PR        a preferred share, with and without a series
    ACHR.WS, XYZ.WS.A      a warrant; AAM.U a unit; XYZ.R a right; XYZ.WI when issued; XYZ.RWI both
    VOD.L, 7203.T          a listing abroad, with Yahoo's suffix of its exchange
    BTC-USD                a coin in a currency
    EUR/USD                a currency pair: dollars for one euro
    ^GSPC                  an index
    GC=F                   a continuous future
    VFINX                  a mutual fund (five letters, the last an X)

Sources: Yahoo's suffixes https://help.yahoo.com/kb/SLN2310.html ; CQS and NASDAQ suffixes
https://www.nasdaqtrader.com/trader.aspx?id=CQSsymbolconvention .
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from stock_platform.domain.errors import InputError, one_of

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


FIAT = frozenset(
    (  # noqa: SIM905  # words read better than forty lines
        "AED ARS AUD BRL CAD CHF CLP CNH CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR JPY "
        "KRW KWD MAD MXN MYR NGN NOK NZD PEN PHP PKR PLN QAR RON RUB SAR SEK SGD THB TRY TWD "
        "UAH USD VND XAG XAU ZAR"
    ).split()
)
COIN_QUOTES = FIAT | {"USDT", "USDC", "BTC", "ETH"}
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

_ALLOWED = "use a ticker like AAPL, BRK.B, BAC.PRB, VOD.L, BTC-USD, EUR/USD, ^GSPC or GC=F"
_PLAIN = re.compile(r"[A-Z][A-Z0-9]{0,5}")
_ABROAD = re.compile(r"([A-Z0-9][A-Z0-9&-]{0,11})\.([A-Z]{1,3})")
_SUFFIXED = re.compile(r"([A-Z][A-Z0-9]{0,5})[-./ ]([A-Z]{1,3})(?:[-./ ]([A-Z]))?")
_PREFERRED = re.compile(r"([A-Z][A-Z0-9]{0,5})(?:\$|[./ ]PR[-./ ]?|-PR-?(?=[A-Z])|[-./ ]P)([A-Z]?)")
_CQS = re.compile(r"([A-Z]{1,6})(?:(p)([A-Z]?)|(rw)|(r)|(w))")
_DOTTED = re.compile(r"([A-Z]{1,6})\.([A-Z])")
_PAIR = re.compile(r"([A-Z0-9]{2,10})[-/]([A-Z]{3,4})")
_INDEX = re.compile(r"\^[A-Z0-9][A-Z0-9.-]{0,14}")
_FUTURE = re.compile(r"[A-Z0-9]{1,6}=F")
_FUND = re.compile(r"[A-Z]{4}X")

# Suffixes as people and vendors write them.
_WARRANT, _UNIT, _RIGHT, _WHEN_ISSUED = {"W", "WS", "WT"}, {"U", "UN"}, {"R", "RI", "RT"}, {"WI"}


def parse_symbol(text: str) -> Symbol:
    """The symbol that ``text`` spells, in any vendor's or common style.

    Raises:
        InputError: it cannot be a ticker.
    """
    raw = text.strip()
    found = _cqs(raw) or _marked(raw.upper()) or _pair(raw.upper()) or _share(raw.upper())
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
    if kind is AssetClass.FX:
        base, quote = ticker.split("/")
        return {"yahoo": f"{base}{quote}=X", "polygon": f"C:{base}{quote}"}.get(vendor, ticker)
    if kind is AssetClass.CRYPTO:
        return f"X:{ticker.replace('-', '')}" if vendor == "polygon" else ticker
    if kind is AssetClass.INDEX:
        return f"I:{ticker[1:]}" if vendor == "polygon" else ticker
    if kind is AssetClass.COMMODITY or "." not in ticker:
        return ticker
    root, _, suffix = ticker.partition(".")
    if suffix in FOREIGN:
        if vendor != "yahoo":
            raise InputError("ticker", ticker, f"{vendor} has US listings only")
        return ticker
    return _SPELL[vendor](root, suffix)


def from_vendor(text: str, vendor: Vendor) -> Symbol:
    """The symbol that a vendor's spelling means.

    Raises:
        InputError: an unknown vendor, or text that cannot be its ticker.
    """
    if vendor not in VENDORS:
        raise InputError("vendor", vendor, one_of(VENDORS))
    if vendor in ("polygon", "nasdaq") and (share := _DOTTED.fullmatch(text)):
        found = _us(share[1], share[2], None)  # never a listing abroad
        return found if found is not None else parse_symbol(text)
    return parse_symbol(text)


def default_calendar(symbol: Symbol) -> str:
    """The calendar a symbol trades by: an exchange's MIC, ``24/7`` or ``24/5``."""
    match symbol.asset_class:
        case AssetClass.CRYPTO:
            return "24/7"
        case AssetClass.FX:
            return "24/5"
        case AssetClass.COMMODITY:
            return "CMES"
        case _:
            return FOREIGN.get(symbol.ticker.partition(".")[2], "XNYS")


def _cqs(raw: str) -> Symbol | None:
    """Polygon and the consolidated tape mark some kinds by a small letter: BACpB."""
    match = _CQS.fullmatch(raw)
    if match is None:
        return None
    root, preferred, series, rights_when_issued, right, _ = match.groups()
    suffix = f"PR{series}" if preferred else "RWI" if rights_when_issued else "R" if right else "WI"
    return Symbol(f"{root}.{suffix}", AssetClass.STOCK)


def _marked(text: str) -> Symbol | None:
    """Spellings that carry a mark of their kind: ^GSPC, GC=F, EURUSD=X, X:BTCUSD."""
    if _INDEX.fullmatch(text):
        return Symbol(text, AssetClass.INDEX)
    if re.fullmatch(r"I:[A-Z0-9][A-Z0-9.-]{0,14}", text):
        return Symbol(f"^{text[2:]}", AssetClass.INDEX)
    if _FUTURE.fullmatch(text):
        return Symbol(text, AssetClass.COMMODITY)
    pair = text.removesuffix("=X").removeprefix("C:").replace("/", "")
    if text.endswith("=X") or text.startswith("C:") or len(text) == 6:
        pair = f"USD{pair}" if len(pair) == 3 and pair in FIAT else pair
        if len(pair) == 6 and pair[:3] in FIAT and pair[3:] in FIAT and pair[:3] != pair[3:]:
            return Symbol(f"{pair[:3]}/{pair[3:]}", AssetClass.FX)
    if text.startswith("X:") or text.isalnum():
        joined = text.removeprefix("X:").replace("-", "").replace("/", "")
        for quote in sorted(COIN_QUOTES, key=lambda q: (-len(q), q)):
            base = joined.removesuffix(quote)
            known = base in COINS or (text.startswith("X:") and base.isalnum() and len(base) > 1)
            if base != joined and known and joined not in COINS:
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


def _share(text: str) -> Symbol | None:
    if _PLAIN.fullmatch(text):
        return Symbol(text, AssetClass.FUND if _FUND.fullmatch(text) else AssetClass.STOCK)
    abroad = _ABROAD.fullmatch(text)
    if abroad is not None and abroad[2] in FOREIGN:
        return Symbol(text, AssetClass.STOCK)
    preferred = _PREFERRED.fullmatch(text)
    suffixed = _SUFFIXED.fullmatch(text)
    if text[-1:] in "+=^#" and _PLAIN.fullmatch(text[:-1]):  # NASDAQ's own one-sign suffixes
        return Symbol(
            text[:-1] + {"+": ".WS", "=": ".U", "^": ".R", "#": ".WI"}[text[-1]], AssetClass.STOCK
        )
    if suffixed is not None and suffixed[2] == "P" and "." in text:
        return Symbol(f"{suffixed[1]}.P", AssetClass.STOCK)  # a class P, as in no preferred's form
    if preferred is not None:
        return Symbol(f"{preferred[1]}.PR{preferred[2]}", AssetClass.STOCK)
    return _us(*suffixed.groups()) if suffixed is not None else None


def _us(root: str, suffix: str, series: str | None) -> Symbol | None:
    for kinds, name in (
        (_WARRANT, "WS"),
        (_UNIT, "U"),
        (_RIGHT, "R"),
        (_WHEN_ISSUED, "WI"),
        ({"RWI"}, "RWI"),
    ):
        if suffix in kinds:
            tail = f".{series}" if series else ""
            return Symbol(f"{root}.{name}{tail}", AssetClass.STOCK)
        if series is None and suffix[:-1] in kinds and len(suffix) == 3:
            return Symbol(f"{root}.{name}.{suffix[-1]}", AssetClass.STOCK)
    if len(suffix) == 1 and series is None:
        return Symbol(f"{root}.{suffix}", AssetClass.STOCK)
    return None


def _yahoo(root: str, suffix: str) -> str:
    kind, _, series = suffix.partition(".")
    if kind.startswith("PR") and len(kind) <= 3:
        return f"{root}-P{kind[2:]}"
    return f"{root}-{ {'WS': 'WT', 'U': 'UN', 'R': 'RI'}.get(kind, kind) }{series}"


def _polygon(root: str, suffix: str) -> str:
    if suffix.startswith("PR") and len(suffix) <= 3:
        return f"{root}p{suffix[2:]}"
    return {"R": f"{root}r", "WI": f"{root}w", "RWI": f"{root}rw"}.get(suffix, f"{root}.{suffix}")


def _nasdaq(root: str, suffix: str) -> str:
    if suffix.startswith("PR") and len(suffix) <= 3:
        return f"{root}${suffix[2:]}"
    kind, _, series = suffix.partition(".")
    return f"{root}.{'W' if kind == 'WS' else kind}{'.' + series if series else ''}"


_SPELL = {"yahoo": _yahoo, "polygon": _polygon, "nasdaq": _nasdaq}
