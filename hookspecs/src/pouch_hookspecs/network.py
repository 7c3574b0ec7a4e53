"""Networks as the engine and a network driver see them."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from .model import Model


class PortMapping(Model):
    """A published port.

    Attributes:
        container_port: 1 to 65535.
        host_port: 0 asks the driver to choose one; the attached endpoint tells which.
        host_ip: empty for all addresses of the host.
        protocol: tcp, udp or sctp.
    """

    container_port: int
    host_port: int = 0
    host_ip: str = ""
    protocol: str = "tcp"


class Subnet(Model):
    """An address range of a network in CIDR form, with its gateway."""

    cidr: str
    gateway: str = ""


class NetworkConfig(Model):
    """A network as it was asked for, and, once created, with what the driver chose.

    Attributes:
        id: 64 hexadecimal digits.
        name: unique.
        subnets: empty lets the driver choose, without a clash with the host's routes.
        internal: no way out of the host.
        ipv6: addresses of both kinds.
        options: the driver's own, as text (`--opt`).
        labels: for people.
    """

    id: str
    name: str
    subnets: tuple[Subnet, ...] = ()
    internal: bool = False
    ipv6: bool = False
    options: Mapping[str, str] = Field(default_factory=dict)
    labels: Mapping[str, str] = Field(default_factory=dict)


class Endpoint(Model):
    """A container's place in a network: as asked for before attach, as it is after.

    Attributes:
        network: the network's id.
        container: the container's id.
        interface: its name inside, `eth0`.
        addresses: in CIDR form; given ones are wanted, empty lets the driver choose.
        mac: hardware address.
        gateways: default routes; empty for none.
        dns: resolvers that the container should use.
        aliases: names under which it is found in this network.
        ports: published ports.
    """

    network: str
    container: str
    interface: str = "eth0"
    addresses: tuple[str, ...] = ()
    mac: str = ""
    gateways: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ports: tuple[PortMapping, ...] = ()


class NetworkUsage(Model):
    """Traffic of an endpoint since it was attached."""

    received_bytes: int = 0
    received_packets: int = 0
    received_errors: int = 0
    received_dropped: int = 0
    sent_bytes: int = 0
    sent_packets: int = 0
    sent_errors: int = 0
    sent_dropped: int = 0


class NetworkFeatures(Model):
    """What a network driver can do."""

    ipv6: bool = False
    ports: bool = False
    hot_attach: bool = False
    static_addresses: bool = False
    names: bool = False
