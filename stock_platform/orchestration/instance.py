"""Where Dagster keeps runs, events, logs: beside the prices, found from the settings alone.

Belongs here: the classes that dagster.yaml names. Does not: what dagster.yaml decides (queue,
retention), connections (storage/guests.py), how events are written (event_log.py).

``dagster.yaml`` holds no address and no password. Every process that loads the instance (web
server, daemon, code server, run worker) asks the settings where the database is, starts the
embedded server if nobody has, and asks again at every new connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from dagster_postgres import PostgresRunStorage, PostgresScheduleStorage

from stock_platform.orchestration.event_log import BatchedEventLogStorage
from stock_platform.settings import Settings, load_settings
from stock_platform.storage.guests import Guest, engine_url, guest_engine, make_room
from stock_platform.storage.roles import GUEST_SCHEMA

SCHEMA = GUEST_SCHEMA
"""Dagster's schema in a database that we were given."""

DAGSTER_YAML = Path(__file__).parents[1] / "dagster.yaml"
"""The same file as the repository's; it is in the wheel."""


def find_guest(settings: Settings) -> Guest:
    """Where Dagster's tables are: a database of their own, or a schema beside the prices.

    The embedded server is started where no database is named.

    Raises:
        DatabaseError: the embedded server cannot be started.
    """
    if settings.dagster_database_url is not None:
        return Guest(settings.dagster_database_url.get_secret_value())
    if settings.database_url is not None:
        return Guest(settings.database_url.get_secret_value(), SCHEMA)
    from stock_platform.storage.embedded import ensure_server

    return Guest(ensure_server(settings.home, extension_dir=settings.extension_dir).dagster_url)


def dagster_url(settings: Settings) -> str:
    """The address of Dagster's database for SQLAlchemy with psycopg2; holds the password.

    Raises:
        DatabaseError: the embedded server cannot be started, or a URL cannot be read.
    """
    return engine_url(find_guest(settings))


def dagster_home(settings: Settings) -> Path:
    """The folder of Dagster's logs and artifacts; made if it is not there."""
    home = settings.home / "dagster"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def instance_ref(settings: Settings) -> InstanceRef:
    """What the web server and the daemon take as ``--instance-ref``; holds no secret."""
    return InstanceRef.from_dir(str(dagster_home(settings)), config_dir=str(DAGSTER_YAML.parent))


def open_instance(settings: Settings) -> DagsterInstance:
    """The instance that ``dagster dev`` in the repository has, for use in this process.

    Raises:
        DatabaseError: the database cannot be reached.
    """
    return DagsterInstance.from_ref(instance_ref(settings))


class PlatformStorage(DagsterStorage, ConfigurableClass):
    """Dagster's runs, events and schedules, where the settings say.

    Raises:
        DatabaseError: the database cannot be reached.
    """

    def __init__(
        self, settings: Settings | None = None, inst_data: ConfigurableClassData | None = None
    ) -> None:
        self._inst_data = inst_data
        settings = settings or load_settings()
        find = partial(find_guest, settings)
        guest = find()
        make_room(guest)
        url = engine_url(guest)
        self._runs = _Runs(url)
        self._events = _Events(url)
        self._schedules = _Schedules(url)
        for storage in (self._runs, self._events, self._schedules):
            storage.follow(find)
        super().__init__()  # type: ignore[no-untyped-call]  # Dagster's

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What dagster.yaml said of it."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Dagster's constructor."""
        return cls(inst_data=inst_data, **config_value)

    @property
    def run_storage(self) -> PostgresRunStorage:
        """Runs."""
        return self._runs

    @property
    def event_log_storage(self) -> BatchedEventLogStorage:
        """Events."""
        return self._events

    @property
    def schedule_storage(self) -> PostgresScheduleStorage:
        """Schedules and sensors."""
        return self._schedules


class _Following:
    """A storage whose connections go wherever the server is now."""

    _find: Callable[[], Guest]

    def follow(self, find: Callable[[], Guest]) -> None:
        """Replace the engine that was made for one address."""
        self._find = find
        self._engine = guest_engine(find)

    def optimize_for_webserver(
        self, statement_timeout: int, pool_recycle: int, max_overflow: int
    ) -> None:
        """As Dagster's own, without giving up the way back to the server."""
        self._engine = guest_engine(
            self._find,
            settings={"statement_timeout": str(statement_timeout)},
            max_overflow=max_overflow,
            recycle_seconds=pool_recycle,
        )


class _Runs(_Following, PostgresRunStorage):
    pass


class _Events(_Following, BatchedEventLogStorage):
    pass


class _Schedules(_Following, PostgresScheduleStorage):
    pass


class PlatformComputeLogs(LocalComputeLogManager):
    """What steps print, in files under STOCK_PLATFORM_HOME."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(str(dagster_home(load_settings()) / "logs"), inst_data=inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Dagster's constructor."""
        return cls(inst_data=inst_data, **config_value)


class PlatformArtifacts(LocalArtifactStorage):
    """Dagster's own files, under STOCK_PLATFORM_HOME and not in a temporary folder."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(str(dagster_home(load_settings())), inst_data=inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No configuration."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Dagster's constructor."""
        return cls(inst_data=inst_data, **config_value)
