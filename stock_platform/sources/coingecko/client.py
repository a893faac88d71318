"""Asking CoinGecko for candles, prices, profiles and names.

Belongs here: addresses, parameters, which range. Does not: reading (parse.py), the coins'
ids (coins.py), limits (config.py). The key travels in a header.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import polars as pl

from stock_platform.domain.bars import Basis
from stock_platform.domain.capabilities import Feed, Limit, Tile
from stock_platform.domain.errors import InputError, NoData, UnknownSymbol
from stock_platform.domain.symbols import AssetClass, pair_of, parse_symbol
from stock_platform.sources.base import Answer, Facts, Question
from stock_platform.sources.coingecko.coins import IDS
from stock_platform.sources.coingecko.config import (
    BASE_URL,
    CAPABILITIES,
    KEY_HEADER,
    KEY_VARIABLE,
    KEYLESS_CALLS,
    NAME,
    NO_QUOTE,
    RANGES,
)
from stock_platform.sources.coingecko.parse import (
    LATE,
    named_coins,
    read_days,
    read_listing,
    read_page,
    read_profile,
    read_quote,
    read_quotes,
)
from stock_platform.sources.http import Call
from stock_platform.sources.payload import utc_midnight
from stock_platform.sources.spec import Setup, SourceSpec, VendorSource
from stock_platform.sources.transport import Secrets

COINS_A_PAGE = 250


@dataclass(frozen=True)
class _Coin:
    symbol: str
    id: str
    currency: str


class CoinGeckoSource(VendorSource):
    """CoinGecko as a Source."""

    def fetch(self, tile: Tile) -> Answer:
        """The days of one coin, from ``GET /coins/{id}/ohlc``.

        Raises:
            SourceError: see Source.fetch.
        """
        coin = _coin(tile.symbol)
        age = self.http.clock.now() - utc_midnight(tile.start)
        days = next((days for days in RANGES if age <= timedelta(days=days)), RANGES[-1])
        with self.http.call() as call:
            found = call.get(
                f"/coins/{coin.id}/ohlc",
                {"vs_currency": coin.currency.lower(), "days": days},
                read=lambda r: read_days(
                    r.status, r.body, symbol=coin.symbol, first=tile.start, now=r.received_at
                ),
                cache=True,
                settled_at=utc_midnight(tile.end) + timedelta(days=1) + LATE,
            )
            until = pl.col("session") <= tile.end
            return call.stamp(
                Answer(
                    bars=found.bars.filter(until),
                    basis=Basis.AS_TRADED,
                    rejected=found.rejected.filter(until | pl.col("session").is_null()),
                    unfinished=frozenset(day for day in found.unfinished if day <= tile.end),
                    currency=coin.currency,
                )
            )

    def ask(self, question: Question) -> Facts:
        """A coin's price or profile (``/coins/markets``), or all coins (``/coins/list``).

        The largest coins (``top``) come 250 a request, by market capitalisation.

        Raises:
            InputError, SourceError: see Source.ask.
        """
        if question.feed not in self.capabilities.feeds:
            return super().ask(question)
        with self.http.call() as call:
            if question.feed is Feed.LISTING and question.top:
                return call.stamp(_largest(call, question.top))
            if question.feed is Feed.LISTING:
                frame, rejected = call.get(
                    "/coins/list", {}, read=lambda r: read_listing(r.status, r.body)
                )
                return call.stamp(Facts(Feed.LISTING, frame, rejected))
            if question.symbols:
                return call.stamp(_several(call, question.symbols))
            return call.stamp(self._coin(call, question))

    def _coin(self, call: Call, question: Question) -> Facts:
        coin = _coin(question.symbol)
        params: dict[str, str | int] = {"vs_currency": coin.currency.lower(), "ids": coin.id}
        if question.feed is Feed.PROFILE:
            frame = call.get(
                "/coins/markets",
                params,
                read=lambda r: read_profile(
                    r.status, r.body, symbol=coin.symbol, coin=coin.id, currency=coin.currency
                ),
            )
        else:
            frame = call.get(
                "/coins/markets",
                params,
                read=lambda r: read_quote(
                    r.status,
                    r.body,
                    symbol=coin.symbol,
                    coin=coin.id,
                    currency=coin.currency,
                    now=r.received_at,
                ),
            )
        return Facts(question.feed, frame)


def _largest(call: Call, top: int) -> Facts:
    """The largest coins, page by page."""
    bodies = []
    for page in range(1, -(-top // COINS_A_PAGE) + 1):
        params: dict[str, str | int] = {
            "vs_currency": "usd", "order": "market_cap_desc", "per_page": COINS_A_PAGE, "page": page
        }  # fmt: skip
        entries = call.get("/coins/markets", params, read=lambda r: read_page(r.status, r.body))
        bodies += entries
        if len(entries) < COINS_A_PAGE:
            break
    frame, rejected = named_coins(bodies[:top])
    return Facts(Feed.LISTING, frame, rejected)


def _several(call: Call, symbols: tuple[str, ...]) -> Facts:
    """The prices of several coins, a page of 250 for each currency they are quoted in."""
    coins: dict[str, dict[str, str]] = {}
    for symbol in symbols:
        try:
            coin = _coin(symbol)
        except UnknownSymbol:
            continue
        coins.setdefault(coin.currency, {})[coin.id] = coin.symbol
    if not coins:
        raise NoData(NAME, f"no quote of {', '.join(symbols)}")
    found = [_priced(call, currency, ids) for currency, ids in coins.items()]
    return Facts(
        Feed.QUOTE, pl.concat([quotes for quotes, _ in found]), pl.concat([bad for _, bad in found])
    )


def _priced(call: Call, currency: str, ids: dict[str, str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """QUOTES and REJECTED of up to a page of coins in one currency; their symbols by id."""
    params: dict[str, str | int] = {
        "vs_currency": currency.lower(),
        "ids": ",".join(ids),
        "per_page": COINS_A_PAGE,
    }
    return call.get(
        "/coins/markets",
        params,
        read=lambda r: read_quotes(r.status, r.body, ids, currency, r.received_at),
    )


def _coin(text: str | None) -> _Coin:
    """Raises InputError without a symbol, UnknownSymbol for what CoinGecko cannot be asked."""
    if text is None:
        raise InputError("symbol", None, "name one: this endpoint answers for one coin")
    symbol = parse_symbol(text)
    pair = pair_of(symbol)
    if pair is None or symbol.asset_class is not AssetClass.CRYPTO:
        raise UnknownSymbol(NAME, symbol.ticker, "CoinGecko knows coins only, like BTC-USD")
    base, currency = pair
    if currency in NO_QUOTE:
        hint = f"CoinGecko has no prices in {currency}: ask for {base}-USD"
        raise UnknownSymbol(NAME, symbol.ticker, hint)
    if base not in IDS:
        hint = f"{base} is not among the {len(IDS)} best known coins, whose ids are known here"
        raise UnknownSymbol(NAME, symbol.ticker, hint)
    return _Coin(symbol.ticker, IDS[base], currency)


def build(setup: Setup) -> CoinGeckoSource:
    """The source, wired; without a key at the pace of those who have none."""
    key = setup.key(KEY_VARIABLE)
    if key is None:
        fast, *rest = setup.capabilities.limits
        limits = (Limit(min(KEYLESS_CALLS, fast.calls), fast.seconds), *rest)
        setup = replace(setup, capabilities=replace(setup.capabilities, limits=limits))
    secrets = Secrets(headers={KEY_HEADER: key} if key else {})
    return CoinGeckoSource(setup.capabilities, setup.http_client(BASE_URL, secrets))


SPEC = SourceSpec(CAPABILITIES, build, base_url=BASE_URL)
