"""Capabilities by name and number, and those that this process can give away: capabilities(7)."""

from __future__ import annotations

# In the order of their numbers, from linux/capability.h.
NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
NUMBERS = {name: number for number, name in enumerate(NAMES)}


def last_cap() -> int:
    """The highest capability number that this kernel knows, from /proc/sys/kernel/cap_last_cap."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def bounding_set() -> frozenset[str]:
    """The capabilities that this process and its children can ever have; from /proc/self/status."""
    return _status_set("CapBnd")


def effective_set() -> frozenset[str]:
    """The capabilities that the kernel checks for this process now; from /proc/self/status."""
    return _status_set("CapEff")


def _status_set(field: str) -> frozenset[str]:
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith(field + ":"))
    return frozenset(name for name, number in NUMBERS.items() if mask >> number & 1)
