"""The symbol files: NASDAQ's own listings, the other exchanges', and both.

Belongs here: their rows, spellings, test issues and last line. Does not: limits, errors.

A suffix has three spellings: ``BAC$A BACpA BAC-A`` for a preferred share, ``OXY.W OXY.WS
OXY+`` for a warrant, ``AAM.U AAM.U AAM=`` for a unit, the same three times for a class. The
market has such shares on NASDAQ too, which in life uses a fifth letter; they are in
``nasdaqtraded`` and, under ACT's spelling, in ``nasdaqlisted``. Lines end with CR and LF.
"""

from __future__ import annotations

from collections.abc import Iterator

from stock_platform.sandbox.market.asset import Asset
from stock_platform.sandbox.market.names import Ticker
from stock_platform.sandbox.market.timeline import Timeline
from stock_platform.sandbox.vendors.base import Answer, Call

CODES = {"XASE": "A", "XNYS": "N", "ARCX": "P", "BATS": "Z", "IEXG": "V", "XNAS": "Q"}
TESTS = (
    ("ZVZZT", "NASDAQ TEST STOCK", "Q"),
    ("ZXYZ.A", "Nasdaq Symbology Test Common Stock", "Q"),
    ("NTEST", "NYSE Tick Pilot Test Stock", "N"),
    ("ATEST.A", "Tick Pilot Test Group 1 Common Stock", "A"),
    ("ZXIET", "IEX Test Company Test Symbol Three for IEX", "V"),
)
_TRADED = (
    "Nasdaq Traded|Symbol|Security Name|Listing Exchange|Market Category|ETF|Round Lot Size|"
    "Test Issue|Financial Status|CQS Symbol|NASDAQ Symbol|NextShares"
)
_LISTED = (
    "Symbol|Security Name|Market Category|Test Issue|Financial Status|Round Lot Size|ETF|NextShares"
)
_OTHER = "ACT Symbol|Security Name|Exchange|CQS Symbol|ETF|Round Lot Size|Test Issue|NASDAQ Symbol"


def traded(call: Call) -> Answer:
    """``nasdaqtraded.txt``: all of them; those of NASDAQ without a CQS symbol."""
    rows = []
    for (act, cqs, nasdaq), name, code, fund, test in _issues(call):
        own = code == "Q"
        cqs_symbol = "" if own and act == cqs else cqs
        status, category = ("N", "Q") if own else ("", " ")
        rows.append(
            f"Y|{act}|{name}|{code}|{category}|{fund}|100|{test}|{status}|{cqs_symbol}|{nasdaq}|N"
        )
    return _file(call, _TRADED, rows)


def listed(call: Call) -> Answer:
    """``nasdaqlisted.txt``: NASDAQ's own."""
    return _file(
        call,
        _LISTED,
        [
            f"{act}|{name}|Q|{test}|N|100|{fund}|N"
            for (act, _, _), name, code, fund, test in _issues(call)
            if code == "Q"
        ],
    )


def other(call: Call) -> Answer:
    """``otherlisted.txt``: those of the other exchanges."""
    return _file(
        call,
        _OTHER,
        [
            f"{act}|{name}|{code}|{cqs}|{fund}|100|{test}|{nasdaq}"
            for (act, cqs, nasdaq), name, code, fund, test in _issues(call)
            if code != "Q"
        ],
    )


def spell(ticker: Ticker) -> tuple[str, str, str]:
    """ACT's spelling, CQS's and the NASDAQ platform's."""
    root, suffix = ticker.root, ticker.suffix
    if suffix.startswith("PR"):
        letter = suffix[2:]
        return f"{root}${letter}", f"{root}p{letter}", f"{root}-{letter}"
    if suffix == "WS":
        return f"{root}.W", f"{root}.WS", f"{root}+"
    if suffix == "U":
        return f"{root}.U", f"{root}.U", f"{root}="
    plain = f"{root}.{suffix}" if suffix else root
    return plain, plain, plain


def _issues(call: Call) -> Iterator[tuple[tuple[str, str, str], str, str, str, str]]:
    """Spellings, name, exchange, whether a fund, whether a test; by ticker."""
    session = call.market.time.opened(call.now) - 1
    made = [
        (spell(asset.ticker_at(session)), _name(asset), CODES[asset.exchange], _fund(asset), "N")
        for asset in call.market.assets
        if asset.alive(session)
    ]
    made += [((test, test, test), name, code, "N", "Y") for test, name, code in TESTS]
    yield from sorted(made)


def _name(asset: Asset) -> str:
    return asset.name if asset.kind == "ETF" else f"{asset.name} - Common Stock"


def _fund(asset: Asset) -> str:
    return "Y" if asset.kind == "ETF" else "N"


def _file(call: Call, header: str, rows: list[str]) -> Answer:
    made = Timeline.local(call.now).strftime("%m%d%Y%H:%M")
    footer = f"File Creation Time: {made}" + "|" * header.count("|")
    text = "\r\n".join([header, *rows, footer, ""])
    return Answer(text.encode(), content_type="text/plain", cells=len(rows))
