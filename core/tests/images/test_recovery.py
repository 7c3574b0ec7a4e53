"""What a crash or a failing disk leaves is found and removed, or mended from verified content."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pouch_hookspecs import Layer
from pouch_hookspecs.errors import DataDamaged, ResourceExhausted

WorldOpener = Callable[..., Any]


def _loaded(world: Any, build: Any) -> Any:
    saved = build.saved()
    saved.image([build.tar({"a": b"1"}), build.tar({"b": b"2"})], ["app:1"])
    world.load(saved.pack())
    return world.store.resolve("app:1")


def _apply(world: Any, tar: bytes, digest: str, parent: str = "") -> None:
    reader, writer = os.pipe()
    os.write(writer, tar)
    os.close(writer)
    layer = Layer(digest=digest, diff_id=digest, chain_id=digest)
    world.storage.storage_apply_layer(layer=layer, parent=parent, tar_fd=reader)
    os.close(reader)


def test_images_survive_a_restart(new_world: WorldOpener, build: Any) -> None:
    """With names, layers and content."""
    before = _loaded(new_world(), build)
    expected = (before, before.layers, before.config)
    after = new_world().store.resolve("app:1")
    assert (after, after.layers, after.config) == expected


def test_leftovers_of_a_crash_are_removed_at_the_next_start(new_world: WorldOpener, build: Any) -> None:
    """Half written blobs, staged archives, blobs of no image."""
    world = new_world()
    _loaded(world, build)
    kept = world.blobs()
    (world.content / "ingest" / "half").write_bytes(b"ha")
    (world.content / "staging" / "x" / "deep").mkdir(parents=True)
    (world.content / "blobs" / "sha256" / ("0" * 64)).write_bytes(b"of nobody")
    again = new_world()
    assert (again.leftovers(), again.blobs()) == ([], kept)


def test_a_layer_without_a_row_is_removed_at_the_next_start(new_world: WorldOpener, build: Any) -> None:
    """It was never verified; a chain of them goes from the top."""
    world = new_world()
    kept = {layer.chain_id for layer in _loaded(world, build).layers}
    lower, upper = build.tar({"x": b"1"}), build.tar({"y": b"2"})
    _apply(world, lower, build.sha256(lower))
    _apply(world, upper, build.sha256(upper), parent=build.sha256(lower))
    assert new_world().layers() == kept


def test_a_layer_without_a_row_is_not_trusted_by_a_load(world: Any, build: Any) -> None:
    """It may be of another content: it is unpacked again."""
    right = build.tar({"a": b"right"})
    _apply(world, build.tar({"a": b"wrong"}), build.sha256(right))
    saved = build.saved()
    saved.image([right], ["app:1"])
    world.load(saved.pack())
    assert (world.root_of("app:1") / "a").read_bytes() == b"right"


def test_a_layer_that_the_storage_lost_is_unpacked_again(new_world: WorldOpener, build: Any) -> None:
    """From its blob, when it is needed."""
    world = new_world()
    image = _loaded(world, build)
    for layer in reversed(image.layers):
        world.storage.storage_remove(key=layer.chain_id)
    again = new_world()
    assert (again.root_of("app:1") / "b").read_bytes() == b"2"


@pytest.mark.parametrize("damage", ["flipped", "missing", "truncated"])
def test_a_damaged_blob_is_found_when_its_layer_is_needed(new_world: WorldOpener, build: Any, damage: str) -> None:
    """The layer is named, nothing half made stays, and loading again mends it."""
    world = new_world()
    image = _loaded(world, build)
    for layer in reversed(image.layers):
        world.storage.storage_remove(key=layer.chain_id)
    path = world.content / "blobs" / "sha256" / image.layers[1].digest.removeprefix("sha256:")
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        content[600] ^= 1
        path.write_bytes(content if damage == "flipped" else content[:1024])
    again = new_world()
    with pytest.raises(DataDamaged, match=image.layers[1].digest):
        again.store.ensure_unpacked(again.store.resolve("app:1"))
    assert again.layers() == {image.layers[0].chain_id}
    _loaded(again, build)
    assert (again.root_of("app:1") / "b").read_bytes() == b"2"


def test_a_damaged_configuration_is_found_when_it_is_read(world: Any, build: Any) -> None:
    """Its digest is the image's id."""
    image = _loaded(world, build)
    (world.content / "blobs" / "sha256" / image.id.removeprefix("sha256:")).write_bytes(b"{}")
    with pytest.raises(DataDamaged, match=image.id):
        _ = world.store.resolve("app:1").config


