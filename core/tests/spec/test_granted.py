"""What the host does not grant is reduced with a warning where that is safe, and refused where it is a mistake."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pouch_engine.spec.capabilities import DEFAULT_CAPABILITIES, wanted_capabilities
from pouch_engine.spec.granted import Grants, this_host
from pouch_hookspecs import Adjustment, Rlimit, User
from pouch_hookspecs.errors import InvalidArgument
from pouch_linux.capabilities import NAMES, bounding_set
from pouch_linux.rlimits import INFINITY, hard_limit

from .conftest import ALL_GRANTED, Runc, built

POOR = replace(
    ALL_GRANTED, capabilities=ALL_GRANTED.capabilities - {"CAP_SYS_RESOURCE", "CAP_NET_RAW"}, lowest_oom_score_adj=0
)
DOCKERS = (
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID"
    " SYS_CHROOT"
)  # github.com/moby/moby, oci/caps/defaults.go


def test_default_capabilities_are_dockers() -> None:
    """The fourteen."""
    assert frozenset(f"CAP_{name}" for name in DOCKERS.split()) == DEFAULT_CAPABILITIES


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), DEFAULT_CAPABILITIES),
        (("NET_ADMIN",), (), DEFAULT_CAPABILITIES | {"CAP_NET_ADMIN"}),
        (("cap_net_admin",), (), DEFAULT_CAPABILITIES | {"CAP_NET_ADMIN"}),
        ((), ("Net_Raw",), DEFAULT_CAPABILITIES - {"CAP_NET_RAW"}),
        ((), ("ALL",), frozenset()),
        (("CHOWN",), ("all",), {"CAP_CHOWN"}),
        (("ALL",), (), frozenset(NAMES)),
        (("ALL",), ("SYS_ADMIN",), frozenset(NAMES) - {"CAP_SYS_ADMIN"}),
        (("SYS_ADMIN",), ("SYS_ADMIN",), DEFAULT_CAPABILITIES),
    ],
)
def test_capabilities_of_a_request(add: tuple[str, ...], drop: tuple[str, ...], expected: frozenset[str]) -> None:
    """docker's rules; a capability that is both added and dropped is dropped."""
    assert wanted_capabilities(add, drop, privileged=False) == expected


def test_privileged_has_all_capabilities() -> None:
    """Dropping has no effect then, as in docker."""
    assert wanted_capabilities((), ("ALL", "NET_RAW"), privileged=True) == frozenset(NAMES)


@pytest.mark.parametrize("flag", ["add", "drop"])
@pytest.mark.parametrize("name", ["NOSUCH", "", "CAP_", "CAP_CAP_CHOWN", "CHOWN,KILL", "ＣＨＯＷＮ"])
def test_capability_that_is_none(flag: str, name: str) -> None:
    """The flag and the name are told."""
    words = f"cap-{flag}: {name!r} is not a capability"
    with pytest.raises(InvalidArgument) as caught:
        wanted_capabilities(*(((name,), ()) if flag == "add" else ((), (name,))), privileged=False)
    assert caught.value.message == words


def sets(**facts: Any) -> dict[str, list[str]]:
    """The capability sets of a spec."""
    found: dict[str, list[str]] = built(**facts)["process"]["capabilities"]
    return found


def test_root_has_its_capabilities_in_effect() -> None:
    """Inheritable and ambient stay empty (CVE-2022-29162)."""
    default = sorted(DEFAULT_CAPABILITIES)
    assert sets() == {"bounding": default, "effective": default, "permitted": default, "inheritable": [], "ambient": []}


def test_others_have_none_in_effect() -> None:
    """Only what a setuid program may get back."""
    found = sets(user=User(uid=1000))
    assert (found["effective"], found["permitted"], len(found["bounding"])) == ([], [], 14)


def test_capability_that_is_not_granted_and_was_named() -> None:
    """The container runs without, and is told."""
    warnings: list[str] = []
    found = sets(host=POOR, capabilities_add=("SYS_RESOURCE",), warnings=warnings)
    assert "CAP_SYS_RESOURCE" not in found["bounding"]
    assert warnings == ["This host does not grant CAP_SYS_RESOURCE; the container runs without."]


@pytest.mark.parametrize("facts", [{}, {"privileged": True}, {"capabilities_add": ("ALL",)}])
def test_capability_that_nobody_named_is_missed_in_silence(facts: dict[str, Any]) -> None:
    """`all` means all that there is."""
    warnings: list[str] = []
    assert "CAP_NET_RAW" not in sets(host=POOR, warnings=warnings, **facts)["bounding"]
    assert warnings == []


def test_enhancement_adds_and_drops() -> None:
    """Dropping wins, in any spelling."""
    change = Adjustment(capabilities_add=("CAP_NET_ADMIN", "CAP_KILL"), capabilities_drop=("CAP_KILL", "net_raw"))
    found = set(sets(adjustment=change)["bounding"])
    assert found == DEFAULT_CAPABILITIES - {"CAP_KILL", "CAP_NET_RAW"} | {"CAP_NET_ADMIN"}


