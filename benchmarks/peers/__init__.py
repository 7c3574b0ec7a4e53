"""The engines that are compared, one module each."""

from __future__ import annotations

from benchmarks.peers.containerd import Containerd
from benchmarks.peers.docker import Docker
from benchmarks.peers.peer import Peer
from benchmarks.peers.pouch import Pouch
from benchmarks.peers.runc import Runc

PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (Pouch, Docker, Containerd, Runc)}

__all__ = ["PEERS", "Peer"]
