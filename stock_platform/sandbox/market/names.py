"""The generated market's names: tickers of every shape that real ones have.

Belongs here: which ticker a generated asset carries, and how each vendor spells it. Does
not: when it is listed or renamed (``directory``). The spellings are written down here a
second time, on purpose: the sandbox must not share a mistake with the platform's own
symbol code.

Ordinary tickers are four letters (some three, few five), all different, found by walking
the alphabet's square with a stride that visits every place once. Some are class shares,
preferreds, warrants and units of the ticker before, and a few are words that readers of CSV
and YAML mistake for something else (NA, TRUE, NAN, ON, NULL).
"""

from __future__ import annotations

from dataclasses import dataclass

TRAPS = {3: "NA", 4: "TRUE", 5: "NAN", 6: "ON", 8: "NULL"}
RESERVED = frozenset({"AAPL", "FB", "GOOG", "IBM", "MSFT", *TRAPS.values()})
SUFFIXES = {7: "B", 23: "PRA", 31: "WS", 43: "U"}
FORMER = 150_000
"""Former tickers are drawn this far along the same walk, so they never meet a current one."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_KINDS = {"B": "CS", "PRA": "PFD", "WS": "WARRANT", "U": "UNIT"}
_SYLLABLES = (
    "Alder",
    "Birch",
    "Cedar",
    "Delta",
    "Ember",
    "Fjord",
    "Granite",
    "Harbor",
    "Iris",
    "Juniper",
    "Kestrel",
    "Lumen",
    "Meridian",
    "North",
    "Orchid",
    "Pioneer",
    "Quartz",
    "Ridge",
    "Summit",
    "Tundra",
    "Umbra",
    "Vertex",
    "Willow",
    "Zephyr",
)
_TRADES = (
    "Bancorp",
    "Energy",
    "Foods",
    "Holdings",
    "Industries",
    "Logistics",
    "Materials",
    "Pharmaceuticals",
    "Semiconductor",
    "Software",
    "Therapeutics",
    "Utilities",
)


@dataclass(frozen=True)
class Ticker:
    """One ticker: a root and, for what is no common stock, a suffix (``B``, ``PRA``, ``WS``)."""

    root: str
    suffix: str = ""

    @property
    def canonical(self) -> str:
        """``BRK.B``, ``BAC.PRA``, ``XYZ.WS``, ``XYZ.U``."""
        return f"{self.root}.{self.suffix}" if self.suffix else self.root

    @property
    def yahoo(self) -> str:
        """``BRK-B``, ``BAC-PA``, ``XYZ-WT``, ``XYZ-UN``."""
        if not self.suffix:
            return self.root
        tail = {"WS": "WT", "U": "UN"}.get(self.suffix)
        if tail is None:
            tail = self.suffix.replace("PR", "P", 1) if len(self.suffix) > 1 else self.suffix
        return f"{self.root}-{tail}"

    @property
    def polygon(self) -> str:
        """``BRK.B``, ``BACpA``, ``XYZ.WS``, ``XYZ.U``."""
        if self.suffix.startswith("PR"):
            return f"{self.root}p{self.suffix[2:]}"
        return self.canonical


def _word(place: int, length: int) -> str:
    size = 26**length
    code = (place * (size // 3 * 2 + 19) + size // 5) % size
    letters = []
    for _ in range(length):
        code, letter = divmod(code, 26)
        letters.append(_LETTERS[letter])
    return "".join(reversed(letters))


def _length(place: int) -> int:
    if place >= FORMER:
        return 4
    return 3 if place % 10 in (5, 8) and place < 17_000 else 5 if place % 40 == 39 else 4


def root(place: int) -> str:
    """The plain ticker of a place in the walk."""
    if place in TRAPS:
        return TRAPS[place]
    word = _word(place, _length(place))
    return word + "Q" if word in RESERVED else word


def ticker(place: int) -> Ticker:
    """The ticker that the generated asset of this place is born with."""
    suffix = SUFFIXES.get(place % 50, "") if place > 10 else ""
    return Ticker(root(place - 1), suffix) if suffix else Ticker(root(place))


def former(place: int) -> Ticker:
    """A ticker that nothing carries today, for an asset that has since been renamed."""
    return Ticker(root(FORMER + place))


def kind(place: int) -> str:
    """Polygon's type code: CS, ETF, PFD, WARRANT, UNIT, ADRC."""
    suffix = ticker(place).suffix
    if suffix:
        return _KINDS[suffix]
    return "ETF" if place % 5 == 1 else "ADRC" if place % 37 == 2 else "CS"


def company(place: int) -> str:
    """A made-up name, the same for a share and its preferreds."""
    base = place - 1 if ticker(place).suffix else place
    first = _SYLLABLES[base % len(_SYLLABLES)]
    second = _SYLLABLES[base // 7 % len(_SYLLABLES)]
    if kind(place) == "ETF":
        return f"{first} {second} Index ETF"
    return f"{first}{second} {_TRADES[base // 24 % len(_TRADES)]} Inc."


def exchange(place: int) -> str:
    """The primary exchange's MIC."""
    if kind(place) == "ETF":
        return "ARCX"
    return ("XNYS", "XNAS", "XNAS", "XNYS", "XASE")[place % 5]
