"""Manifests, indexes and configurations: read strictly, never mistaken for each other."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pouch_engine.images.configs import parse_config
from pouch_engine.images.manifests import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    MANIFEST_LIMIT,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    ContentDescriptor,
    Platform,
    find_manifest,
    parse_index,
    parse_manifest,
)
from pouch_hookspecs.errors import DataDamaged, InvalidArgument, PouchError, Unsupported

DIGEST = "sha256:" + "1" * 64
HOST = Platform(os="linux", architecture="amd64")
CONFIG = {"mediaType": OCI_CONFIG, "digest": DIGEST, "size": 2}
LAYER = {"mediaType": OCI_LAYER, "digest": DIGEST, "size": 1024}
MANIFEST = {"schemaVersion": 2, "config": CONFIG, "layers": [LAYER]}


def _bytes(document: Any) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_a_manifest_points_at_configuration_and_layers(media_type: str) -> None:
    """In both dialects, with or without a type of its own."""
    plain = parse_manifest(_bytes(MANIFEST), media_type)
    typed = parse_manifest(_bytes(MANIFEST | {"mediaType": media_type}), media_type)
    assert (plain.layers[0].size, typed.config.digest) == (1024, DIGEST)


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        (MANIFEST | {"manifests": []}, OCI_MANIFEST),
        (MANIFEST | {"mediaType": OCI_INDEX}, OCI_MANIFEST),
        (MANIFEST | {"mediaType": DOCKER_MANIFEST}, OCI_MANIFEST),
        ({"schemaVersion": 2, "manifests": []}, OCI_MANIFEST),
        ({"schemaVersion": 2, "config": CONFIG}, OCI_MANIFEST),
        (MANIFEST | {"layers": [LAYER | {"size": -1}]}, OCI_MANIFEST),
        (MANIFEST | {"layers": [LAYER] * 128}, OCI_MANIFEST),
        ([MANIFEST], OCI_MANIFEST),
        (None, OCI_MANIFEST),
    ],
)
def test_content_that_is_not_what_it_was_offered_as_is_refused(document: Any, media_type: str) -> None:
    """CVE-2021-41190: a document that is a manifest to one reader and an index to another."""
    with pytest.raises(DataDamaged):
        parse_manifest(_bytes(document), media_type)


@pytest.mark.parametrize(
    "document", [MANIFEST | {"manifests": []}, {"schemaVersion": 2, "manifests": [], "config": CONFIG}]
)
def test_an_index_with_fields_of_a_manifest_is_refused(document: Any) -> None:
    """The other side of CVE-2021-41190."""
    with pytest.raises(DataDamaged, match="another kind of document"):
        parse_index(_bytes(document), OCI_INDEX)


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (MANIFEST | {"config": CONFIG | {"mediaType": "application/vnd.example.chart"}}, "vnd.example.chart"),
        (MANIFEST | {"layers": [LAYER | {"mediaType": f"{OCI_LAYER}+encrypted"}]}, "encrypted"),
        (MANIFEST | {"schemaVersion": 1}, "schema version 1"),
    ],
)
def test_what_is_no_image_of_ours_is_named(document: Any, named: str) -> None:
    """Artifacts, encrypted layers, the first schema."""
    with pytest.raises(Unsupported, match=named):
        parse_manifest(_bytes(document), OCI_MANIFEST)


def test_a_giant_manifest_is_refused_before_it_is_parsed() -> None:
    """CVE-2023-25153: 4 MiB."""
    with pytest.raises(DataDamaged, match="limit"):
        parse_manifest(b" " * (MANIFEST_LIMIT + 1), OCI_MANIFEST)


def test_deep_nesting_is_refused() -> None:
    """It ends in an error, not in a full stack."""
    with pytest.raises(DataDamaged):
        parse_manifest(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", OCI_MANIFEST)


def _pointer(media_type: str, digest: str, system: str = "", architecture: str = "") -> dict[str, Any]:
    pointer: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": 1}
    if system:
        pointer["platform"] = {"os": system, "architecture": architecture}
    return pointer


def _found(index: dict[str, Any], media_type: str = OCI_INDEX) -> ContentDescriptor:
    start = ContentDescriptor.model_validate(_pointer(media_type, DIGEST))
    return find_manifest(start, lambda descriptor: _bytes(index), HOST)


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_INDEX])
def test_an_index_leads_to_this_hosts_variant(media_type: str) -> None:
    """Whatever stands before it."""
    mine = "sha256:" + "2" * 64
    variants = [
        _pointer(OCI_MANIFEST, DIGEST, "unknown", "unknown"),
        _pointer(OCI_MANIFEST, DIGEST, "linux", "arm64"),
        _pointer(OCI_MANIFEST, mine, "linux", "amd64"),
    ]
    assert _found({"schemaVersion": 2, "manifests": variants}, media_type).digest == mine


def test_without_a_variant_for_this_host_the_others_are_listed() -> None:
    """So that one sees what the image is for."""
    variants = [_pointer(OCI_MANIFEST, DIGEST, "linux", "arm64"), _pointer(OCI_MANIFEST, DIGEST, "windows", "amd64")]
    with pytest.raises(InvalidArgument, match="linux/amd64; there is: linux/arm64, windows/amd64"):
        _found({"schemaVersion": 2, "manifests": variants})


def test_a_circle_of_indexes_ends() -> None:
    """An index that lists itself."""
    with pytest.raises(DataDamaged, match="circle"):
        _found({"schemaVersion": 2, "manifests": [_pointer(OCI_INDEX, DIGEST, "linux", "amd64")]})


def test_a_long_chain_of_indexes_ends() -> None:
    """Each one lists another."""
    start = ContentDescriptor.model_validate(_pointer(OCI_INDEX, DIGEST))
    depth = iter(range(100))

    def read(descriptor: ContentDescriptor) -> bytes:
        return _bytes({"schemaVersion": 2, "manifests": [_pointer(OCI_INDEX, f"sha256:{next(depth):064x}")]})

    with pytest.raises(DataDamaged, match="deeper"):
        find_manifest(start, read, HOST)


DOCKER_CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2024-05-06T07:08:09.123456789Z",
    "config": {
        "User": "1000:1000",
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["PATH=/bin"],
        "Entrypoint": "/init",
        "Cmd": None,
        "Volumes": {"/data": {}},
        "WorkingDir": "/srv",
        "Labels": {"a": "b"},
        "StopSignal": "SIGQUIT",
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1_000_000_000, "Retries": 3},
        "Domainname": "kept, though unknown",
    },
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    "history": [{"created_by": "/bin/sh -c #(nop) CMD", "empty_layer": True}, {"created_by": "ADD"}],
}


def test_a_configuration_is_typed() -> None:
    """Docker's and OCI's fields, null the same as absent, one string the same as a list of one."""
    config = parse_config(_bytes(DOCKER_CONFIG))
    defaults = config.config
    assert (defaults.user, defaults.entrypoint, defaults.cmd) == ("1000:1000", ("/init",), ())
    assert (defaults.exposed_ports, defaults.volumes, defaults.stop_signal) == (("80/tcp",), ("/data",), "SIGQUIT")
    assert defaults.healthcheck is not None
    assert (defaults.healthcheck.interval_ns, config.history[0].empty_layer) == (1_000_000_000, True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"config": {"Env": "PATH=/bin"}}, "config.Env"),
        ({"config": {"Labels": {"a": 1}}}, "config.Labels.a"),
        ({"rootfs": {"type": "zip", "diff_ids": []}}, "rootfs.type"),
        ({"rootfs": {"type": "layers", "diff_ids": [DIGEST] * 128}}, "128 layers"),
        ({"rootfs": None}, "rootfs"),
        ({"created": "yesterday"}, "created"),
    ],
)
def test_a_field_at_fault_is_named(change: dict[str, Any], named: str) -> None:
    """In the words of the document."""
    with pytest.raises(DataDamaged, match=named):
        parse_config(_bytes(DOCKER_CONFIG | change))


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX])
@given(
    document=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["schemaVersion", "config", "layers", "manifests", "mediaType", "digest", "size", "platform"]
                ),
                inner,
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_is_a_document_or_one_of_our_errors(media_type: str, document: Any) -> None:
    """No other exception comes out of the parsers."""
    parse = parse_manifest if media_type == OCI_MANIFEST else parse_index
    for read in (lambda: parse(_bytes(document), media_type), lambda: parse_config(_bytes(document))):
        with suppress(PouchError):
            read()
