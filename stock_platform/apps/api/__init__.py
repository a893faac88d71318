"""The HTTP API: health, metrics, prices, portfolios.

Belongs here: how HTTP is spoken. Does not: any work behind it (pipeline/, storage/).

    edge.py      every request: its id, limits, log line, and what is answered when all fails
    auth.py      who asks, and what they may
    problems.py  errors as problem+json (RFC 9457)
    models.py    the JSON of answers
    routes/      one module a group of addresses
    server.py    the app put together, and uvicorn
"""

from __future__ import annotations
