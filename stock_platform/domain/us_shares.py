"""Kinds of US shares: the suffixes of classes, preferreds, warrants, units and rights.

Belongs here: the tape's table of suffixes, read and written in four spellings. Does not:
plain tickers, listings abroad, pairs, indices (symbols.py).

    what                canonical      CQS, Polygon   NASDAQ platform  ACT       Yahoo
    class B             BRK.B          BRK.B          BRK.B            BRK.B     BRK-B
    preferred           TY.PR          TYp            TY-              TY$       TY-P
    preferred B         BAC.PRB        BACpB          BAC-B            BAC$B     BAC-PB
    warrant             OXY.WS         OXY.WS         OXY+             OXY.W     OXY-WT
    warrant A           NE.WS.A        NE.WS.A        NE+A             NE.A (!)  NE-WTA
    unit                AAM.U          AAM.U          AAM=             AAM.U     AAM-UN
    right               CELG.R         CELGr          CELG^            CELG.R    CELG-RI
    when issued         AAN.WI         AANw           AAN#             AAN.V (!) AAN-WI
    when distributed    T.WD           T.WD           T$               T.Z (!)   T-WD
    called, convertible X.CL, X.CV     X.CL, X.CV     X*, X%                     X-CL, X-CV

The last four also follow the others: NXG.R.WI, BRK.B.WI, BAC.PRB.CL. Yahoo trades few of
those, and its spelling of them here is by analogy.

ACT's column is ambiguous where marked (!): ``.A`` may be a second warrant, ``.V`` a class
or when issued. NASDAQ's directory has the other two spellings beside it; read one of those.

Source: https://www.nasdaqtrader.com/trader.aspx?id=CQSsymbolconvention
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ROOT = r"[A-Z][A-Z0-9]{0,5}"

_TAILS = {"CV": "%", "CL": "*", "WD": "$", "WI": "#"}
_SIGNS = {sign: tail for tail, sign in _TAILS.items()}
_ABROAD = frozenset("FLT")
"""Letters that mark a listing abroad in canonical form; no US share has such a class."""

_NO_CLASS = {"P": "PR", "W": "WS", "U": "U", "R": "R"}
"""Letters that say another kind, however they are written."""

_CQS = re.compile(r"([A-Z]{1,6})(p[A-Z]?|r|\.WS(?:\.[A-Z])?|\.[A-Z])?((?:\.(?:CV|CL|WD))*)(w?)")
_PLATFORM = re.compile(rf"({ROOT})(-[A-Z]?|\.[A-Z]|\+[A-Z]?|=|\^)?([%*$#]*)")
_ACT_PREFERRED = re.compile(rf"({ROOT})\$([A-Z]?)")
_YAHOO_PREFERRED = re.compile(rf"({ROOT})-P([A-Z]?)((?:-?(?:CV|CL|WD|WI))*)")
_WRITTEN = re.compile(
    r"(?:PR\.?(?P<pr>[A-Z]?)|P(?P<p>[A-Z])|W|W[ST](?:\.?(?P<ws>[A-Z]))?"
    r"|UN?|R[IT]?|(?P<letter>[A-Z]))?(?P<tails>(?:\.?(?:CV|CL|WD|WI))*)"
)


@dataclass(frozen=True)
class UsShare:
    """A US share with a suffix.

    Attributes:
        root: the company's plain ticker.
        kind: ``""``, ``class``, ``PR``, ``WS``, ``U`` or ``R``.
        series: the letter of a class, a preferred or a warrant, or ``""``.
        tails: what follows: some of CV, CL, WD, WI.
    """

    root: str
    kind: str = ""
    series: str = ""
    tails: tuple[str, ...] = ()

    @property
    def canonical(self) -> str:
        """The platform's own spelling: BRK.B, BAC.PRB, NE.WS.A, NXG.R.WI."""
        match self.kind:
            case "class":
                parts = [self.series]
            case "PR":
                parts = [f"PR{self.series}"]
            case _:
                parts = [part for part in (self.kind, self.series) if part]
        return ".".join([self.root, *parts, *self.tails])

    @property
    def cqs(self) -> str:
        """The consolidated tape's spelling, which is Polygon's: BACpB, OXY.WS, CELGr."""
        series = f".{self.series}" if self.series else ""
        middle = {
            "class": series,
            "PR": f"p{self.series}",
            "WS": f".WS{series}",
            "U": ".U",
            "R": "r",
        }.get(self.kind, "")
        marks = "".join("w" if tail == "WI" else f".{tail}" for tail in self.tails)
        return f"{self.root}{middle}{marks}"

    @property
    def nasdaq(self) -> str:
        """The directory's spelling: ACT's, or the platform's signs where ACT is ambiguous."""
        signs = "".join(_TAILS[tail] for tail in self.tails)
        if not self.kind:
            return f"{self.root}.WD" if signs == "$" else f"{self.root}{signs}"
        if self.kind == "PR":
            return f"{self.root}{'-' if signs else '$'}{self.series}{signs}"
        if self.kind == "WS" and not (self.series or signs):
            return f"{self.root}.W"
        if self.kind in ("U", "R") and not signs:
            return f"{self.root}.{self.kind}"
        mark = {"class": ".", "WS": "+", "U": "=", "R": "^"}[self.kind]
        return f"{self.root}{mark}{self.series}{signs}"

    @property
    def yahoo(self) -> str:
        """Yahoo's spelling: BRK-B, BAC-PB, OXY-WT."""
        kind = {"class": "", "PR": "P", "WS": "WT", "U": "UN", "R": "RI"}.get(self.kind, "")
        return "-".join(part for part in (self.root, kind + self.series, *self.tails) if part)


