"""Yahoo through the yfinance library: profiles, quotes, chains of options, and its bars."""

from stock_platform.sources.yfinance_library.client import SPEC

__all__ = ["SPEC"]
