"""Reading Polygon/Massive reference data: bytes to rows, rows to frames, or an error.

Belongs here: splits, dividends, the directory, a company, the previous close. Does not:
asking (client.py), bars (parse.py). Pure.

* splits: ``split_to`` shares for ``split_from`` from ``execution_date`` on.
* dividends: ``cash_amount`` as paid in ``currency`` (dollars where it is not told), from
  ``ex_dividend_date`` on; regular (CD), special (SC) and capital gains (LT, ST) alike.
* tickers: ``primary_exchange`` is a MIC, ``type`` one of Polygon's codes (CS, ETF, ...).

Two splits of a day multiply, two dividends of a day add up, since an action is known by its
ticker and day; a row that comes twice is one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from stock_platform.domain.errors import InputError, Malformed, NoData
from stock_platform.domain.symbols import AssetClass, Symbol, from_vendor, pair_of
from stock_platform.sources.base import (
    LISTINGS,
    PARSED_DIVIDENDS,
    PARSED_SPLITS,
    PROFILES,
    QUOTES,
)
from stock_platform.sources.payload import (
    as_list,
    as_mapping,
    instant,
    number,
    rejected_frame,
    rejected_row,
)
from stock_platform.sources.polygon.config import NAME
from stock_platform.sources.polygon.envelope import check_ticker, document_of

Row = Mapping[str, object]
FUNDS = {"ETF", "ETN", "ETV", "ETS"}
MARKETS = {"crypto": AssetClass.CRYPTO, "fx": AssetClass.FX, "indices": AssetClass.INDEX}


@dataclass(frozen=True)
class Read:
    """Rows, read; the fields are those of sources.base.Facts."""

    frame: pl.DataFrame
    rejected: pl.DataFrame


def parse_list(status: int, body: bytes, what: str) -> tuple[list[Row], str | None]:
    """The rows of one page, and the address of the next.

    Raises:
        NotEntitled, RateLimited, Unavailable, Malformed.
    """
    document = document_of(status, body, what)
    if not {"results", "count"} & set(document):
        raise Malformed(NAME, f"{what}: no results and no count of them")
    found = as_list(NAME, document.get("results"), "results")
    next_url = document.get("next_url")
    return (
        [as_mapping(NAME, entry, "a result") for entry in found],
        next_url if isinstance(next_url, str) and next_url else None,
    )


def read_splits(rows: Sequence[Row], wanted: Symbol | None) -> Read:
    """PARSED_SPLITS, sorted by symbol and day; of ``wanted`` alone, if one is.

    Raises:
        Malformed: none of the rows can be read.
    """
    ratios: dict[tuple[str, date], float] = {}

    def add(entry: Row, symbol: str) -> None:
        day = _day(entry, "execution_date")
        new, old = (_positive(entry, name) for name in ("split_to", "split_from"))
        ratios[symbol, day] = ratios.get((symbol, day), 1.0) * new / old

    rejected = _read(_once(rows), wanted, add)
    made = [(symbol, day, ratio) for (symbol, day), ratio in sorted(ratios.items())]
    return Read(pl.DataFrame(made, schema=PARSED_SPLITS, orient="row"), rejected)


def read_dividends(rows: Sequence[Row], wanted: Symbol | None) -> Read:
    """PARSED_DIVIDENDS, sorted by symbol and day; of ``wanted`` alone, if one is.

    Raises:
        Malformed: none of the rows can be read.
    """
    amounts: dict[tuple[str, date], tuple[float, str]] = {}

    def add(entry: Row, symbol: str) -> None:
        day = _day(entry, "ex_dividend_date")
        amount = _positive(entry, "cash_amount")
        currency = (_text(entry, "currency") or "USD").upper()
        before, known = amounts.get((symbol, day), (0.0, currency))
        if known != currency:
            raise ValueError(f"paid in {currency}, another of that day in {known}")
        amounts[symbol, day] = round(before + amount, 10), currency

    rejected = _read(_once(rows), wanted, add)
    made = [(symbol, day, *paid) for (symbol, day), paid in sorted(amounts.items())]
    return Read(pl.DataFrame(made, schema=PARSED_DIVIDENDS, orient="row"), rejected)


def read_listing(rows: Sequence[Row], wanted: Symbol | None) -> Read:
    """LISTINGS, sorted by symbol; of ``wanted`` alone, if one is.

    Raises:
        Malformed: none of the rows can be read.
    """
    found: dict[str, dict[str, object]] = {}

    def add(entry: Row, symbol: str) -> None:
        if "market" not in entry:
            raise ValueError("no market")
        active = entry.get("active")
        row = {
            **_identity(entry, symbol),
            "vendor_symbol": entry.get("ticker"),
            "delisted_on": _maybe_day(entry, "delisted_utc"),
            "active": active if isinstance(active, bool) else None,
        }
        if symbol in found and found[symbol] != row:
            raise ValueError("another row of the same symbol")
        found[symbol] = row

    rejected = _read(rows, wanted, add)
    made = [{name: found[s].get(name) for name in LISTINGS} for s in sorted(found)]
    return Read(pl.DataFrame(made, schema=LISTINGS, orient="row"), rejected)


def parse_profile(status: int, body: bytes, symbol: Symbol) -> Read:
    """PROFILES of one ticker; ``industry`` is the SEC's (SIC), in its words.

    Raises:
        UnknownSymbol, NotEntitled, RateLimited, Unavailable, Malformed.
    """
    document = document_of(status, body, symbol.ticker)
    if "results" not in document:
        raise Malformed(NAME, f"{symbol.ticker}: no results")
    entry = as_mapping(NAME, document["results"], "results")
    if not _text(entry, "ticker"):
        raise Malformed(NAME, f"{symbol.ticker}: no ticker in the results")
    check_ticker(entry["ticker"], symbol.ticker)
    try:
        shares = number(entry.get("share_class_shares_outstanding"))
        if shares is None:
            shares = number(entry.get("weighted_shares_outstanding"))
        row = {
            **_identity(entry, symbol.ticker),
            "industry": _text(entry, "sic_description"),
            "website": _text(entry, "homepage_url"),
            "shares_outstanding": shares,
            "market_cap": number(entry.get("market_cap")),
        }
    except ValueError as error:
        raise Malformed(NAME, f"{symbol.ticker}: the profile cannot be read: {error}") from None
    made = [{name: row.get(name) for name in PROFILES}]
    return Read(pl.DataFrame(made, schema=PROFILES, orient="row"), rejected_frame([]))


def parse_previous(status: int, body: bytes, symbol: Symbol) -> Read:
    """QUOTES of one ticker: the last session that is over, as traded, stamped at its close.

    The close before it is not told.

    Raises:
        NoData: no results. NotEntitled, RateLimited, Unavailable, Malformed.
    """
    document = document_of(status, body, symbol.ticker)
    check_ticker(document.get("ticker"), symbol.ticker)
    if not {"results", "resultsCount", "count"} & set(document):
        raise Malformed(NAME, f"{symbol.ticker}: no results and no count of them")
    results = as_list(NAME, document.get("results"), "results")
    if not results:
        raise NoData(NAME, f"{symbol.ticker}: no previous close")
    entry = as_mapping(NAME, results[-1], "a result")
    pair = pair_of(symbol)
    fields = {"price": "c", "open": "o", "high": "h", "low": "l", "volume": "v"}
    try:
        row = {
            "symbol": symbol.ticker,
            "ts": instant(entry.get("t"), 0.001),
            "previous_close": None,
            "currency": pair[1] if pair else "USD",
            **{name: number(entry.get(field)) for name, field in fields.items()},
        }
        if row["price"] is None:
            raise ValueError("close is null")
    except ValueError as error:
        raise Malformed(NAME, f"{symbol.ticker}: the close cannot be read: {error}") from None
    made = [{name: row[name] for name in QUOTES}]
    return Read(pl.DataFrame(made, schema=QUOTES, orient="row"), rejected_frame([]))


def _read(
    rows: Sequence[Row] | Iterator[Row], wanted: Symbol | None, add: Callable[[Row, str], None]
) -> pl.DataFrame:
    """REJECTED of the rows that ``add`` does not take, or that are of another ticker."""
    rejected: list[dict[str, object]] = []
    taken = 0
    for entry in rows:
        symbol: str | None = None
        try:
            ticker = entry.get("ticker")
            if not isinstance(ticker, str) or not ticker:
                raise ValueError(f"ticker is {ticker!r}")
            symbol = from_vendor(ticker, NAME).ticker
            if wanted is not None and symbol != wanted.ticker:
                raise ValueError(f"asked for {wanted.ticker}, was given {symbol}")
            add(entry, symbol)
        except (InputError, ValueError) as error:
            rejected.append(rejected_row(entry, str(error), symbol=symbol))
        else:
            taken += 1
    if rejected and not taken:
        reasons = rejected[0]["reasons"]
        raise Malformed(NAME, f"none of {len(rejected)} results can be read: {reasons}")
    return rejected_frame(rejected)


def _once(rows: Sequence[Row]) -> Iterator[Row]:
    """Rows without their repetitions; ids tell apart what is the same."""
    seen: set[str] = set()
    for entry in rows:
        same = json.dumps({k: v for k, v in entry.items() if k != "id"}, sort_keys=True)
        if same not in seen:
            seen.add(same)
            yield entry


def _identity(entry: Row, symbol: str) -> dict[str, object]:
    """What the directory and the profile tell alike. Raises ValueError."""
    money = _text(entry, "currency_name") or ""
    if len(money) != 3:
        money = _text(entry, "currency_symbol") or ""
    cik = _text(entry, "cik")
    return {
        "symbol": symbol,
        "name": _text(entry, "name"),
        "exchange": _text(entry, "primary_exchange"),
        "asset_class": str(_asset_class(entry)),
        "currency": money.upper() or None,
        "listed_on": _maybe_day(entry, "list_date"),
        "cik": cik.zfill(10) if cik else None,
        "figi": _text(entry, "composite_figi"),
    }


def _asset_class(entry: Row) -> AssetClass:
    """A closed-end fund (FUND) trades like a stock, and is one here."""
    market = MARKETS.get(str(entry.get("market")))
    if market is not None:
        return market
    return AssetClass.ETF if entry.get("type") in FUNDS else AssetClass.STOCK


def _text(entry: Row, name: str) -> str | None:
    value = entry.get(name)
    return (value.strip() or None) if isinstance(value, str) else None


def _positive(entry: Row, name: str) -> float:
    try:
        found = number(entry.get(name))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if found is None or found <= 0:
        raise ValueError(f"{name} is {entry.get(name)!r}")
    return found


def _day(entry: Row, name: str) -> date:
    found = _maybe_day(entry, name)
    if found is None:
        raise ValueError(f"{name} is null")
    return found


def _maybe_day(entry: Row, name: str) -> date | None:
    """A date, or the date of a stamp (``2022-04-27T00:00:00Z``). Raises ValueError."""
    value = entry.get(name)
    if value is None or value == "":
        return None
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        raise ValueError(f"{name}: {value!r} is not a date") from None
