"""Telling people: a webhook that takes Slack's JSON, and e-mail.

Belongs here: the two ways out, and whether one is set. Does not: what is worth telling
(alerting.py). Addresses of webhooks and passwords are secrets: no error and no log repeats them
(so the standard library sends: HTTP clients log the addresses they ask).

https://api.slack.com/messaging/webhooks
"""

from __future__ import annotations

import json
import smtplib
import ssl
import urllib.error
import urllib.request
from email.message import EmailMessage
from urllib.parse import urlsplit

from stock_platform.domain.errors import InputError, StockPlatformError
from stock_platform.settings import Settings

SECONDS = 10.0
_OK = range(200, 300)


class NotToldError(StockPlatformError):
    """A message could not be delivered; the text names the way and the host alone."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A message goes where it was meant to, or nowhere."""

    def redirect_request(self, *_: object) -> None:
        return None


def ways(settings: Settings) -> list[str]:
    """The ways that are set: webhook, e-mail."""
    found = ["webhook"] if settings.alert_webhook_url else []
    return found + (["e-mail"] if settings.alert_email_to and settings.smtp_host else [])


def tell(settings: Settings, subject: str, lines: list[str]) -> list[str]:
    """Send a message by every way that is set; those that took it.

    Raises:
        NotToldError: no way took it; says why of each.
        InputError: a setting's value is not allowed.
    """
    took, failed = [], []
    for way in ways(settings):
        try:
            tell_one(settings, way, subject, lines)
            took.append(way)
        except NotToldError as error:
            failed.append(str(error))
    if failed and not took:
        raise NotToldError("; ".join(failed))
    return took


def tell_one(settings: Settings, way: str, subject: str, lines: list[str]) -> None:
    """Send a message by one way: ``webhook`` or ``e-mail``.

    Raises:
        NotToldError: it was not taken.
        InputError: a setting's value is not allowed.
    """
    if way == "webhook":
        _post(settings, subject, lines)
    else:
        _mail(settings, subject, lines)


def _post(settings: Settings, subject: str, lines: list[str]) -> None:
    secret = settings.alert_webhook_url
    url = secret.get_secret_value() if secret else ""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            "STOCK_PLATFORM_ALERT_WEBHOOK_URL", "***", "give an address like https://host/path"
        )
    text = "\n".join([f"*{_plain(subject)}*", *(f"• {_plain(line)}" for line in lines)])
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url,
        json.dumps({"text": text}).encode(),
        {"Content-Type": "application/json", "User-Agent": settings.user_agent},
    )
    where = f"webhook at {parts.hostname}"
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=SECONDS) as answer:
            if answer.status not in _OK:
                raise NotToldError(f"{where}: HTTP {answer.status}")
    except urllib.error.HTTPError as error:
        code = error.code
        error.close()
        raise NotToldError(f"{where}: HTTP {code}") from None
    except (OSError, ValueError) as error:
        raise NotToldError(f"{where}: {_why(error)}") from None


def _mail(settings: Settings, subject: str, lines: list[str]) -> None:
    message = EmailMessage()
    message["Subject"] = " ".join(subject.split())
    message["From"] = settings.alert_email_from
    message["To"] = ", ".join(settings.alert_email_to)
    message.set_content("\n".join(lines) + "\n")
    host, port = settings.smtp_host or "", settings.smtp_port
    where = f"e-mail by {host}:{port}"
    secure = ssl.create_default_context()
    try:
        server: smtplib.SMTP
        if settings.smtp_security == "tls":
            server = smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=secure)
        else:
            server = smtplib.SMTP(host, port, timeout=SECONDS)
        with server:
            if settings.smtp_security == "starttls":
                server.starttls(context=secure)
            if settings.smtp_user and settings.smtp_password:
                server.login(settings.smtp_user, settings.smtp_password.get_secret_value())
            server.send_message(message)
    except smtplib.SMTPAuthenticationError as error:
        raise NotToldError(f"{where}: user or password refused ({error.smtp_code})") from None
    except smtplib.SMTPResponseException as error:
        raise NotToldError(f"{where}: refused ({error.smtp_code})") from None
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise NotToldError(f"{where}: {_why(error)}") from None


def _why(error: BaseException) -> str:
    """What happened, without anything that was sent."""
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or type(cause).__name__


def _plain(text: str) -> str:
    """Text in which Slack sees no mention and no link."""
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, entity)
    return " ".join(text.split())
