"""Tests of the engine's room state."""
