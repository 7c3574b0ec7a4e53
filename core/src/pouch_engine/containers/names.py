"""Names and ids of containers."""

from __future__ import annotations

import re
import secrets

from pouch_hookspecs.errors import InvalidArgument

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)

_ADJECTIVES = """
agile amber ample bold brave brisk calm candid clever cosy crisp deft eager fair fleet fond frank fresh gentle
glad golden grand hardy honest jolly keen kind lively lucid mellow merry mild neat nimble noble placid plucky
polite proud quick quiet ready robust serene sharp silent sleek smart snug solid spry steady stout sunny swift
tidy tranquil trim trusty upbeat vivid warm wise witty zesty
"""
_ANIMALS = """
badger bandicoot bear beaver bilby bison cuscus dingo dolphin dunnart echidna emu falcon finch gecko glider
heron ibis jackdaw kangaroo kestrel kingfisher koala kookaburra koel kowari lark lemur lynx magpie marten monito
mulgara newt numbat opossum osprey otter pademelon platypus plover possum potoroo puffin quokka quoll raven
robin salmon seal skink stork swan tern thylacine turtle wallaby wallaroo walrus wombat wren yapok
"""


def new_id() -> str:
    """A random container id: 64 hexadecimal digits."""
    return secrets.token_hex(32)


def new_name() -> str:
    """A name such as `brisk_wombat`."""
    return f"{secrets.choice(_ADJECTIVES.split())}_{secrets.choice(_ANIMALS.split())}"


def checked_name(name: str) -> str:
    """A name given by a user, without the leading slash that docker's API allows.

    Raises:
        InvalidArgument: it has characters that names do not have.
    """
    bare = name.removeprefix("/")
    if not _NAME.fullmatch(bare):
        raise InvalidArgument(f"container name {name!r} is not valid: only [a-zA-Z0-9][a-zA-Z0-9_.-]* is allowed")
    return bare


def checked_id(text: str) -> str:
    """A given id.

    Raises:
        InvalidArgument: it is not 64 hexadecimal digits.
    """
    if not _ID.fullmatch(text):
        raise InvalidArgument(f"container id {text!r} is not valid: it must be 64 hexadecimal digits, in lower case")
    return text
