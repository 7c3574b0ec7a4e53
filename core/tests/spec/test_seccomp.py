"""System calls: docker's default policy, given profiles, and calls denied by enhancements, in real containers."""

from __future__ import annotations

import errno
import json
import platform
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pouch_engine.spec.capabilities import DEFAULT_CAPABILITIES
from pouch_engine.spec.seccomp import default_profile, profile
from pouch_hookspecs import Adjustment, ArgumentCondition, DeniedSyscall, RuntimeFeatures
from pouch_hookspecs.errors import InvalidArgument, Unsupported

from .conftest import Runc, built

FSSETXATTR = 0x401C5820
WORD = 0xFFFF_FFFF
NO_PROJECT_ID = DeniedSyscall(
    name="ioctl", conditions=(ArgumentCondition(index=1, value=FSSETXATTR, mask=WORD),), errno=errno.EPERM
)
x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of system calls of x86_64")

# x86_64's numbers, arch/x86/entry/syscalls/syscall_64.tbl
IOCTL, MOUNT, UNSHARE, KEYCTL, PERSONALITY, SOCKET, CLONE3, BPF, SETNS, REBOOT, USERFAULTFD, IO_URING_SETUP = (
    16,
    165,
    272,
    250,
    135,
    41,
    435,
    321,
    308,
    169,
    323,
    425,
)


def verdict(filter_: dict[str, Any], name: str, **arguments: int) -> str:
    """What a filter says of a call: as seccomp(2) takes the most severe of all rules that match, ERRNO before ALLOW."""
    given = {int(key.removeprefix("a")): value for key, value in arguments.items()}
    matching = [
        rule["action"]
        for rule in filter_["syscalls"]
        if name in rule["names"]
        and all(_holds(argument, given.get(argument["index"], 0)) for argument in rule.get("args", ()))
    ]
    return "SCMP_ACT_ERRNO" if "SCMP_ACT_ERRNO" in matching else next(iter(matching), filter_["defaultAction"])


def _holds(argument: dict[str, Any], value: int) -> bool:
    if argument["op"] == "SCMP_CMP_MASKED_EQ":
        return bool(value & argument["value"] == argument["valueTwo"])
    return (value == argument["value"]) is (argument["op"] == "SCMP_CMP_EQ")


def test_default_profile_of_docker(runc: Runc) -> None:
    """What ordinary programs do works: files, processes, pipes, sockets."""
    result = runc.run(
        "sh", "-c", "echo a | cat > /tmp/f && mkdir -p /tmp/d && chown 1:1 /tmp/f && ls -l /tmp/f | wc -l"
    )
    assert (result.returncode, result.stdout.strip()) == (0, "1"), result.stderr


@x86_64
@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        (MOUNT, ()),
        (UNSHARE, (0x1000_0000,)),
        (KEYCTL, ()),
        (BPF, ()),
        (SETNS, ()),
        (REBOOT, ()),
        (USERFAULTFD, ()),
        (IO_URING_SETUP, ()),
        (SOCKET, (40, 1)),
        (PERSONALITY, (0x0040_0000,)),
        (56, (0x1000_0011,)),
    ],
    ids=[
        "mount",
        "unshare",
        "keyctl",
        "bpf",
        "setns",
        "reboot",
        "userfaultfd",
        "io_uring",
        "vsock",
        "no aslr",
        "clone user",
    ],
)
def test_call_that_the_default_denies(runc: Runc, number: int, arguments: tuple[int, ...]) -> None:
    """It fails with EPERM, before the kernel looks at it."""
    assert runc.probe(number, *arguments) == errno.EPERM


@x86_64
def test_clone3_is_not_there(runc: Runc) -> None:
    """ENOSYS, so that libc falls back to clone, whose flags a filter can see."""
    assert runc.probe(CLONE3) == errno.ENOSYS


@x86_64
@pytest.mark.parametrize(
    ("number", "arguments", "wanted"),
    [(PERSONALITY, (WORD,), 0), (SOCKET, (2, 1), 0), (57, (), 0), (IOCTL, (1, 0x5401), errno.ENOTTY)],
    ids=["ask personality", "inet socket", "fork", "TCGETS"],
)
def test_call_that_the_default_allows(runc: Runc, number: int, arguments: tuple[int, ...], wanted: int) -> None:
    """It reaches the kernel."""
    assert runc.probe(number, *arguments) == wanted


