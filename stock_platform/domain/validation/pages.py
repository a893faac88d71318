"""The rules' pages, made from their docstrings.

Belongs here: docs/rules.md, which ``python -m stock_platform.domain.validation.pages`` prints.
Does not: what rules do.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from importlib import resources

from stock_platform.domain.validation.neighbours import SERIES_RULES
from stock_platform.domain.validation.rulebook import Thresholds
from stock_platform.domain.validation.rules import RULES


@dataclass(frozen=True)
class Page:
    """What there is to say of one rule."""

    name: str
    level: str
    severity: str
    title: str
    about: str
    reach: str = ""

    def text(self) -> str:
        """The page."""
        return f"{self.name} ({self.level}, {self.severity})\n\n{self.about}"


def all_pages() -> list[Page]:
    """The pages of all rules, by level."""
    own = [
        Page(r.name, r.level, r.severity, _title(r.about), _plain(r.about)) for r in RULES.values()
    ]
    near = [
        Page(
            r.name,
            r.level,
            "warning" if r.spans else "by confidence",
            _title(r.about),
            _plain(r.about),
            "" if r.spans else r.reach,
        )
        for r in SERIES_RULES.values()
    ]
    return own + near


def defaults_text() -> str:
    """The rules file that the platform comes with."""
    return resources.files(__package__ or "").joinpath("rules.toml").read_text(encoding="utf-8")


def as_markdown() -> str:
    """docs/rules.md."""
    lines = [
        "# Rules of validation", "",
        "Made from the rules' docstrings by `python -m stock_platform.domain.validation.pages`;",
        "do not edit. `stock-platform rules NAME` prints a page.", "",
        "An error sends a quote to quarantine, a warning stays on the price as a flag. Rules that",
        "see a bar among its neighbours say how sure they are: from `error_confidence` (0.9) on",
        "it is an error. A repair is applied from 0.99 on; the price then has the flag `repaired`",
        "and the rule's name, and the raw quote keeps what the source said. Of several sources'",
        "quotes those that no rule doubts go first.", "",
        "A verdict depends on the raw quotes in the rule's reach: `session`, those of the day;",
        "`blocks`, those of the asset in its block of 91 days (intraday: 7) and the two beside it;",
        "`series`, the same, but all of the asset's where its level changes for longer than these",
        "(a missing split, another unit). When new quotes come, verdicts in their reach are made",
        "again, and when a split or dividend comes, those of its asset: in whatever order and",
        "pieces data comes, the verdicts are those of judging all at once.", "",
        "Thresholds and actions are set by asset class in a TOML file named by",
        "`STOCK_PLATFORM_VALIDATION_RULES`; `stock-platform rules --defaults` prints one.", "",
        "| threshold | default | from | to | meaning |", "|---|---|---|---|---|",
        *(
            f"| `{f.name}` | {f.default:g} | {f.metadata['low']:g} | {f.metadata['high']:g} | "
            f"{f.metadata['about']} |"
            for f in fields(Thresholds)
        ), "",
    ]  # fmt: skip
    level = ""
    for page in all_pages():
        if page.level != level:
            level = page.level
            lines += [f"## {level.capitalize()}", ""]
        reach = f", reach *{page.reach}*" if page.reach else ""
        lines += [f"### {page.name}", "", f"*{page.severity}*{reach}. {page.about}", ""]
    return "\n".join(lines).rstrip() + "\n"


def _title(about: str) -> str:
    return about.partition("\n")[0].strip()


def _plain(about: str) -> str:
    """A docstring without the indentation of its function."""
    return "\n".join(line.strip() for line in about.splitlines())


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
