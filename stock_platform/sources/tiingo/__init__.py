"""Tiingo: one ticker's whole daily history a call, with splits and dividends; coins too."""

from stock_platform.sources.tiingo.client import SPEC

__all__ = ["SPEC"]
