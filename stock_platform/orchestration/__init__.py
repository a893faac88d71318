"""Everything that knows Dagster: partitions, resources, IO manager, assets, checks, schedules.

Belongs here: thin wrappers that ask the pipeline. Does not: fetching, judging, SQL. Only the
definitions and the command line import this; whoever does not need Dagster does not wait for it.
"""

import warnings

from dagster import BetaWarning, PreviewWarning

# DESIGN builds on a few features that Dagster calls beta (backfill policies, types of frames,
# custom IO managers); the pinned version is the answer, not a warning at every start.
for _category in (BetaWarning, PreviewWarning):
    warnings.filterwarnings("ignore", category=_category)
