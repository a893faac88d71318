"""Every environment variable the platform reads, in one place.

Belongs here: names, defaults and checks of settings. Does not: acting on them. Nothing
else in the platform reads the environment. ``.env`` in the working directory is read too;
the environment wins. Keys are ``SecretStr``: they print as asterisks.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from stock_platform.domain.clock import Clock, FixedClock, SystemClock
from stock_platform.domain.errors import InputError

DEFAULT_SOURCES = ("files", "polygon", "yahoo")
VENDOR_HOMES = {
    "yahoo": "https://query2.finance.yahoo.com",
    "polygon": "https://api.polygon.io",
}


def default_home() -> Path:
    """``~/.stock_platform``, or a folder under the working directory where there is no home."""
    try:
        return Path.home() / ".stock_platform"
    except RuntimeError:
        return Path.cwd() / ".stock_platform"


class Settings(BaseSettings):
    """The platform's settings; see ``.env.example`` for the list with comments."""

    model_config = SettingsConfigDict(
        env_prefix="STOCK_PLATFORM_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
    )

    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    dagster_database_url: SecretStr | None = None
    home: Path = Field(default_factory=default_home)
    extension_dir: Path | None = None

    alpha_vantage_api_key: SecretStr | None = Field(
        default=None, validation_alias="ALPHA_VANTAGE_API_KEY"
    )
    finnhub_api_key: SecretStr | None = Field(default=None, validation_alias="FINNHUB_API_KEY")
    polygon_api_key: SecretStr | None = Field(default=None, validation_alias="POLYGON_API_KEY")
    fred_api_key: SecretStr | None = Field(default=None, validation_alias="FRED_API_KEY")
    coingecko_api_key: SecretStr | None = Field(default=None, validation_alias="COINGECKO_API_KEY")

    yahoo_base_url: str = VENDOR_HOMES["yahoo"]
    polygon_base_url: str = VENDOR_HOMES["polygon"]

    sources: Annotated[tuple[str, ...], NoDecode] = DEFAULT_SOURCES
    files_path: str | None = None
    files_columns: dict[str, str] = Field(default_factory=dict)
    files_basis: str = "as_traded"
    files_date_format: str | None = None
    files_decimal_comma: bool = False
    files_interval: str = "1d"
    files_zone: str | None = None
    files_currency: str | None = None

    calendar: str = "XNYS"
    start_date: date = date(2016, 1, 4)
    market_time: datetime | None = None
    clock_rate: float = Field(default=1.0, gt=0, le=100_000)
    max_wait_seconds: float = Field(default=90.0, ge=0)
    validation_level: Literal["basic", "standard"] = "standard"
    retry_failed_hours: float = Field(default=24.0, gt=0)
    coverage_threshold: float = Field(default=0.98, ge=0, le=1)
    user_agent: str = "stock_platform/0.1"

    webserver_host: str = "127.0.0.1"
    webserver_port: int = Field(default=3000, ge=0, le=65535)

    @field_validator("sources", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return (
            tuple(v.strip() for v in value.split(",") if v.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("market_time")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value

    @field_validator("yahoo_base_url", "polygon_base_url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        if not re.match(r"https?://[^/\s]+", value):
            raise ValueError("give an address like https://host or http://127.0.0.1:8000")
        return value.rstrip("/")

    @cached_property
    def clock(self) -> Clock:
        """The market's clock: the system's, or pinned at ``STOCK_PLATFORM_MARKET_TIME``."""
        return FixedClock(self.market_time) if self.market_time else SystemClock()

    @property
    def cache_dir(self) -> Path:
        """Where the HTTP cache lives."""
        return self.home / "cache"

    def resolve_database_url(self) -> str:
        """The platform's database; the embedded server is started where none is set.

        Raises:
            DatabaseError: the embedded server cannot be started.
        """
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        from stock_platform.storage.embedded import ensure_server

        return ensure_server(self.home, extension_dir=self.extension_dir).url

    def base_url(self, source: str) -> str | None:
        """The address a source is asked at; None for sources without one."""
        return getattr(self, f"{source}_base_url", None)

    def source_options(self, source: str) -> dict[str, Any]:
        """Settings of one source alone."""
        if source != "files":
            return {}
        return {
            "path": self.files_path,
            "columns": self.files_columns,
            "basis": self.files_basis,
            "interval": self.files_interval,
            "date_format": self.files_date_format,
            "decimal_comma": self.files_decimal_comma,
            "zone": self.files_zone,
            "currency": self.files_currency,
        }

    def key(self, source: str) -> str | None:
        """A source's API key, or None."""
        secret: SecretStr | None = getattr(self, f"{source}_api_key", None)
        return secret.get_secret_value() if secret else None


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; ``overrides`` win over the environment.

    Raises:
        InputError: a variable's value is not allowed; names the variable and the value,
            except that a secret's value is never shown.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        alias = (
            Settings.model_fields[name].validation_alias if name in Settings.model_fields else None
        )
        variable = str(alias or name)
        if variable == variable.lower():
            variable = f"STOCK_PLATFORM_{variable.upper()}"
        secret = variable.endswith(("_KEY", "_URL")) and "BASE_URL" not in variable
        raise InputError(variable, "***" if secret else first["input"], first["msg"]) from None
