"""compose.yaml and its Dockerfile say what exists: files, commands, variables."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # comes with Dagster, without types

REPOSITORY = Path(__file__).parents[1]
COMPOSE = REPOSITORY / "compose.yaml"
BIN = Path(sys.executable).parent
OURS = ("migrate", "code", "webserver", "daemon", "api")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of compose.yaml."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    return found


def test_the_services_depend_on_what_is_there(services: dict[str, Any]) -> None:
    """TimescaleDB, migrations, then Dagster; each waits for one that can be waited for."""
    assert set(services) == {"db", *OURS}
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, name
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other]
        if name != "migrate":
            assert "healthcheck" in service, name


def test_volumes_and_files_exist(services: dict[str, Any]) -> None:
    """Named volumes are declared, and whatever the Dockerfile copies is in the repository."""
    volumes = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["volumes"]
    for service in services.values():
        for volume in service.get("volumes", []):
            assert volume.partition(":")[0] in volumes
    dockerfile = (REPOSITORY / services["code"]["build"]["dockerfile"]).read_text(encoding="utf-8")
    copied = [words for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE)
              for words in line.split()[:-1]]  # fmt: skip
    assert copied
    for path in copied:
        assert (REPOSITORY / path).exists(), path
    kept = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").split()
    for path in copied:
        assert f"!{path.split('/')[0]}" in kept
    inside = {f"/etc/dagster/{Path(path).name}" for path in copied}
    for service in services.values():
        for word in service.get("command", []):
            if "/etc/dagster/" in str(word):
                assert str(word).rpartition("=")[2] in inside


@pytest.mark.parametrize("name", ["code", "webserver", "daemon", "api"])
def test_every_command_knows_its_options(services: dict[str, Any], name: str) -> None:
    """What compose starts is a program of ours or Dagster's that has these very options."""
    service = services[name]
    for words in (service["command"], service["healthcheck"]["test"][1:]):
        program, *rest = words
        if program == "python":
            continue
        command = [word for word in rest if not word.startswith("-")]
        done = subprocess.run(
            [*_program(program), *command, "--help"],
            capture_output=True, text=True, check=False, cwd=REPOSITORY,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        for option in (word.partition("=")[0] for word in rest if word.startswith("--")):
            assert option in done.stdout


def _program(name: str) -> list[str]:
    ours = name == "stock-platform"
    return [sys.executable, "-m", "stock_platform"] if ours else [str(BIN / name)]


def test_the_migration_script_parses(services: dict[str, Any]) -> None:
    """Each line calls a command with options it has."""
    text = (REPOSITORY / "deploy" / "migrate.sh").read_text(encoding="utf-8")
    calls = re.findall(r"stock-platform (.+)$", text, re.MULTILINE)
    assert len(calls) == 3
    for call in calls:
        words = call.split()
        command = words[:3] if words[1] == "roles" else words[:2]
        done = subprocess.run(
            [sys.executable, "-m", "stock_platform", *command, "--help"],
            capture_output=True, text=True, check=False, cwd=REPOSITORY,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        for option in (word for word in words if word.startswith("--")):
            assert option in done.stdout
    assert {"APP_PASSWORD", "READER_PASSWORD"} <= set(services["migrate"]["environment"])


def test_passwords_come_from_the_environment(services: dict[str, Any]) -> None:
    """No secret is in the file, every one must be set, and .env.example names each."""
    text = COMPOSE.read_text(encoding="utf-8")
    wanted = set(re.findall(r"\$\{(\w+_PASSWORD):\?", text))
    assert wanted == {"POSTGRES_PASSWORD", "APP_PASSWORD", "READER_PASSWORD"}
    assert not re.search(r"postgresql://\w+:(?!\$\{)", text)
    example = (REPOSITORY / ".env.example").read_text(encoding="utf-8")
    for name in wanted:
        assert f"#{name}=" in example
    assert services["db"]["ports"][0].startswith("127.0.0.1:")
    assert services["webserver"]["ports"][0].startswith("127.0.0.1:")
    assert services["api"]["ports"][0].startswith("127.0.0.1:")


def test_only_the_migration_is_the_owner(services: dict[str, Any]) -> None:
    """Whatever runs on its own connects as the login that changes no schema."""
    for name in ("code", "webserver", "daemon", "api"):
        assert services[name]["environment"]["DATABASE_URL"].startswith("postgresql://app:")
