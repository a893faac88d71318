"""MarketWatch's web pages: daily bars of US shares and quotes."""

from stock_platform.sources.marketwatch.client import SPEC

__all__ = ["SPEC"]
