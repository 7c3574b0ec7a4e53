"""events: docker's filters, and the past."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.pouchd import POUCH, Daemon


@pytest.fixture(scope="module")
def history(shared_daemon: Daemon) -> str:
    """Things that have happened; gives the time before them."""
    daemon = shared_daemon
    since = f"{time.time():.9f}"
    daemon.pouch("volume", "create", "evdata")
    flags = ["--name", "evbox", "-l", "kind=one", "-v", "evdata:/data"]
    daemon.pouch("run", "-d", *flags, "busybox", "sleep", "1000")
    daemon.pouch("pause", "evbox")
    daemon.pouch("unpause", "evbox")
    daemon.pouch("update", "--pids-limit", "50", "evbox")
    daemon.pouch("exec", "evbox", "true")
    daemon.pouch("rename", "evbox", "evother")
    daemon.pouch("restart", "-t", "0", "evother")
    daemon.pouch("create", "--name", "evplain", "busybox")
    daemon.pouch("tag", "busybox", "evimage:1")
    daemon.pouch("rm", "-f", "evother", "evplain")
    daemon.pouch("volume", "rm", "evdata")
    daemon.pouch("rmi", "evimage:1")
    return since


def _seen(daemon: Daemon, since: str, *filters: str) -> list[str]:
    """The events as TYPE/ACTION."""
    words = [word for text in filters for word in ("-f", text)]
    lines = daemon.text("events", "--since", since, "--until", "0s", *words, "--format", "json")
    events = [json.loads(line) for line in lines.splitlines()]
    assert all(event["timeNano"] >= float(since) * 1e9 for event in events)
    return [f"{event['Type']}/{event['Action'].partition(':')[0]}" for event in events]


LIFE = [
    *("create", "start", "pause", "unpause", "update", "exec_create", "exec_start", "exec_die", "rename"),
    *("kill", "die", "stop", "start", "restart", "kill", "die", "destroy"),
]


def test_the_whole_life(shared_daemon: Daemon, history: str) -> None:
    """Every operation tells, in order."""
    seen = _seen(shared_daemon, history, "label=kind=one")
    # die and stop, exec_die and the next, come from different threads: only which there are is sure.
    assert sorted(seen) == sorted(f"container/{action}" for action in LIFE)
    assert [seen.index(f"container/{action}") for action in LIFE[:6]] == list(range(6))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["event=pause"], {"container/pause"}),
        (["event=pause", "event=unpause"], {"container/pause", "container/unpause"}),
        (["type=volume"], {"volume/create", "volume/destroy"}),
        (["type=image", "image=evimage"], {"image/tag", "image/untag"}),
        (["volume=evdata", "event=create"], {"volume/create"}),
        (["container=evplain"], {"container/create", "container/destroy"}),
        (["image=busybox", "type=container", "event=rename"], {"container/rename"}),
        (["image=nosuch"], set()),
        (["label=kind", "event=update"], {"container/update"}),
        (["label=kind=two"], set()),
        (["scope=local", "event=update"], {"container/update"}),
        (["scope=swarm"], set()),
        (["network=none"], set()),
        (["daemon=x"], set()),
        (["plugin=x"], set()),
    ],
)
def test_filters(shared_daemon: Daemon, history: str, filters: list[str], expected: set[str]) -> None:
    """Different filters must all fit; of one filter's values, any."""
    found = set(_seen(shared_daemon, history, *filters))
    assert found == expected


def test_a_filter_that_is_none(shared_daemon: Daemon) -> None:
    """It is refused with those that are."""
    done = shared_daemon.pouch("events", "--until", "0s", "-f", "nosuch=1", check=False)
    assert done.returncode == 1
    assert "volume" in done.stderr.decode()


def test_events_come_as_they_happen_and_end_at_until(pouchd: Daemon) -> None:
    """A stream with an end in the future: what happens before it is there, and then it ends by itself."""
    command: list[str | Path] = [
        POUCH,
        "events",
        "--since",
        "0s",
        "--until",
        f"{time.time() + 3:.3f}",
        "-f",
        "container=live",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=pouchd.environment()) as events:
        pouchd.pouch("create", "--name", "live", "busybox")
        assert events.stdout is not None
        assert b"create" in events.stdout.readline()
        assert events.wait(20) == 0
