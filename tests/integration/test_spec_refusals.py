"""Wrong values and contradictions: refused at the door, with words that name the flag, the value, what is allowed."""

from __future__ import annotations

import pytest

from tests.pouchd import Daemon

WRONG_VALUES = [
    (["-m", "1m"], "memory limit 1048576 is below the minimum of 6291456 bytes (6m)"),
    (["-m", "lots"], 'invalid argument "lots" for "-m, --memory" flag'),
    (["-m", "64m", "--memory-swap", "32m"], "memory-swap limit 33554432"),
    (["--memory-swap", "64m"], "needs a memory limit"),
    (["-m", "64m", "--memory-reservation", "128m"], "memory reservation 134217728 is above the memory limit 67108864"),
    (["--memory-swappiness", "101"], "memory swappiness 101 is not within 0 to 100"),
    (["--cpus", "0.001"], "0.01"),
    (["--cpus", "10000"], "as there are only"),
    (["--cpus", "half"], "expected a number of CPUs"),
    (["--cpus", "1", "--cpu-quota", "1000"], "NanoCpus (--cpus) excludes CpuQuota and CpuPeriod"),
    (["--cpu-period", "10"], "cpu period 10 is not within 1000 to 1000000 microseconds"),
    (["--cpu-quota", "10"], "cpu quota 10 is below 1000 microseconds"),
    (["-c", "1"], "cpu shares 1 are not within 2 to 262144"),
    (["--cpuset-cpus", "0-"], "cpuset-cpus '0-' is not a list such as 0-2,4"),
    (["--cpuset-cpus", "4096"], "there are processors 0 to"),
    (["--cpuset-mems", "x"], "cpuset-mems 'x' is not a list"),
    (["--pids-limit", "-2"], "pids limit -2 is not -1 (unlimited) or more"),
    (["--blkio-weight", "5"], "blkio weight 5 is not within 10 to 1000"),
    (["--blkio-weight-device", "/dev/null"], "expected DEVICE:NUMBER"),
    (["--device-read-bps", "/dev/null:1m"], "device /dev/null is not a block device"),
    (["--device-write-iops", "/dev/no-such-disk:5"], "device /dev/no-such-disk: No such file or directory"),
    (["--device-write-bps", "/dev/sda:fast"], "expected DEVICE:SIZE"),
    (["--hugepage-limit", "3MB=64m"], "'3MB' is not a size of huge pages of this host"),
    (["--hugepage-limit", "2MB"], "expected SIZE=LIMIT"),
    (["--shm-size", "-1"], "shm size -1 is negative"),
    (["--oom-score-adj", "2000"], "OOM score adjustment 2000 is not within -1000 to 1000"),
    (["--ulimit", "nofile"], "expected NAME=SOFT[:HARD]"),
    (["--ulimit", "files=1"], "RLIMIT_FILES"),
    (["--ulimit", "nofile=20:10"], "0 ≤ soft ≤ hard"),
    (["--device", "/etc/passwd"], "device /etc/passwd is not a device node"),
    (["--device", "/dev/nothing"], "device /dev/nothing: No such file or directory"),
    (["--device", "/dev/null:/dev/x:rx"], "expected HOST[:CONTAINER[:rwm]]"),
    (["--device-cgroup-rule", "c 1 rwm"], "expected TYPE MAJOR:MINOR ACCESS"),
    (["--cap-add", "FLY"], "cap-add: 'FLY' is not a capability"),
    (["--cap-drop", "FLY"], "cap-drop: 'FLY' is not a capability"),
    (["--security-opt", "seccomp=/nonexistent"], "opening the seccomp profile /nonexistent failed"),
    (["--security-opt", "mystery=1"], "invalid security option 'mystery=1'"),
    (["--sysctl", "kernel.panic=1"], "sysctl 'kernel.panic' is not namespaced"),
    (["--sysctl", "kernel.shm_next_id=1"], "sysctl 'kernel.shm_next_id' is not namespaced"),
    (["--sysctl", "net/../kernel/panic=1"], "is not of the form net.core.somaxconn"),
    (["-w", "relative"], "the working directory 'relative' is invalid"),
    (["-w", "/proc/self/fd/8"], "is refused: below /proc lies the host"),
    (["--pid", "mine"], "pid mode 'mine' is not one of private, host, container:NAME"),
    (["--ipc", "mine"], "ipc mode 'mine' is not one of private, shareable, host, none, container:NAME"),
    (["--uts", "mine"], "uts mode 'mine' is not one of private, host, container:NAME"),
    (["--cgroupns", "container:x"], "cgroupns mode 'container:x' is not one of private, host"),
    (["--userns", "keep-id"], "userns mode 'keep-id' is not one of private, host"),
    (["--pid", "container:"], "the container's name is missing"),
    (["--pid", "container:nobody"], "--pid container:nobody: there is no such container"),
    (["--name", "me", "--ipc", "container:me"], "--ipc container:me: a container can't join itself"),
    (["--network", "container:nobody"], "--network container:nobody: there is no such container"),
    (["--volumes-from", "nobody"], "--volumes-from 'nobody': there is no such container"),
    (["--volumes-from", "nobody:x"], "mode 'x' is none of ro, rw, z, Z"),
    (["-v", "relative/path:/x"], "only [a-zA-Z0-9][a-zA-Z0-9_.-]* is allowed"),
    (["-v", "/a:relative"], "is not absolute"),
    (["-v", "/a:/b:ro,rw"], "ro and rw exclude each other"),
    (["-v", "/a:/b:z,Z"], "z and Z exclude each other"),
    (["-v", "/a:/b:shared,private"], "shared and private exclude each other"),
    (["-v", "v:/b:dr,rr"], "dr and rr exclude each other"),
    (["-v", "/a:/b:dr"], "dr is for named volumes"),
    (["-v", "/a:/b:nocopy"], "nocopy is for named volumes"),
    (["-v", "/a:/b:fast"], "option 'fast' is none of ro, rw"),
    (["-v", "a:/"], "is the container's root file system itself"),
    (["-v", "a:/x", "-v", "b:/x"], "duplicate mount point: /x"),
    (["--mount", "type=nfs,dst=/x"], "unknown type 'nfs': expected one of bind, volume, tmpfs"),
    (["--mount", "type=bind,dst=/x"], "source is required for type=bind"),
    (["--mount", "type=volume"], "target is required"),
    (["--mount", "type=tmpfs,src=a,dst=/x"], "a tmpfs has no source"),
    (["--mount", "type=tmpfs,dst=/x,tmpfs-mode=rwx"], "expected an octal number such as 1777"),
    (["--mount", "type=tmpfs,dst=/x,tmpfs-size=big"], "tmpfs-size is 'big'"),
    (["--mount", "type=bind,src=/tmp,dst=/x,volume-nocopy"], "'volume-nocopy' is for type=volume"),
    (["--mount", "type=bind,src=/tmp,dst=/x,bind-propagation=wide"], "invalid propagation 'wide'"),
    (["--mount", "type=bind,src=/tmp,dst=/x,bind-recursive=readonly"], "need readonly"),
    (["--mount", "type=bind,src=/tmp,dst=/x,readonly=maybe"], "expected true or false"),
    (["--mount", "type=volume,src=a,dst=/x,volume-subpath=../up"], "is not a relative path inside a volume"),
    (["--mount", "type=volume,src=a,dst=/x,color=blue"], "unknown key 'color'"),
    (["--tmpfs", "/x:exec,magic=1"], "'magic=1' is not an allowed option of tmpfs(5)"),
    (["--tmpfs", "x"], "is not absolute"),
    (["--network", "no-such-net"], "no-such-net"),
    (["--restart", "often"], "invalid restart policy 'often'"),
    (["--stop-signal", "SIGNOTHING"], "SIGNOTHING"),
    (["--stop-timeout", "-5"], "stop timeout -5 is not -1 (without end) or more"),
    (["--add-host", "db"], "add-host 'db' is not of the form NAME:ADDRESS"),
    (["--dns", "nameserver"], "dns 'nameserver' is not an IP address"),
    (["-e", "=x"], "has no name"),
    (["--env-file", "/nonexistent"], "open /nonexistent"),
    (["--annotation", "novalue"], "invalid annotation 'novalue': expected KEY=VALUE"),
    (["--hostname", "two words"], "has a space or a control character"),
    (["--cgroup-parent", "relative"], "cgroup-parent 'relative' is not"),
    (["--runtime", "nosuch"], "nosuch"),
    (["--log-driver", "syslog"], "log driver 'syslog' is not one of"),
    (["--name", "-x"], "-x"),
]  # fmt: skip