@x86_64
def test_unconfined_has_no_filter(runc: Runc) -> None:
    """keyctl answers for itself: the operation 0 on a keyring that is none."""
    assert runc.probe(KEYCTL, 0, 0, seccomp="unconfined") != errno.EPERM


@x86_64
@pytest.mark.parametrize("seccomp", ["", "unconfined"], ids=["allow-list", "unconfined"])
@pytest.mark.parametrize("number", [IOCTL, "i386:54"], ids=["64 bit", "32 bit"])
def test_denied_ioctl_in_a_real_container(runc: Runc, seccomp: str, number: int | str) -> None:
    """FS_IOC_FSSETXATTR gets EPERM by both ways into the kernel; without the denial it reaches the kernel."""
    adjustment = Adjustment(denied_syscalls=(NO_PROJECT_ID,))
    assert runc.probe(number, 0, FSSETXATTR, seccomp=seccomp, adjustment=adjustment) == errno.EPERM
    assert runc.probe(number, 0, FSSETXATTR, seccomp=seccomp) in (errno.ENOTTY, errno.EFAULT)


@x86_64
@pytest.mark.parametrize("seccomp", ["", "unconfined"], ids=["allow-list", "unconfined"])
def test_denied_ioctl_with_other_upper_bits(runc: Runc, seccomp: str) -> None:
    """The kernel cuts the request to 32 bits: the upper ones must not help to get by."""
    adjustment = Adjustment(denied_syscalls=(NO_PROJECT_ID,))
    assert runc.probe(IOCTL, 0, FSSETXATTR | 0xDEAD_0000_0000, seccomp=seccomp, adjustment=adjustment) == errno.EPERM


@x86_64
@pytest.mark.parametrize("seccomp", ["", "unconfined"], ids=["allow-list", "unconfined"])
@pytest.mark.parametrize("number", [IOCTL, "i386:54"], ids=["64 bit", "32 bit"])
@pytest.mark.parametrize("request_", [0x5401, 0x801C581F, FSSETXATTR ^ 1, FSSETXATTR ^ (1 << 31), 0, WORD])
def test_other_ioctls_pass(runc: Runc, seccomp: str, number: int | str, request_: int) -> None:
    """Every other request reaches the kernel, which has words of its own."""
    adjustment = Adjustment(denied_syscalls=(NO_PROJECT_ID,))
    assert runc.probe(number, 0, request_, seccomp=seccomp, adjustment=adjustment) != errno.EPERM


@x86_64
def test_two_denied_ioctls_in_a_real_container(runc: Runc) -> None:
    """Of two enhancements: both are denied, others pass, and the filter still fits the kernel."""
    inject = DeniedSyscall(
        name="ioctl", conditions=(ArgumentCondition(index=1, value=0x5412, mask=WORD),), errno=errno.EACCES
    )
    adjustment = Adjustment(denied_syscalls=(NO_PROJECT_ID, inject))
    assert runc.probe(IOCTL, 0, FSSETXATTR, adjustment=adjustment) == errno.EPERM
    assert runc.probe(IOCTL, 0, 0x5412, adjustment=adjustment) == errno.EACCES
    assert runc.probe(IOCTL, 0, 0x5401, adjustment=adjustment) == errno.ENOTTY


@x86_64
@pytest.mark.parametrize("seccomp", ["", "unconfined"], ids=["allow-list", "unconfined"])
def test_call_denied_altogether(runc: Runc, seccomp: str) -> None:
    """With the errno that was asked for."""
    adjustment = Adjustment(denied_syscalls=(DeniedSyscall(name="getpid", errno=errno.ENOSYS),))
    assert runc.probe(39, seccomp=seccomp, adjustment=adjustment) == errno.ENOSYS


@x86_64
def test_profile_of_the_user_in_a_real_container(runc: Runc) -> None:
    """Its rules are in force, and no others: mount is allowed by it, and fails for other reasons."""
    text = json.dumps(
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["getpid"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}],
        }
    )
    assert runc.probe(39, seccomp=text) == errno.EXDEV
    assert runc.probe(MOUNT, seccomp=text) in (errno.EFAULT, errno.EPERM)
    assert runc.probe(KEYCTL, 0, 0, seccomp=text) != errno.EPERM


def test_capability_opens_its_calls() -> None:
    """mount with CAP_SYS_ADMIN, and clone without a judgement of its flags."""
    plain, admin = default_profile(DEFAULT_CAPABILITIES), default_profile(DEFAULT_CAPABILITIES | {"CAP_SYS_ADMIN"})
    assert (verdict(plain, "mount"), verdict(admin, "mount")) == ("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW")
    assert verdict(plain, "clone", a0=0x1000_0000) == "SCMP_ACT_ERRNO"
    assert verdict(admin, "clone", a0=0x1000_0000) == "SCMP_ACT_ALLOW"


