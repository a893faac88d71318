"""TimescaleDB: what it adds, and the way there from plain PostgreSQL."""
