"""Reading web pages: what kind of page came, what it says, and tables of daily bars.

Belongs here: what the sources that read pages share; pure. Does not: anything of one site,
HTTP (http.py), whether a page may be read (robots.py).

A wall (captcha, consent, "checking your browser") is told as ``Unavailable`` by its name and
never worked around.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl
from selectolax.lexbor import LexborHTMLParser

from stock_platform.domain.bars import PARSED_BARS, conform
from stock_platform.domain.errors import Malformed, RateLimited, Unavailable
from stock_platform.sources.payload import (
    closing,
    excerpt,
    number,
    openings,
    rejected_frame,
    rejected_row,
)
from stock_platform.sources.walls import REFUSALS, wall_of

BARS = ("open", "high", "low", "close", "volume")
NOTHING = frozenset({"", "-", "--", "\u2013", "\u2014", "N/A"})
"""What a page writes where it has no value."""

YEARS = range(1800, 2200)
"""In which people trade."""

_CURRENCY_SIGNS = "$\u20ac\u00a3\u00a5\u20b9"
_END = re.compile(r"</html\s*>(\s|<!--.*?-->)*$", re.IGNORECASE | re.DOTALL)


def check_wall(
    source: str, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> None:
    """Return if the answer may be what was asked for.

    Raises:
        Unavailable: a wall, named; or 401 and 403, which sites without keys say to programs.
        RateLimited: "too many requests" in words, or Yahoo's status 999.
    """
    wall = wall_of(status, body, headers)
    if wall is not None:
        said = excerpt(body)
        raise Unavailable(
            source, f"{wall} instead of the answer (HTTP {status}): {said}", at_once=False
        )
    text = body[:20_000].decode("utf-8", errors="replace").lower()
    if status == 999 or (len(body) < 500 and "too many requests" in text):
        raise RateLimited(source, f"too many calls: {excerpt(body) or f'HTTP {status}'}")
    if status in REFUSALS:
        said = f"the site refuses us with HTTP {status}: {excerpt(body)}"
        raise Unavailable(source, said, at_once=False)


def read_page(source: str, body: bytes, *, whole: bool = True) -> LexborHTMLParser:
    """The page of a body.

    Args:
        source: for messages.
        body: decoded bytes.
        whole: whether the site ends its pages with ``</html>``.

    Raises:
        Malformed: empty, no page, or cut short; says which.
    """
    text = body.decode("utf-8", errors="replace").strip("\ufeff \r\n\t\0")
    if not text:
        raise Malformed(source, "empty answer instead of a page")
    if not text.startswith("<"):
        kind = "JSON" if text[0] in "{[" else "text"
        raise Malformed(source, f"{kind} instead of a page: {excerpt(body)}")
    if whole and not re.search(
        r"</html\s*>(\s|<!--.*?-->)*$", text[-2000:], re.IGNORECASE | re.DOTALL
    ):
        raise Malformed(source, f"page cut short after {len(body)} bytes: {excerpt(body)}")
    return LexborHTMLParser(text)


def title_of(page: LexborHTMLParser) -> str:
    """The page's title, or ``""``."""
    node = page.css_first("title")
    return " ".join(node.text().split()) if node is not None else ""


def canonical_path(page: LexborHTMLParser) -> str:
    """The path of the page's own address, as it states it, or ``""``."""
    for selector, attribute in (
        ("link[rel=canonical]", "href"),
        ('meta[property="og:url"]', "content"),
    ):
        node = page.css_first(selector)
        address = node.attributes.get(attribute) if node is not None else None
        if address:
            return re.sub(r"^https?://[^/]+", "", address).partition("?")[0]
    return ""


def meta_of(page: LexborHTMLParser) -> dict[str, str]:
    """The page's meta tags by lower-case name; the first of a name stays."""
    found: dict[str, str] = {}
    for node in page.css("meta[name]"):
        name, content = node.attributes.get("name"), node.attributes.get("content")
        if name and content is not None:
            found.setdefault(name.lower(), content.strip())
    return found


def shown(text: object) -> float | None:
    """The number that a page shows: ``$1,234.50``, ``-`` for none.

    Raises:
        ValueError: something else.
    """
    if not isinstance(text, str):
        return number(text)
    bare = text.replace("\u00a0", " ").strip()
    if bare in NOTHING:
        return None
    bare = bare.replace("\u2212", "-")
    return number(re.sub(rf"^([+-]?)\s*(?:US)?[{_CURRENCY_SIGNS}]\s*", r"\1", bare))


@dataclass(frozen=True)
class Row:
    """A row of a table of daily bars: its cells by our names, and as it came."""

    session: date | None
    cells: Mapping[str, object]
    raw: object
    reason: str = ""


@dataclass(frozen=True)
class Table:
    """A table of daily bars, read; the fields are those of sources.base.Answer."""

    bars: pl.DataFrame
    rejected: pl.DataFrame
    unfinished: frozenset[date]


def read_bars(
    source: str,
    rows: Sequence[Row],
    *,
    symbol: str,
    calendar: str,
    now: datetime,
    units: int = 1,
) -> Table:
    """Daily bars of a table's rows, in any order.

    Args:
        source: for messages.
        rows: one a session; a row whose values are all missing is no bar.
        symbol: canonical ticker.
        calendar: whose openings stamp the bars.
        now: when the site gave the page; sessions that were not over then are left out.
        units: how many of the page's units make one of the currency (100 for pence).

    Raises:
        Malformed: no row can be read.
    """
    found: dict[date, dict[str, object]] = {}
    rejected: list[dict[str, object]] = []
    unfinished: set[date] = set()
    stamps = openings(
        [row.session for row in rows if row.session and row.session.year in YEARS], calendar
    )
    for row in rows:
        session = row.session
        if session is None or session.year not in YEARS:
            rejected.append(
                rejected_row(row.raw, row.reason or f"no date: {session}", symbol=symbol)
            )
            continue
        if closing(session, calendar) > now:
            unfinished.add(session)
            continue
        at = stamps[session]

        def reject(reason: str, row: Row = row, at: datetime = at) -> None:
            rejected.append(
                rejected_row(row.raw, reason, symbol=symbol, ts=at, session=row.session)
            )

        try:
            values = _values(row, units)
        except ValueError as error:
            reject(str(error))
            continue
        if all(value is None for value in values.values()):
            continue
        if values["close"] is None:
            reject("close is null")
            continue
        bar: dict[str, object] = {"symbol": symbol, "ts": at, "session": session, **values}
        if found.setdefault(session, bar) != bar:
            reject("another bar of the same session in one answer")
    if rejected and not found and not unfinished:
        raise Malformed(
            source, f"none of {len(rejected)} rows can be read: {rejected[0]['reasons']}"
        )
    frame = pl.DataFrame(list(found.values()), schema_overrides=_TYPES, infer_schema_length=None)
    return Table(
        conform(frame, PARSED_BARS).sort("symbol", "ts"),
        rejected_frame(rejected),
        frozenset(unfinished - set(found)),
    )


_TYPES = {
    name: kind for name, kind in PARSED_BARS.items() if name in ("symbol", "ts", "session", *BARS)
}


def _values(row: Row, units: int) -> dict[str, float | None]:
    if row.reason:
        raise ValueError(row.reason)
    values: dict[str, float | None] = {}
    for name in BARS:
        try:
            value = shown(row.cells.get(name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if value is not None and units != 1 and name != "volume":
            value = round(value / units, 10)
        values[name] = value
    return values
