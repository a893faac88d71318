"""The controls under /_sandbox, and the configuration."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from stock_platform.domain.errors import InputError, StockPlatformError
from stock_platform.sandbox.config import SandboxConfig
from stock_platform.sandbox.server import SandboxServer, serve

CHART = "/v8/finance/chart/{}?range=5d&interval=1d"


def test_report_counts_calls_cells_and_repeats(client: httpx.Client) -> None:
    """Calls by endpoint and status, cells served, tiles asked twice, the log on request."""
    client.get(CHART.format("AAPL"))
    client.get(CHART.format("AAPL"))
    client.get(CHART.format("NOSUCH"))
    client.get("/polygon/v2/aggs/ticker/AAPL/prev", params={"apiKey": "good-key"})
    client.get("/polygon/v2/aggs/ticker/AAPL/prev", params={"apiKey": "other-key"})
    report = client.get("/_sandbox/report", params={"log": "true"}).json()
    yahoo, polygon = report["vendors"]["yahoo"], report["vendors"]["polygon"]
    assert yahoo["by_endpoint"] == {"chart": {"200": 2, "404": 1}}
    assert (yahoo["calls"], yahoo["cells"], yahoo["tiles"], yahoo["repeated"]) == (3, 10, 1, 1)
    assert (polygon["tiles"], polygon["repeated"]) == (1, 1)
    assert (report["calls"], report["cells"], report["violations"]) == (5, 12, 0)
    assert len(report["log"]) == 5
    assert {"at", "symbol", "status", "account"} <= set(report["log"][0])
    assert "good-key" not in str(report)
    client.post("/_sandbox/reset")
    assert client.get("/_sandbox/report").json()["calls"] == 0


def test_health_tells_time_and_size(client: httpx.Client) -> None:
    """What a start-up waits for."""
    health = client.get("/_sandbox/health").json()
    assert health["status"] == "ok"
    assert health["now"] == "2013-03-02T12:00:00+00:00"
    assert health["symbols"] >= 700


def test_a_vendor_can_be_switched_off_and_on(client: httpx.Client) -> None:
    """Off, it answers 503 and its calls still count."""
    client.post("/_sandbox/vendors", json={"yahoo": False})
    assert client.get(CHART.format("AAPL")).status_code == 503
    client.post("/_sandbox/vendors", json={"yahoo": True})
    assert client.get(CHART.format("AAPL")).status_code == 200
    assert client.post("/_sandbox/vendors", json={"nasdaq": True}).status_code == 400


def test_limits_change_while_running(sandbox: SandboxServer, client: httpx.Client) -> None:
    """A vendor's limits and the clock rate can be set on a running sandbox."""
    client.post("/_sandbox/limits", json={"limits": {"yahoo": [[1, 3600]]}, "clock_rate": 2})
    assert [client.get(CHART.format("AAPL")).status_code for _ in range(2)] == [200, 429]
    assert client.get("/_sandbox/report").json()["clock_rate"] == 2
    client.post("/_sandbox/limits", json={"limits": {"yahoo": []}, "clock_rate": 1})
    assert client.get(CHART.format("AAPL")).status_code == 200


def test_truth_and_listing_over_http(sandbox: SandboxServer, client: httpx.Client) -> None:
    """Another process can compare itself with the truth too."""
    truth = client.get("/_sandbox/truth/AAPL").json()
    assert len(truth["bars"]) == sandbox.market.bars("AAPL").height
    assert {row["symbol"] for row in client.get("/_sandbox/listing").json()} > {"AAPL", "NA"}
    assert client.get("/_sandbox/truth/NOSUCH").status_code == 400


def test_unknown_paths_and_controls(client: httpx.Client) -> None:
    """Neither a vendor's nor a control's path: 404."""
    assert client.get("/nothing/here").status_code == 404
    assert client.get("/_sandbox/nothing").status_code == 404
    assert client.get("/yahoo/nothing").status_code == 404
    assert client.post(CHART.format("AAPL")).status_code == 405
    assert client.post("/_sandbox/faults", content=b"{").status_code == 400
    assert client.post("/_sandbox/clock", json={"now": "yesterday"}).status_code == 400


def test_configuration_from_json() -> None:
    """JSON gives the same configuration as Python."""
    config = SandboxConfig.from_json(
        '{"symbols": 10, "now": "2013-03-01T23:00:00Z", "start": "2010-01-04", "clock_rate": 60}'
    )
    assert config.now == datetime(2013, 3, 1, 23, tzinfo=UTC)
    assert config.first_date == date(2010, 1, 4)
    assert config.last_date == date(2013, 3, 1)


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", '{"symbol": 3}', '{"symbols": -1}', '{"start": "soon"}', '{"clock_rate": 0}',
        '{"now": "2013-03-01T23:00:00Z", "start": "2014-01-01"}',
    ],
)  # fmt: skip
def test_bad_configuration_is_named(text: str) -> None:
    """A wrong name or value is refused with what is allowed."""
    with pytest.raises(InputError):
        SandboxConfig.from_json(text)


def test_a_taken_port_is_one_clear_error(sandbox: SandboxServer) -> None:
    """serve() on a port in use says so, and starts nothing."""
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(StockPlatformError, match=str(port)):
        serve(SandboxConfig(symbols=1, now=datetime(2013, 3, 1, tzinfo=UTC)), port=port)


def test_the_sandbox_shares_nothing_with_the_adapters() -> None:
    """No file of the sandbox names the sources, and of the domain only errors and calendar."""
    root = Path(__file__).resolve().parents[2] / "stock_platform" / "sandbox"
    for path in root.rglob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith(("from stock_platform.", "import stock_platform.")):
                name = line.split()[1].removeprefix("stock_platform.")
                assert name.startswith("sandbox.") or name in ("domain.errors", "domain.calendar")
