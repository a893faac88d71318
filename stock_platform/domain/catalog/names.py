"""Security names: what they say of the issuer and of the kind of share.

Belongs here: comparing names as exchanges write them. Does not: tickers' spellings
(us_shares.py), deciding what happened (diff.py). Pure.

An exchange's name is the issuer's, and what is listed of it:

    Kindly MD, Inc. - Warrants                                  NASDAQ
    CSW Industrials, Inc. Common Stock                          NYSE
    Bank of America Corporation Depositary Shares, Series B     NYSE

A listing that moves between exchanges keeps its name and loses its dash; so names are compared
by their words, without marks, case and the many spellings of a legal form.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from functools import lru_cache

from stock_platform.domain.us_shares import read_written

_LEGAL = {
    "incorporated": "inc", "corporation": "corp", "company": "co", "limited": "ltd",
    "companies": "cos", "and": "&", "the": "", "shs": "shares", "ads": "adr",
    "unit": "units", "warrant": "warrants", "right": "rights", "share": "shares",
}  # fmt: skip
_FORMS = frozenset({"inc", "corp", "co", "ltd", "plc", "llc", "lp", "sa", "nv", "ag", "se", "cos"})
_DESCRIPTION = re.compile(
    r"\s+-\s+|[\s,]+(?=(?:class|series) [a-z]\b|(?:\d+(?:\.\d+)?%)|"
    r"(?:common|ordinary|capital|voting|preferred|depositary|american depositary|subordinate|"
    r"units?|warrants?|rights?|subunits?|notes?|shares|global|new york registry|closed end)\b)",
    re.IGNORECASE,
)
_CLASS = re.compile(r"\b(?:class|cl) ([a-z])\b")
_SERIES = re.compile(r"\bseries ([a-z0-9]{1,3})\b")
_KINDS = (
    ("unit", re.compile(r"\bsub\s?units?\b|\bunits?\b(?!.*\bcommon units?\b)")),
    ("warrant", re.compile(r"\bwarrants?\b|\bwts?\b")),
    ("right", re.compile(r"\brights?\b(?! agreement)")),
    ("preferred", re.compile(r"\bpreferred\b|\bpreference\b|\bpfd\b|interest in a share of")),
    ("note", re.compile(r"\bnotes?\b|\bdebentures?\b|\bbonds?\b")),
    ("adr", re.compile(r"\bamerican depositary\b|\badrs?\b|\bads\b|depositary receipts?\b")),
)
_SUFFIX_KINDS = {"PR": "preferred", "WS": "warrant", "U": "unit", "R": "right"}


@lru_cache(maxsize=65_536)
def words(name: str) -> str:
    """A name without marks and case, legal forms spelt one way: what equal names share."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"(?<=\w)[.'`](?=\w\b|\w)", "", plain)  # u.s., n.v., lowe's
    found = re.findall(r"[a-z0-9&%+]+(?:\.\d+)?", re.sub(r"[^a-z0-9&%+./ ]", " ", plain))
    return " ".join(filter(None, (_LEGAL.get(word, word) for word in found)))


@lru_cache(maxsize=65_536)
def issuer(name: str) -> str:
    """Who issued it: the words before what is listed, without the legal form."""
    head = _DESCRIPTION.split(name, maxsplit=1)[0] or name
    kept = words(head).split()
    while len(kept) > 1 and kept[-1] in _FORMS:
        kept.pop()
    return " ".join(kept)


def same_name(one: str | None, other: str | None) -> bool:
    """Whether two names say the same security of the same issuer."""
    return bool(one and other) and words(str(one)) == words(str(other))


def likeness(one: str | None, other: str | None) -> float:
    """How like two issuers' names are, 0 to 1."""
    if not one or not other:
        return 0.0
    first, second = issuer(one), issuer(other)
    if first == second:
        return 1.0
    return difflib.SequenceMatcher(None, first, second, autojunk=False).ratio()


def share_kind(symbol: str, name: str | None, asset_class: str | None) -> str:
    """What is listed: ``etf``, ``common``, ``common B``, ``adr``, ``preferred A``, ``unit`` ...

    The ticker's suffix says it where there is one, else the name. Shares of one issuer that
    differ in kind are never the same asset.
    """
    said = words(name or "")
    share = read_written(symbol) if "." in symbol else None
    if asset_class in ("etf", "fund"):
        return "etf"
    if asset_class not in ("stock", None):
        return str(asset_class)
    series = _SERIES.search(said)
    if share is not None and share.kind in _SUFFIX_KINDS:
        return f"{_SUFFIX_KINDS[share.kind]} {share.series}".strip()
    tail = said.removeprefix(issuer(name or ""))  # Rights and Warrants are companies' names too
    for kind, pattern in _KINDS:
        if pattern.search(tail):
            letter = series[1].upper() if series and kind in ("preferred", "note") else ""
            return f"{kind} {letter}".strip()
    letter = share.series if share is not None and share.kind == "class" else ""
    found = _CLASS.search(tail)
    return f"common {letter or (found[1].upper() if found else '')}".strip()
