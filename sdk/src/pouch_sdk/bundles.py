"""OCI bundles for tests: a root file system of busybox, and a config.json as an engine would write it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pouch_linux.capabilities import bounding_set

_DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var", "home")
_CAPABILITIES = [
    "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
]  # fmt: skip
_MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
        "destination": "/dev/shm",
        "type": "tmpfs",
        "source": "shm",
        "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    },
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
]


def make_busybox_root(directory: Path, *, busybox: str = "/bin/busybox") -> Path:
    """Make a root file system of a static busybox, with a link for each of its applets.

    Raises:
        FileNotFoundError: there is no busybox; Debian's package is busybox-static.
    """
    for name in _DIRECTORIES:
        (directory / name).mkdir(parents=True)
    shutil.copy2(busybox, directory / "bin/busybox")
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
    for applet in applets.stdout.split():
        if applet != "busybox":
            (directory / "bin" / applet).symlink_to("busybox")
    (directory / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
    (directory / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (directory / "tmp").chmod(0o1777)
    return directory


def config(root: Path, args: Sequence[str], *, cgroup: str, hostname: str = "conformance") -> dict[str, Any]:
    """A complete config.json object (OCI runtime spec 1.0), with namespaces of its own of every kind but user.

    Args:
        root: the root file system.
        args: command and arguments.
        cgroup: `linux.cgroupsPath`.
        hostname: of its uts namespace.
    """
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"],
            "cwd": "/",
            "capabilities": {each: _granted() for each in ("bounding", "effective", "permitted")},
            "noNewPrivileges": False,
        },
        "root": {"path": str(root), "readonly": False},
        "hostname": hostname,
        "mounts": [dict(mount) for mount in _MOUNTS],
        "linux": {
            "cgroupsPath": cgroup,
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    }


def _granted() -> list[str]:
    """Docker's default capabilities, without those that this process can't hand on."""
    allowed = bounding_set()
    return [name for name in _CAPABILITIES if name in allowed]


def write_bundle(directory: Path, config: dict[str, Any]) -> Path:
    """Write a bundle's config.json, mode 0600."""
    descriptor = os.open(directory / "config.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(config, file)
    return directory
