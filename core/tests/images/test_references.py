"""References are read as docker and containerd read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pouch_engine.images import Reference, parse_reference
from pouch_hookspecs.errors import InvalidArgument

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("team/app", "docker.io/team/app:latest", "team/app:latest"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("registry.example/a/b/c:t", "registry.example/a/b/c:t", "registry.example/a/b/c:t"),
        ("Registry/app", "Registry/app:latest", "Registry/app:latest"),
        ("[2001:db8::1]:5000/app", "[2001:db8::1]:5000/app:latest", "[2001:db8::1]:5000/app:latest"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (f"r.io/b:1@{DIGEST}", f"r.io/b:1@{DIGEST}", f"r.io/b:1@{DIGEST}"),
        ("a__b--c.d_e", "docker.io/library/a__b--c.d_e:latest", "a__b--c.d_e:latest"),
        ("x:" + "t" * 128, "docker.io/library/x:" + "t" * 128, "x:" + "t" * 128),
    ],
)
def test_a_reference_has_a_full_and_a_familiar_form(text: str, full: str, familiar: str) -> None:
    """What is left out is docker.io, library and latest."""
    reference = parse_reference(text)
    assert (reference.full(), reference.familiar()) == (full, familiar)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("Busybox", "lower case"),
        ("r.io/Team/app", "lower case"),
        ("a" * 64, "id"),
        ("busybox:", "tag"),
        ("busybox:-x", "tag"),
        ("x:" + "t" * 129, "tag"),
        ("x:ta\u0663g", "tag"),
        ("busybox@sha256:abc", "sha256"),
        ("busybox@", "sha256"),
        ("a//b", "parts"),
        ("a/", "parts"),
        ("/a", "parts"),
        ("-a", "parts"),
        ("a-", "parts"),
        ("a..b", "parts"),
        ("a___b", "parts"),
        ("b\u00fcsybox", "parts"),
        ("busybox\n", "parts"),
        ("busy box", "parts"),
        ("-x.io/app", "host name"),
        ("x.io:port/app", "host name"),
        ("r.io/" + "a/" * 130 + "a", "255"),
        ("x" * 5000, "4096"),
    ],
)
def test_what_breaks_the_grammar_is_refused_with_the_reason(text: str, why: str) -> None:
    """The message names the part that is wrong, and the hint shows a right one."""
    with pytest.raises(InvalidArgument, match=why) as caught:
        parse_reference(text)
    assert "busybox:1.36" in caught.value.hint


@given(st.text(max_size=80) | st.text(alphabet="aZ0.-_/:@[]", max_size=40))
def test_any_text_is_a_stable_reference_or_invalid(text: str) -> None:
    """Whatever is accepted reads the same again from both of its forms."""
    try:
        reference = parse_reference(text)
    except InvalidArgument:
        return
    assert parse_reference(reference.full()) == reference
    assert parse_reference(reference.familiar()) == reference


_PART = st.from_regex(r"\A[a-z0-9]{1,8}(?:(?:\.|_|__|-)[a-z0-9]{1,8})?\Z")


@given(
    st.sampled_from(["docker.io", "localhost", "r.example:5000", "Upper"]),
    st.lists(_PART, min_size=2, max_size=4),
    st.from_regex(r"\A[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,20}\Z"),
)
def test_what_the_grammar_allows_is_accepted_part_by_part(domain: str, path: list[str], tag: str) -> None:
    """Domain, path and tag come out as they went in."""
    expected = Reference(domain, "/".join(path), tag)
    assert parse_reference(expected.full()) == expected
