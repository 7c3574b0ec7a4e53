"""Files of the engine's own in a container: hostname, hosts, resolv.conf."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from pouch_hookspecs import ContainerConfig, Mount
from pouch_hookspecs.errors import InvalidArgument

from .record import Container

_NAMES = ("hostname", "hosts", "resolv.conf")
_LOCAL = (
    "127.0.0.1\tlocalhost",
    "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet",
    "ff00::0\tip6-mcastprefix",
    "ff02::1\tip6-allnodes",
    "ff02::2\tip6-allrouters",
)


def validate_names(config: ContainerConfig) -> None:
    """Judge what goes into these files.

    Raises:
        InvalidArgument: a host entry or a resolver that is none.
    """
    for entry in config.extra_hosts:
        name, colon, address = entry.partition(":")
        if not (name and colon and _is_address(address.strip("[]"))):
            raise InvalidArgument(f"add-host {entry!r} is not of the form NAME:ADDRESS")
        _refuse_control(entry, "add-host")
    for server in config.dns:
        if not _is_address(server):
            raise InvalidArgument(f"dns {server!r} is not an IP address")
    for text in (*config.dns_search, *config.dns_options, config.hostname, config.domainname):
        _refuse_control(text, "name")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _refuse_control(text: str, what: str) -> None:
    if any(character.isspace() or not character.isprintable() for character in text):
        raise InvalidArgument(f"{what} {text!r} has a space or a control character")


def write_files(container: Container, directory: Path, owner: tuple[int, int] = (0, 0)) -> list[Mount]:
    """Write the files anew, for a container whose root is `owner` on the host, and give their mounts."""
    config = container.config
    hostname = config.hostname or container.id[:12]
    contents = {
        "hostname": f"{hostname}\n",
        "hosts": _hosts(config),
        "resolv.conf": _resolv_conf(config),
    }
    for name, content in contents.items():
        path = directory / name
        path.write_text(content)
        path.chmod(0o644)
        os.chown(path, *owner)
    return file_mounts(container, directory)


def file_mounts(container: Container, directory: Path) -> list[Mount]:
    """The mounts of the files in `directory`. Paths that the container mounts itself are left to it."""
    taken = {mount.target for mount in container.mounts}
    return [
        Mount(target=f"/etc/{name}", source=str(directory / name), options=("rbind", "rprivate", "rw"))
        for name in _NAMES
        if f"/etc/{name}" not in taken
    ]


def _hosts(config: ContainerConfig) -> str:
    extra = [f"{address.strip('[]')}\t{name}" for name, _, address in (e.partition(":") for e in config.extra_hosts)]
    if config.network_mode == "host":
        return Path("/etc/hosts").read_text() + "".join(f"{line}\n" for line in extra)
    return "".join(f"{line}\n" for line in (*_LOCAL, *extra))


def _resolv_conf(config: ContainerConfig) -> str:
    if not (config.dns or config.dns_search or config.dns_options):
        try:
            return Path("/etc/resolv.conf").read_text()
        except FileNotFoundError:
            return ""
    lines = [f"nameserver {server}" for server in config.dns]
    lines += [f"search {' '.join(config.dns_search)}"] if config.dns_search else []
    lines += [f"options {' '.join(config.dns_options)}"] if config.dns_options else []
    return "".join(f"{line}\n" for line in lines)
