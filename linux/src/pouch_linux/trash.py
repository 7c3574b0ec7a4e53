"""Deleting trees behind the caller's back: rename(2) into a directory of its own, removed there.

The caller has its answer after the rename, however big the tree is; a crash leaves the rest in the trash,
where the next start finds it.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from pathlib import Path

from pouch_linux.trees import remove_tree

_log = logging.getLogger(__name__)


class Trash:
    """A directory whose content is deleted by a thread that lives as long as there is something to do.

    The directory must be on the file system of whatever is put into it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None

    def put(self, path: Path) -> None:
        """Take a tree away; one that is not there is not an error. Raises OSError (EBUSY: a mount point)."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        try:
            os.rename(path, self._directory / secrets.token_hex(8))
        except FileNotFoundError:
            return
        self.empty()

    def empty(self) -> None:
        """Begin to delete what is there, also what a crash has left."""
        with self._lock:
            if self._worker is None:
                # A daemon thread: the process's end need not wait, the next start goes on.
                self._worker = threading.Thread(target=self._work, name="trash", daemon=True)
                self._worker.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is deleted, or tried; False after `timeout` seconds (None: no limit)."""
        with self._lock:
            worker = self._worker
        if worker is not None:
            worker.join(timeout)
        return worker is None or not worker.is_alive()

    def _work(self) -> None:
        failed: set[str] = set()
        while names := self._names(failed):
            for name in names:
                try:
                    remove_tree(self._directory / name)
                except OSError as error:
                    failed.add(name)
                    _log.warning("%s is left for the next time: %s", self._directory / name, error)

    def _names(self, failed: set[str]) -> set[str]:
        # Under the lock, so that whoever puts something later finds either this thread, which will see
        # it, or none.
        with self._lock:
            try:
                names = set(os.listdir(self._directory)) - failed
            except FileNotFoundError:
                names = set()
            if not names:
                self._worker = None
            return names
