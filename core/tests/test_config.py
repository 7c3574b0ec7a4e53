"""pouchd.toml: what is right is understood, what is wrong is refused with its place."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pouch_engine import config as config_module
from pouch_engine.config import DEFAULT_CONFIG, Config, load_config, parse_config
from pouch_hookspecs import ROLES
from pouch_hookspecs.errors import InvalidArgument, NotFound

WHOLE = """
default-runtime = "crun"
default-storage = "copy"
cgroup-parent = "/containers"
stop-timeout-seconds = 3
[runtimes.crun]
driver = "runc"
deadline-factor = 2.5
command = "/usr/bin/crun"
runtime-args = ["--debug"]
[isolation.lxcfs]
required = false
order = 10
default = true
[plugins]
allow = ["pouch-*"]
disable = ["cri"]
required = ["crun"]
[logs]
max-size = "10m"
max-file = 5
"""


def refused(text: str) -> str:
    """The words with which a text is refused."""
    with pytest.raises(InvalidArgument) as caught:
        parse_config(text, "here.toml")
    return caught.value.message


def test_whole_file() -> None:
    """Every section, in the file's own spelling."""
    config = parse_config(WHOLE, "here.toml")
    crun, lxcfs = config.runtimes["crun"], config.isolation["lxcfs"]
    assert (config.default_runtime, config.default_storage, config.cgroup_parent) == ("crun", "copy", "/containers")
    assert config.stop_timeout_seconds == 3
    assert (crun.driver, crun.deadline_factor) == ("runc", 2.5)
    assert (lxcfs.required, lxcfs.order) == (False, 10)
    assert (config.plugins.allow, config.plugins.disable, config.plugins.required) == (
        ("pouch-*",),
        ("cri",),
        ("crun",),
    )
    assert (config.logs.max_size, config.logs.max_file) == (10 * 2**20, 5)


def test_options_of_a_driver_are_all_other_keys() -> None:
    """As they are written; the handler's own keys are none of them."""
    config = parse_config(WHOLE, "here.toml")
    assert config.runtimes["crun"].options == {"command": "/usr/bin/crun", "runtime-args": ["--debug"]}
    assert config.isolation["lxcfs"].options == {"default": True}


def test_empty_file_gives_the_defaults() -> None:
    """Nothing has to be configured."""
    assert parse_config("", "here.toml") == Config()


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_its_section(role: str) -> None:
    """Handlers can be configured for each kind of plugin."""
    section = {"network": "networks", "runtime": "runtimes", "volume": "volumes", "service": "services"}.get(role, role)
    assert list(parse_config(f"[{section}.x]", "here.toml").handlers(role)) == ["x"]


def test_syntax_error_has_its_line() -> None:
    """And the file's name."""
    words = refused("a = 1\nb = = 2")
    assert words.startswith("configuration here.toml is not TOML: ")
    assert "line 2" in words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("defualt-runtime = 'x'", "defualt-runtime: unknown key; there are: default-runtime, default-storage"),
        ("[plugins]\nallowed = []", "plugins.allowed: unknown key; there are: allow, disable, required"),
        ("[logs]\nsize = 1", "logs.size: unknown key; there are: max-size, max-file"),
        ("[logs]\nmax-size = 'big'", "logs.max-size: 'big' is not a size"),
        ("[logs]\nmax-size = 0", "logs.max-size: Input should be greater than or equal to 1"),
        ("[logs]\nmax-file = 0", "logs.max-file: Input should be greater than or equal to 1"),
        ("stop-timeout-seconds = -1", "stop-timeout-seconds: Input should be"),
        ("[runtimes.crun]\ndeadline-factor = 0", "runtimes.crun.deadline-factor: Input should be greater than 0"),
        ("[runtimes.crun]\ndeadline-factor = inf", "runtimes.crun.deadline-factor: "),
        ("[runtimes.crun]\nsince = 2020-01-01", "runtimes.crun.since: "),
        ("runtimes = 'crun'", "runtimes: "),
        ("[runtimes]\ncrun = 'x'", "runtimes.crun: "),
        ("[runtimes.'../up']", "'../up' is no handler name"),
        ("[isolation.'a b']", "'a b' is no handler name"),
        ("cgroup-parent = 'pouch'", "cgroup-parent: 'pouch' is neither a path such as /pouch nor a slice"),
        ("cgroup-driver = 'dbus'", "cgroup-driver: Input should be 'auto', 'cgroupfs' or 'systemd'"),
        ("cgroup-driver = 'systemd'\ncgroup-parent = '/a'", "with cgroup-driver systemd it is a slice such as"),
        ("cgroup-driver = 'cgroupfs'\ncgroup-parent = 'a.slice'", "with cgroup-driver cgroupfs it is a path such as"),
    ],
)
def test_mistake_is_refused_with_its_place(text: str, words: str) -> None:
    """And with what was expected."""
    assert words in refused(text)


def test_all_mistakes_are_told_at_once() -> None:
    """So that one edit mends the file."""
    words = refused("a = 1\nb = 2")
    assert "a: unknown key" in words
    assert "b: unknown key" in words


def test_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    """Its path is in the error."""
    with pytest.raises(NotFound, match=r"nosuch\.toml does not exist"):
        load_config(tmp_path / "nosuch.toml")


def test_default_file_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh machine has none."""
    absent = tmp_path / DEFAULT_CONFIG.name
    monkeypatch.setattr(config_module, "DEFAULT_CONFIG", absent)
    assert load_config(absent) == Config()


def test_file_is_read(tmp_path: Path) -> None:
    """And its path is in errors about its content."""
    path = tmp_path / "pouchd.toml"
    path.write_text("stop-timeout-seconds = 4")
    assert load_config(path).stop_timeout_seconds == 4
    path.write_text("nonsense = 4")
    with pytest.raises(InvalidArgument, match=str(path)):
        load_config(path)


def test_file_that_can_not_be_read(tmp_path: Path) -> None:
    """A directory, or bytes that are no text."""
    with pytest.raises(InvalidArgument, match="can not be read"):
        load_config(tmp_path)
    path = tmp_path / "pouchd.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgument, match="can not be read"):
        load_config(path)


@given(st.text())
def test_any_text_is_understood_or_refused(text: str) -> None:
    """Never another error."""
    with contextlib.suppress(InvalidArgument):
        parse_config(text, "here.toml")
