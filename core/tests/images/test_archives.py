"""Archives of images are loaded whole, or refused with a reason and without a trace."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pouch_engine.images.compression import StreamLimits
from pouch_hookspecs.errors import DataDamaged, InvalidArgument, PouchError, ResourceExhausted, Unsupported

OCI = "application/vnd.oci.image"


def _is_empty(world: Any) -> bool:
    return (world.store.images(), world.blobs(), world.layers(), world.leftovers()) == ([], set(), set(), [])


@pytest.fixture
def tars(build: Any) -> list[bytes]:
    """Two layers: the second replaces a file and removes another."""
    lower = build.tar({"a": b"lower", "b": b"gone", "dir/": None})
    return [lower, build.tar({"a": b"upper", ".wh.b": b"", "dir/c": b"new"})]


@pytest.mark.parametrize("form", ["layout", "saved"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_both_forms_give_the_root_file_system_of_all_layers(
    world: Any, build: Any, tars: list[bytes], form: str, pack: Callable[[bytes], bytes]
) -> None:
    """Plain and compressed as a whole."""
    archive = getattr(build, form)()
    archive.image(tars, "app:1") if form == "layout" else archive.image(tars, ["app:1"])
    world.load(pack(archive.pack()))
    root = world.root_of("app:1")
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert found == {"a": b"upper", "dir/c": b"new"}


def test_the_id_is_the_digest_of_the_configuration(world: Any, saved: Any, tars: list[bytes]) -> None:
    """As docker's, so that people can compare."""
    image = saved.image(tars, ["app:1", "app:2"])
    (added,) = world.load(saved.pack())
    assert (added.id, added.names) == (image, ("docker.io/library/app:1", "docker.io/library/app:2"))


def test_an_image_without_a_name_is_loaded_by_its_id(world: Any, saved: Any, tars: list[bytes]) -> None:
    """RepoTags is null there."""
    image = saved.image(tars, None)
    world.load(saved.pack())
    assert world.store.resolve(image).names == ()


def test_several_images_share_their_layers(world: Any, saved: Any, tars: list[bytes]) -> None:
    """Three images on two layers are two layers in the storage."""
    for name in ("one", "two", "three"):
        saved.image(tars, [f"{name}:1"], author=name)
    assert len(world.load(saved.pack())) == 3
    assert len(world.layers()) == 2


def test_links_to_shared_layers_are_followed_inside(world: Any, build: Any, saved: Any, tars: list[bytes]) -> None:
    """docker before 25 writes a layer that is there already as a symbolic link to it."""
    saved.image(tars, ["app:1"])
    path = saved.entries[0]["Layers"][0]
    data = saved.files.pop(path)
    members = [(build.member(name, content), content) for name, content in saved.files.items()]
    members += [
        (build.member("real/layer.tar", data), data),
        (build.member(path, type=tarfile.SYMTYPE, linkname="../real/layer.tar"), b""),
        (build.member("manifest.json", json.dumps(saved.entries).encode()), json.dumps(saved.entries).encode()),
    ]
    world.load(build.members(members))
    assert world.store.resolve("app:1").config.diff_ids[0] == build.sha256(data)


def test_compressed_layers_in_a_saved_archive_are_recognised(world: Any, build: Any, saved: Any) -> None:
    """bazel and kaniko write them so; the type comes from the content."""
    tar = build.tar({"a": b"x"})
    saved.image([tar], ["app:1"])
    saved.files[saved.entries[0]["Layers"][0]] = gzip.compress(tar)
    world.load(saved.pack())
    assert world.store.resolve("app:1").layers[0].media_type.endswith("tar+gzip")


def test_containerds_name_wins_over_the_tag(world: Any, layout: Any, tars: list[bytes]) -> None:
    """docker 25 and later write the whole name there, and only the tag in ref.name."""
    layout.image(tars)
    layout.entries[0]["annotations"] = {
        "org.opencontainers.image.ref.name": "1",
        "io.containerd.image.name": "docker.io/team/app:1",
    }
    assert world.load(layout.pack())[0].names == ("docker.io/team/app:1",)


