"""Alpaca: many US stocks over many days in one call."""

from stock_platform.sources.alpaca.client import SPEC

__all__ = ["SPEC"]
