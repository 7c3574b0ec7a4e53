"""`pouch wait`: wait until containers end."""

from __future__ import annotations

from pouch_engine.cli.batch import for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Wait for each container in turn and print its exit code."""

    def wait(container: str) -> None:
        answer = client.post(f"/containers/{container}/wait", {"condition": options["condition"]})
        print(answer["StatusCode"], flush=True)

    return for_each(options["containers"], wait, report=False)
