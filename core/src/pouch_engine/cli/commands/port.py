"""`pouch port`: where a container's ports are published."""

from __future__ import annotations

from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Print all published ports, or the places of one."""
    description = client.get(f"/containers/{options['container']}/json")
    published = (description.get("NetworkSettings") or {}).get("Ports") or {}
    wanted = options["port"]
    if wanted is None:
        for port in sorted(published, key=_order):
            for place in published[port] or ():
                print(f"{port} -> {_address(place)}")
        return 0
    port = _checked(wanted)
    if not published.get(port):
        raise CommandError(f"no public port {port!r} is published for {options['container']}", 1)
    for place in published[port]:
        print(_address(place))
    return 0


def _checked(text: str) -> str:
    number, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if not (number.isascii() and number.isdecimal() and 0 < int(number) < 65536) or protocol not in (
        "tcp",
        "udp",
        "sctp",
    ):
        raise CommandError(f"invalid port {text!r}: expected PORT or PORT/tcp, PORT/udp, PORT/sctp", 1)
    return f"{int(number)}/{protocol}"


def _order(port: str) -> tuple[int, str]:
    number, _, protocol = port.partition("/")
    return int(number), protocol


def _address(place: dict[str, Any]) -> str:
    address = place.get("HostIp") or "0.0.0.0"  # noqa: S104  # what docker shows for "any"
    return f"[{address}]:{place['HostPort']}" if ":" in address else f"{address}:{place['HostPort']}"
