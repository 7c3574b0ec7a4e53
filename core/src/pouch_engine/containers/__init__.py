"""Containers: their records and their way: create, start, stop, remove, exec, attach, logs, reconcile."""
