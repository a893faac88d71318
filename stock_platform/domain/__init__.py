"""What prices, sessions, cells and plans are: pure, no I/O, no clock, no Dagster."""
