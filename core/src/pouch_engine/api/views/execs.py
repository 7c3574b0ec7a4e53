"""Execs in docker's words."""

from __future__ import annotations

from typing import Any

from pouch_engine.containers.exec import Exec


def exec_document(exec_: Exec) -> dict[str, Any]:
    """GET /exec/{id}/json; the exit code is null until there is one."""
    config = exec_.config
    return {
        "ID": exec_.id,
        "Running": exec_.running,
        "ExitCode": exec_.exit.result() if exec_.exit.done() else None,
        "ProcessConfig": {
            "tty": config.terminal,
            "entrypoint": config.args[0],
            "arguments": list(config.args[1:]),
            "privileged": config.privileged,
            "user": config.user,
        },
        "OpenStdin": config.attach_stdin,
        "OpenStdout": config.attach_stdout,
        "OpenStderr": config.attach_stderr,
        "CanRemove": False,
        "ContainerID": exec_.container_id,
        "DetachKeys": config.detach_keys,
        "Pid": exec_.pid or 0,
    }
