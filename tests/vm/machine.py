"""A virtual machine on the host's own files: QEMU and a virtiofsd, owned by this process and gone when it ends."""

from __future__ import annotations

import json
import os
import resource
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.pouchd import REPOSITORY
from tests.vm import initramfs
from tests.vm.configuration import Configuration
from tests.vm.disks import make_image
from tests.vm.guest.run import PORT_NAME
from tests.vm.kernel import Kernel, NoKernel, kernel

CONSOLES = REPOSITORY / "build/vm/consoles"
GUEST = Path(__file__).with_name("guest")
MEMORY_MIB = 3072
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
# What must be there before the root is: the buses, the root itself, the disks and the port for reports.
EARLY_MODULES = ["virtio_pci", "virtiofs", "overlay", "virtio_blk", "virtio_console"]
# The trims save the self tests of ciphers and the calibration of clocks, which an emulated processor is slow at.
COMMAND_LINE = (
    "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check nokaslr random.trust_cpu=on "
    "cryptomgr.notests rcupdate.rcu_expedited=1"
)
SYSTEMD_CGROUPS = {
    "v2": "systemd.unified_cgroup_hierarchy=1",
    "v1": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
    "hybrid": "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0",
}
# In a private mount namespace: a root that can't be written to, and beside it what is on other file systems.
SHARE = """
root=$1; shift
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$1" && mount -o remount,bind,ro "$root$1" || exit
    shift
done
shift
exec "$@"
"""


class MachineLost(Exception):
    """The machine did not start, ended or fell silent; the message says which."""


