"""The OCI spec as a whole, looked at and run with the real runc."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pouch_engine.spec.build import DEFAULT_SHM_BYTES, MASKED_PATHS, READONLY_PATHS
from pouch_hookspecs import Adjustment, Device, DeviceRequest, Hook, Mount, NamespaceKind, Resources, User
from pouch_hookspecs.errors import InvalidArgument, Unsupported
from pouch_linux.cgroups import Mode

from .conftest import ALL_GRANTED, Runc, built

DOCKERS_MASKED = (
    "/proc/asound /proc/acpi /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats"
    " /proc/sched_debug /proc/scsi /sys/firmware /sys/devices/virtual/powercap"
)  # github.com/moby/moby, oci/defaults.go
DOCKERS_READONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger"


def mounts(**facts: Any) -> dict[str, dict[str, Any]]:
    """The mounts of a spec by target; none twice."""
    found = built(**facts)["mounts"]
    by_target = {mount["destination"]: mount for mount in found}
    assert len(by_target) == len(found)
    return by_target


def namespaces(**facts: Any) -> dict[str, str]:
    """The namespaces of a spec: type → path, empty for a new one."""
    return {entry["type"]: entry.get("path", "") for entry in built(**facts)["linux"]["namespaces"]}


# paths of /proc and /sys


def test_masked_and_readonly_paths_cover_dockers() -> None:
    """All of docker's, and maybe more."""
    assert set(DOCKERS_MASKED.split()) <= set(MASKED_PATHS)
    assert set(DOCKERS_READONLY.split()) <= set(READONLY_PATHS)


def test_default_paths_are_in_the_spec() -> None:
    """Masked and read-only."""
    linux = built()["linux"]
    assert (linux["maskedPaths"], linux["readonlyPaths"]) == ([*MASKED_PATHS], [*READONLY_PATHS])


def test_paths_of_the_request_replace_the_default() -> None:
    """Also by nothing."""
    linux = built(masked_paths=(), readonly_paths=("/proc/x",))["linux"]
    assert (linux["maskedPaths"], linux["readonlyPaths"]) == ([], ["/proc/x"])


def test_privileged_has_no_masked_paths_but_those_of_enhancements() -> None:
    """What an enhancement hides stays hidden."""
    change = Adjustment(masked_paths=("/proc/secret",), readonly_paths=("/proc/fixed",))
    linux = built(privileged=True, adjustment=change)["linux"]
    assert (linux["maskedPaths"], linux["readonlyPaths"]) == (["/proc/secret"], ["/proc/fixed"])


@pytest.mark.parametrize("path", [path for path in MASKED_PATHS if os.path.exists(path)])
def test_masked_path_in_a_real_container(runc: Runc, path: str) -> None:
    """It has no content, neither as a file nor as a directory."""
    result = runc.run("sh", "-c", f"if [ -d {path} ]; then ls -A {path}; else cat {path}; fi")
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


@pytest.mark.parametrize("path", ["/proc/sys/vm/swappiness", "/sys/kernel/uevent_seqnum"])
def test_host_can_not_be_changed_from_a_real_container(runc: Runc, path: str) -> None:
    """/proc/sys and /sys are read-only."""
    assert "Read-only file system" in runc.run("sh", "-c", f"echo 0 > {path}").stderr


# root file system and process


def test_read_only_root_in_a_real_container(runc: Runc) -> None:
    """Nothing can be written there; /dev/shm can."""
    result = runc.run("sh", "-c", "echo x > /file; echo y > /dev/shm/file && cat /dev/shm/file", read_only_rootfs=True)
    assert "can't create /file: Read-only file system" in result.stderr
    assert result.stdout == "y\n"


def test_process_of_the_record() -> None:
    """Command, user, directory, terminal, no new privileges."""
    process = built(
        args=("sh", "-c", "x"), user=User(uid=5, gid=6, additional_gids=(7,)), terminal=True, no_new_privileges=True
    )["process"]
    assert process["args"] == ["sh", "-c", "x"]
    assert process["user"] == {"uid": 5, "gid": 6, "additionalGids": [7]}
    assert (process["cwd"], process["terminal"], process["noNewPrivileges"]) == ("/", True, True)


