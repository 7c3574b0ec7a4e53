"""The engine's records in docker's words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pouch_engine.api.requests import read_create
from pouch_engine.api.views.containers import inspected, listed, status_text
from pouch_engine.api.views.events import event_document
from pouch_engine.api.views.processes import processes
from pouch_engine.api.views.times import ZERO, duration, timestamp
from pouch_engine.containers.record import Command, Container, State, Status
from pouch_hookspecs import ContainerConfig, Event, Mount, TaskProcess

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (119, "About a minute"),
        (120, "2 minutes"), (3600, "About an hour"), (2 * 3600, "2 hours"), (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"), (15 * 86400, "2 weeks"), (65 * 86400, "2 months"), (800 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_durations_in_dockers_words(seconds: int, text: str) -> None:
    """As go-units writes them."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State(), "Created"),
        (State(status=Status.RUNNING, started_at=NOW - timedelta(minutes=2)), "Up 2 minutes"),
        (State(status=Status.PAUSED, started_at=NOW - timedelta(hours=3)), "Up 3 hours (Paused)"),
        (State(status=Status.EXITED, exit_code=0, finished_at=NOW - timedelta(seconds=3)), "Exited (0) 3 seconds ago"),
        (State(status=Status.RESTARTING, exit_code=1, finished_at=NOW), "Restarting (1) Less than a second ago"),
    ],
)
def test_status_for_people(state: State, text: str) -> None:
    """As `docker ps` shows it."""
    assert status_text(state, NOW) == text


def test_timestamps() -> None:
    """Go's form; what never happened is Go's zero time."""
    assert timestamp(NOW.replace(microsecond=5)) == "2026-11-24T12:00:00.000005Z"
    assert timestamp(None) == ZERO


def container(config: ContainerConfig) -> Container:
    """A record of a created container."""
    return Container(
        id="a" * 64,
        name="web",
        created_at=NOW,
        image_name="busybox",
        image_id="sha256:" + "b" * 64,
        config=config,
        command=Command(args=("httpd", "-f")),
        runtime="runc",
        storage="overlay",
        chain_id="",
        resources=config.resources,
        mounts=(Mount(target="/data", source="/vol", volume="data", driver="local", options=("rbind", "rprivate")),),
    )


def test_host_config_says_what_was_asked() -> None:
    """A create body and the HostConfig of inspect agree: the one can be read as the other."""
    host = {
        "Binds": ["/src:/a:ro", "data:/data"], "Memory": 64 << 20, "MemorySwap": -1, "NanoCpus": 500_000_000,
        "NetworkMode": "none", "AutoRemove": True, "CapAdd": ["NET_ADMIN"], "Privileged": False,
        "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
        "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": -1}],
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}],
        "LogConfig": {"Type": "local", "Config": {"max-size": "1m"}}, "PidsLimit": 7,
    }  # fmt: skip
    config, _ = read_create({"Image": "busybox", "HostConfig": host}, "")
    shown = inspected(container(config), {})["HostConfig"]
    assert {name: shown[name] for name in host} == host


def test_inspect_has_what_is_ours() -> None:
    """Runtime, owners, enhancements, warnings: docker's clients ignore what they do not know."""
    document = inspected(container(ContainerConfig(image="busybox")), {"quota": {"asked": True}})
    assert document["Pouch"] == {
        "Runtime": "runc", "Owners": {}, "Enhancements": {"quota": {"asked": True}}, "Warnings": [],
        "Unsupervised": False,
    }  # fmt: skip


def test_a_row_of_the_list() -> None:
    """What `docker ps` reads."""
    row = listed(container(ContainerConfig(image="busybox")))
    assert (row["Names"], row["Command"], row["Created"]) == (["/web"], "httpd -f", int(NOW.timestamp()))
    assert row["Mounts"][0] == {
        "Type": "volume", "Name": "data", "Driver": "local", "Source": "/vol", "Destination": "/data", "Mode": "",
        "RW": True, "Propagation": "",
    }  # fmt: skip


def test_top() -> None:
    """ps -ef: the time of a processor as hours, minutes, seconds."""
    shown = processes([TaskProcess(pid=7, ppid=1, uid=33, args="sleep 1", cpu_ns=3_725 * 10**9)])
    row = dict(zip(shown["Titles"], shown["Processes"][0], strict=True))
    assert (row["UID"], row["PID"], row["PPID"], row["TIME"], row["CMD"]) == ("33", "7", "1", "01:02:05", "sleep 1")


def test_events_in_both_forms() -> None:
    """Old clients read status, id and from; new ones Type, Action and Actor."""
    event = Event(type="container", action="die", id="abc", attributes={"image": "busybox"}, time_ns=1_500_000_000)
    document = event_document(event)
    assert (document["status"], document["id"], document["from"]) == ("die", "abc", "busybox")
    assert document["Actor"] == {"ID": "abc", "Attributes": {"image": "busybox"}}
    assert (document["time"], document["timeNano"]) == (1, 1_500_000_000)
