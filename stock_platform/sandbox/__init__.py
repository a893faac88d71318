"""The offline market: vendors' endpoints with their limits and faults.

Belongs here: a stand-in for the vendors that is independent of the adapters; it imports
``domain`` alone, so that it cannot share a mistake with them. Does not: anything that the
platform needs to run against the live vendors.

``server.SandboxServer`` runs one in a thread, ``server.serve`` until interrupted;
``config.SandboxConfig`` says what it holds; ``market.market.Market`` is its truth.
"""
