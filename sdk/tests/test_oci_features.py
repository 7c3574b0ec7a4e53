"""Features: the command's own word, or what is assumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pouch_hookspecs import NamespaceKind
from pouch_sdk import OciCommandRuntime
from pouch_sdk.oci_features import assumed_features, features_from_json
from pouch_sdk.testing import RuntimeHarness


def test_the_commands_word_is_believed() -> None:
    """What the JSON object says is in the features, which are not assumed; unknown namespaces are left out."""
    told = {
        "hooks": ["poststop"],
        "linux": {
            "namespaces": ["pid", "network", "of-the-future"],
            "cgroup": {"v1": True, "v2": False, "systemd": True},
            "seccomp": {"enabled": True, "actions": ["SCMP_ACT_ERRNO"]},
            "apparmor": {"enabled": False},
        },
    }
    features = features_from_json(told, "9.9")
    assert not features.assumed
    assert features.namespaces == {NamespaceKind.PID, NamespaceKind.NETWORK}
    assert not features.user_namespaces
    assert features.cgroup_versions == {1}
    assert features.cgroup_drivers == {"cgroupfs", "systemd"}
    assert (features.seccomp, features.apparmor, features.version) == (True, False, "9.9")


@pytest.mark.parametrize("answer", ["echo garbage", "echo '[1]'", "echo '{\"linux\": 5}'", "exit 1"])
def test_without_a_word_they_are_assumed(busybox_root: Path, tmp_path: Path, answer: str) -> None:
    """A command without `features`, or with an answer that can't be read, has assumed features and its version."""
    command = tmp_path / "runtime"
    command.write_text(f'#!/bin/sh\ncase "$*" in *--version*) echo runtime version 7.8.9;; *) {answer};; esac\n')
    command.chmod(0o755)
    with RuntimeHarness(OciCommandRuntime, root=busybox_root, options={"command": str(command)}) as harness:
        assert harness.hooks.runtime_features() == assumed_features("7.8.9")
