"""Every command of `pouch`, as data: names, arguments, flags, help. The parser and click are both made from it."""

from __future__ import annotations

from pouch_engine.cli.errors import UsageProblem
from pouch_engine.cli.flags import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

GROUPS = {
    "container": "Work on containers",
    "image": "Work on images",
    "volume": "Work on volumes",
    "plugin": "See and make plugins",
    "runtime": "See runtimes",
    "system": "See the engine",
}
"""The first words that only group commands, with what `pouch --help` says of them."""

DETACH_KEYS = Flag("--detach-keys", "", "str", "Keys that detach (default: ctrl-p,ctrl-q)", metavar="KEYS")
SIG_PROXY = Flag("--sig-proxy", help="Forward signals to the container (without a terminal)", default=True)
_CONTAINERS = (("containers", "+"),)
_FILTER = Flag("--filter", "-f", "list", "Show only what matches", metavar="KEY=VALUE")
_FORMAT = Flag(
    "--format", "", "str", "Output: json, or a Go template; table TEMPLATE where it is a list", metavar="FORMAT"
)
_INSPECT_FORMAT = Flag("--format", "-f", "str", "Output: json, or a Go template", metavar="FORMAT")
_NO_TRUNC = Flag("--no-trunc", help="Show ids and commands in full")

GLOBAL = Command(
    ("",),
    "",
    "[OPTIONS] COMMAND",
    (("words", "*"),),
    (
        Flag("--host", "-H", "str", "Address of the daemon (also POUCH_HOST)", metavar="unix:///PATH"),
        Flag("--version", "-v", help="Show the version of this command"),
    ),
    "",
    "",
    "",
    leading_flags=True,
)
"""The flags before the command's name."""

OWN_VERSION = Command(("--version",), "version:own", "", (), (), "", "", "")
"""What `pouch --version` is: a command in all but its name."""

