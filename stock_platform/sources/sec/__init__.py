"""The SEC: tickers, names and CIK numbers of those who file with it."""

from stock_platform.sources.sec.client import SPEC

__all__ = ["SPEC"]
