"""Stooq: one symbol's whole history a call, as CSV, where it lets scripts in."""

from stock_platform.sources.stooq.client import SPEC

__all__ = ["SPEC"]
