"""Third-party plugins, really installed by pip into the daemon's environment: working ones, and all kinds of broken."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pouchd import REPOSITORY, Daemon

EXAMPLES = REPOSITORY / "tests/examples"


@pytest.fixture(scope="module")
def python_with_examples(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has all that ours has, and all example packages."""
    directory = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    python = directory / "bin/python"
    site = next(directory.glob("lib/python*/site-packages"))
    (site / "base.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    packages = [path.parent for path in EXAMPLES.rglob("pyproject.toml")]
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", python, "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--no-build-isolation", *packages], check=True)
    return str(python)


@pytest.fixture(scope="module")
def daemon(python_with_examples: str, busybox_tar: Path) -> Iterator[Daemon]:
    """A daemon with all example plugins installed."""
    daemon = Daemon(f"pt{secrets.token_hex(4)}", python=python_with_examples)
    daemon.start()
    daemon.pouch("import", "--change", 'CMD ["sh"]', busybox_tar, "busybox:latest")
    yield daemon
    daemon.destroy()


def _plugins(daemon: Daemon) -> list[dict[str, Any]]:
    _, document = daemon.api("GET", "/pouch/plugins")
    found: list[dict[str, Any]] = document["plugins"]
    return found


def test_a_third_party_runtime_runs_containers(daemon: Daemon) -> None:
    """The runtime of ten lines is there by its entry point alone."""
    assert daemon.text("run", "--rm", "--runtime", "example", "busybox", "echo", "ten lines") == "ten lines"


def test_flags_of_an_enhancement(daemon: Daemon, tmp_path: Path) -> None:
    """Both options work as flags that the command line has learnt from the daemon."""
    (tmp_path / "file").write_text("shown")
    arguments = ["--example-env", "A=1", "--example-env", "B=2", "--example-directory", str(tmp_path)]
    script = "echo $A$B; cat /example/file; touch /example/x 2>/dev/null || echo read-only"
    assert daemon.text("run", "--rm", *arguments, "busybox", "sh", "-c", script) == "12\nshownread-only"


def test_flags_are_in_help(daemon: Daemon) -> None:
    """`run --help` lists the options of installed plugins."""
    help_text = daemon.text("run", "--help")
    assert "--example-env" in help_text
    assert "show a host directory read-only at /example" in help_text


def test_field_of_the_api(daemon: Daemon) -> None:
    """HostConfig.Isolation.<plugin>.<field> is the same option."""
    body = {
        "Image": "busybox",
        "Cmd": ["sh", "-c", "echo $A"],
        "HostConfig": {"Isolation": {"example": {"env": {"A": "1"}}}},
    }
    status, created = daemon.api("POST", "/v1.43/containers/create?name=by-api", body)
    assert status == 201, created
    daemon.pouch("start", "by-api")
    daemon.pouch("wait", "by-api")
    assert daemon.text("logs", "by-api") == "1"


def test_inspect_tells_who_added_what(daemon: Daemon) -> None:
    """Who owns which part of the container is in inspect."""
    daemon.pouch("run", "--name", "owned", "--example-env", "A=1", "busybox", "true")
    assert "env:A" in json.dumps(daemon.inspect("owned"))


def test_default_in_the_configuration(python_with_examples: str, busybox_tar: Path) -> None:
    """A default of pouchd.toml holds for every container, and a container's own word wins."""
    config = '[isolation.example]\n[isolation.example.env]\nA = "default"\n'
    daemon = Daemon(f"pt{secrets.token_hex(4)}", config, python=python_with_examples)
    daemon.start()
    try:
        daemon.pouch("import", busybox_tar, "busybox:latest")
        assert daemon.text("run", "--rm", "busybox", "sh", "-c", "echo $A") == "default"
        assert daemon.text("run", "--rm", "--example-env", "A=own", "busybox", "sh", "-c", "echo $A") == "own"
    finally:
        daemon.destroy()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--example-env", "1x=2"], ["--example-env", "1x"]),
        (["--example-env", "novalue"], ["--example-env", "NAME=VALUE"]),
        (["--example-directory", "relative"], ["--example-directory", "absolute"]),
        (["-e", "A=1", "--example-env", "A=2"], ["env:A", "example"]),
    ],
)
def test_wrong_values_are_refused(daemon: Daemon, arguments: list[str], words: list[str]) -> None:
    """The option and the value are named, and nothing is left."""
    done = daemon.pouch("run", "--rm", *arguments, "busybox", "true", check=False)
    assert done.returncode == 125
    assert [word for word in words if word not in done.stderr.decode()] == [], done.stderr


def test_broken_plugins_are_listed_with_their_reasons(daemon: Daemon) -> None:
    """Every breakage is told by `plugin ls`, and harms nobody."""
    broken = {plugin["distribution"]: plugin for plugin in _plugins(daemon) if "broken" in plugin["distribution"]}
    assert len(broken) == len(list((EXAMPLES / "broken").iterdir()))
    assert {plugin["state"] for plugin in broken.values()} == {"broken"}
    assert all(plugin["reason"] for plugin in broken.values())
    assert "did you mean" in broken["pouch-broken-misspelt-hook"]["reason"]
    assert daemon.text("run", "--rm", "busybox", "echo", "fine") == "fine"


def test_blocked_plugins_are_listed_and_not_imported(python_with_examples: str) -> None:
    """The allow-list leaves what is not on it alone."""
    daemon = Daemon(
        f"pt{secrets.token_hex(4)}", '[plugins]\nallow = ["pouch-runc", "pouch-overlay"]\n', python_with_examples
    )
    daemon.start()
    try:
        states = {plugin["distribution"]: plugin["state"] for plugin in _plugins(daemon)}
    finally:
        daemon.destroy()
    assert (states["pouch-runc"], states["pouch-example-runtime"], states["pouch-broken-system-exit"]) == (
        "ready",
        "blocked",
        "blocked",
    )


def test_a_required_plugin_that_is_broken_stops_the_start(python_with_examples: str) -> None:
    """What the configuration names as required must be ready."""
    daemon = Daemon(f"pt{secrets.token_hex(4)}", "", python_with_examples)
    daemon.configure('[plugins]\nrequired = ["no-such-plugin"]\n')
    with pytest.raises(pytest.fail.Exception, match="no-such-plugin is required"):
        daemon.start()
    daemon.configure("")
    daemon.destroy()


def test_copy_storage_where_overlay_is_not_wanted(busybox_tar: Path) -> None:
    """The plain-copy fallback runs containers, and `info` says that it is in use."""
    daemon = Daemon(f"pt{secrets.token_hex(4)}", 'default-storage = "copy"\n')
    daemon.start()
    try:
        daemon.pouch("import", busybox_tar, "busybox:latest")
        assert daemon.text("run", "--rm", "busybox", "sh", "-c", "echo x > /new && cat /new") == "x"
        assert daemon.text("info", "--format", "{{.Driver}}") == "copy"
    finally:
        daemon.destroy()