@pytest.mark.parametrize("name", ["chroot", "reboot", "bpf", "syslog", "ptrace"])
def test_default_follows_docker(name: str) -> None:
    """chroot and ptrace come with docker's default capabilities (kernel 4.8 on), the others do not."""
    expected = "SCMP_ACT_ALLOW" if name in ("chroot", "ptrace") else "SCMP_ACT_ERRNO"
    assert verdict(default_profile(DEFAULT_CAPABILITIES), name) == expected


def docker_form(*rules: dict[str, Any]) -> dict[str, Any] | None:
    """A profile in docker's form, resolved for CAP_SYS_CHROOT."""
    return profile(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules)}), {"CAP_SYS_CHROOT"}, ())


@pytest.mark.parametrize(
    ("conditions", "applies"),
    [
        ({"includes": {"caps": ["CAP_SYS_CHROOT"]}}, True),
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_CHROOT"]}}, False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, True),
        ({"includes": {"arches": ["amd64", "arm64"]}}, True),
        ({"includes": {"arches": ["s390x"]}}, False),
        ({"includes": {"minKernel": "2.6"}}, True),
        ({"includes": {"minKernel": "99.0"}}, False),
        ({"includes": None, "excludes": None}, True),
        ({"includes": {}, "excludes": {}}, True),
    ],
)
def test_docker_form_of_a_profile(conditions: dict[str, Any], applies: bool) -> None:
    """includes and excludes are resolved; runtimes do not know them."""
    filter_ = docker_form({"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "comment": "", **conditions})
    assert filter_ is not None
    assert verdict(filter_, "chroot") == ("SCMP_ACT_ALLOW" if applies else "SCMP_ACT_ERRNO")
    assert all(set(rule) <= {"names", "action", "errnoRet", "args"} for rule in filter_["syscalls"])


def test_old_form_with_a_single_name() -> None:
    """As docker wrote it before 1.11."""
    assert docker_form({"name": "chroot", "action": "SCMP_ACT_ALLOW", "args": None}) == docker_form(
        {"names": ["chroot"], "action": "SCMP_ACT_ALLOW"}
    )


def test_profile_keeps_its_own_words() -> None:
    """Default errno, architectures and flags go to the runtime as they are."""
    own = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    }
    assert profile(json.dumps(own), (), ()) == {**own, "syscalls": []}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        "{}",
        '"x"',
        '{"defaultAction": 5}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": 1}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": "read", "action": "x"}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"]}]}',
    ],
)
def test_text_that_is_no_profile(text: str) -> None:
    """It is refused at the door, with what was expected."""
    with pytest.raises(InvalidArgument, match=r"seccomp: not a seccomp profile.*expected JSON"):
        profile(text, (), ())


@given(st.text())
def test_any_text_is_a_profile_or_refused(text: str) -> None:
    """Never another error."""
    try:
        profile(text, (), ())
    except InvalidArgument:
        return
    assert text in ("", "unconfined")


DEFAULTS = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"]
PERMISSIVE = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"]


@pytest.mark.parametrize("default", DEFAULTS)
@pytest.mark.parametrize("listed", [None, "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"])
def test_denial_holds_in_every_kind_of_profile(default: str, listed: str | None) -> None:
    """Whatever lets the call through, by default or by a rule, no longer does; other arguments are as before."""
    rules = [{"names": ["ioctl", "read"], "action": listed}] if listed else []
    text = json.dumps({"defaultAction": default, "syscalls": rules})
    filter_ = profile(text, (), (NO_PROJECT_ID,))
    assert filter_ is not None
    assert verdict(filter_, "ioctl", a1=FSSETXATTR) == "SCMP_ACT_ERRNO"
    assert verdict(filter_, "ioctl", a1=FSSETXATTR ^ 4) == (listed or default)
    assert verdict(filter_, "read") == (listed or default)


words = st.integers(0, WORD)


