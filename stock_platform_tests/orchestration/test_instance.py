from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import yaml  # type: ignore[import-untyped]  # comes with Dagster, without types
from dagster._core.instance.ref import InstanceRef
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from stock_platform.domain.errors import DatabaseError
from stock_platform.orchestration.instance import (
    DAGSTER_YAML,
    dagster_url,
    instance_ref,
    open_instance,
)
from stock_platform.settings import load_settings
from stock_platform.storage.connection import with_database
from stock_platform.storage.embedded import ensure_server, remove_server, server_status, stop_server
from stock_platform.storage.guests import Guest, connect_arguments, engine_url, guest_engine


def test_a_database_of_the_users_gets_a_schema(
    environment: pytest.MonkeyPatch, database_url: str
) -> None:
    """Dagster's tables lie beside the prices in a schema of their own, made on demand."""
    with open_instance(load_settings()) as instance:
        instance.add_dynamic_partitions("names", ["A"])
        assert instance.get_dynamic_partitions("names") == ["A"]
    with psycopg.connect(database_url) as connection:
        schemas = connection.execute(
            "select distinct table_schema from information_schema.tables "
            "where table_name in ('runs', 'event_logs', 'job_ticks', 'alembic_version')"
        ).fetchall()
    assert sorted(schemas) == [("dagster",), ("stocks",)]


def test_two_processes_share_one_history(environment: pytest.MonkeyPatch) -> None:
    """The instance of ``dagster dev`` and that of the command line are the same."""
    reference = instance_ref(load_settings())
    with open_instance(load_settings()) as one, dg.DagsterInstance.from_ref(reference) as other:
        one.add_dynamic_partitions("names", ["A"])
        assert other.get_dynamic_partitions("names") == ["A"]


def test_no_secret_is_shown(environment: pytest.MonkeyPatch, database_url: str) -> None:
    """Neither the configuration page nor what is handed to other processes has the password."""
    password = conninfo_to_dict(database_url)["password"]
    settings = load_settings()
    reference = instance_ref(settings)
    with open_instance(settings) as instance:
        shown = str(instance.info_dict()) + instance.info_str() + str(reference.to_dict())
    assert str(password) not in shown
    assert str(password) not in repr(Guest(database_url))
    assert str(password) not in DAGSTER_YAML.read_text(encoding="utf-8")


def test_logs_and_files_are_under_home(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``dagster dev`` makes a temporary folder for its own; ours outlives it."""
    temporary = InstanceRef.from_dir(str(tmp_path / "tmp"), config_dir=str(DAGSTER_YAML.parent))
    with dg.DagsterInstance.from_ref(temporary) as instance:
        assert instance.storage_directory().startswith(str(tmp_path / "dagster"))
        manager = instance.compute_log_manager
        path = manager.get_captured_local_path(["a", "b"], "out")  # type: ignore[attr-defined]  # LocalComputeLogManager
        assert path.startswith(str(tmp_path / "dagster" / "logs"))


def test_commits_do_not_wait_for_the_disk(
    environment: pytest.MonkeyPatch, database_url: str
) -> None:
    """Dagster's connections commit asynchronously; the URL's own options are kept."""
    own = Guest(make_conninfo(database_url, options="-c work_mem=8MB"), "dagster")
    assert connect_arguments(own)["options"] == (
        "-c work_mem=8MB -c synchronous_commit=off -c search_path=dagster"
    )
    engine = guest_engine(lambda: own)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("show synchronous_commit").scalar() == "off"
        assert connection.exec_driver_sql("show work_mem").scalar() == "8MB"
    engine.dispose()


def test_a_database_of_its_own(
    environment: pytest.MonkeyPatch, empty_database_url: str, database_url: str
) -> None:
    """STOCK_PLATFORM_DAGSTER_DATABASE_URL wins; its tables are in its default schema."""
    environment.setenv("STOCK_PLATFORM_DAGSTER_DATABASE_URL", empty_database_url)
    settings = load_settings()
    assert "search_path" not in dagster_url(settings)
    with open_instance(settings) as instance:
        instance.get_runs(limit=1)
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select count(*) from public.runs").fetchone() == (0,)


@pytest.mark.parametrize("variable", ["DATABASE_URL", "STOCK_PLATFORM_DAGSTER_DATABASE_URL"])
def test_tls_options_reach_dagsters_connections(
    environment: pytest.MonkeyPatch, database_url: str, variable: str
) -> None:
    """What the URL says of TLS holds for Dagster too; a server without it is one clear line."""
    url = make_conninfo(database_url, sslmode="require", sslrootcert="/etc/ca.pem")
    arguments = connect_arguments(Guest(url))
    assert (arguments["sslmode"], arguments["sslrootcert"]) == ("require", "/etc/ca.pem")
    assert "sslmode=require" in engine_url(Guest(url))
    refusal = "server does not support SSL"
    engine = guest_engine(lambda: Guest(make_conninfo(database_url, sslmode="require")))
    with pytest.raises(Exception, match=refusal):  # psycopg2's, which dagster-postgres uses
        engine.connect()
    environment.setenv(variable, make_conninfo(database_url, sslmode="require"))
    with pytest.raises(DatabaseError, match=refusal), open_instance(load_settings()) as instance:
        instance.get_runs(limit=1)


def test_events_are_batched_in_every_process() -> None:
    """Loading the instance's module sets Dagster's own switch."""
    assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "1000"


def test_an_embedded_server_that_ended_is_found_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process that lives on starts the server again with its next question."""
    monkeypatch.setenv("STOCK_PLATFORM_HOME", str(tmp_path))
    try:
        with open_instance(load_settings()) as instance:
            instance.add_dynamic_partitions("names", ["A"])
            assert stop_server(tmp_path)
            assert server_status(tmp_path) is None
            assert instance.get_dynamic_partitions("names") == ["A"]
            assert server_status(tmp_path) is not None
    finally:
        remove_server(tmp_path)


def test_key_value_urls_work(database_url: str) -> None:
    """libpq's other form, and passwords with special characters, survive the way to SQLAlchemy."""
    same = with_database(database_url, str(conninfo_to_dict(database_url)["dbname"]))
    engine = guest_engine(lambda: Guest(same))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("select 1").scalar() == 1
    engine.dispose()
    assert "p%40%2Fss" in engine_url(Guest("postgresql://u:p%40%2Fss@h:5/d"))


def test_dagster_yaml_says_what_we_mean() -> None:
    """Telemetry is off, and slots of dead runs are freed."""
    config = yaml.safe_load(DAGSTER_YAML.read_text(encoding="utf-8"))
    assert config["telemetry"] == {"enabled": False}
    assert config["run_monitoring"]["free_slots_after_run_end_seconds"] > 0


def test_the_embedded_server_has_room_for_dagster(tmp_path: Path) -> None:
    """Its second database is Dagster's."""
    try:
        info = ensure_server(tmp_path)
        assert info.dagster_url.endswith("/dagster")
        assert "/dagster" in dagster_url(load_settings(home=tmp_path))
    finally:
        remove_server(tmp_path)
