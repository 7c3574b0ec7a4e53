"""Tests of the engine's room volumes."""