AT_THE_START = [
    (["--user", "nobody-here"], "unable to find user nobody-here"),
    (["--user", "4294967295"], "user id 4294967295 is out of range"),
    (["--group-add", "no-such"], "unable to find group no-such"),
]
"""What only the root file system can tell."""

CONTRADICTIONS = [
    (["--init", "--pid", "host"], "--init and --pid host"),
    (["--shm-size", "1m", "--ipc", "host"], "--shm-size and --ipc host"),
    (["--shm-size", "1m", "--ipc", "none"], "--shm-size and --ipc none"),
    (["-h", "me", "--uts", "host"], "--hostname and --uts host"),
    (["--domainname", "me", "--uts", "host"], "--domainname and --uts host"),
    (["--sysctl", "net.ipv4.ip_forward=1", "--network", "host"], "--sysctl net.ipv4.ip_forward and --network host"),
    (["--sysctl", "kernel.shmmax=1", "--ipc", "host"], "--sysctl kernel.shmmax and --ipc host"),
    (["--userns", "private", "--network", "host"], "--userns private and --network host"),
]

WITH_ANOTHER = [
    (["--ipc", "container:first"], "container first has IPC mode private and is not shareable"),
    (["-h", "me", "--network", "container:first"], "--hostname and --network container:first"),
    (["--dns", "192.0.2.1", "--network", "container:first"], "--dns and --network container:first"),
    (["--add-host", "a:192.0.2.1", "--network", "container:first"], "--add-host and --network container:first"),
    (["--sysctl", "net.core.somaxconn=9", "--network", "container:first"], "--sysctl net.core.somaxconn and --network"),
    (["--init", "--pid", "container:first"], "--init and --pid container:first"),
]  # fmt: skip


