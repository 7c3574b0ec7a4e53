"""A runtime of one's own in ten lines: another OCI command, here runc with its debug log."""

from pydantic import Field

from pouch_sdk import OciCommandOptions, OciCommandRuntime


class ExampleOptions(OciCommandOptions):
    """What `[runtimes.example]` in pouchd.toml may say."""

    command: str = Field("runc", description="an OCI runtime command")
    runtime_args: tuple[str, ...] = ("--debug",)


class ExampleRuntime(OciCommandRuntime):
    """Found through the entry point `example` of the group `pouch.runtime`."""

    api = "0.1"
    Options = ExampleOptions