def test_environment() -> None:
    """docker's own names first; what was given wins; enhancements last."""
    env = built(terminal=True, hostname="web", adjustment=Adjustment(env={"PATH": "/wrap", "X": "1"}))["process"]["env"]
    assert env == ["HOSTNAME=web", "TERM=xterm", "PATH=/wrap", "X=1"]


def test_init_wrapper_comes_before_the_command() -> None:
    """An enhancement's prefix."""
    assert built(args=("httpd",), adjustment=Adjustment(args_prefix=("/init", "--")))["process"]["args"] == [
        "/init",
        "--",
        "httpd",
    ]


@pytest.mark.parametrize(
    ("asked", "added", "result"), [(True, None, True), (True, False, True), (False, True, True), (False, None, False)]
)
def test_no_new_privileges_can_only_be_added(asked: bool, added: bool | None, result: bool) -> None:
    """An enhancement can't take it away."""
    process = built(no_new_privileges=asked, adjustment=Adjustment(no_new_privileges=added))["process"]
    assert process["noNewPrivileges"] is result


def test_hostname_in_a_real_container(runc: Runc) -> None:
    """And the domain name, in a uts namespace of its own."""
    result = runc.run("sh", "-c", "hostname; cat /proc/sys/kernel/domainname", hostname="web", domainname="example")
    assert result.stdout.split() == ["web", "example"], result.stderr


def test_hostname_is_the_short_id_by_default() -> None:
    """As docker's."""
    assert built()["hostname"] == ("c0ffee" * 10)[:12]


def test_apparmor_profile_without_apparmor() -> None:
    """An isolation that was asked for and can't be had stops the container."""
    with pytest.raises(Unsupported, match="AppArmor profile 'strict' is asked for"):
        built(apparmor="strict")


def test_apparmor_profile_with_apparmor() -> None:
    """It goes to the runtime; unconfined is none."""
    host = replace(ALL_GRANTED, apparmor=True)
    assert built(host=host, apparmor="strict")["process"]["apparmorProfile"] == "strict"
    assert "apparmorProfile" not in built(host=host, apparmor="unconfined")["process"]


# namespaces


def test_own_namespaces_by_default() -> None:
    """mount, pid, ipc, uts, network; the cgroup namespace on cgroup v2."""
    own = {"mount", "pid", "ipc", "uts", "network"}
    assert set(namespaces()) == own
    assert set(namespaces(host=replace(ALL_GRANTED, cgroups=Mode.V2))) == own | {"cgroup"}


@pytest.mark.parametrize(
    ("mode", "cgroups", "private"),
    [("private", Mode.V1, True), ("private", Mode.V2, True), ("host", Mode.V1, False), ("host", Mode.V2, False)],
)
def test_cgroup_namespace_by_mode(mode: str, cgroups: Mode, private: bool) -> None:
    """What was asked for counts."""
    assert ("cgroup" in namespaces(host=replace(ALL_GRANTED, cgroups=cgroups), cgroup_mode=mode)) is private


@pytest.mark.parametrize("kind", [NamespaceKind.NETWORK, NamespaceKind.PID, NamespaceKind.IPC, NamespaceKind.UTS])
def test_namespace_of_the_host(kind: NamespaceKind) -> None:
    """It is not mentioned then."""
    assert str(kind) not in namespaces(host_namespaces=frozenset({kind}))


def test_no_hostname_in_the_hosts_uts_namespace() -> None:
    """A runtime would change the host's."""
    assert "hostname" not in built(host_namespaces=frozenset({NamespaceKind.UTS}))


