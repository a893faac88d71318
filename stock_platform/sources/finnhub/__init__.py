"""Finnhub: quotes and companies for nothing, candles for a fee."""

from stock_platform.sources.finnhub.client import SPEC

__all__ = ["SPEC"]