def test_an_index_in_a_layout_gives_this_hosts_variant(world: Any, layout: Any, build: Any) -> None:
    """Blobs of other variants need not be there."""
    mine = layout.manifest(
        layout.config([build.sha256(build.tar({}))]), [layout.blob(build.tar({}), f"{OCI}.layer.v1.tar")]
    )
    other = {"mediaType": f"{OCI}.manifest.v1+json", "digest": "sha256:" + "9" * 64, "size": 5}
    platforms = ({"os": "linux", "architecture": "s390x"}, {"os": "linux", "architecture": "amd64"})
    layout.entry(layout.index([other | {"platform": platforms[0]}, mine | {"platform": platforms[1]}]), "multi:1")
    world.load(layout.pack())
    assert world.store.resolve("multi:1").digests == (mine["digest"],)


def test_an_index_that_lists_itself_ends(world: Any, layout: Any) -> None:
    """A blob whose digest is its own can't be made; one with a wrong digest is found as such."""
    entry = layout.index([])
    layout.files["blobs/" + entry["digest"].replace(":", "/")] = json.dumps(
        {"schemaVersion": 2, "manifests": [entry]}
    ).encode()
    layout.entry(entry, "circle")
    with pytest.raises(DataDamaged):
        world.load(layout.pack())
    assert _is_empty(world)


@pytest.mark.parametrize("kind", ["manifest", "config", "layer"])
def test_a_flipped_byte_in_a_layout_is_found(world: Any, layout: Any, tars: list[bytes], kind: str) -> None:
    """In each kind of blob; the blob is named and nothing stays."""
    manifest = layout.image(tars, "app:1")
    document = json.loads(layout.files["blobs/" + manifest["digest"].replace(":", "/")])
    digest = {"manifest": manifest, "config": document["config"], "layer": document["layers"][1]}[kind]["digest"]
    path = "blobs/" + digest.replace(":", "/")
    damaged = bytearray(layout.files[path])
    damaged[len(damaged) // 2] ^= 1
    layout.files[path] = bytes(damaged)
    with pytest.raises(DataDamaged, match=digest):
        world.load(layout.pack())
    assert _is_empty(world)


@pytest.mark.parametrize("kind", ["config", "layer"])
def test_a_flipped_byte_in_a_saved_archive_is_found(world: Any, saved: Any, tars: list[bytes], kind: str) -> None:
    """The configuration by its file's name, a layer by its diff id."""
    saved.image(tars, ["app:1"])
    path = saved.entries[0]["Config"] if kind == "config" else saved.entries[0]["Layers"][1]
    damaged = bytearray(saved.files[path])
    damaged[600 if kind == "layer" else 20] ^= 1
    saved.files[path] = bytes(damaged)
    with pytest.raises(DataDamaged, match="sha256:"):
        world.load(saved.pack())
    assert _is_empty(world)


def test_a_wrong_diff_id_is_found(world: Any, layout: Any, build: Any) -> None:
    """The blob is what its digest says, and still not the layer that the configuration means."""
    layer = layout.blob(gzip.compress(build.tar({"a": b"x"})), f"{OCI}.layer.v1.tar+gzip")
    wrong = "sha256:" + "5" * 64
    layout.entry(layout.manifest(layout.config([wrong]), [layer]), "app")
    with pytest.raises(DataDamaged, match=wrong):
        world.load(layout.pack())
    assert _is_empty(world)


@pytest.mark.parametrize(("media", "content"), [("tar", "gzip"), ("tar+gzip", "plain")])
def test_a_layers_type_must_agree_with_its_content(
    world: Any, layout: Any, build: Any, media: str, content: str
) -> None:
    """Two readers must not see two layers."""
    tar = build.tar({"a": b"x"})
    layer = layout.blob(gzip.compress(tar) if content == "gzip" else tar, f"{OCI}.layer.v1.{media}")
    layout.entry(layout.manifest(layout.config([build.sha256(tar)]), [layer]), "app")
    with pytest.raises(DataDamaged, match="type"):
        world.load(layout.pack())
    assert _is_empty(world)


def test_layers_and_diff_ids_must_be_as_many(world: Any, layout: Any, build: Any) -> None:
    """One layer that the configuration does not know would be content without a digest."""
    tar = build.tar({"a": b"x"})
    layer = layout.blob(tar, f"{OCI}.layer.v1.tar")
    layout.entry(layout.manifest(layout.config([build.sha256(tar)]), [layer, layer]), "app")
    with pytest.raises(DataDamaged, match="2 layers"):
        world.load(layout.pack())
    assert _is_empty(world)


def test_one_bad_image_keeps_the_others_of_its_archive_out(
    world: Any, layout: Any, tars: list[bytes], build: Any
) -> None:
    """All of an archive or nothing."""
    layout.image(tars, "good:1")
    layer = layout.blob(build.tar({}), f"{OCI}.layer.v1.tar")
    layout.entry(layout.manifest(layout.config(["sha256:" + "5" * 64]), [layer]), "bad:1")
    with pytest.raises(DataDamaged):
        world.load(layout.pack())
    assert _is_empty(world)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_archive_that_is_cut_off_is_refused(
    world: Any, saved: Any, build: Any, pack: Callable[[bytes], bytes], part: float
) -> None:
    """Wherever it ends."""
    saved.image([build.tar({"a": bytes(range(256)) * 400})], ["app:1"])
    whole = pack(saved.pack())
    with pytest.raises((DataDamaged, InvalidArgument)):
        world.load(whole[: int(len(whole) * part)])
    assert _is_empty(world)


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        (b"", "docker save"),
        (b"no archive at all " * 1000, "docker save"),
        (gzip.compress(b"no archive at all " * 1000), "docker save"),
    ],
)
def test_what_is_no_archive_says_what_was_expected(world: Any, archive: bytes, expected: str) -> None:
    """Empty, or garbage."""
    with pytest.raises((InvalidArgument, DataDamaged)) as caught:
        world.load(archive)
    assert expected in str(caught.value)


