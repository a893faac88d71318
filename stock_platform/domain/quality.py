"""How good stored prices are: facts of cells, and the scores that sums of them make. Pure.

Belongs here: the bits, what a score is, weights and thresholds. Does not: reading cells
(pipeline/scoring.py), tables (storage/quality.py).

Scores go from 0 to 100 and are null where nothing can be said:

- completeness: of the cells that should be there, those that are. A cell of which a source says
  that there is no bar, or that was not listed, is explained and counts neither way.
- accuracy: of the stored cells, those with a price no rule doubts. A price with a warning counts
  half, a cell whose every quote failed a rule nothing; what was repaired for certain, or accepted
  by a person, counts in full.
- consistency: of the cells that several sources were heard on, those in which they agree.
- timeliness: of the cells that fell due while the asset was followed, those that came within a
  day of the close. Histories fetched later say nothing of it; the last session counts always.
- overall: the weighted mean of those that are there.
"""

from __future__ import annotations

from enum import IntFlag

import polars as pl

PROMPT_HOURS = 24
"""After a session's close, so long a bar is on time; until then nobody misses it."""

RECENT = 20
"""Sessions that the timeliness of a ticker, a source or a scope is about."""


class Fact(IntFlag):
    """What is known of a stored cell, or of one source's quote in it."""

    PRICED = 1  # a validated price; of a source: it is from this source
    DOUBTED = 2  # the price carries a warning
    ASIDE = 4  # a quote is in quarantine
    COMPARED = 8  # several sources were heard
    APART = 16  # and they differ; of a source: it differs from the others
    PROMPT = 32  # fetched within PROMPT_HOURS of the close
    STORED = 64  # a quote is there
    ABSENT = 128  # of a source: it was asked, has no bar, and another source has


HARMLESS = ("missing_volume", "no_trades", "zero_volume_run", "volume_missing")
"""Warnings that cast no doubt on the price."""

SETTLING = ("repaired", "accepted_by_person")
"""Marks after which the others of a price cast no doubt on it."""

DIFFERING = ("disputed", "sources_disagree")
"""Warnings that tell of sources apart."""

COUNTS = (
    "expected", "stored", "priced", "doubted", "aside", "compared", "apart", "timed", "prompt",
)  # fmt: skip

WEIGHTS = {"completeness": 0.35, "accuracy": 0.35, "consistency": 0.15, "timeliness": 0.15}
SCORES = (*WEIGHTS, "overall")

THRESHOLDS = {
    "completeness": 95.0, "accuracy": 98.0, "consistency": 95.0, "timeliness": 90.0,
    "overall": 95.0,
}  # fmt: skip
"""Below which a scope's score fails its check, unless the rulebook says otherwise."""

ERROR_SHARE, WARNING_SHARE = 0.001, 0.01
"""Of the judged sessions, so many may fail a rule that is an error, or a warning."""


def with_scores(counts: pl.DataFrame) -> pl.DataFrame:
    """A frame with COUNTS, and the SCORES they make, rounded to a hundredth."""

    def share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
        return pl.when(whole > 0).then((100 * part / whole).clip(0, 100).round(2))

    made = counts.with_columns(
        share(pl.col("stored"), pl.col("expected")).alias("completeness"),
        share(pl.col("priced") - 0.5 * pl.col("doubted"), pl.col("priced") + pl.col("aside")).alias(
            "accuracy"
        ),
        share(pl.col("compared") - pl.col("apart"), pl.col("compared")).alias("consistency"),
        share(pl.col("prompt"), pl.col("timed")).alias("timeliness"),
    )
    known = pl.sum_horizontal(
        pl.when(pl.col(name).is_not_null()).then(weight) for name, weight in WEIGHTS.items()
    )
    total = pl.sum_horizontal(pl.col(name) * weight for name, weight in WEIGHTS.items())
    return made.with_columns(
        pl.when(known > 0).then((total / known).round(2)).alias("overall")
    ).with_columns(pl.col(SCORES).cast(pl.Float64))


def doubts(flags: str = "flags") -> pl.Expr:
    """Whether a price's flags cast doubt on it."""
    bad = pl.col(flags).list.set_difference(list(HARMLESS)).list.len() > 0
    settled = pl.col(flags).list.set_intersection(list(SETTLING)).list.len() > 0
    return bad & ~settled


def differs(flags: str = "flags") -> pl.Expr:
    """Whether a price's flags tell of sources apart."""
    return pl.col(flags).list.set_intersection(list(DIFFERING)).list.len() > 0