def read_cqs(text: str) -> UsShare | None:
    """The share that the tape's spelling means; None where there is no suffix."""
    match = _CQS.fullmatch(text)
    if match is None or match[1] == text:
        return None
    root, middle, tails, when_issued = match.groups()
    found = tuple(tails.split(".")[1:]) + (("WI",) if when_issued else ())
    middle = middle or ""
    if middle[:1] == "p":
        return _share(root, "PR", middle[1:], found)
    if middle == "r":
        return _share(root, "R", "", found)
    if middle.startswith(".WS"):
        return _share(root, "WS", middle[4:], found)
    return _share(root, "class" if middle else "", middle[1:], found)


def read_platform(text: str) -> UsShare | None:
    """The share that the spelling of NASDAQ's platform, or of ACT, means; or None."""
    preferred = _ACT_PREFERRED.fullmatch(text)
    if preferred is not None:
        return _share(preferred[1], "PR", preferred[2], ())
    match = _PLATFORM.fullmatch(text)
    if match is None or match[1] == text:
        return None
    root, middle, signs = match.groups()
    tails = tuple(_SIGNS[sign] for sign in signs)
    if not middle:
        return _share(root, "", "", tails)
    mark, series = middle[0], middle[1:]
    kind = {"-": "PR", ".": "class", "+": "WS", "=": "U", "^": "R"}[mark]
    return _share(root, kind, series, tails)


def read_written(text: str) -> UsShare | None:
    """The share that people, Yahoo or brokers mean: BRK-B, BRK B, BAC-PB, BAC PRB; or None."""
    yahoo = _YAHOO_PREFERRED.fullmatch(text)
    if yahoo is not None:
        return _share(yahoo[1], "PR", yahoo[2], tuple(re.findall(r"[A-Z]{2}", yahoo[3])))
    root, _, rest = re.sub(r"[-/ ]", ".", text).partition(".")
    match = _WRITTEN.fullmatch(rest) if rest and re.fullmatch(ROOT, root) else None
    if match is None:
        return None
    tails = tuple(re.findall(r"[A-Z]{2}", match["tails"]))
    head = rest.removesuffix(match["tails"])
    if match["pr"] is not None or match["p"] is not None:
        return _share(root, "PR", match["pr"] or match["p"] or "", tails)
    if match["letter"] is not None:
        return _share(root, "class", match["letter"], tails)
    kind = {"W": "WS", "U": "U", "R": "R"}.get(head[:1], "")
    return _share(root, kind, match["ws"] or "", tails)


def _share(root: str, kind: str, series: str, tails: tuple[str, ...]) -> UsShare | None:
    if kind == "class" and series in _ABROAD:
        return None
    if kind == "class" and series in _NO_CLASS:
        kind, series = _NO_CLASS[series], ""
    return UsShare(root, kind, series, tuple(tail for tail in _TAILS if tail in tails))
