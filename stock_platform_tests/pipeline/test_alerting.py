"""Alerts: found, told once, told again when they last or are over; secrets stay secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from psycopg import sql

from stock_platform.apps.supervise import free_port
from stock_platform.pipeline.alerting import Trouble, look, report, troubles
from stock_platform.pipeline.notifying import NotToldError, tell
from stock_platform.pipeline.runtime import Platform
from stock_platform.settings import load_settings
from stock_platform.storage import alerts
from stock_platform.storage.assets import NewAsset, register, track
from stock_platform.storage.connection import Database
from stock_platform.storage.health import HealthBook

SECRET = "T000-very-secret-path"  # noqa: S105 - of nobody


@dataclass
class Webhook:
    """A server that keeps what it is sent, and answers as it is told."""

    url: str = ""
    status: int = 200
    texts: list[str] = field(default_factory=list)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
            made.texts.append(sent["text"])
            self.send_response(made.status)
            self.send_header("location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}/{SECRET}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


Made = Callable[..., Platform]


@pytest.fixture
def platform(database: Database, webhook: Webhook, tmp_path: Path) -> Iterator[Made]:
    """Makes platforms that tell the webhook."""
    made: list[Platform] = []

    def make(**settings: Any) -> Platform:
        chosen = {"database_url": database.url, "home": tmp_path, "alert_webhook_url": webhook.url}
        made.append(Platform.from_settings(load_settings(**(chosen | settings))))
        return made[-1]

    yield make
    for one in made:
        one.close()


def down(db: Database, source: str = "yahoo") -> HealthBook:
    book = HealthBook(db, lambda: datetime.now(UTC))
    for _ in range(8):
        book.failed(source, "HTTP 503", 3)
    return book


def test_an_alert_is_told_once_and_again_when_it_is_over(
    platform: Made, database: Database, webhook: Webhook
) -> None:
    """Of two looks one tells; the recovery is one more message, and then there is silence."""
    ours = platform()
    assert look(ours).open == 0
    book = down(database)
    assert look(ours).told == 1
    assert look(ours).told == 0
    assert len(webhook.texts) == 1
    assert "source down (yahoo)" in webhook.texts[0]
    book.succeeded("yahoo", 0.1)
    assert look(ours).open == 0
    assert look(ours).told == 0
    assert len(webhook.texts) == 2
    assert "over: source down (yahoo)" in webhook.texts[1]


def test_what_lasts_is_told_again_after_a_period(
    platform: Made, database: Database, webhook: Webhook
) -> None:
    """After STOCK_PLATFORM_ALERT_REPEAT_HOURS, with the time since when it lasts."""
    ours = platform(alert_repeat_hours=6)
    report(ours, Trouble("run_failed", "market_job", "run 1: no disk"))
    report(ours, Trouble("run_failed", "market_job", "run 2: no disk"))
    assert len(webhook.texts) == 1
    with database.connect() as connection:
        connection.execute("update stocks.alerts set told_at = told_at - interval '7 hours'")
    report(ours, Trouble("run_failed", "market_job", "run 3: no disk"))
    assert len(webhook.texts) == 2
    assert "run 3" in webhook.texts[1]
    assert "since" in webhook.texts[1]


def test_what_could_not_be_told_stays_due(
    platform: Made, database: Database, webhook: Webhook
) -> None:
    """A webhook that fails, or sends elsewhere, is asked again; the error keeps its address."""
    ours = platform()
    trouble = Trouble("run_failed", "market_job", "run 1: no disk")
    for status in (500, 302, 404):
        webhook.status = status
        with pytest.raises(NotToldError, match=f"HTTP {status}") as caught:
            report(ours, trouble)
        assert SECRET not in str(caught.value)
    webhook.status = 200
    report(ours, trouble)
    report(ours, trouble)
    assert len(webhook.texts) == 4
    assert alerts.open_alerts(database)[0].times_told == 1


def test_what_was_over_before_anybody_was_told_is_not_told(
    platform: Made, database: Database, webhook: Webhook
) -> None:
    """Without a way to tell, alerts are kept; a later way does not tell what is past."""
    silent = platform(alert_webhook_url=None)
    book = down(database)
    assert look(silent).open == 1
    book.succeeded("yahoo", 0.1)
    look(silent)
    assert look(platform()).told == 0
    assert webhook.texts == []
    assert [a.kind for a in alerts.recent(database)] == ["source_down"]


def test_every_kind_is_found(platform: Made, database: Database) -> None:
    """Stale data, a stuck queue, an event that waits, repeated failures: each by its subject."""
    ids = register(database, [NewAsset("AAPL", "stock", "XNYS", "USD")])
    track(database, list(ids.values()))
    past = sql.Literal(datetime.now(UTC) - timedelta(hours=8))
    with database.connect() as connection:
        for statement in (
            "update stocks.tracked_assets set tracked_since = {past}",
            """insert into stocks.backfill_queue (asset_id, first_day, last_day, updated_at)
            select asset_id, '2024-01-02', '2024-01-31', {past} from stocks.assets""",
            """insert into stocks.backfill_queue (asset_id, first_day, last_day, state, updated_at)
            select asset_id, '2024-01-02', '2024-01-31', s, {past} from stocks.assets,
            unnest(array['in_progress', 'failed']) s""",
            """insert into stocks.portfolio_events (kind, transaction_id, user_id, asset_id,
            trade_date, created_at) select 'entered', 1, 'me', asset_id, '2024-01-02', {past}
            from stocks.assets""",
            """insert into stocks.fetch_log (source, endpoint, tile, status, requests, rows,
            latency_ms, error, started_at, finished_at) select 'polygon', 'x', 'y', 'malformed',
            1, 0, 5, 'no JSON', now(), now() from generate_series(1, 12)""",
        ):
            connection.execute(sql.SQL(statement).format(past=past))
    found = {(t.kind, t.subject): t.message for t in troubles(platform(), datetime.now(UTC))}
    assert set(found) == {
        ("stale_data", "XNYS"),
        ("queue_stuck", "due"),
        ("queue_stuck", "in_progress"),
        ("queue_stuck", "events"),
        ("repeated_failures", "polygon"),
        ("repeated_failures", "backfill_queue"),
    }
    assert "AAPL (no price)" in found["stale_data", "XNYS"]
    assert "12 of 12 calls" in found["repeated_failures", "polygon"]


def test_text_is_not_markup(webhook: Webhook) -> None:
    """A vendor's words can call nobody and link nowhere in Slack."""
    settings = load_settings(alert_webhook_url=webhook.url)
    tell(settings, "a <!channel> b", ["<https://evil.example|click> & more"])
    assert webhook.texts == [
        "*a &lt;!channel&gt; b*\n• &lt;https://evil.example|click&gt; &amp; more"
    ]


