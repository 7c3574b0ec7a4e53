"""Disk images with an empty file system."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.vm.configuration import Disk

BYTES = 512 << 20  # sparse; mkfs.xfs wants 300 MiB
EXT4_QUOTAS = {"usrquota": "usrquota", "grpquota": "grpquota", "prjquota": "prjquota"}


def make_image(disk: Disk, path: Path) -> None:
    """Make the image; XFS is ready for every quota, ext4 is made for those of the mount options."""
    with path.open("wb") as image:
        os.truncate(image.fileno(), BYTES)
    command = [f"mkfs.{disk.system}", "-q"]
    if disk.system == "ext4":
        quotas = [option for option in disk.options.split(",") if option in EXT4_QUOTAS]
        features = ["quota"] * bool(quotas) + ["project"] * ("prjquota" in quotas)
        if features:
            command += ["-O", ",".join(features), "-E", f"quotatype={':'.join(quotas)}"]
    subprocess.run([*command, path], check=True, capture_output=True)
