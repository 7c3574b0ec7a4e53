"""Specs as the engine builds them, and the real runc to run them with a busybox root file system."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pouch_engine.containers.record import Command, Container
from pouch_engine.spec.build import Start, build_spec
from pouch_engine.spec.granted import Grants, Host, this_host
from pouch_hookspecs import Adjustment, ContainerConfig, RuntimeFeatures, User
from pouch_linux.capabilities import NAMES
from pouch_linux.cgroups import Mode

PROBE = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* probe NUMBER ARGUMENT…: make one system call and print 0 or its errno. NUMBER i386:N goes through int 0x80. */
int main(int argc, char **argv)
{
    unsigned long long a[6] = {0};
    for (int i = 2; i < argc && i < 8; i++)
        a[i - 2] = strtoull(argv[i], NULL, 0);
    long result;
#ifdef __x86_64__
    if (!strncmp(argv[1], "i386:", 5)) {
        __asm__ volatile("int $0x80" : "=a"(result)
            : "a"(strtol(argv[1] + 5, NULL, 0)), "b"(a[0]), "c"(a[1]), "d"(a[2]) : "memory", "r8", "r9", "r10", "r11");
        result = (int)result;
        printf("%ld\n", result < 0 ? -result : 0);
        return 0;
    }
#endif
    errno = 0;
    result = syscall(strtol(argv[1], NULL, 0), a[0], a[1], a[2], a[3], a[4], a[5]);
    if (result == 0 && (strtol(argv[1], NULL, 0) == 57 || strtol(argv[1], NULL, 0) == 56))
        _exit(0); /* the child of fork or clone */
    printf("%d\n", result < 0 ? errno : 0);
    return 0;
}
"""

ALL_GRANTED = Host(
    capabilities=frozenset(NAMES),
    cgroups=Mode.V1,
    processors=4,
    lowest_oom_score_adj=-1000,
    apparmor=False,
    recursive_read_only=True,
)
"""A host that grants everything, so that what is built does not depend on this one."""

START = Start(
    rootfs=Path("/root-file-system"),
    user=User(),
    files=(),
    adjustment=Adjustment(),
    namespaces={},
    host_namespaces=frozenset(),
    features=RuntimeFeatures(),
)


def container(*, args: tuple[str, ...] = ("true",), mounts: Any = (), **config: Any) -> Container:
    """The record of a container with this configuration."""
    made = ContainerConfig(**config)
    return Container(
        id="c0ffee" * 10 + "c0de",
        name="test",
        image_name="busybox",
        image_id="sha256:0",
        config=made,
        command=Command(args=args, env=("PATH=/bin",), working_dir="/"),
        runtime="runc",
        storage="overlay",
        chain_id="",
        resources=made.resources,
        mounts=mounts,
    )


def built(
    *, host: Host = ALL_GRANTED, start: Start = START, warnings: list[str] | None = None, **facts: Any
) -> dict[str, Any]:
    """The spec of such a container; `adjustment` and `features` go to its start."""
    changes = {
        key: facts.pop(key) for key in ("adjustment", "features", "user", "files", "host_namespaces") if key in facts
    }
    grants = Grants(host, warnings if warnings is not None else [])
    return build_spec(container(**facts), replace(start, **changes), "/pouch/test", grants)


@dataclass(frozen=True)
class Runc:
    """The real runc with a root file system."""

    directory: Path
    rootfs: Path

    def run(self, *args: str, **facts: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in a container as the engine would build it, with what this host grants."""
        name = f"pouch-spec-{secrets.token_hex(6)}"
        bundle = self.directory / name
        bundle.mkdir()
        start = replace(START, rootfs=self.rootfs)
        document = built(host=this_host(), start=start, args=args, **facts)
        document["linux"]["cgroupsPath"] = f"/{name}"
        (bundle / "config.json").write_text(json.dumps(document))
        command = ["runc", "--root", str(self.directory / "state")]
        try:
            return subprocess.run(
                [*command, "run", "--bundle", str(bundle), name],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        finally:
            subprocess.run([*command, "delete", "--force", name], capture_output=True, check=False)

    def probe(self, number: int | str, *arguments: int, **facts: Any) -> int:
        """The errno of one system call in such a container; 0 for none."""
        result = self.run("/probe", str(number), *map(str, arguments), **facts)
        assert result.returncode == 0, result.stderr
        return int(result.stdout)


@pytest.fixture(scope="session")
def runc() -> Iterator[Runc]:
    """runc, and busybox's root file system with a probe for system calls."""
    compiler = shutil.which("musl-gcc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("the probe needs a C compiler: apt-get install gcc libc6-dev")
    directory = Path(tempfile.mkdtemp(prefix="pouch-spec-", dir="/run"))
    rootfs = directory / "rootfs"
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "root", "data"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", rootfs / "bin/busybox")
    subprocess.run(["chroot", rootfs, "/bin/busybox", "--install", "-s", "/bin"], check=True)
    source = directory / "probe.c"
    source.write_text(PROBE)
    subprocess.run([compiler, "-static", "-O1", "-o", rootfs / "probe", source], check=True)
    yield Runc(directory, rootfs)
    shutil.rmtree(directory)
