"""NASDAQ's stock screener: who is listed, with sector, industry and market capitalization."""

from stock_platform.sources.nasdaq_screener.client import SPEC

__all__ = ["SPEC"]