class _Box(MessageHandler):
    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Message] = []

    def handle_message(self, message: Message) -> None:
        self.mails.append(message)


def test_e_mail(webhook: Webhook) -> None:
    """A mail with subject and lines to every address; a failing webhook does not keep it back."""
    box = _Box()
    port = free_port("127.0.0.1", 0)
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        webhook.status = 500
        settings = load_settings(
            alert_webhook_url=webhook.url,
            alert_email_to="a@example.com, b@example.com",
            smtp_host="127.0.0.1",
            smtp_port=port,
            smtp_security="none",
        )
        assert tell(settings, "two\r\nBcc: x@example.com", ["one", "two"]) == ["e-mail"]
    finally:
        controller.stop()
    (mail,) = box.mails
    assert mail["To"] == "a@example.com, b@example.com"
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("two Bcc")
    assert mail.get_payload().split() == ["one", "two"]  # type: ignore[union-attr]


def test_errors_keep_the_password(webhook: Webhook) -> None:
    """Neither a server that is not there nor a wrong password is told with a secret."""
    settings = load_settings(
        alert_webhook_url=f"http://127.0.0.1:9/{SECRET}",
        alert_email_to="a@example.com",
        smtp_host="127.0.0.1",
        smtp_port=9,
        smtp_user="someone",
        smtp_password="hidden-word",  # noqa: S106 - not one of anybody's
    )
    with pytest.raises(NotToldError) as caught:
        tell(settings, "x", ["y"])
    assert SECRET not in str(caught.value)
    assert "hidden-word" not in str(caught.value) + repr(settings)
    assert SECRET not in repr(settings)
