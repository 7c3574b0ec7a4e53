"""What a machine is like: the arguments of `@pytest.mark.vm`, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

CHOICES = {"cgroup": ("v2", "v1", "hybrid"), "init": ("none", "systemd")}


class WrongConfiguration(ValueError):
    """The marker's arguments make no machine; the message says which are possible."""


@dataclass(frozen=True)
class Disk:
    """A disk of the machine, empty, with a file system of which nothing else is mounted.

    Attributes:
        system: Type of the file system: ext4 or xfs.
        options: Options to mount it with, separated by commas; mkfs prepares what they need. May be empty.
    """

    system: str
    options: str

    @property
    def name(self) -> str:
        """As the marker spells it: "ext4:prjquota"."""
        return f"{self.system}:{self.options}" if self.options else self.system

    @property
    def place(self) -> Path:
        """Where the guest mounts it."""
        return Path("/mnt", self.name.replace(":", "-"))


@dataclass(frozen=True)
class Configuration:
    """What a machine is like; tests with equal configurations share one boot.

    Attributes:
        cgroup: "v2": the one hierarchy; "v1": a hierarchy for each controller; "hybrid": v1 and an empty v2 beside it.
        init: "none": a shell that runs the tests is process 1; "systemd": systemd is, and runs them as a unit.
        disks: As "type:options", see Disk.
        kernel: A Debian package, or one that depends on the current version of it.
    """

    cgroup: str = "v2"
    init: str = "none"
    disks: tuple[Disk, ...] = ()
    kernel: str = "linux-image-cloud-amd64"

    def __str__(self) -> str:
        """Words that tell it from others; can be a file's name."""
        words = [self.cgroup, self.init, *(disk.place.name for disk in self.disks), self.kernel]
        return "+".join(word.replace("/", "_") for word in words)


def configuration(arguments: Mapping[str, Any]) -> Configuration:
    """The configuration that a marker's keyword arguments ask for.

    Raises:
        WrongConfiguration: An argument is unknown, or has a value that is not possible.
    """
    known = [field.name for field in fields(Configuration)]
    for name, value in arguments.items():
        if name not in known:
            raise WrongConfiguration(f"no argument {name!r}: there are {', '.join(known)}")
        if name in CHOICES and value not in CHOICES[name]:
            raise WrongConfiguration(f"{name}={value!r}: it can be {', '.join(CHOICES[name])}")
    disks = tuple(_disk(name) for name in arguments.get("disks", ()))
    if len(set(disks)) < len(disks):
        raise WrongConfiguration("disks: the same one twice")
    return Configuration(**{**arguments, "disks": disks})


def _disk(name: str) -> Disk:
    system, _, options = name.partition(":")
    if system not in ("ext4", "xfs"):
        raise WrongConfiguration(f"disk {name!r}: its file system can be ext4 or xfs")
    return Disk(system, options)
