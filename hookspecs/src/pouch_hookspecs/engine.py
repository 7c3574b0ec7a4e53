"""What a service plugin may call: the engine as a Protocol, so that it imports nothing of core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from .containers import ContainerConfig, ContainerView, Event, Image
from .resources import Resources, Stats
from .tasks import Sandbox, Size, TaskProcess


class AttachedStreams(Protocol):
    """A client's end of a container's or an exec's streams."""

    def fileno(self) -> int:
        """The SOCK_SEQPACKET socket (hookspecs/task-contract.md, attach)."""

    def close(self) -> None:
        """Detach."""


class EngineApi(Protocol):
    """The engine as service plugins see it. Thread-safe; errors are those of `pouch_hookspecs.errors`.

    Names of containers may be ids, unique prefixes of ids, or names.
    """

    def container_create(self, config: ContainerConfig) -> tuple[ContainerView, tuple[str, ...]]:
        """Create a container; the second value has warnings for the user."""

    def container_start(self, name: str) -> None:
        """Start a created or ended container."""

    def container_stop(self, name: str, timeout_seconds: int | None = None) -> None:
        """Stop a container: its stop signal, then SIGKILL."""

    def container_kill(self, name: str, signal: str = "KILL") -> None:
        """Send a signal."""

    def container_remove(self, name: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container."""

    def container_view(self, name: str) -> ContainerView:
        """Tell what a container is."""

    def container_inspect(self, name: str) -> Mapping[str, JsonValue]:
        """All about a container, its state included, in Docker's words."""

    def containers(self, *, labels: Mapping[str, str] | None = None) -> tuple[ContainerView, ...]:
        """List all containers, those with these labels if given."""

    def container_wait(self, name: str, condition: str = "not-running") -> Future[int]:
        """Give the exit code when it is known; condition as Docker's wait."""

    def container_update(self, name: str, resources: Resources) -> tuple[str, ...]:
        """Change limits; gives warnings."""

    def container_stats(self, name: str) -> Stats:
        """Read figures."""

    def container_processes(self, name: str) -> tuple[TaskProcess, ...]:
        """List processes."""

    def container_attach(self, name: str) -> AttachedStreams:
        """Attach to the streams of a running container."""

    def container_log_path(self, name: str) -> Path | None:
        """The CRI format log."""

    def exec_create(self, name: str, args: tuple[str, ...], *, terminal: bool, stdin: bool) -> str:
        """Prepare a further process; gives its id."""

    def exec_start(self, exec_id: str) -> AttachedStreams:
        """Start it and attach."""

    def exec_resize(self, exec_id: str, size: Size) -> None:
        """Set its terminal's size."""

    def exec_wait(self, exec_id: str) -> Future[int]:
        """Give its exit code when it is known."""

    def sandbox_create(self, sandbox: Sandbox) -> Sandbox:
        """Make a sandbox with its namespaces and its network."""

    def sandbox_stop(self, sandbox_id: str) -> None:
        """Stop all members and take the network away."""

    def sandbox_remove(self, sandbox_id: str) -> None:
        """Remove a sandbox with all members."""

    def image_pull(self, reference: str, *, credentials: Mapping[str, str] | None = None) -> Image:
        """Fetch an image from its registry."""

    def image_remove(self, reference: str, *, force: bool = False) -> None:
        """Remove a name, and the image with its last one."""

    def image_inspect(self, reference: str) -> Image:
        """Tell what an image is."""

    def images(self) -> tuple[Image, ...]:
        """List all images."""

    def events(self, *, since_ns: int | None = None) -> Iterator[Event]:
        """Follow events, from `since_ns` on if given; ends when the iterator is closed."""

    def on_event(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` for each event from now on; gives a function that ends it."""
