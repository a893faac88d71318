"""What README and docs name exists: commands with their options, files, settings, targets."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from stock_platform.apps.cli.app import app

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted(
    [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("deploy/*.md")]
)
NAMES = [str(page.relative_to(REPOSITORY)) for page in PAGES]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:^|[\s(/`])stock-platform ([a-z][^\n`]*)")
SETTING = re.compile(r"\bSTOCK_PLATFORM_[A-Z_]*[A-Z]\b")
INVENTED = {"acme"}
"""The source that docs/adding-a-source.md adds."""


@cache
def text(name: str) -> str:
    return (REPOSITORY / name).read_text()


@cache
def tree() -> Any:
    return typer.main.get_command(app)


def words_of(line: str) -> list[str]:
    """The words of a command up to a comment, a pipe or a redirection."""
    words = shlex.split(line, comments=True)
    ends = [n for n, word in enumerate(words) if word in {"|", ">", "&", "&&", ";"}]
    return words[: ends[0]] if ends else words


def resolved(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words name, and its arguments. Raises AssertionError."""
    command, rest = tree(), list(words)
    while subcommands := getattr(command, "commands", None):
        if rest and rest[0] in subcommands:
            command = subcommands[rest.pop(0)]
            continue
        given = [word for word in rest if not word.startswith("-")]
        takes = [p for p in command.params if p.param_type_name == "argument"]
        assert command.invoke_without_command or not given, f"no command {' '.join(words)}"
        assert takes or not given, f"no command {' '.join(words)}"
        break
    return command, rest


def check(words: list[str]) -> None:
    """The command exists and has every option that is given. Raises AssertionError."""
    command, rest = resolved(words)
    known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    for word in rest:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, f"{' '.join(words)}: no {word}"


def shell_lines(name: str) -> Iterator[str]:
    for language, block in FENCE.findall(text(name)):
        if language in {"sh", "bash", "console"}:
            yield from block.replace("\\\n", " ").splitlines()


@pytest.mark.parametrize("name", [*NAMES, ".env.example"])
def test_commands_exist_with_their_options(name: str) -> None:
    """Wherever ``stock-platform X`` stands, in a block or in a sentence."""
    for line in COMMAND.findall(text(name)):
        check(words_of(line.split(")")[0].replace("'", "").rstrip(".,;:")))


@pytest.mark.parametrize("name", NAMES)
def test_commands_in_blocks_can_be_pasted(name: str) -> None:
    """Each parses whole: arguments that are needed, values of options."""
    for line in shell_lines(name):
        for found in COMMAND.findall(line):
            command, rest = resolved(words_of(found))
            try:
                command.make_context(command.name, list(rest))
            except Exception as error:
                said = getattr(error, "format_message", None)
                if said is None:
                    raise
                pytest.fail(f"{name}: {found}: {said()}")


def test_the_table_of_commands() -> None:
    """Each of README's table exists, and none of the program's is left out."""
    section = text("README.md").partition("\n## Commands\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[2] for row in section.splitlines() if row.startswith("| ")][1:]
    spans = [span for row in rows for span in CODE.findall(row)]
    assert len(spans) > 20
    for span in spans:
        check(shlex.split(span))
    everywhere = " ".join(CODE.findall(text("README.md")) + COMMAND.findall(text("README.md")))
    shown = {name for name, command in tree().commands.items() if not command.hidden}
    assert not {name for name in shown if not re.search(rf"\b{name}\b", everywhere)}


@pytest.mark.parametrize("name", NAMES)
def test_code_that_begins_with_a_command(name: str) -> None:
    """``catalog search apple`` in a sentence: its subcommand and its options exist."""
    for span in CODE.findall(FENCE.sub("", text(name))):
        first = span.split(" ")[0]
        if " " in span and first in tree().commands and re.fullmatch(r"[\w .^/=-]+", span):
            check(shlex.split(span))


def slug(heading: str) -> str:
    """A heading's anchor on GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """Files, pictures and headings that are linked to are there."""
    for target in LINK.findall(FENCE.sub("", text(name))):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (REPOSITORY / name).parent / path if path else REPOSITORY / name
        assert file.exists(), f"{name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", FENCE.sub("", file.read_text()), re.MULTILINE)
            assert anchor in map(slug, headings), f"{name}: {target}"


@pytest.mark.parametrize("name", NAMES)
def test_files_exist(name: str) -> None:
    """Paths in code that begin in the repository, and the files of its root."""
    roots = {path.name for path in REPOSITORY.iterdir() if not path.name.startswith(".")}
    for span in [*CODE.findall(FENCE.sub("", text(name)))]:
        path = span.split(":")[0]
        if path.partition("/")[0] in roots and re.fullmatch(r"[\w./-]+", path):
            assert INVENTED & set(re.split(r"[/._]", path)) or (REPOSITORY / path).exists(), span


@pytest.mark.parametrize("name", NAMES)
def test_settings_and_targets_exist(name: str) -> None:
    """Settings are explained in .env.example; ``make X`` is a target."""
    known = set(SETTING.findall(text(".env.example")))
    own = {s for s in SETTING.findall(text(name)) if "_ACME" not in s and "_TEST_" not in s}
    assert not own - known
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    asked = re.findall(r"(?:^|`)make ([a-z-]+)", text(name), re.MULTILINE)
    assert set(asked) <= targets


def test_every_setting_is_explained() -> None:
    """In .env.example; and each variable there is one that somebody reads."""
    from stock_platform.settings import Settings

    fields = {
        str(field.validation_alias or f"STOCK_PLATFORM_{name.upper()}")
        for name, field in Settings.model_fields.items()
        if name != "variables"  # the vendors'
    }
    given = set(re.findall(r"^#?([A-Z][A-Z_]+)=", text(".env.example"), re.MULTILINE))
    assert not fields - given
    readers = [*(REPOSITORY / "stock_platform").rglob("*.py"), REPOSITORY / "compose.yaml"]
    code = "\n".join(path.read_text() for path in readers)
    unread = {name for name in given - fields if name not in code}
    assert not {name for name in unread if not name.endswith("_BASE_URL")}
