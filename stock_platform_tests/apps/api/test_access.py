"""Who may do what: tokens, loopback, other sites' pages, limits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from stock_platform.apps.api.auth import Rates, check_host
from stock_platform.apps.api.server import admit
from stock_platform.domain.errors import InputError
from stock_platform.settings import load_settings
from stock_platform.storage import tokens
from stock_platform.storage.connection import Database
from stock_platform.storage.tokens import Right
from stock_platform_tests.apps.api.conftest import Made, elsewhere, here, token

ORDER = {
    "ticker": "AAPL",
    "side": "buy",
    "quantity": "1",
    "price": "10",
    "executed_at": "2024-01-31",
}
ENTER = "/v1/portfolio/transactions"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens there


def writing_routes(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method, path.replace("{transaction_id}", "1").replace("{source}", "yahoo"))
        for path, operations in app.openapi()["paths"].items()
        for method in operations
        if method not in ("get", "head", "options")
    ]


def test_no_read_token_writes(app: Made, filled: Database) -> None:
    """Every route that changes anything refuses a read token, and nothing is stored."""
    made = app()
    reader = token(filled, "read")
    routes = writing_routes(made)
    assert len(routes) >= 5
    with here(made) as client:
        for method, path in routes:
            body = {"transactions": [ORDER]} if path == ENTER else None
            text = "ticker,side,quantity,price,date\nAAPL,buy,1,1,2024-01-31\n"
            csv = {"content-type": "text/csv"} if body is None else {}
            answer = client.request(
                method, path, headers={**reader, **csv}, json=body,
                content=None if body else text,
            )  # fmt: skip
            assert answer.status_code == 403, (method, path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
        assert client.get(ENTER, headers=reader).json()["transactions"] == []


def test_every_route_but_health_needs_a_right(app: Made, filled: Database) -> None:
    """Once there is a token, every route answers 401 without one; /health does not."""
    token(filled, "read")
    made = app()
    with here(made) as client:
        for path, operations in made.openapi()["paths"].items():
            for method in operations:
                answer = client.request(method, path.replace("{transaction_id}", "1"))
                expected = 200 if path == "/health" else 401
                assert answer.status_code == expected, (method, path)


def test_rights_grow(app: Made, filled: Database) -> None:
    """trade may read and trade, admin may do all, read may read."""
    heads = {name: token(filled, name) for name in ("read", "trade", "admin")}
    with here(app()) as client:
        for name, read, trade, admin in (
            ("read", 200, 403, 403), ("trade", 200, 201, 403), ("admin", 200, 201, 200),
        ):  # fmt: skip
            head = heads[name]
            assert client.get("/v1/assets", headers=head).status_code == read
            entered = client.post(ENTER, json={"transactions": [ORDER]}, headers=head)
            assert entered.status_code == trade
            retried = client.post("/v1/admin/queue/retry", headers=head)
            assert retried.status_code == admin


def test_tokens_expire_and_are_revoked(app: Made, filled: Database) -> None:
    """A token that is void answers 401, and none of its text is in the database."""
    text = tokens.create(filled, "short", Right.READ)
    past = datetime.now(UTC) - timedelta(seconds=1)
    old = token(filled, "read", name="old", expires_at=past)
    with here(app()) as client:
        assert client.get("/v1/assets", headers={"authorization": f"Bearer {text}"}).is_success
        assert client.get("/v1/assets", headers=old).status_code == 401
        assert client.get("/v1/assets", headers={"authorization": "Basic abc"}).status_code == 401
    tokens.revoke(filled, "short")
    with here(app()) as client:
        assert (
            client.get("/v1/assets", headers={"authorization": f"Bearer {text}"}).status_code == 401
        )
    with filled.connect() as connection:
        rows = connection.execute("select t::text from stocks.api_tokens t").fetchall()
    assert all(text not in str(row) for row in rows)
    with pytest.raises(InputError, match="in force"):
        tokens.revoke(filled, "short")


def test_a_token_of_one_user_sees_no_other(app: Made, filled: Database) -> None:
    """A token made for a portfolio opens that one alone, statements' rows included."""
    head = token(filled, "trade", user="anna")
    with here(app(), **head) as client:
        assert client.post(ENTER, json={"transactions": [ORDER]}).status_code == 201
        assert client.get(ENTER).json()["transactions"][0]["user"] == "anna"
        assert client.get(ENTER, params={"user": "ben"}).status_code == 403
        csv = "ticker,side,quantity,price,date,user\nAAPL,buy,1,1,2024-01-31,ben\n"
        sent = client.post(
            "/v1/portfolio/statements", content=csv, headers={"content-type": "text/csv"}
        )
        assert sent.status_code == 403


