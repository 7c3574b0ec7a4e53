"""The flags of `run` and `create`: what a new container is like."""

from __future__ import annotations

from pouch_engine.cli.flags import Flag

CREATE = (
    Flag("--add-host", "", "list", "Add a line to /etc/hosts", metavar="HOST:IP"),
    Flag("--annotation", "", "list", "Add an annotation, handed to the runtime", metavar="KEY=VALUE"),
    Flag("--attach", "-a", "list", "Attach only to these of stdin, stdout and stderr", metavar="STREAM"),
    Flag("--cap-add", "", "list", "Add a Linux capability, or ALL", metavar="NAME"),
    Flag("--cap-drop", "", "list", "Drop a Linux capability, or ALL", metavar="NAME"),
    Flag("--cgroup-parent", "", "str", "Parent cgroup of the container", metavar="PATH"),
    Flag("--cgroupns", "", "str", "Cgroup namespace: host or private", metavar="MODE"),
    Flag("--cidfile", "", "str", "Write the container's id to a new file", metavar="FILE"),
    Flag("--cpu-shares", "-c", "int", "Relative weight of CPU time (1024 is normal)"),
    Flag("--cpus", "", "cpus", "Number of CPUs, such as 1.5", metavar="DECIMAL"),
    Flag("--cpuset-cpus", "", "str", "CPUs to run on, such as 0-3 or 0,1", metavar="LIST"),
    Flag("--device", "", "list", "Give a device of the host", metavar="HOST[:CONTAINER[:rwm]]"),
    Flag("--dns", "", "list", "Name server to use", metavar="IP"),
    Flag("--dns-option", "", "list", "Option of the resolver", metavar="OPTION"),
    Flag("--dns-search", "", "list", "Search domain of the resolver", metavar="DOMAIN"),
    Flag("--domainname", "", "str", "NIS domain name", metavar="NAME"),
    Flag("--entrypoint", "", "str", "Replace the image's entry point; empty: use none", metavar="COMMAND"),
    Flag("--env", "-e", "list", "Set a variable, or pass the caller's", metavar="NAME[=VALUE]"),
    Flag("--env-file", "", "list", "Read variables from a file", metavar="FILE"),
    Flag("--expose", "", "list", "Declare a port as served", metavar="PORT[/PROTOCOL]"),
    Flag("--group-add", "", "list", "Add a supplementary group", metavar="GROUP"),
    Flag("--hostname", "-h", "str", "Host name in the container", metavar="NAME"),
    Flag("--init", help="Run an init that forwards signals and reaps processes"),
    Flag("--interactive", "-i", help="Keep stdin open"),
    Flag("--ipc", "", "str", "IPC namespace: private, host, container:NAME, …", metavar="MODE"),
    Flag("--label", "-l", "list", "Set a label", metavar="KEY[=VALUE]"),
    Flag("--label-file", "", "list", "Read labels from a file", metavar="FILE"),
    Flag("--log-driver", "", "str", "Log driver", metavar="NAME"),
    Flag("--log-opt", "", "list", "Option of the log driver", metavar="KEY=VALUE"),
    Flag("--memory", "-m", "size", "Memory limit, such as 64m", metavar="SIZE"),
    Flag("--memory-reservation", "", "size", "Soft memory limit", metavar="SIZE"),
    Flag("--memory-swap", "", "size", "Limit of memory and swap together; -1: no limit of swap", metavar="SIZE"),
    Flag("--mount", "", "list", "Mount: type=bind|volume|tmpfs,source=…,target=…[,readonly…]", metavar="MOUNT"),
    Flag("--name", "", "str", "Name of the container (default: one is made up)", metavar="NAME"),
    Flag("--network", "", "str", "Network: none, host, or a network's name", metavar="NAME", aliases=("--net",)),
    Flag("--oom-score-adj", "", "int", "Bias of the kernel's out-of-memory killer (-1000 to 1000)"),
    Flag("--pid", "", "str", "PID namespace: host or container:NAME", metavar="MODE"),
    Flag("--pids-limit", "", "int", "Most processes at a time; -1: no limit"),
    Flag("--platform", "", "str", "Platform of the image, such as linux/amd64", metavar="PLATFORM"),
    Flag("--privileged", help="Give all the rights that the host grants"),
    Flag("--publish", "-p", "list", "Publish a port on the host", metavar="[IP:][HOSTPORT:]PORT[/PROTOCOL]"),
    Flag("--pull", "", "str", "Fetch the image: missing or never", default="missing", metavar="WHEN"),
    Flag("--quiet", "-q", help="Do not report the fetching of the image"),
    Flag("--read-only", help="Mount the root file system read-only"),
    Flag("--restart", "", "str", "Restart policy: no, on-failure[:N], always, unless-stopped", metavar="POLICY"),
    Flag("--rm", help="Remove the container and its anonymous volumes when it ends"),
    Flag("--runtime", "", "str", "Runtime to use (see `pouch runtime ls`)", metavar="NAME"),
    Flag(
        "--security-opt", "", "list", "Security option: seccomp=FILE|unconfined, no-new-privileges, …", metavar="OPTION"
    ),
    Flag("--shm-size", "", "size", "Size of /dev/shm", metavar="SIZE"),
    Flag("--stop-signal", "", "str", "Signal that stops the container", metavar="SIGNAL"),
    Flag("--stop-timeout", "", "int", "Seconds from the stop signal to the kill"),
    Flag("--sysctl", "", "list", "Kernel parameter of the container's namespaces", metavar="KEY=VALUE"),
    Flag("--tmpfs", "", "list", "Mount a tmpfs", metavar="PATH[:OPTIONS]"),
    Flag("--tty", "-t", help="Give the process a terminal"),
    Flag("--ulimit", "", "list", "Resource limit", metavar="NAME=SOFT[:HARD]"),
    Flag("--user", "-u", "str", "User and group, by name or number", metavar="USER[:GROUP]"),
    Flag("--userns", "", "str", "User namespace", metavar="MODE"),
    Flag("--uts", "", "str", "UTS namespace: host", metavar="MODE"),
    Flag("--volume", "-v", "list", "Mount a directory or a volume", metavar="[SOURCE:]PATH[:OPTIONS]"),
    Flag("--volumes-from", "", "list", "Mount the volumes of another container", metavar="CONTAINER[:ro]"),
    Flag("--workdir", "-w", "str", "Working directory", metavar="PATH"),
)

DETACH_KEYS = Flag("--detach-keys", "", "str", "Keys that detach (default: ctrl-p,ctrl-q)", metavar="KEYS")
SIG_PROXY = Flag("--sig-proxy", help="Forward signals to the container (without a terminal)", default=True)

RUN = (
    *CREATE,
    Flag("--detach", "-d", help="Run in the background and print the container's id"),
    DETACH_KEYS,
    SIG_PROXY,
)
