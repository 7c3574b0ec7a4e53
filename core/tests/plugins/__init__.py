"""Tests of the engine's room plugins."""