COMMANDS = (
    Command(
        ("run", "container run"),
        "run",
        "IMAGE [COMMAND] [ARG...]",
        (("image", "1"), ("command", "*")),
        "RUN",
        "Create a container and run it",
        "Creates a container from IMAGE, starts it, and shows its output until it ends; its exit code is ours. "
        "Flags come before IMAGE: what follows it is the command to run. 125 means that the engine failed, 126 that "
        "the command is not executable, 127 that it was not found.",
        "pouch run --rm -it -m 64m busybox sh",
        leading_flags=True,
        failure=125,
    ),
    Command(
        ("create", "container create"),
        "create",
        "IMAGE [COMMAND] [ARG...]",
        (("image", "1"), ("command", "*")),
        "CREATE",
        "Create a container without starting it",
        "Creates a container from IMAGE and prints its id. Flags come before IMAGE: what follows it is the command.",
        "pouch create --name web -v data:/data busybox httpd -f -p 80",
        leading_flags=True,
    ),
    Command(
        ("start", "container start"),
        "start",
        "CONTAINER...",
        _CONTAINERS,
        (
            Flag("--attach", "-a", help="Show the output and forward signals"),
            Flag("--interactive", "-i", help="Connect stdin"),
            DETACH_KEYS,
            SIG_PROXY,
        ),
        "Start containers",
        "Starts containers that were created or have stopped. With -a or -i only one, whose exit code is ours.",
        "pouch start -a web",
    ),
    Command(
        ("stop", "container stop"),
        "stop",
        "CONTAINER...",
        _CONTAINERS,
        (
            Flag("--signal", "-s", "str", "Signal to send instead of the container's own", metavar="SIGNAL"),
            Flag("--timeout", "-t", "int", "Seconds to wait before it is killed", aliases=("--time",)),
        ),
        "Stop containers",
        "Sends the stop signal (SIGTERM if the image names none), waits, and kills what is left.",
        "pouch stop -t 2 web",
    ),
    Command(
        ("kill", "container kill"),
        "kill",
        "CONTAINER...",
        _CONTAINERS,
        (Flag("--signal", "-s", "str", "Signal to send (default: KILL)", metavar="SIGNAL"),),
        "Send a signal to containers",
        "Sends a signal to the first process of each container.",
        "pouch kill -s HUP web",
    ),
    Command(
        ("rm", "container rm", "container remove"),
        "rm",
        "CONTAINER...",
        _CONTAINERS,
        (
            Flag("--force", "-f", help="Kill it first if it runs"),
            Flag("--volumes", "-v", help="Remove its anonymous volumes too"),
        ),
        "Remove containers",
        "Removes stopped containers, with their writable layer and log. Named volumes stay.",
        "pouch rm -f web",
    ),
    Command(
        ("ps", "container ls", "container list", "container ps"),
        "ps",
        "",
        (),
        (
            Flag("--all", "-a", help="Show all containers, not only the running ones"),
            _FILTER,
            _FORMAT,
            Flag("--last", "-n", "int", "Show the last N created containers", metavar="N"),
            Flag("--latest", "-l", help="Show the last created container"),
            _NO_TRUNC,
            Flag("--quiet", "-q", help="Show only ids"),
            Flag("--size", "-s", help="Show the size of the writable layer"),
        ),
        "List containers",
        "Lists the running containers. Filters: id, name, label, status, ancestor, volume, exited, before, since, …",
        "pouch ps -a --filter status=exited --format '{{.Names}}: {{.Status}}'",
    ),
    Command(
        ("logs", "container logs"),
        "logs",
        "CONTAINER",
        (("container", "1"),),
        (
            Flag("--follow", "-f", help="Go on with new lines"),
            Flag("--since", "", "str", "Only lines from this time on, or this long ago", metavar="TIME"),
            Flag("--tail", "-n", "str", "Only the last lines", default="all", metavar="N"),
            Flag("--timestamps", "-t", help="Show the time of each line"),
            Flag("--until", "", "str", "Only lines before this time, or this long ago", metavar="TIME"),
        ),
        "Show the output of a container",
        "Shows what the container's process wrote to stdout and stderr. TIME is such as 42m or 2026-11-24T06:20:00Z.",
        "pouch logs -f --since 10m web",
    ),
    Command(
        ("exec", "container exec"),
        "exec",
        "CONTAINER COMMAND [ARG...]",
        (("container", "1"), ("command", "+")),
        (
            Flag("--detach", "-d", help="Run in the background"),
            DETACH_KEYS,
            Flag("--env", "-e", "list", "Set a variable, or pass the caller's", metavar="NAME[=VALUE]"),
            Flag("--env-file", "", "list", "Read variables from a file", metavar="FILE"),
            Flag("--interactive", "-i", help="Keep stdin open"),
            Flag("--privileged", help="Give all the rights that the host grants"),
            Flag("--tty", "-t", help="Give the process a terminal"),
            Flag("--user", "-u", "str", "User and group, by name or number", metavar="USER[:GROUP]"),
            Flag("--workdir", "-w", "str", "Working directory", metavar="PATH"),
        ),
        "Run a command in a running container",
        "Runs one more process in a container; the exit code is the process's. Flags come before CONTAINER.",
        "pouch exec -it web sh",
        leading_flags=True,
    ),
    Command(
        ("attach", "container attach"),
        "attach",
        "CONTAINER",
        (("container", "1"),),
        (DETACH_KEYS, Flag("--no-stdin", help="Do not connect stdin"), SIG_PROXY),
        "Connect to a running container's streams",
        "Shows the output of a running container and gives it our input, until it ends or the detach keys are pressed.",
        "pouch attach web",
    ),
    Command(
        ("wait", "container wait"),
        "wait",
        "CONTAINER...",
        _CONTAINERS,
        (),
        "Wait until containers end",
        "Waits for each container in turn and prints its exit code.",
        "pouch wait web",
    ),
    Command(
        ("inspect",),
        "inspect",
        "NAME...",
        (("names", "+"),),
        (
            _INSPECT_FORMAT,
            Flag("--size", "-s", help="Show the sizes of containers"),
            Flag("--type", "", "str", "Look only for: container, image or volume", metavar="TYPE"),
        ),
        "Show all that is known of containers, images or volumes",
        "Shows the engine's own description of each NAME, as JSON, or what a Go template takes from it.",
        "pouch inspect -f '{{.State.Status}} {{json .Mounts}}' web",
    ),
    Command(
        ("container inspect",),
        "inspect:container",
        "CONTAINER...",
        (("names", "+"),),
        (_INSPECT_FORMAT, Flag("--size", "-s", help="Show the sizes of containers")),
        "Show all that is known of containers",
        "Shows the engine's own description of each container, as JSON, or what a Go template takes from it.",
        "pouch container inspect web",
    ),
    Command(
        ("images", "image ls", "image list"),
        "images",
        "[REPOSITORY[:TAG]]",
        (("reference", "?"),),
        (
            Flag("--all", "-a", help="Show intermediate images too"),
            Flag("--digests", help="Show digests"),
            _FILTER,
            _FORMAT,
            Flag("--no-trunc", help="Show ids in full"),
            Flag("--quiet", "-q", help="Show only ids"),
        ),
        "List images",
        "Lists all images, or those of one repository. Filters: reference, label, dangling, before, since.",
        "pouch images --format '{{.Repository}}:{{.Tag}} {{.Size}}'",
    ),
    Command(
        ("image inspect",),
        "inspect:image",
        "IMAGE...",
        (("names", "+"),),
        (_INSPECT_FORMAT,),
        "Show all that is known of images",
        "Shows the engine's own description of each image, as JSON, or what a Go template takes from it.",
        "pouch image inspect -f '{{.Config.Cmd}}' busybox",
    ),
    Command(
        ("load", "image load"),
        "load",
        "",
        (),
        (
            Flag("--input", "-i", "str", "Read this file (default: stdin)", metavar="FILE"),
            Flag("--quiet", "-q", help="Print only the names of what was loaded"),
        ),
        "Load images from an archive",
        "Loads images from a tar archive of docker's (`docker save`) or an OCI layout, compressed or not.",
        "pouch load -i image.tar",
    ),
    Command(
        ("import", "image import"),
        "load:import_archive",
        "FILE|- [REPOSITORY[:TAG]]",
        (("file", "1"), ("reference", "?")),
        (
            Flag("--change", "-c", "list", "Set a part of the image's configuration", metavar="INSTRUCTION"),
            Flag("--message", "-m", "str", "Comment in the image's history", metavar="TEXT"),
        ),
        "Make an image from a tar archive of a root file system",
        "Makes an image with one layer from FILE (`-`: stdin) and prints its id.",
        "pouch import -c 'CMD [\"/bin/sh\"]' rootfs.tar mine:1",
    ),
    Command(
        ("rmi", "image rm", "image remove"),
        "rmi",
        "IMAGE...",
        (("images", "+"),),
        (
            Flag("--force", "-f", help="Remove it even if containers or other names use it"),
            Flag("--no-prune", help="Keep untagged parents"),
        ),
        "Remove images",
        "Takes the name away and removes the image if it has no other.",
        "pouch rmi mine:1",
    ),
    Command(
        ("tag", "image tag"),
        "tag",
        "IMAGE REPOSITORY[:TAG]",
        (("image", "1"), ("target", "1")),
        (),
        "Give an image one more name",
        "Gives IMAGE the name REPOSITORY:TAG (default tag: latest).",
        "pouch tag busybox mine:1",
    ),
    Command(
        ("volume create",),
        "volume:create",
        "[NAME]",
        (("name", "?"),),
        (
            Flag("--driver", "-d", "str", "Volume driver", default="local", metavar="NAME"),
            Flag("--label", "", "list", "Set a label", metavar="KEY[=VALUE]"),
            Flag("--opt", "-o", "list", "Option of the driver", metavar="KEY=VALUE"),
        ),
        "Create a volume",
        "Creates a volume and prints its name; without NAME one is made up.",
        "pouch volume create data",
    ),
    Command(
        ("volume ls", "volume list"),
        "volume:ls",
        "",
        (),
        (_FILTER, _FORMAT, Flag("--quiet", "-q", help="Show only names")),
        "List volumes",
        "Lists volumes. Filters: name, driver, label, dangling.",
        "pouch volume ls -q --filter dangling=true",
    ),
    Command(
        ("volume inspect",),
        "inspect:volume",
        "VOLUME...",
        (("names", "+"),),
        (_INSPECT_FORMAT,),
        "Show all that is known of volumes",
        "Shows the engine's own description of each volume, as JSON, or what a Go template takes from it.",
        "pouch volume inspect -f '{{.Mountpoint}}' data",
    ),
    Command(
        ("volume rm", "volume remove"),
        "volume:rm",
        "VOLUME...",
        (("volumes", "+"),),
        (Flag("--force", "-f", help="No error for a volume that is not there"),),
        "Remove volumes",
        "Removes volumes that no container uses, with their data.",
        "pouch volume rm data",
    ),
    Command(
        ("volume prune",),
        "volume:prune",
        "",
        (),
        (
            Flag("--all", "-a", help="Also volumes with a name"),
            Flag("--filter", "", "list", "Remove only what matches", metavar="KEY=VALUE"),
            Flag("--force", "-f", help="Do not ask"),
        ),
        "Remove volumes that no container uses",
        "Removes the anonymous volumes that no container uses, with their data, after asking.",
        "pouch volume prune -f",
    ),
    Command(
        ("info", "system info"),
        "info",
        "",
        (),
        (_INSPECT_FORMAT,),
        "Show what the engine runs with",
        "Shows the daemon's state: containers, drivers, runtimes, host.",
        "pouch info -f '{{.Driver}}'",
    ),
    Command(
        ("version",),
        "version",
        "",
        (),
        (_INSPECT_FORMAT,),
        "Show versions",
        "Shows the versions of this command and of the daemon.",
        "pouch version -f '{{.Server.Version}}'",
    ),
    Command(
        ("events", "system events"),
        "events",
        "",
        (),
        (
            _FILTER,
            Flag("--format", "", "str", "Output: json, or a Go template", metavar="FORMAT"),
            Flag("--since", "", "str", "Begin with events from this time on", metavar="TIME"),
            Flag("--until", "", "str", "End at this time", metavar="TIME"),
        ),
        "Show what happens, as it happens",
        "Shows events until interrupted, or until --until. Filters: type, container, image, event, label, …",
        "pouch events --since 10m --filter event=die",
    ),
    Command(
        ("plugin ls", "plugin list"),
        "plugin:ls",
        "",
        (),
        (_FORMAT,),
        "List plugins",
        "Lists every plugin that is installed, with its state and the reason for it.",
        "pouch plugin ls --format json",
    ),
    Command(
        ("plugin inspect",),
        "plugin:inspect",
        "NAME...",
        (("names", "+"),),
        (_INSPECT_FORMAT,),
        "Show all that is known of plugins",
        "Shows options with types and defaults, hooks, order, owned fields and features, as JSON.",
        "pouch plugin inspect overlay",
    ),
    Command(
        ("plugin new",),
        "plugin:new",
        "KIND NAME",
        (("kind", "1"), ("name", "1")),
        (),
        "Make a new plugin's package",
        "Writes a working package of the KIND (runtime, isolation, …) into the directory NAME. Needs pouch-sdk.",
        "pouch plugin new isolation mine",
    ),
    Command(
        ("runtime ls", "runtime list"),
        "runtime:ls",
        "",
        (),
        (_FORMAT, Flag("--quiet", "-q", help="Show only names")),
        "List runtimes",
        "Lists what --runtime accepts, with state and reason.",
        "pouch runtime ls",
    ),
    Command(
        ("runtime inspect",),
        "runtime:inspect",
        "NAME...",
        (("names", "+"),),
        (_INSPECT_FORMAT,),
        "Show all that is known of runtimes",
        "Shows the driver, its options and the features of each runtime, as JSON.",
        "pouch runtime inspect runc",
    ),
    Command(
        ("doctor",),
        "doctor",
        "",
        (),
        (_FORMAT,),
        "Check the host and say what to do",
        "Lets every plugin check this host. The exit code is 1 when something is wrong.",
        "pouch doctor",
    ),
)

_BY_NAME = {name: command for command in (OWN_VERSION, *COMMANDS) for name in command.names}


def find(words: Sequence[str]) -> tuple[Command, list[str]]:
    """Return the command that the first words name, and the words after them. Raises UsageProblem if there is none."""
    for count in (1, 2):
        command = _BY_NAME.get(" ".join(words[:count]))
        if command:
            return command, list(words[count:])
    unknown = words[:2] if words and words[0] in GROUPS else words[:1]
    raise UsageProblem(f"unknown command: pouch {' '.join(unknown)}", code=1)
