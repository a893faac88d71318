"""The API keeps to its OpenAPI, whatever it is sent; text in any parameter stays text."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from stock_platform.storage import tokens
from stock_platform.storage.connection import Database
from stock_platform.storage.digest import whole_digests
from stock_platform_tests.apps.api.conftest import Made, here, token

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 30
INJECTIONS = (
    "'; drop schema stocks cascade; --",
    "' or '1'='1",
    "AAPL' union select digest::text from stocks.api_tokens --",
    "\\'; delete from stocks.validated_prices; --",
    "%s%(x)s{}",
    "1; select pg_sleep(30)",
    "\x00",
    "$1",
    "AAPL/**/",
    "\ud7ff'\u2019\uff07",
)


@pytest.mark.parametrize("rights", ["none", "admin"])
def test_no_5xx_and_no_undocumented_answer(app: Made, filled: Database, rights: str) -> None:
    """Schemathesis on the OpenAPI: right and wrong requests, with and without a token."""
    made = app()
    head = token(filled, "admin") if rights == "admin" else {}
    schema = schemathesis.openapi.from_asgi("/openapi.json", made)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) >= 15
    with here(made) as client:
        for operation in operations:
            either = st.one_of(
                operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
                operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
            )

            @settings(
                max_examples=EXAMPLES if head else 3,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=either)
            def check(case: schemathesis.Case[Any]) -> None:
                answer = case.call(session=client, headers=head, base_url=str(client.base_url))
                case.validate_response(answer, checks=CHECKS)

            check()


@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_in_any_parameter_stays_text(app: Made, filled: Database, text: str) -> None:
    """Every parameter of every route, in query, path and headers, and every field of an order.

    As one who may do anything, so that no right stops it on the way; nothing sleeps, fails,
    changes, or is told that was not asked for.
    """
    made = app()
    head = token(filled, "admin")
    secret = tokens.tokens(filled)[0].digest.hex()
    with filled.connect() as connection:
        before = whole_digests(connection)
    asked = 0
    with here(made, **head) as client:
        for path, operations in made.openapi()["paths"].items():
            for method, operation in operations.items():
                for parameter in operation.get("parameters", []):
                    where, query, headers = _with(path, parameter, text)
                    began = time.monotonic()
                    answer = client.request(method, where, params=query, headers=headers)
                    asked += 1
                    assert answer.status_code < 500, (path, parameter["name"], answer.text)
                    assert secret not in answer.text
                    assert time.monotonic() - began < 25, "pg_sleep was run"
        assert asked >= 35
        order = {"ticker": "AAPL", "side": "buy", "quantity": "1", "price": "1"}
        for field in ("ticker", "side", "quantity", "price", "executed_at", "currency", "fee"):
            sent = {"transactions": [order | {field: text}]}
            assert client.post("/v1/portfolio/transactions", json=sent).status_code == 422
        csv = f"ticker,side,quantity,price,date\n{text},buy,1,1,2024-01-31\n"
        kind = {"content-type": "text/csv"}
        assert (
            client.post("/v1/portfolio/statements", content=csv.encode(), headers=kind).status_code
            == 422
        )
    with filled.connect() as connection:
        assert whole_digests(connection) == before


def _with(
    path: str, parameter: dict[str, Any], text: str
) -> tuple[str, dict[str, str], dict[str, str]]:
    """The address, query and headers of a question with ``text`` in this parameter."""
    name, usual = parameter["name"], {"ticker": "AAPL", "source": "yahoo", "date": "2023-03-01"}
    if parameter["in"] == "path":
        path = path.replace(f"{{{name}}}", quote(text, safe=""))
    for other, value in usual.items():
        path = path.replace(f"{{{other}}}", value)
    plain = text.encode("ascii", "ignore").decode().replace("\0", "")  # what a header can hold
    return (
        re.sub(r"{.*?}", "1", path) if parameter["in"] != "path" else path,
        {name: text} if parameter["in"] == "query" else {},
        {name: plain} if parameter["in"] == "header" else {},
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(max_size=60))
def test_any_search_text_is_text(client: TestClient, text: str) -> None:
    """A search finds what has the text in it, and nothing else; patterns are text."""
    answer = client.get("/v1/assets", params={"search": text})
    if not text.isprintable():
        assert answer.status_code == 422
        return
    found = answer.json()["assets"]
    folded = text.lower()
    assert all(folded in (a["ticker"] + " " + a["name"]).lower() for a in found if text.isascii())
    if text in ("%", "_"):
        assert found == []


def test_errors_are_problems(client: TestClient) -> None:
    """They are problem+json with the request's id, and tell no internals."""
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("PUT", "/v1/assets", 405),
        ("GET", "/v1/prices/ZZZZ", 404),
        ("GET", "/v1/prices/AAPL?start=soon", 422),
        ("GET", "/v1/prices/AAPL?start=2024-02-01&end=2024-01-01", 422),
        ("GET", "/v1/prices/AAPL?cursor=x", 422),
        ("GET", "/v1/prices/AAPL?as_of=x", 422),
        ("GET", "/v1/portfolio/performance?user=nobody", 404),
        ("DELETE", "/v1/portfolio/transactions/1", 404),
        ("POST", "/v1/portfolio/transactions", 422),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json()
        assert told["status"] == status
        assert told["request_id"] == answer.headers["x-request-id"]
        assert not any(word in answer.text for word in ("Traceback", "psycopg", "select ", ".py"))


def test_a_database_that_is_gone_is_503(app: Made) -> None:
    """Without a database every route says so, and neither where it is nor why."""
    made = app(database_url="postgresql://someone:hidden-word@127.0.0.1:9/prices")
    with here(made) as client:
        assert client.get("/health").json()["status"] == "down"
        for path in ("/health", "/v1/assets", "/v1/prices/AAPL", "/metrics"):
            answer = client.get(path)
            assert answer.status_code == 503, path
            assert "hidden-word" not in answer.text
            assert "127.0.0.1" not in answer.text


def test_a_mistake_of_ours_is_a_problem_too(app: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody expected is 500 with an id, and its words are in the log alone."""
    from stock_platform.apps.api.routes import market

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret words")

    monkeypatch.setattr(market, "search_assets", broken)
    with here(app()) as client:
        answer = client.get("/v1/assets")
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal Server Error")
    assert "secret words" not in answer.text


def test_the_documentation_needs_no_network(client: TestClient) -> None:
    """/docs and all it loads come from here."""
    page = client.get("/docs").text
    assert "https://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert client.get(f"/static-offline-docs/{asset}").status_code == 200
    assert client.get("/openapi.json").json()["openapi"].startswith("3.")
