"""Images are found, named, listed and removed as docker does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from pouch_engine.images import ImageUser, Removed
from pouch_hookspecs.errors import Conflict, InvalidArgument, NotFound


def _load(world: Any, build: Any, *tags: str, **config: Any) -> str:
    saved = build.saved()
    image: str = saved.image([build.tar({"etc/": None})], list(tags) or None, **config)
    world.load(saved.pack())
    return image


def _users(*users: ImageUser) -> Any:
    def in_use(image: str) -> Sequence[ImageUser]:
        return users

    return in_use


@pytest.mark.parametrize("form", ["app", "app:latest", "docker.io/library/app:latest", "docker.io/app"])
def test_an_image_is_found_by_any_form_of_its_name(world: Any, build: Any, form: str) -> None:
    """Short, whole, with and without the default tag."""
    image = _load(world, build, "app:latest")
    assert world.store.resolve(form).id == image


def test_an_image_is_found_by_id_prefix_and_digest(world: Any, build: Any) -> None:
    """With and without `sha256:`, and by its manifest's digest, with its repository or alone."""
    image = _load(world, build, "app:1")
    digest = world.store.resolve("app:1").digests[0]
    bare = image.removeprefix("sha256:")
    for text in (image, bare, bare[:12], f"sha256:{bare[:12]}", digest, f"app@{digest}", f"app:1@{digest}"):
        assert world.store.resolve(text).id == image


def test_a_digest_counts_only_in_its_own_repository(world: Any, build: Any) -> None:
    """other@DIGEST is another name."""
    _load(world, build, "app:1")
    with pytest.raises(NotFound):
        world.store.resolve(f"other@{world.store.resolve('app:1').digests[0]}")


def test_a_name_wins_over_a_prefix(world: Any, build: Any) -> None:
    """An image may be called like the beginning of an id."""
    first = _load(world, build, "app:1", author="first")
    second = _load(world, build, f"{first.removeprefix('sha256:')[:12]}:latest", author="second")
    assert world.store.resolve(first.removeprefix("sha256:")[:12]).id == second


def test_an_ambiguous_prefix_lists_the_candidates(world: Any, build: Any) -> None:
    """With their names, so that one can choose."""
    images: dict[str, list[str]] = {}
    number = 0
    while not any(len(group) == 2 for group in images.values()):
        image = _load(world, build, f"app:{number}", author=str(number))
        images.setdefault(image[7], []).append(f"app:{number}")
        number += 1
    prefix, names = next((prefix, names) for prefix, names in images.items() if len(names) == 2)
    with pytest.raises(InvalidArgument, match="ambiguous") as caught:
        world.store.resolve(prefix)
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize("text", ["nope", "nope:1", "f" * 64, "sha256:" + "f" * 64, "ffff"])
def test_an_unknown_image_is_not_found(world: Any, text: str) -> None:
    """The message has what was asked for."""
    with pytest.raises(NotFound, match=text):
        world.store.resolve(text)


@pytest.mark.parametrize("text", ["", "No Name", "a:b:c"])
def test_what_can_not_be_a_name_is_invalid(world: Any, text: str) -> None:
    """Another error than a name that is not there."""
    with pytest.raises(InvalidArgument):
        world.store.resolve(text)


def test_the_record_says_what_the_image_is(world: Any, build: Any) -> None:
    """From the catalog, and from the verified configuration."""
    image = _load(world, build, "app:1", "team/app:2", config={"Labels": {"a": "b"}, "Cmd": ["sh"]})
    record = world.store.resolve("app:1")
    assert record.names == ("docker.io/library/app:1", "docker.io/team/app:2")
    assert record.repo_digests == (f"app@{record.digests[0]}", f"team/app@{record.digests[0]}")
    assert (record.id, record.os, record.labels, record.config.config.cmd) == (image, "linux", {"a": "b"}, ("sh",))
    assert record.chain_id == record.layers[-1].chain_id
    assert record.to_model().names == record.names


