"""Lines of a Dockerfile change a configuration as docker's --change does."""

from __future__ import annotations

from typing import Any

import pytest

from pouch_engine.images.changes import apply_changes
from pouch_hookspecs.errors import InvalidArgument


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ('CMD ["sh", "-c", "echo $HOME"]', {"Cmd": ["sh", "-c", "echo $HOME"]}),
        ("CMD echo $HOME", {"Cmd": ["/bin/sh", "-c", "echo $HOME"]}),
        ("cmd []", {"Cmd": []}),
        ('ENTRYPOINT ["/init"]', {"Entrypoint": ["/init"]}),
        ("ENV A=1 B='two words' C=\"x=y\"", {"Env": ["A=1", "B=two words", "C=x=y"]}),
        ("ENV A the rest of it", {"Env": ["A=the rest of it"]}),
        (r"ENV PRICE=\$5", {"Env": ["PRICE=$5"]}),
        (
            "EXPOSE 80 53/udp 8000-8002/TCP",
            {"ExposedPorts": {p: {} for p in ("80/tcp", "53/udp", "8000/tcp", "8001/tcp", "8002/tcp")}},
        ),
        ('LABEL a=b "c d"="e f"', {"Labels": {"a": "b", "c d": "e f"}}),
        ("STOPSIGNAL SIGRTMIN+3", {"StopSignal": "SIGRTMIN+3"}),
        ("STOPSIGNAL 9", {"StopSignal": "9"}),
        ("USER 1000:1000", {"User": "1000:1000"}),
        ('VOLUME ["/a b"]', {"Volumes": {"/a b": {}}}),
        ("VOLUME /a /b", {"Volumes": {"/a": {}, "/b": {}}}),
        ("WORKDIR /srv/../data", {"WorkingDir": "/data"}),
    ],
)
def test_a_change_sets_its_field(change: str, expected: dict[str, Any]) -> None:
    """Upper or lower case, JSON or shell form."""
    config: dict[str, Any] = {}
    apply_changes(config, [change])
    assert config == expected


def test_changes_add_to_each_other() -> None:
    """Later values win; a relative directory is below the one before."""
    config: dict[str, Any] = {}
    apply_changes(config, ["ENV A=1", "ENV B=2 A=3", "WORKDIR /a", "WORKDIR b"])
    assert config == {"Env": ["A=3", "B=2"], "WorkingDir": "/a/b"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("RUN true", "CMD, ENTRYPOINT, ENV"),
        ("", "not supported"),
        ("CMD", "missing"),
        ('CMD ["sh",]', "JSON"),
        ("CMD [1]", "strings"),
        ("ENV A", "NAME=VALUE"),
        ("ENV A=1 B", "NAME=VALUE"),
        ("ENV A='open", "quot"),
        ("ENV PATH=$PATH:/x", "not expanded"),
        ("EXPOSE 0", "65535"),
        ("EXPOSE 70000", "65535"),
        ("EXPOSE 9-8", "65535"),
        ("EXPOSE \u0663", "65535"),
        ("EXPOSE 80/http", "tcp"),
        ("USER a b", "one"),
        ("WORKDIR /a b", "quote"),
        ("STOPSIGNAL SIGNOPE", "SIGTERM"),
        ("STOPSIGNAL 65", "1 to 64"),
        ("USER a\0b", "NUL"),
    ],
)
def test_a_wrong_change_says_what_was_expected(change: str, why: str) -> None:
    """And changes nothing that a caller could take for done."""
    with pytest.raises(InvalidArgument, match=why):
        apply_changes({}, [change])
