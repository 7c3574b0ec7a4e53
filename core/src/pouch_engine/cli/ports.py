"""`--publish` and `--expose`: docker's syntax for ports, and the API's form of it."""

from __future__ import annotations

from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PROTOCOLS = ("tcp", "udp", "sctp")


def published(given: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """Return `-p [IP:][HOSTPORT:]PORT[/PROTOCOL]` flags as the API's bindings. Raises CommandError.

    Ports may be ranges (`8000-8002:80-82`) of the same length; an IPv6 address stands in brackets.
    """
    bindings: dict[str, list[dict[str, str]]] = {}
    for text in given:
        body, protocol = _protocol(text)
        rest, _, inside = body.rpartition(":")
        address, _, outside = rest.rpartition(":")
        ports = _range(text, inside)
        hosts = [str(port) for port in _range(text, outside)] if outside else [""] * len(ports)
        if len(ports) == 1 and len(hosts) > 1:
            hosts = [outside]  # the daemon takes a free one of the range
        if len(hosts) != len(ports):
            raise CommandError(f"invalid port {text!r}: the two ranges differ in length", 125)
        for port, host in zip(ports, hosts, strict=True):
            binding = {"HostIp": address.strip("[]"), "HostPort": host}
            bindings.setdefault(f"{port}/{protocol}", []).append(binding)
    return bindings


def exposed(given: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return `--expose PORT[/PROTOCOL]` flags in the API's form. Raises CommandError."""
    result: dict[str, dict[str, str]] = {}
    for text in given:
        body, protocol = _protocol(text)
        result.update({f"{port}/{protocol}": {} for port in _range(text, body)})
    return result


def _protocol(text: str) -> tuple[str, str]:
    body, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in _PROTOCOLS:
        raise CommandError(f"invalid port {text!r}: the protocol is none of {', '.join(_PROTOCOLS)}", 125)
    return body, protocol


def _range(text: str, ports: str) -> range:
    first, _, last = ports.partition("-")
    numbers = [first, last or first]
    if not all(number.isascii() and number.isdecimal() and 0 < int(number) < 65536 for number in numbers):
        raise CommandError(f"invalid port {text!r}: {ports!r} is neither a port (1 to 65535) nor a range", 125)
    if int(numbers[0]) > int(numbers[1]):
        raise CommandError(f"invalid port {text!r}: the range {ports!r} ends before it begins", 125)
    return range(int(numbers[0]), int(numbers[1]) + 1)
