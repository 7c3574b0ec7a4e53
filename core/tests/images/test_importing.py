"""A root file system becomes an image of one layer."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pouch_hookspecs.errors import DataDamaged, InvalidArgument

FILES = {"./": None, "etc/": None, "etc/hostname": b"here\n"}


def test_an_imported_root_file_system_is_what_a_container_sees(world: Any, build: Any) -> None:
    """By its name, in the storage."""
    world.import_rootfs(build.tar(FILES), "mine:1")
    assert (world.root_of("mine:1") / "etc/hostname").read_bytes() == b"here\n"


def test_its_configuration_has_the_changes_and_its_history_the_message(world: Any, build: Any) -> None:
    """What was asked for, and nothing of anybody else."""
    world.import_rootfs(build.tar(FILES), "mine", changes=['CMD ["sh"]', "ENV A=b"], message="from a backup")
    image = world.store.resolve("mine")
    assert (image.config.config.cmd, image.config.config.env) == (("sh",), ("A=b",))
    assert world.store.history("mine")[0].comment == "from a backup"


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_tar_gives_the_same_layer(world: Any, build: Any, pack: Callable[[bytes], bytes]) -> None:
    """The layer's digest is that of the plain tar."""
    tar = build.tar(FILES)
    world.import_rootfs(pack(tar), "mine")
    assert world.store.resolve("mine").config.diff_ids == (build.sha256(tar),)


def test_it_is_read_from_a_pipe(world: Any, build: Any) -> None:
    """As an HTTP body comes, in whatever pieces."""
    tar = build.tar(FILES | {"big": os.urandom(1 << 20)})
    reader, writer = os.pipe()

    def feed() -> None:
        with open(writer, "wb", buffering=0) as pipe:
            for start in range(0, len(tar), 7919):
                pipe.write(tar[start : start + 7919])

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        world.store.import_rootfs(reader, "piped")
    finally:
        feeder.join()
        os.close(reader)
    assert world.store.resolve("piped").config.diff_ids == (build.sha256(tar),)


def test_without_a_name_it_has_an_id(world: Any, build: Any) -> None:
    """And is found by it."""
    added = world.import_rootfs(build.tar(FILES))
    assert (added.names, world.store.resolve(added.id).names) == ((), ())


@pytest.mark.parametrize(
    ("tar", "reference", "changes", "error"),
    [
        (b"", "mine", [], InvalidArgument),
        (b"this is not a tar archive" * 100, "mine", [], DataDamaged),
        (gzip.compress(bytes(2048))[:-5], "mine", [], DataDamaged),
        (bytes(1024), "Not A Name", [], InvalidArgument),
        (bytes(1024), "mine@sha256:" + "0" * 64, [], InvalidArgument),
        (bytes(1024), "mine", ["RUN true"], InvalidArgument),
    ],
)
def test_what_can_not_be_imported_leaves_nothing(
    world: Any, tar: bytes, reference: str, changes: list[str], error: type[Exception]
) -> None:
    """No image, no blob, no layer, no event."""
    with pytest.raises(error):
        world.import_rootfs(tar, reference, changes=changes)
    assert (world.store.images(), world.blobs(), world.layers(), world.leftovers()) == ([], set(), set(), [])
    assert world.events == []
