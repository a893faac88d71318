"""CoinGecko: days of coins over a month, prices, coins' profiles and names."""

from stock_platform.sources.coingecko.client import SPEC

__all__ = ["SPEC"]