def test_namespaces_of_an_enhancement() -> None:
    """A new one, or one to join in the place of what there would be."""
    found = namespaces(
        adjustment=Adjustment(namespaces={NamespaceKind.TIME: None, NamespaceKind.IPC: Path("/run/ipc")})
    )
    assert (found["time"], found["ipc"]) == ("", "/run/ipc")


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        (NamespaceKind.NETWORK, "net"),
        (NamespaceKind.IPC, "ipc"),
        (NamespaceKind.UTS, "uts"),
        (NamespaceKind.PID, "pid"),
    ],
)
@pytest.mark.parametrize("shared", [True, False])
def test_namespace_in_a_real_container(runc: Runc, kind: NamespaceKind, file: str, shared: bool) -> None:
    """The host's where it was asked for, its own otherwise."""
    facts: dict[str, Any] = {"host_namespaces": frozenset({kind})} if shared else {}
    if shared and kind is NamespaceKind.IPC:
        facts["ipc_mode"] = "host"
    result = runc.run("readlink", f"/proc/self/ns/{file}", **facts)
    assert (result.stdout.strip() == os.readlink(f"/proc/self/ns/{file}")) is shared, result.stderr


def test_host_network_shows_no_more_of_sys_than_needed(runc: Runc) -> None:
    """A sysfs of its own, read-only, without what the host has mounted below: debugfs, bpf, security, tracing."""
    result = runc.run("cat", "/proc/self/mounts", host_namespaces=frozenset({NamespaceKind.NETWORK}))
    below = [line.split() for line in result.stdout.splitlines() if line.split()[1].startswith("/sys")]
    assert {fields[2] for fields in below} <= {"sysfs", "tmpfs", "cgroup", "cgroup2"}, result.stdout
    assert ["sysfs" for fields in below if fields[1] == "/sys" and "ro" in fields[3].split(",")] == ["sysfs"]


# mounts


def test_kernel_mounts_of_docker() -> None:
    """proc, dev, pts, sys, cgroup, mqueue, shm."""
    found = mounts()
    assert {target: mount["type"] for target, mount in found.items()} == {
        "/proc": "proc",
        "/dev": "tmpfs",
        "/dev/pts": "devpts",
        "/sys": "sysfs",
        "/sys/fs/cgroup": "cgroup",
        "/dev/mqueue": "mqueue",
        "/dev/shm": "tmpfs",
    }
    assert {"ro", "nosuid", "noexec", "nodev"} <= set(found["/sys"]["options"]) & set(
        found["/sys/fs/cgroup"]["options"]
    )


def test_privileged_may_write_to_sys() -> None:
    """As docker."""
    assert "rw" in mounts(privileged=True)["/sys"]["options"]


@pytest.mark.parametrize(("asked", "size"), [(None, DEFAULT_SHM_BYTES), (0, DEFAULT_SHM_BYTES), (4096, 4096)])
def test_size_of_shm(asked: int | None, size: int) -> None:
    """64 MiB unless something else is asked for; never without a limit."""
    assert f"size={size}" in mounts(shm_size_bytes=asked)["/dev/shm"]["options"]


def test_negative_size_of_shm() -> None:
    """Refused."""
    with pytest.raises(InvalidArgument, match="shm size -1 is negative"):
        built(shm_size_bytes=-1)


@pytest.mark.parametrize(
    ("mode", "source"), [("host", "/dev/shm"), ("private", "shm"), ("", "shm"), ("shareable", "shm")]
)
def test_shm_by_ipc_mode(mode: str, source: str) -> None:
    """The host's, or its own."""
    assert mounts(ipc_mode=mode)["/dev/shm"]["source"] == source


def test_ipc_mode_none_has_no_shm() -> None:
    """As docker."""
    assert "/dev/shm" not in mounts(ipc_mode="none")


def order(*targets: str, **facts: Any) -> list[str]:
    """In which order these targets are mounted."""
    return [mount["destination"] for mount in built(**facts)["mounts"] if mount["destination"] in targets]


def test_parents_are_mounted_first() -> None:
    """Whatever the order of the request."""
    asked = (Mount(target="/a/b/c", source="/x"), Mount(target="/a", source="/y"), Mount(target="/a/b", source="/z"))
    assert order("/a", "/a/b", "/a/b/c", mounts=asked) == ["/a", "/a/b", "/a/b/c"]


