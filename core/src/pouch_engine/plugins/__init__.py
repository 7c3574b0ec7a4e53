"""Plugins: found, loaded, configured, called.

discovery → loading → handlers (configured, checked) → registry, which the engine asks. calls.py is the
boundary between the engine and a plugin's code.
"""
