"""pouchd: wiring, the lock on the root directory, signals, and leaving when nobody needs it.

Containers never depend on the daemon: it may end at any moment, and its next start finds everything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import fcntl
import logging
import os
import signal
import sys
import time
from pathlib import Path

from pouch_hookspecs.errors import PouchError

from . import __version__, directories
from .api.application import Server
from .config import DEFAULT_CONFIG, DEFAULT_ROOT, DEFAULT_RUN, load_config
from .containers import restarts
from .containers.record import Status
from .engine import Engine
from .service_manager import ServiceManager, inherited_sockets

log = logging.getLogger("pouchd")

IDLE_SECONDS = 300.0
"""A daemon that a command started ends after so long without a container or a client."""

RUN_LIMIT = 44
"""Bytes of the run directory's path: what plugins put below it must fit into a socket's address (108 bytes)."""

EXIT_IN_USE = 4
"""Another daemon holds the root directory."""


def main(arguments: list[str] | None = None) -> int:
    """Run the daemon until a signal (or idleness) ends it; the exit code is for the shell."""
    if arguments is None and not sys.flags.isolated:  # PYTHONPATH and the like have no say in which code runs
        os.execv(sys.executable, [sys.executable, "-I", "-m", "pouch_engine.daemon", *sys.argv[1:]])  # noqa: S606
    faulthandler.enable()  # the watchdog's SIGABRT shall tell where each thread was
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    os.umask(0o077)
    os.chdir("/")
    if os.geteuid() != 0:
        print("pouchd: must run as root", file=sys.stderr)  # noqa: T201
        return 1
    if len(os.fsencode(options.run)) > RUN_LIMIT:
        print(f"pouchd: --run {options.run} is longer than {RUN_LIMIT} bytes: sockets are in it", file=sys.stderr)  # noqa: T201
        return 1
    try:
        with contextlib.ExitStack() as held:
            for directory in (options.root, options.run):
                directories.prepare(directory)
            lock = _lock(options.root)
            if isinstance(lock, str):
                print(f"pouchd: another daemon (pid {lock}) uses {options.root}", file=sys.stderr)  # noqa: T201
                return EXIT_IN_USE
            held.callback(os.close, lock)
            for directory in (options.root, options.run):
                directories.keep_mounts_private(directory)
            asyncio.run(_serve(options))
    except PouchError as error:
        print(f"pouchd: {error}", file=sys.stderr)  # noqa: T201
        return 1
    log.info("ended; containers run on")
    logging.shutdown()
    os._exit(0)  # threads that a plugin has hung up must not keep the daemon


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pouchd", description="The daemon of the Pouch container engine.")
    add = parser.add_argument
    add("--root", type=Path, default=DEFAULT_ROOT, help="what survives a reboot (default: %(default)s)")
    add("--run", type=Path, default=DEFAULT_RUN, help="what does not, on a tmpfs (default: %(default)s)")
    add("--socket", type=Path, default=None, help="the API's unix socket (default: RUN/pouch.sock)")
    add("--group", default="", help="a group that may use the socket besides root")
    add("--config", type=Path, default=DEFAULT_CONFIG, help="configuration file (default: %(default)s)")
    add("--no-plugins", action="store_true", help="load no plugins: the way out when one breaks the daemon")
    add("--debug", action="store_true", help="log more")
    add("--ready-fd", type=int, default=None, help=argparse.SUPPRESS)
    add("--autostarted", action="store_true", help="end when idle, as one that a command started does")
    add("--version", action="version", version=f"pouchd {__version__}")
    return parser


def _lock(root: Path) -> int | str:
    """Hold the root directory; if another daemon does, its pid as text."""
    fd = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(fd, 32).decode().strip() or "unknown"
        os.close(fd)
        return holder
    os.truncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd


async def _serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    ended, reload = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, reload.set)
    manager, sockets = ServiceManager(), inherited_sockets()
    config = load_config(options.config)
    engine = await asyncio.to_thread(Engine, config, options.root, options.run, no_plugins=options.no_plugins)
    try:
        await asyncio.to_thread(engine.begin)
        server = Server(engine, options.socket or options.run / "pouch.sock", group=options.group, inherited=sockets)
        await server.start()
        status = f"pouchd {__version__} serves {', '.join(server.addresses)}"
        log.info("%s", status)
        _tell_ready(options.ready_fd)
        manager.ready(status)
        beside = [_reload(engine, reload, manager, status)]
        if options.autostarted:
            beside.append(_watch_idle(engine, server, ended))
        if manager.watchdog_seconds is not None:
            beside.append(_show_life(engine, manager, manager.watchdog_seconds / 3))
        tasks = [asyncio.create_task(each) for each in beside]
        await ended.wait()
        manager.stopping()
        for task in tasks:
            task.cancel()
        await server.stop()
    finally:
        await asyncio.to_thread(engine.close)


async def _reload(engine: Engine, asked: asyncio.Event, manager: ServiceManager, status: str) -> None:
    """On SIGHUP, have every plugin look at the host anew: what was installed meanwhile comes into service."""
    while True:
        await asked.wait()
        asked.clear()
        manager.reloading()
        await asyncio.to_thread(engine.registry.check_all)
        log.info("plugins have looked at the host anew")
        manager.ready(status)


async def _show_life(engine: Engine, manager: ServiceManager, interval: float) -> None:
    """Tell the watchdog that this loop turns and the engine works; it hears nothing when one of them hangs."""
    while True:
        try:
            await asyncio.to_thread(engine.require_life)
            manager.alive()
        except PouchError as error:
            log.error("no sign of life for the watchdog: %s", error)
        await asyncio.sleep(interval)


def _tell_ready(fd: int | None) -> None:
    if fd is not None:
        with contextlib.suppress(BrokenPipeError):
            os.write(fd, b"ready\n")
        os.close(fd)


async def _watch_idle(engine: Engine, server: Server, ended: asyncio.Event) -> None:
    """End once nothing runs, nothing wants to be restarted, and nobody has talked to it for a while."""
    while True:
        await asyncio.sleep(IDLE_SECONDS / 10)
        needed = any(
            container.state.running or container.state.status is Status.RESTARTING or restarts.wanted(container)
            for container in engine.containers()
        )
        quiet = time.monotonic() - server.last_activity >= IDLE_SECONDS and server.open_connections == 0
        if quiet and not needed:
            log.info("idle for %g s: ending", IDLE_SECONDS)
            ended.set()
            return


if __name__ == "__main__":
    sys.exit(main())