def test_a_tag_is_a_further_name(world: Any, build: Any) -> None:
    """Of the same image."""
    image = _load(world, build, "app:1")
    world.store.tag("app:1", "registry.example/app")
    assert world.store.resolve("registry.example/app:latest").id == image
    assert world.events[-1] == ("tag", image, {"name": "registry.example/app:latest"})


def test_a_tag_moves_from_the_image_that_had_it(world: Any, build: Any) -> None:
    """Which stays, without a name."""
    first = _load(world, build, "app:1", author="first")
    second = _load(world, build, "app:1", author="second")
    assert world.store.resolve("app:1").id == second
    assert world.store.resolve(first).names == ()


@pytest.mark.parametrize("target", ["app@sha256:" + "0" * 64, "sha256:abc", "f" * 64, "Upper"])
def test_names_that_would_confuse_are_not_given(world: Any, build: Any, target: str) -> None:
    """Digests and ids are no names."""
    _load(world, build, "app:1")
    with pytest.raises(InvalidArgument):
        world.store.tag("app:1", target)


def test_removing_one_of_several_names_only_untags(world: Any, build: Any) -> None:
    """The image stays, whoever uses it."""
    image = _load(world, build, "app:1", "app:2")
    assert world.store.remove("app:1", in_use=_users(ImageUser("web", True))) == [Removed(untagged="app:1")]
    assert world.store.resolve("app:2").id == image


def test_removing_the_last_name_removes_the_image(world: Any, build: Any) -> None:
    """With its layers and blobs; the answer and the events tell all of it."""
    image = _load(world, build, "app:1")
    chain = world.store.resolve("app:1").chain_id
    removed = world.store.remove("app:1")
    assert removed == [Removed(untagged="app:1"), Removed(deleted=image), Removed(deleted=chain)]
    assert (world.layers(), world.blobs()) == (set(), set())
    assert [event[0] for event in world.events] == ["load", "untag", "delete"]


def test_by_id_an_image_of_several_names_needs_force(world: Any, build: Any) -> None:
    """And then loses all of them."""
    image = _load(world, build, "app:1", "other:1")
    with pytest.raises(Conflict, match="app:1, other:1"):
        world.store.remove(image)
    removed = world.store.remove(image, force=True)
    assert removed[:3] == [Removed(untagged="app:1"), Removed(untagged="other:1"), Removed(deleted=image)]


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("by_id", [True, False])
def test_an_image_of_a_container_is_kept_and_the_container_named(
    world: Any, build: Any, running: bool, by_id: bool
) -> None:
    """Running or not, by name or id; nothing changes."""
    image = _load(world, build, "app:1")
    with pytest.raises(Conflict, match="container web"):
        world.store.remove(image if by_id else "app:1", in_use=_users(ImageUser("web", running)))
    assert world.store.resolve("app:1").id == image


def test_force_removes_the_image_of_a_stopped_container(world: Any, build: Any) -> None:
    """As docker does; its layers stay, for the container stands on them."""
    image = _load(world, build, "app:1")
    root = world.root_of("app:1")
    removed = world.store.remove("app:1", force=True, in_use=_users(ImageUser("web")))
    assert removed == [Removed(untagged="app:1"), Removed(deleted=image)]
    assert (root / "etc").is_dir()


def test_force_never_removes_the_image_of_a_running_container(world: Any, build: Any) -> None:
    """By name the name goes, by id nothing."""
    image = _load(world, build, "app:1")
    users = _users(ImageUser("web", True))
    with pytest.raises(Conflict, match="cannot be forced"):
        world.store.remove(image, force=True, in_use=users)
    assert world.store.remove("app:1", force=True, in_use=users) == [Removed(untagged="app:1")]
    assert world.store.resolve(image).names == ()


def test_a_shared_layer_stays_with_the_other_image(world: Any, build: Any) -> None:
    """Only what nothing refers to goes."""
    shared, own = build.tar({"a": b"1"}), build.tar({"b": b"2"})
    saved = build.saved()
    saved.image([shared, own], ["big:1"])
    saved.image([shared], ["small:1"])
    world.load(saved.pack())
    world.store.remove("big:1")
    assert world.layers() == {build.sha256(shared)}
    assert (world.root_of("small:1") / "a").read_bytes() == b"1"