def test_a_root_file_system_is_sent_to_import(world: Any, build: Any) -> None:
    """The likely mistake has its own hint."""
    with pytest.raises(InvalidArgument, match="pouch import"):
        world.load(build.tar({"bin/": None, "bin/sh": b"#!"}))
    assert _is_empty(world)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"[]", "lists no image"),
        (b"{}", "images"),
        (b"not json", "JSON"),
        (b'[{"Config": "missing.json", "RepoTags": null, "Layers": []}]', "missing.json"),
        (b'[{"Config": "../../../etc/passwd", "RepoTags": null, "Layers": []}]', "etc/passwd"),
        (b'[{"Config": "/etc/passwd", "RepoTags": null, "Layers": []}]', "etc/passwd"),
        (b'[{"Config": "a\\u0000b", "RepoTags": null, "Layers": []}]', "needs a file"),
        (b'[{"Config": "manifest.json", "RepoTags": ["Not A Name"], "Layers": []}]', "Not A Name"),
        (b'[{"Config": ".", "RepoTags": null, "Layers": []}]', "not a regular file"),
    ],
)
def test_a_bad_manifest_of_a_saved_archive_is_explained(world: Any, build: Any, document: bytes, why: str) -> None:
    """What is missing, malformed or outside."""
    with pytest.raises(PouchError, match=why):
        world.load(build.tar({"manifest.json": document}))
    assert _is_empty(world)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../../../etc/passwd", "/proc/self/environ"])
@pytest.mark.parametrize("name", ["manifest.json", "config.json"])
def test_links_in_an_archive_do_not_reach_the_host(world: Any, build: Any, name: str, target: str) -> None:
    """They lead to nothing inside of the staging directory."""
    manifest = json.dumps([{"Config": "config.json", "RepoTags": ["evil:1"], "Layers": []}]).encode()
    members = [(build.member(name, type=tarfile.SYMTYPE, linkname=target), b"")]
    if name != "manifest.json":
        members.append((build.member("manifest.json", manifest), manifest))
    with pytest.raises((InvalidArgument, DataDamaged)):
        world.load(build.members(members))
    assert _is_empty(world)


