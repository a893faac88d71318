"""Yahoo Finance's web pages: quote, profile and history, where its API cannot be had."""

from stock_platform.sources.yahoo_page.client import SPEC

__all__ = ["SPEC"]
