"""Services live as long as we do, and say why when they do not."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from stock_platform.apps.services import CONFIGURATION, OURS, prepare_home
from stock_platform.apps.supervise import Service, Supervisor, free_port, only_one
from stock_platform.domain.errors import StockPlatformError
from stock_platform.settings import load_settings
from stock_platform_tests.apps.conftest import REPOSITORY, Cli

SLEEPER = "import signal, pathlib; pathlib.Path({!r}).touch(); signal.pause()"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield int(held.getsockname()[1])


def sleeper(mark: Path) -> list[str]:
    return [sys.executable, "-c", SLEEPER.format(str(mark))]


def ends(pid: int, within: float = 20.0) -> bool:
    """Whether a process that is no child of ours ends, or has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    import select

    try:
        return bool(select.select([handle], [], [], within)[0])
    finally:
        os.close(handle)


def test_a_supervisor_stops_what_it_started(tmp_path: Path) -> None:
    """Leaving the block ends every service."""
    mark = tmp_path / "up"
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(Service("sleeper", sleeper(mark)))
        supervisor.wait_until(mark.exists, "the sleeper", 30)
        process = supervisor._running[0][1]
        assert process.poll() is None
    assert process.returncode is not None


def test_a_service_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    """Not a silence and not a timeout."""
    program = "import sys; print('no room left'); sys.exit(4)"
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(Service("broken", [sys.executable, "-c", program]))
        with pytest.raises(StockPlatformError, match="broken ended with code 4: no room left"):
            supervisor.wait_until(lambda: False, "it", 30)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_services_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    """After kill -9 of the supervisor nothing is left."""
    mark = tmp_path / "up"
    program = textwrap.dedent(f"""
        import pathlib, threading
        from stock_platform.apps.supervise import Service, Supervisor
        with Supervisor(pathlib.Path({str(tmp_path)!r})) as supervisor:
            supervisor.start(Service("sleeper", {sleeper(mark)!r}))
            supervisor.wait_until(pathlib.Path({str(mark)!r}).exists, "it", 30)
            print(supervisor._running[0][1].pid, flush=True)
            threading.Event().wait()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait(30)
        assert ends(child)


def test_a_taken_port_is_an_error_only_when_asked_for(taken: int) -> None:
    """Otherwise the next free one is used."""
    assert free_port("127.0.0.1", taken) > taken
    with pytest.raises(StockPlatformError, match=rf"port {taken} on 127\.0\.0\.1 is taken"):
        free_port("127.0.0.1", taken, exactly=True)


def test_up_on_a_taken_port_fails_in_one_line(cli: Cli, taken: int) -> None:
    """Exit code 1, before anything is started."""
    said = cli("up", "--port", str(taken))
    assert said.code == 1
    assert f"port {taken} on 127.0.0.1 is taken" in said.error
    assert not (cli.folder / "home" / "logs").exists()


@pytest.mark.slow
def test_up_serves_the_ui_and_one_ctrl_c_stops_it_all(cli: Cli) -> None:
    """The printed address answers; a second ``up`` is told of it; nothing is left running."""
    with cli.start("up", "--port", "0") as process:
        try:
            assert process.stdout
            api = next(line for line in process.stdout if line.startswith("HTTP API: "))
            health = api.split()[2].removesuffix("/docs") + "/health"
            with urllib.request.urlopen(health, timeout=30) as answer:  # noqa: S310 - our own http address
                assert answer.status == 200
            line = next(line for line in process.stdout if line.startswith("Dagster UI: "))
            url = line.split()[2]
            with urllib.request.urlopen(f"{url}/server_info", timeout=30) as answer:  # noqa: S310 - our own http address
                assert "dagster_version" in json.load(answer)
            second = cli("up", "--port", "0")
            assert (second.code, url in second.error) == (1, True)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            assert len(children) == 4  # Dagster's three, and the API
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=150)
        finally:
            process.kill()
    assert (process.returncode, said) == (0, "")
    assert all(ends(int(pid)) for pid in children)


def test_a_second_up_is_told_where_the_first_is(tmp_path: Path) -> None:
    """One home, one ``up``."""
    path = tmp_path / "up.lock"
    with only_one(path, "up") as leave:
        leave("http://127.0.0.1:3000")
        with (
            pytest.raises(StockPlatformError, match=r"running already at http://127\.0\.0\.1:3000"),
            only_one(path, "up"),
        ):
            pass
    with only_one(path, "up"):
        pass


def test_dagster_home_is_ours_unless_one_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours holds the repository's dagster.yaml, without any address or password."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    settings = load_settings(home=tmp_path / "home", database_url="postgresql://a:word@b/c")
    home = prepare_home(settings)
    assert home == tmp_path / "home" / "dagster"
    text = (home / "dagster.yaml").read_text()
    assert text == CONFIGURATION.read_text()
    assert "word@" not in text
    (home / "dagster.yaml").write_text(text.replace("num_workers: 2", "num_workers: 3"))
    prepare_home(settings)
    assert (home / "dagster.yaml").read_text() == text
    taken_over = text.replace(OURS, "")
    (home / "dagster.yaml").write_text(taken_over)
    prepare_home(settings)
    assert (home / "dagster.yaml").read_text() == taken_over
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert prepare_home(settings) == tmp_path
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(StockPlatformError, match="which is no folder"):
        prepare_home(settings)


def test_the_wheel_has_the_repositorys_dagster_yaml() -> None:
    """What `up` writes from an installed wheel is what `dagster dev` reads in the repository."""
    repository = Path(__file__).parents[2]
    assert CONFIGURATION.parent.name == "stock_platform"
    assert CONFIGURATION.read_bytes() == (repository / "dagster.yaml").read_bytes()
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    assert CONFIGURATION.name in project["tool"]["setuptools"]["package-data"]["stock_platform"]


def test_stopping_is_not_interrupted_by_a_second_ctrl_c(tmp_path: Path) -> None:
    """The signal is put off until the services are gone."""
    mark = tmp_path / "up"
    supervisor = Supervisor(tmp_path / "logs")
    supervisor.start(Service("sleeper", sleeper(mark), stop=signal.SIGCONT))  # deaf: is killed
    supervisor.wait_until(mark.exists, "the sleeper", 30)
    process = supervisor._running[0][1]
    again = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    again.start()
    waited: list[float] = []
    real = process.wait

    def wait(timeout: float | None = None) -> int:
        waited.append(timeout or 0)
        return real(0.6 if timeout else None)

    process.wait = wait  # type: ignore[method-assign]  # shortens the patience of this test
    supervisor.stop()
    again.join()
    assert process.returncode == -signal.SIGKILL
    assert waited
