"""Every environment variable the platform reads, in one place.

Belongs here: names, defaults and checks of settings. Does not: acting on them. Nothing
else in the platform reads the environment. ``.env`` in the working directory is read too;
the environment wins. Keys are ``SecretStr``: they print as asterisks.
"""

from __future__ import annotations

import os
import re
import tomllib
from datetime import UTC, date, datetime
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from stock_platform.domain.clock import Clock, FixedClock, SystemClock
from stock_platform.domain.errors import InputError

if TYPE_CHECKING:
    from stock_platform.domain.validation.rulebook import Rulebook
    from stock_platform.storage.timescale import TimescaleOptions

KEYS = ("_API_KEY", "_API_KEY_ID", "_API_SECRET")
SHORTEST_RETENTION_DAYS = 14
BASE_URL = re.compile(r"STOCK_PLATFORM_([A-Z0-9_]+)_BASE_URL")


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
    reader_url: SecretStr | None = None
    reader_timeout_seconds: float = Field(default=60.0, ge=0)
    role_prefix: str = Field(default="stock_platform", pattern=r"^[a-z_][a-z0-9_]{0,50}$")
    role_password: SecretStr | None = None
    dagster_retention_days: int = Field(default=90, ge=0)
    home: Path = Field(default_factory=default_home)
    extension_dir: Path | None = None
    chunk_days: dict[str, int] = Field(default_factory=dict)
    compress_after_days: dict[str, int] = Field(default_factory=dict)
    retention_days: dict[str, int] = Field(default_factory=dict)

    variables: dict[str, SecretStr] = Field(default_factory=dict)
    """Vendors' base URLs and keys, by the names of their variables."""

    sources: Annotated[tuple[str, ...], NoDecode] = ()
    """The sources that may be asked; none named: all that are on by default."""

    series: Annotated[tuple[str, ...], NoDecode] = (
        "GDP",
        "CPIAUCSL",
        "UNRATE",
        "DGS10",
        "FEDFUNDS",
    )
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
    patience_seconds: float = Field(default=30.0, ge=0)
    validation_level: Literal["basic", "standard", "strict", "comprehensive"] = "strict"
    validation_rules: Path | None = None
    """A TOML file of rules and thresholds; none: those of domain/validation/rules.toml."""

    retry_failed_hours: float = Field(default=24.0, gt=0)
    coverage_threshold: float = Field(default=0.98, ge=0, le=1)
    user_agent: str = "stock_platform/0.1"

    portfolio_currency: str = Field(default="USD", pattern=r"^[A-Z]{3,5}$")
    portfolio_grace_days: int = Field(default=30, ge=0, le=3650)

    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=0, le=65535)
    api_workers: int = Field(default=2, ge=1, le=64)
    api_rate: float = Field(default=1000.0, gt=0)
    api_concurrency: int = Field(default=128, ge=1, le=10_000)
    api_max_body_kb: int = Field(default=2048, ge=1)
    api_timeout_seconds: float = Field(default=20.0, gt=0)
    api_cache_mb: int = Field(default=128, ge=0)

    alert_webhook_url: SecretStr | None = None
    alert_email_to: Annotated[tuple[str, ...], NoDecode] = ()
    alert_email_from: str = "stock-platform@localhost"
    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    alert_repeat_hours: float = Field(default=24.0, gt=0)

    live_minutes: int = Field(default=15, ge=0, le=1440)
    """Minutes between two quotes of a tracked asset while its exchange is open; 0: none."""

    live_retention_days: int = Field(default=30, ge=0)
    """Days that live quotes and the log of calls for quotes are kept; 0: for ever."""

    refresh_days: int = Field(default=90, ge=0)
    """Days up to now that are asked for again every week, for corrections; 0: none."""

    webserver_host: str = "127.0.0.1"
    webserver_port: int = Field(default=3000, ge=0, le=65535)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Overrides, the environment, ``.env``, and the vendors' variables of both."""
        file = getattr(dotenv_settings, "env_file", None)
        return (
            init_settings,
            env_settings,
            dotenv_settings,
            file_secret_settings,
            _VendorVariables(settings_cls, file),
        )

    @field_validator("sources", "series", "alert_email_to", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return (
            tuple(v.strip() for v in value.split(",") if v.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("dagster_retention_days")
    @classmethod
    def _outlives_schedules(cls, value: int) -> int:
        if 0 < value < SHORTEST_RETENTION_DAYS:  # schedules look a week back for a session's run
            raise ValueError(f"use 0 (keep all) or at least {SHORTEST_RETENTION_DAYS} days")
        return value

    @field_validator("market_time")
    @classmethod
    def _aware(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value

    @cached_property
    def clock(self) -> Clock:
        """The market's clock: the system's, or pinned at ``STOCK_PLATFORM_MARKET_TIME``."""
        return FixedClock(self.market_time) if self.market_time else SystemClock()

    @cached_property
    def rulebook(self) -> Rulebook:
        """The rules and thresholds of validation.

        Raises:
            InputError: the file cannot be read, or names what there is not.
        """
        from stock_platform.domain.validation.findings import RULE_NAMES
        from stock_platform.domain.validation.rulebook import Rulebook

        own = self.validation_rules
        try:
            text = (
                own.read_text(encoding="utf-8")
                if own is not None
                else resources.files("stock_platform.domain.validation")
                .joinpath("rules.toml")
                .read_text(encoding="utf-8")
            )
            return Rulebook.read(tomllib.loads(text), RULE_NAMES)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            allowed = f"give a readable TOML file ({error})"
            raise InputError("STOCK_PLATFORM_VALIDATION_RULES", str(own), allowed) from None

    @property
    def timescale(self) -> TimescaleOptions:
        """How TimescaleDB partitions, compresses and drops. Raises InputError."""
        from stock_platform.storage.timescale import TimescaleOptions

        return TimescaleOptions(self.chunk_days, self.compress_after_days, self.retention_days)

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

    def resolve_reader_url(self) -> str:
        """Where to read: as the reader where one is set, else the platform's database.

        Raises:
            DatabaseError: the embedded server cannot be started.
        """
        if self.reader_url is not None:
            return self.reader_url.get_secret_value()
        return self.resolve_database_url()

    def base_url(self, source: str) -> str | None:
        """The address to ask a source at in place of its vendor's own, or None.

        Raises:
            InputError: what is set is no address.
        """
        variable = f"STOCK_PLATFORM_{source.upper()}_BASE_URL"
        found = self.variables.get(variable)
        if found is None:
            return None
        url = found.get_secret_value()
        if not re.match(r"https?://[^/\s]+", url):
            allowed = "give an address like https://host or http://127.0.0.1:8000"
            raise InputError(variable, url, allowed)
        return url.rstrip("/")

    def pointed_sources(self) -> tuple[str, ...]:
        """The sources whose address is set, by the names of their variables."""
        found = (BASE_URL.fullmatch(variable) for variable in self.variables)
        return tuple(sorted(match[1].lower() for match in found if match))

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

    def key(self, variable: str) -> str | None:
        """The value of a vendor's key variable, or None."""
        secret = self.variables.get(variable)
        return secret.get_secret_value() if secret else None


class _VendorVariables(PydanticBaseSettingsSource):
    """The variables of vendors: base URLs and whatever could be a key.

    Vendors say themselves which keys they read (sources/<vendor>/config.py), so that a new one
    needs no line here; nothing but what they name is ever used.
    """

    def __init__(self, settings: type[BaseSettings], env_file: Any) -> None:
        super().__init__(settings)
        self._env_file = env_file

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Unused: all of them make one field."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        """The one field."""
        found = dict(dotenv_values(self._env_file)) if self._env_file else {}
        found |= os.environ
        return {
            "variables": {
                name: value
                for name, value in found.items()
                if value and (name.endswith(KEYS) or BASE_URL.fullmatch(name))
            }
        }


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; ``overrides`` win over the environment.

    Vendors' variables are overridden one by one, in lower case: ``yahoo_base_url=...``,
    ``polygon_api_key=...``.

    Raises:
        InputError: a variable's value is not allowed; names the variable and the value,
            except that a secret's value is never shown.
    """
    ours = {n: v for n, v in overrides.items() if not _of_vendor(n)}
    theirs = {_variable(n): v for n, v in overrides.items() if _of_vendor(n) and v is not None}
    if theirs:
        ours["variables"] = theirs
    try:
        settings = Settings(**ours)
        for source in settings.pointed_sources():
            settings.base_url(source)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        alias = (
            Settings.model_fields[name].validation_alias if name in Settings.model_fields else None
        )
        variable = str(alias or name)
        if variable == variable.lower():
            variable = f"STOCK_PLATFORM_{variable.upper()}"
        secret = variable.endswith(("_KEY", "_URL", "_PASSWORD")) and "BASE_URL" not in variable
        raise InputError(variable, "***" if secret else first["input"], first["msg"]) from None
    return settings


def _of_vendor(name: str) -> bool:
    return name.upper().endswith((*KEYS, "_BASE_URL"))


def _variable(name: str) -> str:
    return f"STOCK_PLATFORM_{name.upper()}" if name.endswith("_base_url") else name.upper()
