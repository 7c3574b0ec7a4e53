"""The engine's memory: SQLite in the root directory, one writer."""
