"""The engine's records in docker's words: what goes out."""
