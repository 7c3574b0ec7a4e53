"""The seccomp profile of a container: docker's default policy, a given profile, or none; with denied calls compiled in.

The default is an allow-list: what is not named fails with EPERM. Some calls are allowed only with a capability that
makes them meaningful, as docker does (docs.docker.com, "Seccomp security profiles for Docker").
"""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from pouch_hookspecs import ArgumentCondition, DeniedSyscall
from pouch_hookspecs.errors import InvalidArgument

EPERM, ENOSYS = 1, 38
_NAMESPACE_FLAGS = 0x7E02_0000  # CLONE_NEW* of clone(2)
_AF_VSOCK = 40
_WORD = 0xFFFF_FFFF
_DENYING = ("SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP")

_ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}

_ALLOWED = """
_llseek _newselect accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod
chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3
epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark
fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock
fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex
futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu
getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer
getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32
getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule
landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr
listxattrat llistxattr lremovexattr lseek lsetxattr lsm_get_self_attr lsm_list_modules lstat lstat64 madvise
map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall
mmap mmap2 modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64
mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall
munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64
process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2
read readahead readdir readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages
removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending
rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64
send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid
setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid
setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid
setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaction sigaltstack signal signalfd signalfd4
sigpending sigprocmask sigreturn sigsuspend socketcall socketpair splice stat stat64 statfs statfs64 statmount
statx symlink symlinkat sync sync_file_range syncfs syscall sysinfo tee tgkill time timer_create timer_delete
timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd timerfd_create
timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit
umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork wait4 waitid waitpid write
writev
"""

_ALLOWED_WITH = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount"
        " open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare"
    ),
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module query_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}

_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFF_FFFF)  # Linux, PER_LINUX32, their UNAME26 forms, and asking


def profile(wanted: str, capabilities: Collection[str], denied: Sequence[DeniedSyscall]) -> dict[str, Any] | None:
    """The OCI `linux.seccomp` of a container; None for no filter at all.

    Args:
        wanted: empty for the default, `unconfined`, or a profile's JSON text (OCI or docker form).
        capabilities: those that the container may have, with CAP_.
        denied: calls that must fail whatever the profile says.

    Raises:
        InvalidArgument: the text is not a profile.
    """
    if wanted == "unconfined":
        filter_ = _allow_all() if denied else None
    elif wanted:
        filter_ = _given(wanted, capabilities)
    else:
        filter_ = default_profile(capabilities)
    for call in denied:
        assert filter_ is not None
        filter_ = _deny(filter_, call)
    return filter_


def default_profile(capabilities: Collection[str]) -> dict[str, Any]:
    """docker's default policy for a container with these capabilities."""
    names = set(_ALLOWED.split())
    for capability in capabilities:
        names |= set(_ALLOWED_WITH.get(capability, "").split())
    rules: list[dict[str, Any]] = [_allow(sorted(names))]
    rules += [_allow(["personality"], _argument(0, value, "SCMP_CMP_EQ")) for value in _PERSONALITIES]
    rules.append(_allow(["socket"], _argument(0, _AF_VSOCK, "SCMP_CMP_NE")))
    if "clone" not in names:
        rules.append(_allow(["clone"], _argument(0, _NAMESPACE_FLAGS, "SCMP_CMP_MASKED_EQ", 0)))
        rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS})
    return _filter("SCMP_ACT_ERRNO", rules) | {"defaultErrnoRet": EPERM}


def _allow_all() -> dict[str, Any]:
    return _filter("SCMP_ACT_ALLOW", [])


