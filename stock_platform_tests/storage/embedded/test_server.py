"""The embedded server: shared by all, private to its owner, and never lost to a kill."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stock_platform.domain.errors import DatabaseError
from stock_platform.storage import embedded
from stock_platform.storage.embedded import (
    ensure_server,
    places,
    process,
    remove_server,
    server_status,
    stop_server,
)

REPOSITORY = Path(__file__).resolve().parents[3]
ENSURE = (
    "import sys; from pathlib import Path; "
    "from stock_platform.storage.embedded import ensure_server; "
    "s = ensure_server(Path(sys.argv[1])); print(s.pid, s.port, s.url)"
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home without a server; whatever server it gets is deleted."""
    home = tmp_path / "home with 'odd' $name"
    yield home
    remove_server(home)


@pytest.fixture(scope="module")
def shared_home() -> Iterator[Path]:
    """One running server for the tests that only look."""
    home = Path(tempfile.mkdtemp(prefix="stock_platform_look_"))
    ensure_server(home)
    yield home
    remove_server(home)
    shutil.rmtree(home)


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def write(url: str, command: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(command.encode())


def kill(pid: int, data_dir: Path) -> None:
    """Kill -9 and wait until the kernel agrees."""
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while process.is_server(pid, data_dir):
        assert time.monotonic() < deadline


def test_serves_two_databases_in_utc(shared_home: Path) -> None:
    """The platform's commits are durable; Dagster's events are not worth an fsync each."""
    server = ensure_server(shared_home)
    assert ask(server.url, "select current_database()") == "stock_platform"
    assert ask(server.dagster_url, "select current_database()") == "dagster"
    assert ask(server.url, "show synchronous_commit") == "on"
    assert ask(server.dagster_url, "show synchronous_commit") == "off"
    assert ask(server.url, "show fsync") == "on"
    assert ask(server.url, "show timezone") == "UTC"
    assert ask(server.url, "show data_checksums") == "on"


def test_attaching_is_quick_and_light(shared_home: Path) -> None:
    """Every command attaches, so it reads a few files and imports nothing heavy."""
    code = (
        "import sys; from pathlib import Path; "
        "from stock_platform.storage.embedded import ensure_server; "
        "ensure_server(Path(sys.argv[1])); "
        "heavy = {'psycopg', 'subprocess', 'alembic', 'polars', 'secrets'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, str(shared_home)], check=True, cwd=REPOSITORY)
    best = 1.0
    for _ in range(20):
        begun = time.perf_counter()
        ensure_server(shared_home)
        best = min(best, time.perf_counter() - begun)
    assert best < 0.005


def test_nothing_is_readable_by_others(shared_home: Path) -> None:
    """Files are 0600 in 0700 folders, whatever the umask was."""
    server = ensure_server(shared_home)
    folders = [shared_home / "postgres", server.data_dir.parent]
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            mode = stat.S_IMODE(path.lstat().st_mode)
            private = mode & 0o077 == 0
            # inside a closed folder only the label differs
            assert private or path.name == "home", f"{path} is {mode:o}"


def test_listens_on_loopback_only_and_wants_the_password(shared_home: Path) -> None:
    """No trust authentication, no socket in a shared folder, no foreign address."""
    server = ensure_server(shared_home)
    assert ask(server.url, "show listen_addresses") == "127.0.0.1"
    assert ask(server.url, "show unix_socket_directories") == ""
    assert (
        ask(server.url, "select count(*) from pg_hba_file_rules where auth_method = 'trust'") == 0
    )
    wrong = psycopg.conninfo.make_conninfo(server.url, password="wrong")  # noqa: S106 - made up
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_the_password_is_random_and_not_shown(shared_home: Path, home: Path) -> None:
    """Two homes have two passwords; neither is in a repr, a process list or a log."""
    server, other = ensure_server(shared_home), ensure_server(home)
    secrets = [psycopg.conninfo.conninfo_to_dict(s.url)["password"] for s in (server, other)]
    assert secrets[0] != secrets[1]
    assert all(len(str(secret)) >= 40 for secret in secrets)
    secret = str(secrets[0])
    assert secret not in repr(server)
    assert secret.encode() not in Path(f"/proc/{server.pid}/cmdline").read_bytes()
    for log in server.log_dir.iterdir():
        assert secret not in log.read_text(encoding="utf-8")


def test_the_server_is_not_root(shared_home: Path) -> None:
    """PostgreSQL runs as the owner of its data, who is never root."""
    server = ensure_server(shared_home)
    owner = Path(f"/proc/{server.pid}").stat().st_uid
    assert owner == server.data_dir.stat().st_uid
    assert owner != 0


def test_stop_is_clean_and_start_keeps_port_and_data(home: Path) -> None:
    """A stop leaves nothing to recover, and the URL stays true across a restart."""
    first = ensure_server(home)
    write(first.url, "create table kept as select 42 as n")
    assert stop_server(home)
    assert server_status(home) is None
    assert not (first.data_dir / "postmaster.pid").exists()
    assert stop_server(home) is False
    second = ensure_server(home)
    assert second.url == first.url
    assert ask(second.url, "select n from kept") == 42
    log = "".join(path.read_text() for path in second.log_dir.glob("postgresql-*.log"))
    assert "not properly shut down" not in log


def test_kill_9_of_the_postmaster_loses_nothing(home: Path) -> None:
    """What was committed is there after the next start, which needs no help."""
    first = ensure_server(home)
    write(first.url, "create table kept as select generate_series(1, 1000) as n")
    kill(first.pid, first.data_dir)
    assert server_status(home) is None
    second = ensure_server(home)
    assert second.pid != first.pid
    assert second.url == first.url
    assert ask(second.url, "select count(*) from kept") == 1000


def test_kill_9_while_a_query_runs(home: Path) -> None:
    """A backend that outlives its postmaster is waited for, not joined by a second server."""
    first = ensure_server(home)
    write(first.url, "create table kept as select 1 as n")
    ends: list[str] = []

    def keep_busy() -> None:
        try:
            ask(first.url, "select count(*) from generate_series(1, 20000000000)")
        except psycopg.OperationalError as error:
            ends.append(str(error))

    client = threading.Thread(target=keep_busy)
    client.start()
    busy = "select pid from pg_stat_activity where query like 'select count%generate_series%'"
    deadline = time.monotonic() + 10
    while not (backend := ask(first.url, busy + " and pid <> pg_backend_pid()")):
        assert time.monotonic() < deadline
    kill(first.pid, first.data_dir)
    assert Path(f"/proc/{backend}/cmdline").read_bytes(), "the backend outlives its postmaster"
    second = ensure_server(home)
    client.join(10)
    assert len(ends) == 1
    assert ask(second.url, "select n from kept") == 1


def test_a_pid_file_that_names_a_stranger_is_not_believed(home: Path) -> None:
    """After a kill -9 the pid can belong to any process, even to ours."""
    first = ensure_server(home)
    kill(first.pid, first.data_dir)
    pid_file = first.data_dir / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    for stranger in (os.getpid(), 1):
        pid_file.write_text("\n".join([str(stranger), *lines[1:]]) + "\n")
        assert server_status(home) is None
    second = ensure_server(home)
    assert ask(second.url, "select 1") == 1


@pytest.mark.parametrize("content", ["", "garbage\n", "99999999\n/nowhere\n", "-1\n"])
def test_a_broken_pid_file_is_no_server(tmp_path: Path, content: str) -> None:
    """A torn or empty file is what a crash can leave."""
    (tmp_path / "postmaster.pid").write_text(content)
    assert process.postmaster(tmp_path) is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_zombie_is_no_server(tmp_path: Path) -> None:
    """A dead process that nobody has reaped still has a pid."""
    words = ["/any/bin/postgres", "-c", "read line", str(tmp_path)]
    child = subprocess.Popen(words, executable="/bin/sh", stdin=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 10
        while not process.is_server(child.pid, tmp_path):
            assert time.monotonic() < deadline
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{child.pid}").exists()
        assert not process.is_server(child.pid, tmp_path)
    finally:
        child.kill()
        child.communicate()


def test_racing_processes_share_one_server(home: Path) -> None:
    """Six that come at once make one cluster and one server, and it outlives them all."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", ENSURE, str(home)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        for _ in range(6)
    ]
    answers = {racer.communicate(timeout=120)[0] for racer in racers}
    assert [racer.returncode for racer in racers] == [0] * 6
    assert len(answers) == 1
    server = server_status(home)
    assert server is not None
    assert answers == {f"{server.pid} {server.port} {server.url}\n"}


def test_a_starter_killed_in_the_middle_is_made_good(home: Path) -> None:
    """Kill -9 at any moment of the first start: the next one completes it."""
    for wait in (0.05, 0.2, 0.4, 0.6, 0.8):
        starter = subprocess.Popen([sys.executable, "-c", ENSURE, str(home)], cwd=REPOSITORY,
                                   stdout=subprocess.DEVNULL)  # fmt: skip
        try:
            starter.wait(timeout=wait)
        except subprocess.TimeoutExpired:
            starter.kill()
            starter.wait()
    server = ensure_server(home)
    assert ask(server.url, "select 1") == 1
    assert ask(server.dagster_url, "show synchronous_commit") == "off"


def test_a_taken_port_is_given_up(home: Path) -> None:
    """Somebody else on our port while we were down: another port, same data."""
    first = ensure_server(home)
    stop_server(home)
    with socket.create_server(("127.0.0.1", first.port)):
        second = ensure_server(home)
        assert second.port != first.port
        assert ask(second.url, "select 1") == 1


def test_data_of_another_version_is_refused(home: Path) -> None:
    """The message names both versions and the folder, and nothing is touched."""
    server = ensure_server(home)
    stop_server(home)
    (server.data_dir / "PG_VERSION").write_text("12\n")
    with pytest.raises(DatabaseError, match=r"made by PostgreSQL 12 .* binaries are 1\d"):
        ensure_server(home)


def test_a_failed_start_says_why_and_where(home: Path) -> None:
    """The last words of the server and its log's path, on one line."""
    server = ensure_server(home)
    stop_server(home)
    with (server.data_dir / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(DatabaseError, match=r"did not start: .*\(log: .*start\.log\)") as caught:
        ensure_server(home)
    assert "\n" not in str(caught.value)


def test_lost_data_is_not_replaced_in_silence(home: Path) -> None:
    """An empty database where there was a full one would look like data loss, and be it."""
    server = ensure_server(home)
    stop_server(home)
    server.data_dir.rename(server.data_dir.with_name("moved"))
    with pytest.raises(DatabaseError, match="is gone"):
        ensure_server(home)
    server.data_dir.with_name("moved").rename(server.data_dir)
    assert ask(ensure_server(home).url, "select 1") == 1


def test_a_torn_record_is_an_error_not_a_new_cluster(home: Path) -> None:
    """Likewise for the file that says where the data is."""
    ensure_server(home)
    stop_server(home)
    record = home / "postgres" / "server.json"
    text = record.read_text()
    record.write_text(text[:20])
    with pytest.raises(DatabaseError, match=r"cannot read .*server\.json"):
        ensure_server(home)
    record.write_text(text)


def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file where the folder should be, as after a mistyped setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match=r"cannot use .*file") as caught:
        ensure_server(tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_an_extension_folder_is_offered(home: Path, tmp_path: Path) -> None:
    """Extensions in a folder of the user's become available; a running server is not changed."""
    folder = Path(tempfile.mkdtemp(prefix="stock_platform_ext_"))
    try:
        folder.chmod(0o755)
        (folder / "lib").mkdir()
        (folder / "share" / "extension").mkdir(parents=True)
        (folder / "lib" / "ours.so").write_bytes(b"")
        (folder / "share" / "extension" / "ours.control").write_text("default_version = '1'\n")
        (folder / "share" / "extension" / "ours--1.sql").write_text("select 1;\n")
        server = ensure_server(home, extension_dir=folder)
        found = "select default_version from pg_available_extensions where name = 'ours'"
        assert ask(server.url, found) == "1"
        write(server.url, "create extension ours")
        with pytest.raises(DatabaseError, match="running without the extension folder"):
            ensure_server(home, extension_dir=tmp_path)
        assert ensure_server(home).pid == server.pid
        stop_server(home)
        with pytest.raises(DatabaseError, match="holds no extension"):
            ensure_server(home, extension_dir=tmp_path)
        assert ask(ensure_server(home).url, found) == "1"
    finally:
        stop_server(home)
        shutil.rmtree(folder)


def test_the_lock_names_itself_when_it_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process stuck with the lock is reported, not waited for without end."""
    monkeypatch.setattr(places, "LOCK_SECONDS", 0.0)
    with (
        places.locked(home),
        pytest.raises(DatabaseError, match=r"another process has held .*lock"),
        places.locked(home),
    ):
        pass


def test_a_data_directory_in_use_elsewhere_is_not_started_twice(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server we cannot see (another container) still holds the lease."""
    monkeypatch.setattr(process, "ORPHAN_SECONDS", 0.1)
    server = ensure_server(home)
    stop_server(home)
    lease = process._open_lease(server.data_dir)
    fcntl.flock(lease, fcntl.LOCK_EX)
    try:
        with pytest.raises(DatabaseError, match="in use by a PostgreSQL that is not ours"):
            ensure_server(home)
    finally:
        os.close(lease)
    assert embedded.ensure_server(home).data_dir == server.data_dir


def test_remove_leaves_nothing(home: Path) -> None:
    """After it the home is as if there had never been a server."""
    server = ensure_server(home)
    remove_server(home)
    assert not server.data_dir.parent.exists()
    assert places.read_record(home) is None
    assert not process.is_server(server.pid, server.data_dir)


def test_the_record_is_readable_json_of_the_owner(shared_home: Path) -> None:
    """So that a person can find the cluster of a home."""
    server = ensure_server(shared_home)
    record = json.loads((shared_home / "postgres" / "server.json").read_text())
    assert Path(record["cluster_dir"]) == server.data_dir.parent