@pytest.mark.parametrize("name", ["../escaped", "/run/pouch-images-escaped", "a/../../escaped"])
def test_members_that_would_leave_the_archive_do_not(
    world: Any, build: Any, saved: Any, tars: list[bytes], name: str
) -> None:
    """Refused, or kept inside; the host has no such file either way."""
    saved.image(tars, ["app:1"])
    files = {name: b"x", "manifest.json": json.dumps(saved.entries).encode()} | saved.files
    try:
        world.load(build.tar(files))
    except DataDamaged:
        assert _is_empty(world)
    assert not Path("/run/pouch-images-escaped").exists()
    assert not list(world.directory.rglob("escaped"))


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_odd_files_are_not_opened(world: Any, build: Any, kind: bytes) -> None:
    """A fifo would block for ever, a device would act."""
    manifest = json.dumps([{"Config": "odd", "RepoTags": None, "Layers": []}]).encode()
    odd = build.member("odd", type=kind, devmajor=1, devminor=5)
    with pytest.raises(InvalidArgument, match="not a regular file"):
        world.load(build.members([(odd, b""), (build.member("manifest.json", manifest), manifest)]))
    assert _is_empty(world)


def test_directories_deeper_than_python_recurses_are_removed(world: Any, build: Any) -> None:
    """The staging directory goes, whatever was in it."""
    with pytest.raises((InvalidArgument, DataDamaged)):
        world.load(build.tar({"d/" * 1900: None}))
    assert _is_empty(world)


def test_a_giant_manifest_is_refused(world: Any, build: Any) -> None:
    """4 MiB is the limit."""
    with pytest.raises(InvalidArgument, match="more than 4194304 bytes"):
        world.load(build.tar({"manifest.json": b" " * (5 << 20)}))
    assert _is_empty(world)


def test_a_bomb_in_a_layer_is_stopped(new_world: Any, layout: Any, build: Any) -> None:
    """By the ratio; nothing of it stays."""
    world = new_world(limits=StreamLimits(ratio_from=4 << 20))
    layout.image([build.tar({"zeros": bytes(32 << 20)})], "bomb")
    with pytest.raises(ResourceExhausted, match="bomb"):
        world.load(layout.pack())
    assert _is_empty(world)


def test_a_bomb_as_an_archive_is_stopped(new_world: Any, build: Any) -> None:
    """The outer compression has limits, too."""
    world = new_world(limits=StreamLimits(ratio_from=4 << 20))
    with pytest.raises(ResourceExhausted, match="bomb"):
        world.load(gzip.compress(build.tar({"zeros": bytes(32 << 20)})))
    assert _is_empty(world)


def test_an_image_for_another_system_is_refused(world: Any, saved: Any, tars: list[bytes]) -> None:
    """Its name is said."""
    saved.image(tars, ["win:1"], os="windows")
    with pytest.raises(Unsupported, match="windows"):
        world.load(saved.pack())
    assert _is_empty(world)


def test_a_layer_that_escapes_is_refused(world: Any, build: Any, saved: Any) -> None:
    """The entry is named, and the host stays as it is."""
    evil = build.members(
        [
            (build.member("out", type=tarfile.SYMTYPE, linkname="/run"), b""),
            (build.member("out/../../../run/pouch-images-escaped", b"x"), b"x"),
        ]
    )
    saved.image([evil], ["evil:1"])
    with pytest.raises(DataDamaged):
        world.load(saved.pack())
    assert not Path("/run/pouch-images-escaped").exists()
    assert _is_empty(world)


def test_labels_and_annotations_of_an_image_have_no_effect(world: Any, layout: Any, tars: list[bytes]) -> None:
    """They are data: the image is the same but for its labels."""
    hostile = {
        "io.containerd.image.name": "docker.io/library/busybox:latest",
        "containerd.io/restart.logpath": "/etc/cron.d/x",
        "pouch.runtime": "evil",
        "io.kubernetes.cri.container-type": "sandbox",
    }
    layout.image(tars, "labelled:1", config={"Labels": hostile, "Volumes": {"../../etc": {}}})
    (added,) = world.load(layout.pack())
    assert added.names == ("docker.io/library/labelled:1",)
    assert dict(world.store.resolve("labelled:1").labels) == hostile