def test_volume_over_etc_does_not_hide_the_engines_files() -> None:
    """hosts, hostname and resolv.conf are mounted into it, as docker does."""
    files = (Mount(target="/etc/hosts", source="/run/hosts"),)
    assert order("/etc", "/etc/hosts", files=files, mounts=(Mount(target="/etc", source="/x"),)) == [
        "/etc",
        "/etc/hosts",
    ]


def test_request_may_bring_its_own_hosts_file() -> None:
    """Then it replaces the engine's."""
    files = (Mount(target="/etc/hosts", source="/run/hosts"),)
    assert mounts(files=files, mounts=(Mount(target="/etc/hosts", source="/mine"),))["/etc/hosts"]["source"] == "/mine"


def test_request_may_bring_its_own_dev() -> None:
    """Then nothing of ours is made inside of it, as docker does."""
    found = mounts(mounts=(Mount(target="/dev", source="/my/dev"),))
    assert [target for target in found if target.startswith("/dev")] == ["/dev"]
    assert found["/dev"]["source"] == "/my/dev"


def test_enhancement_that_replaces_a_mount_of_the_request() -> None:
    """Only its own is mounted, whatever the spelling."""
    own, other = Mount(target="/data", source="/mine"), Mount(target="/data/", source="/theirs")
    found = mounts(mounts=(own,), adjustment=Adjustment(mounts=(other,)))
    assert [mount["source"] for target, mount in found.items() if target.startswith("/data")] == ["/theirs"]


@pytest.mark.parametrize(
    ("options", "propagation"),
    [(("rbind", "rprivate"), "rprivate"), (("rbind", "rslave"), "rslave"), (("rbind", "shared"), "rshared")],
)
def test_root_propagation_follows_the_mounts(options: tuple[str, ...], propagation: str) -> None:
    """A shared mount needs a shared root."""
    linux = built(mounts=(Mount(target="/data", source="/x", options=options),))["linux"]
    assert linux["rootfsPropagation"] == propagation


def test_bind_in_a_real_container(runc: Runc, tmp_path: Path) -> None:
    """Read-only is read-only."""
    (tmp_path / "file").write_text("content\n")
    own = (Mount(target="/data", source=str(tmp_path), options=("rbind", "ro")),)
    result = runc.run("sh", "-c", "cat /data/file; echo x > /data/file", mounts=own)
    assert result.stdout == "content\n"
    assert "Read-only file system" in result.stderr


# devices


def test_device_of_the_host() -> None:
    """Node and right, under the name that was asked for."""
    linux = built(devices=(DeviceRequest(host_path="/dev/null", container_path="/dev/nothing", access="r"),))["linux"]
    (device,) = linux["devices"]
    assert (device["path"], device["type"], device["major"], device["minor"]) == ("/dev/nothing", "c", 1, 3)
    assert linux["resources"]["devices"][-1] == {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}


def test_directory_of_devices(tmp_path: Path) -> None:
    """All nodes below it; other files are passed over and links are not followed."""
    (tmp_path / "deep").mkdir()
    for name, number in (("a", 3), ("deep/b", 5)):
        os.mknod(tmp_path / name, 0o20644, os.makedev(1, number))
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    linux = built(devices=(DeviceRequest(host_path=str(tmp_path), container_path="/dev/all"),))["linux"]
    assert [(d["path"], d["minor"], d["fileMode"]) for d in linux["devices"]] == [
        ("/dev/all/a", 3, 0o644),
        ("/dev/all/deep/b", 5, 0o644),
    ]