def test_without_tokens_only_this_machine_is_served(app: Made) -> None:
    """Another machine, another Host, and another site's page are refused; no CORS header."""
    made = app()
    with here(made) as client:
        assert client.get("/v1/assets").status_code == 200
        rebound = client.get("/v1/assets", headers={"host": "evil.example:8000"})
        assert rebound.status_code == 403
        for foreign in (
            {"origin": "https://evil.example"},
            {"sec-fetch-site": "cross-site"},
            {"origin": "null"},
        ):
            posted = client.post(ENTER, json={"transactions": [ORDER]}, headers=foreign)
            assert posted.status_code == 403
            assert not [name for name in posted.headers if name.startswith("access-control")]
        ours = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
        assert client.post(ENTER, json={"transactions": [ORDER]}, headers=ours).status_code == 201
        assert client.post("/v1/admin/queue/retry").status_code == 403
    with elsewhere(made) as client:
        assert client.get("/v1/assets").status_code == 401
    with here(app(EVERYWHERE)) as client:
        assert client.get("/v1/assets").status_code == 401, "every token is gone, others can ask"


def test_only_loopback_without_a_token() -> None:
    """Another host is refused before anything listens, unless a token was made."""
    for host in ("127.0.0.1", "::1", "localhost"):
        check_host(host, any_token=False)
    for host in (EVERYWHERE, "::", "192.0.2.1", "prices.example"):
        with pytest.raises(InputError, match="make a token first"):
            check_host(host, any_token=False)
        check_host(host, any_token=True)


def test_others_are_let_in_once_there_is_a_token(filled: Database, tmp_path: Path) -> None:
    """Without one it is an error, or waited for; this machine alone needs none."""
    chosen = load_settings(database_url=filled.url, home=tmp_path)
    admit(chosen, "127.0.0.1")
    with pytest.raises(InputError, match="make a token first"):
        admit(chosen, EVERYWHERE)
    waited: list[int] = []

    def wait() -> None:
        waited.append(1)
        if len(waited) == 3:
            tokens.create(filled, "late", Right.READ)

    admit(chosen, "127.0.0.1", wait=wait)
    assert not waited
    admit(chosen, EVERYWHERE, wait=wait)
    assert len(waited) == 3


def test_limits(app: Made) -> None:
    """Too much at once, too large, too often: 413, 429 with Retry-After."""
    with here(app(api_max_body_kb=1)) as client:
        big = client.post(ENTER, content=b"x" * 2000)
        assert (big.status_code, big.headers["content-type"]) == (413, "application/problem+json")

        def pieces() -> Iterator[bytes]:
            for _ in range(20):
                yield b"x" * 200

        assert client.post(ENTER, content=pieces()).status_code == 413
    with here(app(api_rate=2)) as client:
        codes = [client.get("/v1/assets").status_code for _ in range(5)]
        assert codes.count(429) >= 2
        assert int(client.get("/v1/assets").headers["retry-after"]) >= 1
    rates = Rates(10)
    assert [rates.take("a") == 0 for _ in range(11)] == [True] * 10 + [False]


def test_request_ids(client: TestClient) -> None:
    """A given id comes back; one that could forge a log line is replaced."""
    assert (
        client.get("/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    )
    forged = client.get("/health", headers={"x-request-id": "a b{}"}).headers["x-request-id"]
    assert len(forged) == 32
