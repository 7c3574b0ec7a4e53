"""`pouch volume`: create, list and remove volumes."""

from __future__ import annotations

from pouch_engine.cli.batch import for_each
from pouch_engine.cli.confirm import confirm
from pouch_engine.cli.environment import key_values, labels
from pouch_engine.cli.errors import ApiError
from pouch_engine.cli.listing import filters, show_list
from pouch_engine.cli.sizes import decimal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

_HEADERS = {"Driver": "DRIVER", "Name": "VOLUME NAME", "Mountpoint": "MOUNTPOINT", "Scope": "SCOPE", "Labels": "LABELS"}


def create(client: Client, options: Options) -> int:
    """Create a volume and print its name."""
    body = {
        "Name": options["name"] or "",
        "Driver": options["driver"],
        "DriverOpts": key_values(options["opt"], "option", value_needed=True),
        "Labels": labels([], options["label"]),
    }
    print(client.post("/volumes/create", None, body)["Name"])
    return 0


def ls(client: Client, options: Options) -> int:
    """List volumes."""
    volumes = client.get("/volumes", {"filters": filters(options["filter"])}).get("Volumes") or []
    volumes.sort(key=lambda volume: volume["Name"])
    if options["quiet"] and not options["format"]:
        for volume in volumes:
            print(volume["Name"])
        return 0
    rows = [
        {
            "Driver": volume["Driver"],
            "Name": volume["Name"],
            "Mountpoint": volume.get("Mountpoint", ""),
            "Scope": volume.get("Scope", ""),
            "Labels": ",".join(f"{key}={value}" for key, value in (volume.get("Labels") or {}).items()),
        }
        for volume in volumes
    ]
    show_list(rows, _HEADERS, ("Driver", "Name"), options["format"])
    return 0


def rm(client: Client, options: Options) -> int:
    """Remove each volume and print its name; with -f one that is not there is no failure."""

    def remove(volume: str) -> None:
        try:
            client.delete(f"/volumes/{volume}", {"force": options["force"] or None})
        except ApiError as error:
            if not (options["force"] and error.status == 404):
                raise

    return for_each(options["volumes"], remove)


def prune(client: Client, options: Options) -> int:
    """Remove the volumes that no container uses, after asking."""
    what = "all volumes" if options["all"] else "all anonymous volumes"
    if not options["force"]:
        confirm([f"{what} that no container uses, with their data."])
    chosen = [*options["filter"], "all=true"] if options["all"] else options["filter"]
    result = client.post("/volumes/prune", {"filters": filters(chosen)})
    removed = result.get("VolumesDeleted") or []
    if removed:
        print("Deleted Volumes:", *removed, "", sep="\n")
    print(f"Total reclaimed space: {decimal_size(result.get('SpaceReclaimed') or 0)}")
    return 0
