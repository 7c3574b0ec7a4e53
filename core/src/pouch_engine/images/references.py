"""References: the names of images, read as docker and containerd read them.

Grammar and normalisation of github.com/distribution/reference: `busybox` is
`docker.io/library/busybox:latest`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pouch_hookspecs.errors import InvalidArgument

from . import digests

DEFAULT_DOMAIN = "docker.io"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"
MAXIMUM_NAME = 255
MAXIMUM_REFERENCE = 4096

_DOMAIN_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_DOMAIN_PART}(?:\.{_DOMAIN_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?", re.ASCII)
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PATH_PART}(?:/{_PATH_PART})*", re.ASCII)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}", re.ASCII)
_EXAMPLE = "write [REGISTRY[:PORT]/]NAME[:TAG][@sha256:…], such as busybox:1.36 or registry.example/team/app:1"


@dataclass(frozen=True, slots=True)
class Reference:
    """A name of an image; at least one of tag and digest is there.

    Attributes:
        domain: of the registry, with its port.
        path: in the registry; for docker.io with its namespace.
        tag: empty if there is only a digest.
        digest: of the manifest; empty if there is only a tag.
    """

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Domain and path."""
        return f"{self.domain}/{self.path}"

    def full(self) -> str:
        """Write it with everything said: `docker.io/library/busybox:latest`."""
        return self.repository + self._suffix()

    def familiar(self) -> str:
        """Write it as people do: `busybox:latest`."""
        return self.familiar_repository() + self._suffix()

    def familiar_repository(self) -> str:
        """Write domain and path as people do: `busybox`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.repository
        namespace, _, rest = self.path.partition("/")
        return rest if namespace == DEFAULT_NAMESPACE and "/" not in rest else self.path

    def pinned(self, digest: str) -> Reference:
        """Return the reference by digest alone in the same repository."""
        return replace(self, tag="", digest=digest)

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """Read a reference; without tag and digest it means the tag `latest`.

    Raises:
        InvalidArgument: it breaks the grammar; the message says where.
    """
    if not text or len(text) > MAXIMUM_REFERENCE:
        raise _invalid(text, "it is empty" if not text else f"it has more than {MAXIMUM_REFERENCE} characters")
    if digests.is_hexadecimal(text):
        raise _invalid(text, "64 hexadecimal digits are an image's id, not a name")
    rest, at, digest = text.partition("@")
    if at and not digests.is_digest(digest):
        raise _invalid(text, "after @ there must be sha256: and 64 digits of 0-9a-f")
    name, tag = _split_tag(rest)
    if tag is not None and not _TAG.fullmatch(tag):
        raise _invalid(text, "a tag has 1 to 128 of the characters a-zA-Z0-9_.- and begins with none of .-")
    domain, path = _split_domain(name)
    if path != path.lower():
        raise _invalid(text, f"the repository name {path!r} must be lower case")
    if not _DOMAIN.fullmatch(domain):
        raise _invalid(text, f"{domain!r} is not a registry's host name")
    if not _PATH.fullmatch(path):
        raise _invalid(text, "a name has parts of a-z0-9, joined by single . _ or __ or -, separated by /")
    if len(domain) + 1 + len(path) > MAXIMUM_NAME:
        raise _invalid(text, f"the repository name has more than {MAXIMUM_NAME} characters")
    return Reference(domain, path, tag or ("" if digest else DEFAULT_TAG), digest)


def _split_tag(text: str) -> tuple[str, str | None]:
    """A colon before the last slash belongs to a port."""
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        return text, None
    return name, tag


def _split_domain(name: str) -> tuple[str, str]:
    domain, slash, path = name.partition("/")
    is_domain = "." in domain or ":" in domain or domain == "localhost" or domain != domain.lower()
    if not slash or not is_domain:
        domain, path = DEFAULT_DOMAIN, name
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"{DEFAULT_NAMESPACE}/{path}"
    return domain, path


def _invalid(text: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"invalid reference format: {text[:300]!r}: {why}", hint=_EXAMPLE)