def test_enhancement_that_drops_what_is_no_capability() -> None:
    """It must not seem to have dropped something."""
    with pytest.raises(InvalidArgument, match="capabilities_drop of an enhancement: 'CAP_NOSUCH'"):
        sets(adjustment=Adjustment(capabilities_drop=("CAP_NOSUCH",)))


def process(**facts: Any) -> dict[str, Any]:
    """The process of a spec."""
    found: dict[str, Any] = built(**facts)["process"]
    return found


def test_oom_score_that_is_not_granted() -> None:
    """The lowest that is, with a warning."""
    warnings: list[str] = []
    assert process(host=POOR, oom_score_adj=-500, warnings=warnings)["oomScoreAdj"] == 0
    assert warnings == ["This host does not grant an OOM score of -500; 0 is used."]


def test_oom_score_that_is_granted() -> None:
    """As it is."""
    assert process(oom_score_adj=-500)["oomScoreAdj"] == -500


def test_oom_score_that_nobody_asked_for() -> None:
    """The kernel's default, not the daemon's own, which a service manager may have lowered."""
    assert process()["oomScoreAdj"] == 0


@pytest.mark.parametrize("score", [-1001, 1001, 10**12])
def test_oom_score_that_can_not_be(score: int) -> None:
    """The range is told."""
    with pytest.raises(InvalidArgument, match="is not within -1000 to 1000"):
        process(oom_score_adj=score)


def test_rlimit_above_the_hard_limit_of_a_host_that_does_not_grant_it() -> None:
    """Hard and soft are cut, with a warning."""
    ceiling = hard_limit("RLIMIT_NOFILE")
    assert ceiling != INFINITY, "this test needs a host with a limit of open files"
    warnings: list[str] = []
    asked = Rlimit(type="RLIMIT_NOFILE", soft=ceiling + 1, hard=ceiling + 2)
    assert process(host=POOR, rlimits=(asked,), warnings=warnings)["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": ceiling, "hard": ceiling}
    ]
    assert warnings == [f"This host does not grant RLIMIT_NOFILE above {ceiling}; {ceiling + 2} was asked for."]


def test_soft_limit_below_the_ceiling_stays() -> None:
    """Only what is too much is cut."""
    granted = Grants(POOR).rlimit(Rlimit(type="RLIMIT_NOFILE", soft=100, hard=-1))
    assert (granted.soft, granted.hard) == (100, hard_limit("RLIMIT_NOFILE"))


def test_infinite_rlimit_is_written_as_the_kernel_does() -> None:
    """A runtime's JSON has no negative limits."""
    asked = Rlimit(type="RLIMIT_CORE", soft=-1, hard=-1)
    assert process(rlimits=(asked,))["rlimits"] == [{"type": "RLIMIT_CORE", "soft": INFINITY, "hard": INFINITY}]


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (Rlimit(type="RLIMIT_NOSUCH", soft=1, hard=1), "ulimit 'RLIMIT_NOSUCH' is not there; there are: cpu, fsize"),
        (Rlimit(type="nofile", soft=1, hard=1), "ulimit 'nofile' is not there"),
        (Rlimit(type="RLIMIT_NOFILE", soft=2, hard=1), "the soft limit 2 is above the hard one 1"),
        (Rlimit(type="RLIMIT_NOFILE", soft=-1, hard=1), "the soft limit -1 is above the hard one 1"),
    ],
)
def test_rlimit_that_can_not_be(limit: Rlimit, words: str) -> None:
    """What there is, or what is wrong."""
    with pytest.raises(InvalidArgument) as caught:
        process(rlimits=(limit,))
    assert words in caught.value.message


def test_this_host_is_looked_at() -> None:
    """Its bounding set is what a container can have."""
    assert this_host().capabilities == bounding_set()


@pytest.mark.parametrize(
    "facts",
    [
        {"privileged": True},
        {"capabilities_add": ("ALL",)},
        {"oom_score_adj": -900},
        {"rlimits": (Rlimit(type="RLIMIT_NOFILE", soft=-1, hard=-1),)},
    ],
    ids=["privileged", "all capabilities", "oom score", "rlimit"],
)
def test_real_container_starts_whatever_this_host_grants(runc: Runc, facts: dict[str, Any]) -> None:
    """docker simply fails on such hosts."""
    result = runc.run("true", **facts)
    assert result.returncode == 0, result.stderr


def test_capabilities_in_a_real_container(runc: Runc) -> None:
    """Exactly those, and none to inherit."""
    result = runc.run("grep", "^Cap", "/proc/self/status")
    found = {line.split(":")[0]: int(line.split()[1], 16) for line in result.stdout.splitlines()}
    mask = sum(1 << NAMES.index(name) for name in DEFAULT_CAPABILITIES & bounding_set())
    assert found == {"CapInh": 0, "CapPrm": mask, "CapEff": mask, "CapBnd": mask, "CapAmb": 0}
