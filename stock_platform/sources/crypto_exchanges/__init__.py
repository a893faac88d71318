"""Crypto exchanges through ccxt: Binance, Kraken, Coinbase."""

from stock_platform.sources.crypto_exchanges.client import SPECS

__all__ = ["SPECS"]