@pytest.mark.parametrize(
    ("path", "access", "words"),
    [
        ("/dev/nosuch", "rwm", "device /dev/nosuch: No such file or directory"),
        ("/etc/passwd", "rwm", "device /etc/passwd is not a device node"),
        ("/dev/null", "rwx", "access 'rwx' is not made of r, w and m"),
        ("/dev/null", "", "access '' is not made of r, w and m"),
    ],
)
def test_device_that_can_not_be(path: str, access: str, words: str) -> None:
    """Path and reason are told."""
    with pytest.raises(InvalidArgument) as caught:
        built(devices=(DeviceRequest(host_path=path, container_path="/dev/x", access=access),))
    assert words in caught.value.message


def test_privileged_has_the_devices_of_the_host(runc: Runc) -> None:
    """Those in directories, too; not those that every container has of its own."""
    linux = built(privileged=True)["linux"]
    paths = [device["path"] for device in linux["devices"]]
    assert len(set(paths)) == len(paths)
    assert not {"/dev/null", "/dev/tty", "/dev/ptmx", "/dev/console"} & set(paths)
    assert not [path for path in paths if path.startswith(("/dev/pts/", "/dev/shm/"))]
    below = {str(node) for node in Path("/dev").glob("net/*") if node.is_char_device()}
    assert below <= set(paths)
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_device_of_an_enhancement_in_a_real_container(runc: Runc) -> None:
    """It can be used."""
    device = Device(path="/dev/nothing", type="c", major=1, minor=3)
    result = runc.run(
        "sh", "-c", "echo x > /dev/nothing && ls -l /dev/nothing", adjustment=Adjustment(devices=(device,))
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("crw-rw-rw-")


def test_device_that_was_not_asked_for_can_not_be_used(runc: Runc) -> None:
    """Root may make a node, and the devices controller refuses to open it."""
    result = runc.run("sh", "-c", "mknod /dev/k c 1 11 && cat /dev/k")
    assert "Operation not permitted" in result.stderr


# the rest


def test_limits_of_an_enhancement_win() -> None:
    """Over those of the record, field by field."""
    linux = built(
        resources=Resources(pids_limit=5, cpu_shares=7), adjustment=Adjustment(resources=Resources(pids_limit=9))
    )["linux"]
    assert (linux["resources"]["pids"]["limit"], linux["resources"]["cpu"]["shares"]) == (9, 7)


def test_sysctls_and_annotations_of_all() -> None:
    """The request's and the enhancements'."""
    change = Adjustment(sysctls={"net.b": "2"}, annotations={"b": "2"})
    document = built(sysctls={"net.a": "1"}, annotations={"a": "1"}, adjustment=change)
    assert document["linux"]["sysctl"] == {"net.a": "1", "net.b": "2"}
    assert document["annotations"] == {"a": "1", "b": "2"}


def test_hooks_under_the_names_of_the_oci_spec() -> None:
    """With args[0] and a time-out where one is given; no entry where there is none."""
    hook = Hook(path="/bin/hook", env=("A=1",), timeout_seconds=5)
    document = built(
        adjustment=Adjustment(prestart_hooks=(hook,), poststop_hooks=(Hook(path="/bin/end", args=("end", "x")),))
    )
    assert document["hooks"] == {
        "createRuntime": [{"path": "/bin/hook", "args": ["/bin/hook"], "env": ["A=1"], "timeout": 5}],
        "poststop": [{"path": "/bin/end", "args": ["end", "x"], "env": []}],
    }
    assert "hooks" not in built()


def test_hook_in_a_real_container(runc: Runc, tmp_path: Path) -> None:
    """It runs on the host before the container's process."""
    trace = tmp_path / "trace"
    hook = Hook(path="/bin/sh", args=("sh", "-c", f"cat > {trace}"), env=("PATH=/bin:/usr/bin",))
    result = runc.run("true", adjustment=Adjustment(prestart_hooks=(hook,)))
    assert result.returncode == 0, result.stderr
    assert json.loads(trace.read_text())["status"] in ("creating", "created")


def test_document_is_plain_json() -> None:
    """Every kind of value in it."""
    document = built(privileged=True, terminal=True, resources=Resources(unified={"memory.high": "1"}))
    assert json.loads(json.dumps(document)) == document