_CRASH = """
import importlib.util, pathlib, sys, time
spec = importlib.util.spec_from_file_location("worlds", sys.argv[1])
worlds = importlib.util.module_from_spec(spec)
sys.modules["worlds"] = worlds
spec.loader.exec_module(worlds)
world = worlds.World(pathlib.Path(sys.argv[2]))
owner = {"content": world.store._content, "storage": world.storage, "catalog": world.store._catalog}[sys.argv[3]]
real = getattr(owner, sys.argv[4])

def reach(*arguments, **named):
    if sys.argv[5] == "after":
        real(*arguments, **named)
    print("reached", flush=True)
    time.sleep(600)

setattr(owner, sys.argv[4], reach)
world.load(pathlib.Path(sys.argv[6]).read_bytes())
"""


@pytest.mark.parametrize(
    "point",
    [
        ("content", "_publish", "before"),
        ("content", "_publish", "after"),
        ("content", "read", "before"),
        ("storage", "storage_apply_layer", "before"),
        ("storage", "storage_apply_layer", "after"),
        ("catalog", "put", "before"),
        ("catalog", "put", "after"),
    ],
)
def test_a_kill_in_the_middle_of_a_load_leaves_nothing(
    new_world: WorldOpener, build: Any, directory: Path, point: tuple[str, str, str]
) -> None:
    """After the next start it is as if it had never begun, and the same load succeeds."""
    saved = build.saved()
    saved.image([build.tar({"a": b"1"}), build.tar({"b": b"2"})], ["app:1"])
    (directory / "app.tar").write_bytes(saved.pack())
    worlds = str(Path(__file__).with_name("conftest.py"))
    arguments = [sys.executable, "-c", _CRASH, worlds, str(directory), *point, str(directory / "app.tar")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        reached = child.stdout.readline()
        child.kill()
    assert reached == b"reached\n"
    world = new_world()
    assert (world.store.images(), world.blobs(), world.layers(), world.leftovers()) == ([], set(), set(), [])
    world.load(saved.pack())
    assert (world.root_of("app:1") / "b").read_bytes() == b"2"


def test_an_image_whose_unpacking_fails_gets_no_name(world: Any, build: Any) -> None:
    """The disk is full in the second layer: nothing of the image stays, and the error comes through."""
    apply = world.storage.storage_apply_layer

    def failing(*, layer: Layer, parent: str, tar_fd: int) -> Any:
        if parent:
            raise ResourceExhausted("no space left on device")
        return apply(layer=layer, parent=parent, tar_fd=tar_fd)

    world.storage.storage_apply_layer = failing
    with pytest.raises(ResourceExhausted, match="no space"):
        _loaded(world, build)
    assert (world.store.images(), world.blobs(), world.layers(), world.leftovers()) == ([], set(), set(), [])


def test_a_driver_that_reads_too_little_is_still_verified(world: Any, build: Any) -> None:
    """The digest covers the whole stream, also what a driver left in the pipe."""
    tar = build.tar({"a": bytes(3 << 20)})
    saved = build.saved()
    saved.image([tar], ["app:1"])
    saved.files[saved.entries[0]["Layers"][0]] = tar[:-1] + b"x"
    apply = world.storage.storage_apply_layer

    def lazy(*, layer: Layer, parent: str, tar_fd: int) -> Any:
        reader, writer = os.pipe()
        os.close(writer)
        try:
            return apply(layer=layer, parent=parent, tar_fd=reader)
        finally:
            os.close(reader)

    world.storage.storage_apply_layer = lazy
    with pytest.raises(DataDamaged, match=build.sha256(tar)):
        world.load(saved.pack())
    assert world.layers() == set()


def test_a_stream_that_ends_in_the_middle_leaves_nothing(world: Any, build: Any) -> None:
    """The client went away: its pipe is closed."""
    saved = build.saved()
    saved.image([build.tar({"a": os.urandom(1 << 20)})], ["app:1"])
    archive = saved.pack()
    reader, writer = os.pipe()

    def feed() -> None:
        with open(writer, "wb") as pipe, io.BytesIO(archive) as source:
            pipe.write(source.read(len(archive) // 2))

    feeder = threading.Thread(target=feed)
    feeder.start()
    with pytest.raises(DataDamaged):
        world.store.load(reader)
    feeder.join()
    os.close(reader)
    assert (world.store.images(), world.blobs(), world.leftovers()) == ([], set(), [])
