"""Polygon (now Massive): every US stock of a day in one call, or one ticker's history."""

from stock_platform.sources.polygon.client import SPEC

__all__ = ["SPEC"]
