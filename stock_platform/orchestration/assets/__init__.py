"""The assets: one factory for both scopes, and the catalog of symbols.

Belongs here: assets of about ten lines each. Does not: what they do (pipeline/), writing
(io_managers.py).
"""
