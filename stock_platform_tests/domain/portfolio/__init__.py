"""Portfolios: lots, daily accounts, returns."""
