"""Yahoo Finance's v8 chart: one ticker's bars, dividends and splits in one call."""

from stock_platform.sources.yahoo.client import SPEC

__all__ = ["SPEC"]
