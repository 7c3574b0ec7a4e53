"""Tests of the engine's room events."""
