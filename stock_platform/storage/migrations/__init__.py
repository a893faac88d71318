"""The database's schema: numbered SQL files in sql/, and Alembic's view of them.

Belongs here: SQL in ``sql/NNNN_name.sql`` and, for each, a revision in ``versions/`` that runs
it. Does not: deciding when to run them (storage/migrate.py).
"""
