"""``/v1/portfolio``: transactions in, positions and performance out."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import load_settings
from stock_platform.storage.connection import Database
from stock_platform_tests.apps.api.conftest import NOW

TRANSACTIONS = "/v1/portfolio/transactions"
CSV = {"content-type": "text/csv"}


def order(**changes: object) -> dict[str, object]:
    return {
        "ticker": "AAPL", "side": "buy", "quantity": "10", "price": "50.25",
        "executed_at": "2023-03-01", "external_id": None, **changes,
    }  # fmt: skip


def test_a_purchase_is_a_position_with_a_performance(client: TestClient, filled: Database) -> None:
    """Entered once however often it is sent; positions and performance are the platform's own."""
    sent = {"transactions": [order(external_id="a1"), order(ticker="MSFT", external_id="a2")]}
    first = client.post(TRANSACTIONS, json=sent)
    assert first.status_code == 201
    assert first.json()["entered_before"] == []
    again = client.post(TRANSACTIONS, json=sent).json()
    assert again["ids"] == again["entered_before"] == first.json()["ids"]
    positions = client.get("/v1/portfolio/positions").json()
    assert {p["ticker"]: p["quantity"] for p in positions["positions"]} == {"AAPL": 10, "MSFT": 10}
    told = client.get("/v1/portfolio/performance", params={"daily": True}).json()
    settings = load_settings(database_url=filled.url, market_time=NOW)
    with Platform.from_settings(settings) as platform:
        want = platform.performance("me")
    assert told["market_value"] == pytest.approx(want.summary["market_value"])
    assert told["twr"] == pytest.approx(want.summary["twr"])
    assert len(told["days"]) == want.days.height


def test_transactions_are_listed_in_pages_and_removed(client: TestClient) -> None:
    """Each comes once; a removed one is gone, and one sold later cannot be removed."""
    sent = {"transactions": [order(executed_at=f"2023-03-{day:02}") for day in range(1, 8)]}
    ids = client.post(TRANSACTIONS, json=sent).json()["ids"]
    seen, cursor = [], None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = client.get(TRANSACTIONS, params=params).json()
        seen += [t["id"] for t in page["transactions"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ids
    assert client.delete(f"{TRANSACTIONS}/{ids[0]}").status_code == 204
    assert client.delete(f"{TRANSACTIONS}/{ids[0]}").status_code == 404
    sold = {"transactions": [order(side="sell", quantity="60", executed_at="2023-04-03")]}
    assert client.post(TRANSACTIONS, json=sold).status_code == 201
    refused = client.delete(f"{TRANSACTIONS}/{ids[1]}")
    assert refused.status_code == 422
    assert "later sales" in refused.json()["detail"]


def test_pages_go_on_after_a_removal_and_refuse_other_cursors(client: TestClient) -> None:
    """What the cursor stood at may be gone; one that no page gave is refused."""
    sent = {"transactions": [order(executed_at=f"2023-03-{day:02}") for day in (1, 2, 3)]}
    ids = client.post(TRANSACTIONS, json=sent).json()["ids"]
    page = client.get(TRANSACTIONS, params={"limit": 2}).json()
    assert client.delete(f"{TRANSACTIONS}/{ids[1]}").status_code == 204
    rest = client.get(TRANSACTIONS, params={"cursor": page["next"]}).json()
    assert [t["id"] for t in rest["transactions"]] == [ids[2]]
    assert rest["next"] is None
    for wrong in ("7", "fHx8", "MjAyNC0wMS0wMXxidXl8MQ", "\u00e9", "=" * 4):
        refused = client.get(TRANSACTIONS, params={"cursor": wrong})
        assert refused.status_code == 422, wrong
        assert refused.json()["errors"][0]["parameter"] == "cursor"


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"side": "sell", "quantity": "11"}, "quantity"),
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "nan"}, "quantity"),
        ({"price": "1e40"}, "price"),
        ({"executed_at": "2999-01-01"}, "executed_at"),
        ({"ticker": "no such thing!"}, "ticker"),
    ],
)
def test_what_is_not_allowed_is_named(
    client: TestClient, changes: dict[str, object], parameter: str
) -> None:
    """422 names the parameter, and nothing is stored."""
    answer = client.post(TRANSACTIONS, json={"transactions": [order(), order(**changes)]})
    assert answer.status_code == 422, answer.text
    assert parameter in answer.json()["errors"][0]["parameter"]
    assert client.get(TRANSACTIONS).json()["transactions"] == []


def test_a_statement_is_entered_whole_or_not_at_all(client: TestClient) -> None:
    """Every wrong line is told at once; a right statement can be sent twice."""
    head = "Symbol;Action;Shares;Price;Date;ID\n"
    wrong = head + "AAPL;bought;1;10;2023-03-01;1\nAAPL;bought;x;10;2023-03-01;2\n"
    wrong += "MSFT;held;1;10;2023-03-01;3\n"
    told = client.post("/v1/portfolio/statements", content=wrong, headers=CSV)
    assert told.status_code == 422
    assert "line 3" in told.text
    assert "line 4" in told.text
    assert client.get(TRANSACTIONS).json()["transactions"] == []
    right = head + "AAPL;bought;2;10;2023-03-01;1\nMSFT;bought;1;10;2023-03-01;2\n"
    first = client.post("/v1/portfolio/statements", content=right, headers=CSV)
    assert first.status_code == 201
    again = client.post("/v1/portfolio/statements", content=right, headers=CSV).json()
    assert again["entered_before"] == first.json()["ids"]