def test_the_layers_of_a_removed_container_are_collected(world: Any, build: Any) -> None:
    """When neither image nor snapshot is left."""
    _load(world, build, "app:1")
    world.root_of("app:1")
    world.store.remove("app:1", force=True, in_use=_users(ImageUser("web")))
    kept = world.layers()
    world.storage.storage_remove(key="a" * 64)
    assert set(world.store.collect()) == {key for key in kept if key.startswith("sha256:")}
    assert world.layers() == set()


def test_a_lease_keeps_what_is_about_to_be_used(world: Any, build: Any) -> None:
    """From lookup to snapshot, though the image goes in between; afterwards all is collected."""
    _load(world, build, "app:1")
    image = world.store.resolve("app:1")
    with world.store.lease(image):
        world.store.remove("app:1")
        assert world.layers() == {image.chain_id}
    world.store.collect()
    assert (world.layers(), world.blobs()) == (set(), set())


def test_no_lease_on_an_image_that_is_gone(world: Any, build: Any) -> None:
    """Whoever comes too late hears of it."""
    _load(world, build, "app:1")
    image = world.store.resolve("app:1")
    world.store.remove("app:1")
    with pytest.raises(NotFound), world.store.lease(image):
        pass


def test_images_are_listed_newest_first(world: Any, build: Any) -> None:
    """By the time in their configuration; one without a time is the oldest."""
    for name, created in (("old", "2001-01-01T00:00:00Z"), ("new", "2020-01-01T00:00:00Z"), ("none", None)):
        _load(world, build, f"{name}:1", created=created)
    assert [image.repo_tags[0] for image in world.store.images()] == ["new:1", "old:1", "none:1"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"label": ["stage"]}, {"a", "b"}),
        ({"label": ["stage=test"]}, {"a"}),
        ({"label": ["stage", "owner=me"]}, {"b"}),
        ({"reference": ["team/*"]}, {"b"}),
        ({"reference": ["a:*", "team/b"]}, {"a", "b"}),
        ({"dangling": ["false"]}, {"a", "b"}),
        ({"dangling": ["true"]}, {""}),
        ({"before": ["team/b:1"]}, {"a", ""}),
        ({"since": ["a:1"]}, {"b"}),
        ({"since": ["a:1"], "label": ["owner=you"]}, set()),
    ],
)
def test_filters_choose(world: Any, build: Any, filters: dict[str, list[str]], found: set[str]) -> None:
    """All filters must fit, of most of them any value."""
    _load(world, build, "a:1", created="2001-01-01T00:00:00Z", config={"Labels": {"stage": "test"}})
    _load(world, build, "team/b:1", created="2002-01-01T00:00:00Z", config={"Labels": {"stage": "prod", "owner": "me"}})
    _load(world, build, created="2000-01-01T00:00:00Z")
    names = {
        image.repo_tags[0].split("/")[-1].split(":")[0] if image.names else "" for image in world.store.images(filters)
    }
    assert names == found


@pytest.mark.parametrize("filters", [{"colour": ["red"]}, {"dangling": ["perhaps"]}])
def test_a_wrong_filter_is_refused(world: Any, filters: dict[str, list[str]]) -> None:
    """With those that there are."""
    with pytest.raises(InvalidArgument, match="invalid filter"):
        world.store.images(filters)


def test_history_is_told_newest_first_with_sizes(world: Any, build: Any) -> None:
    """Steps without a layer have no size."""
    saved = build.saved()
    history = [
        {"created_by": "ADD root", "created": "2020-01-01T00:00:00Z"},
        {"created_by": "CMD sh", "empty_layer": True},
        {"created_by": "COPY big", "comment": "more"},
    ]
    tars = [build.tar({"a": b"1"}), build.tar({"b": bytes(100_000)})]
    image = saved.image(tars, ["app:1"], history=history)
    world.load(saved.pack())
    entries = world.store.history("app:1")
    assert [entry.created_by for entry in entries] == ["COPY big", "CMD sh", "ADD root"]
    assert (entries[0].id, entries[0].names, entries[1].size) == (image, ("app:1",), 0)
    assert entries[0].size >= 100_000


