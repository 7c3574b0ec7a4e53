"""The configuration of a handler whose runtime is an OCI command under conmon."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Deadlines(_Closed):
    """Seconds that the runtime command has for each verb; then it is killed, and the call fails.

    They lie a little below the deadlines of the hooks (`pouch_hookspecs.hooks`), so that the error is the command's.
    """

    create: float = Field(35, gt=0)
    start: float = Field(55, gt=0)
    kill: float = Field(8, gt=0)
    delete: float = Field(15, gt=0)
    state: float = Field(8, gt=0)
    exec: float = Field(28, gt=0)
    pause: float = Field(8, gt=0)
    update: float = Field(28, gt=0)
    features: float = Field(8, gt=0)


class OciCommandOptions(_Closed):
    """What `[runtimes.NAME]` in pouchd.toml may say."""

    command: str = Field(description="the OCI runtime command: a name in PATH or a path", min_length=1)
    runtime_args: tuple[str, ...] = Field((), description="global arguments, before the verb")
    conmon: str = Field("conmon", description="conmon's command: a name in PATH or a path", min_length=1)
    supervisor_cgroup: str = Field(
        "/pouch/supervisors", description="the cgroup in which the conmon processes live", pattern=r"^/[^/]"
    )
    supervisor_slice: str = Field(
        "pouch-supervisors.slice",
        description="the slice of their scopes where systemd's cgroup driver is in use",
        pattern=r"^[a-zA-Z0-9_.]+(-[a-zA-Z0-9_.]+)*\.slice$",
    )
    deadlines: Deadlines = Field(Deadlines(), description="seconds for each verb of the command")