def refused(pouchd: Daemon, flags: list[str], words: str) -> None:
    """Refused by `run` with 125 and these words; no traceback, no container."""
    before = pouchd.text("ps", "-aq")
    done = pouchd.pouch("run", *flags, "busybox", "true", check=False)
    told = done.stderr.decode()
    assert done.returncode == 125, told
    assert words in told
    assert "Traceback" not in told
    assert pouchd.text("ps", "-aq") == before


@pytest.mark.parametrize(("flags", "words"), WRONG_VALUES, ids=[" ".join(flags) for flags, _ in WRONG_VALUES])
def test_wrong_values(pouchd: Daemon, flags: list[str], words: str) -> None:
    """A flag with a value that can't be."""
    refused(pouchd, flags, words)


@pytest.mark.parametrize(("flags", "words"), AT_THE_START, ids=[" ".join(flags) for flags, _ in AT_THE_START])
def test_wrong_names(pouchd: Daemon, flags: list[str], words: str) -> None:
    """A user or group that the image does not have: the start fails, and with --rm nothing stays."""
    done = pouchd.pouch("run", "--rm", *flags, "busybox", "true", check=False)
    assert done.returncode == 125
    assert words in done.stderr.decode()


@pytest.mark.parametrize(("flags", "words"), CONTRADICTIONS, ids=[" ".join(flags) for flags, _ in CONTRADICTIONS])
def test_contradictions(pouchd: Daemon, flags: list[str], words: str) -> None:
    """Flags that exclude each other."""
    refused(pouchd, flags, f"conflicting options: {words}")


@pytest.mark.parametrize(("flags", "words"), WITH_ANOTHER, ids=[" ".join(flags) for flags, _ in WITH_ANOTHER])
def test_what_another_container_does_not_share(pouchd: Daemon, flags: list[str], words: str) -> None:
    """The other container runs, and still this can't be."""
    pouchd.pouch("run", "-d", "--name", "first", "busybox", "sleep", "1000")
    refused(pouchd, flags, words)
