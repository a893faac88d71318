"""What happens to data, step by step, without Dagster: cells, fetch, validate, aggregate.

Belongs here: the flow from missing cells to batches ready to commit, and the wiring of
settings, sources and storage that Dagster, the CLI and Python users share. Does not: SQL
(storage/), vendors (sources/), partitions (orchestration/).
"""
