"""NASDAQ Trader: the directory of everything listed in the United States, one file."""

from stock_platform.sources.nasdaqtrader.client import SPEC

__all__ = ["SPEC"]