def test_the_same_image_by_two_manifests_is_one_image(world: Any, build: Any) -> None:
    """Compressed and plain layers: both digests lead to it."""
    tar = build.tar({"a": b"1"})
    saved, layout = build.saved(), build.layout()
    saved.image([tar], ["app:1"])
    layout.image([tar], "app:2")
    layout.files |= saved.files
    data = saved.files[saved.entries[0]["Config"]]
    entry = layout.manifest(
        layout.blob(data, "application/vnd.oci.image.config.v1+json"),
        json.loads(layout.files["blobs/" + layout.entries[0]["digest"].replace(":", "/")])["layers"],
    )
    layout.entries.clear()
    layout.entry(entry, "app:2")
    world.load(saved.pack())
    world.load(layout.pack())
    image = world.store.resolve("app:2")
    assert image.repo_tags == ("app:1", "app:2")
    assert len(image.digests) == 2
    assert len(world.store.images()) == 1


def test_eight_loads_of_one_image_at_once_unpack_it_once(world: Any, build: Any) -> None:
    """All succeed; the driver sees each layer one time."""
    saved = build.saved()
    saved.image([build.tar({"a": b"1"}), build.tar({"b": bytes(1 << 20)})], ["app:1"])
    archive, applied, errors = saved.pack(), [], []
    apply = world.storage.storage_apply_layer

    def counting(**arguments: Any) -> Any:
        applied.append(arguments["layer"].chain_id)
        return apply(**arguments)

    world.storage.storage_apply_layer = counting

    def load() -> None:
        try:
            world.load(archive)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert (len(applied), len(world.layers()), world.leftovers()) == (2, 2, [])


def test_loads_and_removals_at_once_never_break_an_image(world: Any, build: Any) -> None:
    """Whoever has a lease on a found image can use it; nothing of the rest is left at the end."""
    saved = build.saved()
    saved.image([build.tar({"a": b"1"}), build.tar({"b": b"2"})], ["app:1"])
    archive, errors, until = saved.pack(), [], time.monotonic() + 1.5

    def repeat(step: Any) -> None:
        while time.monotonic() < until:
            try:
                step()
            except NotFound:
                continue
            except Exception as error:
                errors.append(error)

    def use() -> None:
        image = world.store.resolve("app:1")
        with world.store.lease(image):
            world.store.ensure_unpacked(image)
            assert {layer.chain_id for layer in image.layers} <= world.layers()

    steps = [lambda: world.load(archive), lambda: world.store.remove("app:1", force=True), use, use]
    threads = [threading.Thread(target=repeat, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    world.load(archive)
    world.store.remove("app:1")
    assert (world.layers(), world.blobs(), world.leftovers()) == (set(), set(), [])


def test_a_thousand_images_are_listed_within_a_tenth_of_a_second(world: Any, build: Any) -> None:
    """The list needs no blob; measured as the best of three."""
    with world.database.transaction() as rows:
        for number in range(1000):
            image, manifest = f"sha256:{number:064x}", f"sha256:{number + 5000:064x}"
            rows.execute(
                "INSERT INTO images VALUES (?, ?, '', '2020-01-01T00:00:00+00:00', 'linux', 'amd64', '{}', 1)",
                (image, manifest),
            )
            rows.execute("INSERT INTO image_manifests VALUES (?, ?, 'x', 1)", (manifest, image))
            rows.execute(
                "INSERT INTO image_names VALUES (?, ?, ?)", (f"docker.io/library/app:{number}", image, manifest)
            )
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        assert len(world.store.images()) == 1000
        taken.append(time.perf_counter() - start)
    assert min(taken) < 0.1