class Machine:
    """A guest that runs one command on the host's files, with a layer of its own above them."""

    def __init__(
        self,
        configuration: Configuration,
        command: str,
        *,
        files: Mapping[str, bytes] | None = None,
        visible: Sequence[Path] = (),
        terminal: bool = False,
    ) -> None:
        """Describe it; start() starts it.

        Args:
            configuration: What it is like.
            command: A shell script; the machine is switched off when it ends.
            files: What the command finds in /run/pouch-vm.
            visible: Directories of the host it must see, also those in /tmp, /run and other places of which a machine
                has its own.
            terminal: The guest's console is this process's terminal, and nothing is recorded.
        """
        self.configuration = configuration
        self._command = command
        self._files = dict(files or {})
        self._visible = [REPOSITORY, *visible]
        self._terminal = terminal
        self._directory = Path(tempfile.mkdtemp(prefix="pouch-vm-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._reports: socket.socket | None = None
        self._received = bytearray()

    def start(self) -> None:
        """Start it; returns as soon as QEMU runs. Raises MachineLost."""
        try:
            self._start(kernel(self.configuration.kernel))
        except (NoKernel, FileNotFoundError, subprocess.CalledProcessError) as error:
            raise MachineLost(f"the machine could not be started: {error}") from error

    def _start(self, kernel: Kernel) -> None:
        for program in (VIRTIOFSD, "qemu-system-x86_64"):
            if shutil.which(program) is None:
                raise FileNotFoundError(f"there is no {program}; `scripts/test vm` installs what machines need")
        (self._directory / "initramfs").write_bytes(initramfs.archive(self._first_files(kernel)))
        for index, disk in enumerate(self.configuration.disks):
            make_image(disk, self._directory / f"disk{index}")
        self._share_root()
        self._listener.bind(str(self._directory / "reports"))
        self._listener.listen(1)
        self._run(self._qemu(kernel), stdin=None if self._terminal else subprocess.DEVNULL)

    def _first_files(self, kernel: Kernel) -> list[initramfs.Entry]:
        modules = kernel.closure(EARLY_MODULES)
        settings = {
            "CGROUP": self.configuration.cgroup,
            "INIT": self.configuration.init,
            "MODULES": str(kernel.modules),
            "KEPT": " ".join(map(str, self._visible)),
            "DISKS": " ".join(
                f"disk{index}={disk.system}:{disk.place}:{disk.options or 'defaults'}"
                for index, disk in enumerate(self.configuration.disks)
            ),
        }
        files = {
            "settings": "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()).encode(),
            "main": self._command.encode(),
            "pid1": (GUEST / "pid1").read_bytes(),
            **{f"units/{unit.name}": unit.read_bytes() for unit in (GUEST / "units").iterdir()},
            **self._files,
        }
        directories = ["bin", "dev", "proc", "sys", "modules", "job", "job/units"]
        return [
            *map(initramfs.directory, directories),
            initramfs.character_device("dev/console", 5, 1),
            initramfs.file("bin/busybox", Path("/bin/busybox").read_bytes(), 0o755),
            initramfs.file("init", (GUEST / "init").read_bytes(), 0o755),
            initramfs.file("modules/order", "".join(f"{name}\n" for name in modules).encode()),
            *(initramfs.file(f"modules/{name}", content) for name, content in modules.items()),
            *(initramfs.file(f"job/{name}", content) for name, content in files.items()),
        ]

    def _share_root(self) -> None:
        """A virtiofsd that serves the host's root. Not all mounts below it: other engines' would be in the way."""
        root = self._directory / "root"
        root.mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self._directory / "host"))
            listener.listen(1)
            files = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1 << 20)
            server = [VIRTIOFSD, f"--fd={listener.fileno()}", f"--rlimit-nofile={files}"]
            server += ["-o", f"source={root},cache=always,log_level=err"]
            mounts = ["/", *sorted({mount for path in self._visible for mount in _mounts_above(path)})]
            share = ["unshare", "--mount", "sh", "-c", SHARE, "sh", str(root), *mounts, "--", *server]
            self._run(share, pass_fds=(listener.fileno(),))

    def _qemu(self, kernel: Kernel) -> list[str]:
        words = COMMAND_LINE
        if self.configuration.init == "systemd":
            words += f" {SYSTEMD_CGROUPS[self.configuration.cgroup]} systemd.show_status=0"
        accelerator = os.environ.get("POUCH_VM_ACCEL", "tcg")
        command = ["qemu-system-x86_64", "-cpu", "max", "-smp", "2", "-m", f"{MEMORY_MIB}M", "-no-reboot"]
        command += ["-accel", "tcg,thread=multi" if accelerator == "tcg" else accelerator]
        command += ["-object", f"memory-backend-memfd,id=memory,size={MEMORY_MIB}M,share=on"]
        command += ["-machine", "q35,memory-backend=memory", "-nodefaults", "-display", "none"]
        command += ["-serial", "mon:stdio" if self._terminal else f"file:{self._directory}/console"]
        command += ["-kernel", str(kernel.image), "-initrd", f"{self._directory}/initramfs", "-append", words]
        command += ["-chardev", f"socket,id=host,path={self._directory}/host"]
        command += ["-device", "vhost-user-fs-pci,chardev=host,tag=host"]
        command += ["-chardev", f"socket,id=reports,path={self._directory}/reports", "-device", "virtio-serial-pci"]
        command += ["-device", f"virtserialport,chardev=reports,name={PORT_NAME}"]
        for index in range(len(self.configuration.disks)):
            name = f"disk{index}"
            command += ["-drive", f"file={self._directory}/{name},if=none,format=raw,id={name},cache=unsafe"]
            command += ["-device", f"virtio-blk-pci,drive={name},serial={name}"]
        return command

    def _run(self, command: list[str], stdin: int | None = subprocess.DEVNULL, pass_fds: Sequence[int] = ()) -> None:
        """Start a process that does not outlive this one, however this one ends."""
        output = None if self._terminal else (self._directory / "errors").open("ab")
        try:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=stdin,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
            )
        finally:
            if output is not None:
                output.close()
        self._processes.append(process)

    def receive(self, seconds: float) -> dict[str, Any]:
        """The guest's next message. Raises MachineLost if none comes in time, or no more will."""
        until = time.monotonic() + seconds
        try:
            while b"\n" not in self._received:
                self._receive_more(until)
        except TimeoutError:
            raise MachineLost(f"the machine said nothing for {seconds:g} s") from None
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def _receive_more(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self._reports is None:
            # QEMU connects before the guest runs; if it can't even do that, it ends.
            self._listener.settimeout(0.1)
            try:
                self._reports, _ = self._listener.accept()
            except TimeoutError:
                if any(process.poll() is not None for process in self._processes):
                    raise MachineLost("the machine could not be started") from None
            return
        self._reports.settimeout(left)
        received = b""
        with suppress(ConnectionError):
            received = self._reports.recv(1 << 16)
        if not received:
            raise MachineLost("the machine has ended")
        self._received += received

    def wait(self) -> None:
        """Wait until it has been switched off."""
        self._processes[-1].wait()

    def console(self, lines: int = 80) -> str:
        """The last lines of what the guest's console and QEMU have said."""
        said = ""
        for name in ("errors", "console"):
            with suppress(FileNotFoundError):
                said += (self._directory / name).read_text(errors="replace").replace("\r", "")
        return "\n".join(said.splitlines()[-lines:])

    def close(self) -> None:
        """Take the power away, and leave nothing but the console's text, in build/vm/consoles."""
        # QEMU before the server of its root.
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        for end in (self._listener, self._reports):
            if end is not None:
                end.close()
        if not self._terminal:
            CONSOLES.mkdir(parents=True, exist_ok=True)
            (CONSOLES / str(self.configuration)).write_text(self.console(lines=1 << 20) + "\n")
        shutil.rmtree(self._directory)


def _mounts_above(path: Path) -> list[str]:
    """The mount points on the way to a path, without the root."""
    mounted = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()} - {"/"}
    path = path.resolve()
    return [str(parent) for parent in (*reversed(path.parents), path) if str(parent) in mounted]
