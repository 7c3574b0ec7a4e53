"""Tests of the engine's room spec."""