def _filter(default: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    architectures = _ARCHITECTURES.get(platform.machine(), [])
    return {"defaultAction": default, "architectures": architectures, "syscalls": rules}


def _allow(names: list[str], *arguments: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ALLOW"}
    return rule | {"args": list(arguments)} if arguments else rule


def _argument(index: int, value: int, op: str, value_two: int | None = None) -> dict[str, Any]:
    argument: dict[str, Any] = {"index": index, "value": value, "op": op}
    return argument if value_two is None else argument | {"valueTwo": value_two}


class _Rule(BaseModel):
    """A rule of a given profile, in OCI's form or docker's (`name`, `includes`, `excludes`)."""

    names: tuple[str, ...] = ()
    name: str = ""
    action: str
    errnoRet: int | None = None  # noqa: N815 (the profile's own word)
    args: tuple[dict[str, JsonValue], ...] | None = None
    includes: dict[str, JsonValue] | None = None
    excludes: dict[str, JsonValue] | None = None


class _Profile(BaseModel):
    """A given profile; fields that nobody knows are passed over, as docker does."""

    defaultAction: str  # noqa: N815
    defaultErrnoRet: int | None = None  # noqa: N815
    architectures: tuple[str, ...] | None = None
    flags: tuple[str, ...] | None = None
    syscalls: tuple[_Rule, ...] | None = None


def _given(text: str, capabilities: Collection[str]) -> dict[str, Any]:
    """A profile from the user: OCI's form as it is; docker's form with `includes` and `excludes` resolved."""
    try:
        given = _Profile.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise InvalidArgument(
            f"security option seccomp: not a seccomp profile: {place}{': ' if place else ''}{problem['msg']}",
            hint="expected JSON with defaultAction and syscalls",
        ) from error
    rules = [
        {"names": list(rule.names or (rule.name,))} | rule.model_dump(include=_OCI_RULE, exclude_none=True, mode="json")
        for rule in given.syscalls or ()
        if _applies(rule, capabilities)
    ]
    filter_ = _filter(given.defaultAction, rules)
    filter_ |= given.model_dump(include={"defaultErrnoRet", "architectures", "flags"}, exclude_none=True, mode="json")
    return filter_


_OCI_RULE = {"action", "errnoRet", "args"}


def _applies(rule: _Rule, capabilities: Collection[str]) -> bool:
    includes, excludes = rule.includes or {}, rule.excludes or {}
    machine = {"x86_64": {"amd64", "x32", "x86"}, "aarch64": {"arm64", "arm"}}.get(platform.machine(), set())
    wanted, unwanted = _texts(includes, "arches"), _texts(excludes, "arches")
    if (wanted and not machine & wanted) or machine & unwanted:
        return False
    if (minimum := includes.get("minKernel")) and _version(str(minimum)) > _version(platform.release()):
        return False
    return _texts(includes, "caps") <= set(capabilities) and not _texts(excludes, "caps") & set(capabilities)


def _texts(conditions: Mapping[str, JsonValue], name: str) -> set[str]:
    value = conditions.get(name)
    return set(map(str, value)) if isinstance(value, list) else set()


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall("[0-9]+", text)[:2])


def _deny(filter_: dict[str, Any], call: DeniedSyscall) -> dict[str, Any]:
    """Compile a denied call into a filter, whatever its default is.

    libseccomp accepts an ERRNO rule beside an unconditional ALLOW of the same call and then ignores it. So what lets
    the call through is taken away and given back in parts that leave the denied value out.
    """
    conditions = [_judged(call, condition) for condition in call.conditions]
    rules: list[dict[str, Any]] = []
    for rule in filter_["syscalls"]:
        if call.name not in rule["names"] or rule["action"] in _DENYING:
            rules.append(rule)
            continue
        others = [name for name in rule["names"] if name != call.name]
        rules += [rule | {"names": others}] if others else []
        rules += [rule | {"names": [call.name], "args": args} for args in _parts(call, rule, conditions)]
    arguments = [_argument(index, mask, "SCMP_CMP_MASKED_EQ", value) for index, mask, value in conditions]
    denial = {"names": [call.name], "action": "SCMP_ACT_ERRNO", "errnoRet": call.errno}
    return filter_ | {"syscalls": [*rules, denial | ({"args": arguments} if arguments else {})]}


def _judged(call: DeniedSyscall, condition: ArgumentCondition) -> tuple[int, int, int]:
    """Index, mask and value in the lower 32 bits, which are all that such arguments have.

    The kernel cuts an `unsigned int` such as ioctl's request off; a filter that compared 64 bits would let a call pass
    that sets one of the others.
    """
    if condition.value & ~condition.mask or condition.value > _WORD or not condition.mask & _WORD:
        raise InvalidArgument(
            f"denying {call.name}: argument {condition.index} & {condition.mask:#x} == {condition.value:#x} can not be"
            " judged: the value must be within the mask, and within 32 bits"
        )
    return condition.index, condition.mask & _WORD, condition.value


def _parts(
    call: DeniedSyscall, rule: Mapping[str, Any], conditions: Sequence[tuple[int, int, int]]
) -> Iterator[list[dict[str, Any]]]:
    """The arguments with which a call still passes: those with which one of the conditions does not hold."""
    judged: list[dict[str, Any]] = rule.get("args") or []
    for index, mask, value in conditions:
        same = [argument for argument in judged if argument["index"] == index]
        others = [argument for argument in judged if argument["index"] != index]
        if any(argument["op"] != "SCMP_CMP_MASKED_EQ" for argument in same):
            raise InvalidArgument(f"denying {call.name} by argument {index}: the seccomp profile judges it, too")
        known_mask, known_value = (same[0]["value"], same[0]["valueTwo"]) if same else (0, 0)
        for part_mask, part_value in _without(known_mask, known_value, mask, value):
            yield [*others, _argument(index, part_mask, "SCMP_CMP_MASKED_EQ", part_value)]


def _without(known_mask: int, known_value: int, mask: int, value: int) -> Iterator[tuple[int, int]]:
    """Split what `& known_mask == known_value` lets through into parts without what `& mask == value` holds for.

    Each part agrees with the denied value in its upper bits and differs in the next one, so that the parts do not
    overlap, and further values can be taken out of them.
    """
    if (known_value ^ value) & known_mask & mask:
        yield known_mask, known_value
        return
    for bit in (1 << number for number in reversed(range(32))):
        if mask & ~known_mask & bit:
            yield known_mask | bit, known_value | (~value & bit)
            known_mask, known_value = known_mask | bit, known_value | (value & bit)