@settings(max_examples=200)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=4), words)
def test_denials_by_value_and_mask(denials: list[tuple[int, int]], argument: int) -> None:
    """A call is denied exactly when one of them says so."""
    calls = [
        DeniedSyscall(name="ioctl", conditions=(ArgumentCondition(index=1, value=value & (mask | 1), mask=mask | 1),))
        for value, mask in denials
    ]
    denied = any(argument & c.conditions[0].mask == c.conditions[0].value for c in calls)
    for wanted in ("", "unconfined"):
        filter_ = profile(wanted, DEFAULT_CAPABILITIES, calls)
        assert filter_ is not None
        assert verdict(filter_, "ioctl", a1=argument) == ("SCMP_ACT_ERRNO" if denied else "SCMP_ACT_ALLOW")


def test_denial_by_two_arguments() -> None:
    """Both must hold."""
    call = DeniedSyscall(
        name="ioctl",
        conditions=(ArgumentCondition(index=0, value=3, mask=WORD), ArgumentCondition(index=1, value=7, mask=WORD)),
    )
    for wanted in ("", "unconfined"):
        filter_ = profile(wanted, (), (call,))
        assert filter_ is not None
        assert verdict(filter_, "ioctl", a0=3, a1=7) == "SCMP_ACT_ERRNO"
        assert {verdict(filter_, "ioctl", a0=3, a1=6), verdict(filter_, "ioctl", a0=2, a1=7)} == {"SCMP_ACT_ALLOW"}


def test_denial_within_a_judged_argument() -> None:
    """clone's flags are judged by the default already: a further flag can be denied."""
    call = DeniedSyscall(name="clone", conditions=(ArgumentCondition(index=0, value=0x100, mask=0x100),))
    filter_ = profile("", (), (call,))
    assert filter_ is not None
    assert verdict(filter_, "clone", a0=0x100) == "SCMP_ACT_ERRNO"
    assert verdict(filter_, "clone", a0=0x200) == "SCMP_ACT_ALLOW"
    assert verdict(filter_, "clone", a0=0x1000_0200) == "SCMP_ACT_ERRNO"


@pytest.mark.parametrize(
    "condition",
    [
        ArgumentCondition(index=1, value=0b11, mask=0b01),
        ArgumentCondition(index=1, value=1 << 40),
        ArgumentCondition(index=1, value=0, mask=1 << 40),
    ],
    ids=["outside of the mask", "beyond 32 bits", "no lower bit"],
)
def test_condition_that_would_deny_something_else(condition: ArgumentCondition) -> None:
    """It is refused rather than weakened in silence."""
    with pytest.raises(InvalidArgument, match="can not be judged"):
        profile("", (), (DeniedSyscall(name="ioctl", conditions=(condition,)),))


def test_condition_on_an_argument_that_the_profile_compares_otherwise() -> None:
    """It is refused, naming call and argument."""
    call = DeniedSyscall(name="socket", conditions=(ArgumentCondition(index=0, value=16, mask=WORD),))
    with pytest.raises(InvalidArgument, match="denying socket by argument 0"):
        profile("", (), (call,))


UNFILTERED = RuntimeFeatures(seccomp=False)


def test_runtime_without_filters_can_not_have_denials() -> None:
    """A promise that can't be kept stops the container."""
    with pytest.raises(Unsupported, match="runtime runc can not filter system calls"):
        built(features=UNFILTERED, adjustment=Adjustment(denied_syscalls=(NO_PROJECT_ID,)))


def test_runtime_without_filters_can_not_have_a_given_profile() -> None:
    """The same for what the user asked for."""
    with pytest.raises(Unsupported):
        built(features=UNFILTERED, seccomp='{"defaultAction": "SCMP_ACT_ALLOW"}')


def test_runtime_without_filters_runs_with_a_warning() -> None:
    """What was only a default is told."""
    warnings: list[str] = []
    assert "seccomp" not in built(features=UNFILTERED, warnings=warnings)["linux"]
    assert warnings == ["Runtime runc can not filter system calls; the container runs unfiltered."]


@pytest.mark.parametrize(
    "facts",
    [{"seccomp": "unconfined"}, {"privileged": True}, {"features": RuntimeFeatures(seccomp=False, own_kernel=True)}],
)
def test_no_warning_where_no_filter_is_missed(facts: dict[str, Any]) -> None:
    """Unconfined, privileged, or behind a kernel of its own."""
    warnings: list[str] = []
    built(**({"features": UNFILTERED} | facts), warnings=warnings)
    assert warnings == []


def test_privileged_has_no_filter_unless_it_is_asked_for() -> None:
    """As docker."""
    assert "seccomp" not in built(privileged=True)["linux"]
    assert "seccomp" in built(privileged=True, seccomp='{"defaultAction": "SCMP_ACT_ALLOW"}')["linux"]
