"""The body of a request to create a container, from the flags of `run` and `create`."""

from __future__ import annotations

from pouch_engine.cli.environment import key_values, labels, variables
from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.limits import resources
from pouch_engine.cli.mounts import parse_mount, tmpfs, volumes
from pouch_engine.cli.ports import exposed, published

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pouch_engine.cli.flags import Options

_RESTART_POLICIES = ("no", "always", "unless-stopped", "on-failure")
_STREAMS = ("stdin", "stdout", "stderr")


def creation_body(options: Options, attach: Sequence[str]) -> dict[str, Any]:
    """Return the JSON body of POST /containers/create; what was not asked for is not in it.

    `attach` are the streams that somebody will be attached to at the start. Raises CommandError for what does not
    parse; what the flags mean together is the daemon's to judge.
    """
    binds, anonymous = volumes(options["volume"])
    bindings = published(options["publish"])
    entrypoint = options["entrypoint"]
    body = {
        "Image": options["image"],
        "Cmd": options["command"],
        "Entrypoint": None if entrypoint is None else [entrypoint],
        "Env": variables(options["env_file"], options["env"]),
        "Labels": labels(options["label_file"], options["label"]),
        "Hostname": options["hostname"],
        "Domainname": options["domainname"],
        "User": options["user"],
        "WorkingDir": options["workdir"],
        "Tty": options["tty"],
        "OpenStdin": options["interactive"],
        "StdinOnce": options["interactive"] and "stdin" in attach,
        "AttachStdin": "stdin" in attach,
        "AttachStdout": "stdout" in attach,
        "AttachStderr": "stderr" in attach,
        "StopSignal": options["stop_signal"],
        "StopTimeout": options["stop_timeout"],
        "Volumes": anonymous,
        "ExposedPorts": {**exposed(options["expose"]), **{port: {} for port in bindings}},
    }
    host_config = {
        "Binds": binds,
        "PortBindings": bindings,
        **_storage_and_network(options),
        **resources(options),
        **_isolation(options),
    }
    return {
        **_without_unset(body),
        "HostConfig": {**_without_unset(host_config), **_security(options["security_opt"])},
    }


def streams_to_attach(options: Options) -> list[str]:
    """Return which of stdin, stdout and stderr `run` is connected to. Raises CommandError."""
    chosen = [stream.lower() for stream in options["attach"]]
    for stream in chosen:
        if stream not in _STREAMS:
            raise CommandError(f"invalid stream {stream!r} for --attach: expected stdin, stdout or stderr", 125)
    if options.get("detach"):
        if chosen:
            raise CommandError("conflicting options: --attach and --detach", 125)
        return []
    return chosen or (list(_STREAMS) if options["interactive"] else ["stdout", "stderr"])


def _storage_and_network(options: Options) -> dict[str, Any]:
    return {
        "AutoRemove": options["rm"],
        "Mounts": [parse_mount(text) for text in options["mount"]],
        "Tmpfs": tmpfs(options["tmpfs"]),
        "VolumesFrom": options["volumes_from"],
        "NetworkMode": options["network"] or "default",
        "Dns": options["dns"],
        "DnsOptions": options["dns_option"],
        "DnsSearch": options["dns_search"],
        "ExtraHosts": options["add_host"],
        "RestartPolicy": restart_policy(options["restart"]),
        "LogConfig": _log_config(options["log_driver"], options["log_opt"]),
    }


def _isolation(options: Options) -> dict[str, Any]:
    return {
        "Runtime": options["runtime"],
        "CgroupnsMode": options["cgroupns"],
        "IpcMode": options["ipc"],
        "PidMode": options["pid"],
        "UTSMode": options["uts"],
        "UsernsMode": options["userns"],
        "ReadonlyRootfs": options["read_only"],
        "Privileged": options["privileged"],
        "CapAdd": options["cap_add"],
        "CapDrop": options["cap_drop"],
        "GroupAdd": options["group_add"],
        "Sysctls": key_values(options["sysctl"], "sysctl", value_needed=True),
        "Annotations": key_values(options["annotation"], "annotation", value_needed=True),
        "Init": options["init"],
        "Isolation": plugin_options(options["plugin_options"]),
    }


def _without_unset(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was not asked for; a number is always an answer, also 0 (`--stop-timeout 0`)."""
    return {key: value for key, value in fields.items() if value or (value is not False and isinstance(value, int))}


def restart_policy(text: str | None) -> dict[str, Any]:
    """Return the API's form of `--restart`, empty when it is not given. Raises CommandError."""
    if not text:
        return {}
    name, colon, count = text.partition(":")
    if name not in _RESTART_POLICIES or (colon and (name != "on-failure" or not count.isdecimal())):
        raise CommandError(
            f"invalid restart policy {text!r}: expected no, always, unless-stopped, on-failure or on-failure:N", 125
        )
    return {"Name": name, "MaximumRetryCount": int(count or 0)}


def _log_config(driver: str | None, given: list[str]) -> dict[str, Any]:
    config = key_values(given, "log option", value_needed=True)
    return {"Type": driver or "", "Config": config} if driver or config else {}


def _security(given: list[str]) -> dict[str, Any]:
    """Return the security options; a seccomp profile's file is read here, where the user's paths mean something."""
    result: dict[str, Any] = {}
    for text in given:
        key, separator, value = text.partition("=") if "=" in text else text.partition(":")
        if key == "seccomp" and value not in ("unconfined", "builtin", ""):
            text = f"seccomp={_profile(value)}"
        elif separator:
            text = f"{key}={value}"
        if text == "systempaths=unconfined":
            result |= {"MaskedPaths": [], "ReadonlyPaths": []}
        else:
            result.setdefault("SecurityOpt", []).append(text)
    return result


def _profile(path: str) -> str:
    import json

    try:
        with open(path, encoding="utf-8") as file:
            return json.dumps(json.load(file), separators=(",", ":"))
    except OSError as error:
        raise CommandError(f"opening the seccomp profile {path} failed: {error.strerror}", 125) from None
    except ValueError as error:
        raise CommandError(f"the seccomp profile {path} is not JSON: {error}", 125) from None


def plugin_options(given: list[tuple[str, str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the API's form of plugins' flags: plugin → field → value."""
    result: dict[str, dict[str, Any]] = {}
    for plugin, field, value in given:
        result.setdefault(plugin, {})[field] = value
    return result
