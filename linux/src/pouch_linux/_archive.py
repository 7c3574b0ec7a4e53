"""The part of libarchive(3) that unpacking needs, by ctypes: archive_read(3), archive_write_disk(3),
archive_entry(3).

Not by way of the package libarchive-c: importing that takes 20 ms for each layer, and it takes a warning
for success.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, c_char_p, c_int, c_int64, c_long, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

_library = ctypes.CDLL(os.environ.get("LIBARCHIVE", "libarchive.so.13"))

EOF = 1
OK = 0

EXTRACT_OWNER = 0x1
EXTRACT_PERM = 0x2
EXTRACT_TIME = 0x4
EXTRACT_XATTR = 0x80
EXTRACT_SECURE_NODOTDOT = 0x200


def _declare(name: str, restype: Any, *argtypes: Any) -> Any:
    function = getattr(_library, "archive_" + name)
    function.restype = restype
    function.argtypes = argtypes
    return function


error_string = _declare("error_string", c_char_p, c_void_p)
errno = _declare("errno", c_int, c_void_p)

read_new = _declare("read_new", c_void_p)
read_support_format_tar = _declare("read_support_format_tar", c_int, c_void_p)
read_open_fd = _declare("read_open_fd", c_int, c_void_p, c_int, c_size_t)
read_open_memory = _declare("read_open_memory", c_int, c_void_p, c_char_p, c_size_t)
read_next_header2 = _declare("read_next_header2", c_int, c_void_p, c_void_p)
read_data_block = _declare("read_data_block", c_int, c_void_p, POINTER(c_void_p), POINTER(c_size_t), POINTER(c_int64))
read_extract2 = _declare("read_extract2", c_int, c_void_p, c_void_p, c_void_p)
read_free = _declare("read_free", c_int, c_void_p)

write_disk_new = _declare("write_disk_new", c_void_p)
write_disk_set_options = _declare("write_disk_set_options", c_int, c_void_p, c_int)
write_close = _declare("write_close", c_int, c_void_p)

entry_new = _declare("entry_new", c_void_p)
entry_pathname = _declare("entry_pathname", c_char_p, c_void_p)
entry_copy_pathname = _declare("entry_copy_pathname", None, c_void_p, c_char_p)
entry_hardlink = _declare("entry_hardlink", c_char_p, c_void_p)
entry_copy_hardlink = _declare("entry_copy_hardlink", None, c_void_p, c_char_p)
entry_symlink = _declare("entry_symlink", c_char_p, c_void_p)
entry_filetype = _declare("entry_filetype", c_uint, c_void_p)
entry_perm = _declare("entry_perm", c_uint, c_void_p)
entry_rdevmajor = _declare("entry_rdevmajor", c_uint64, c_void_p)
entry_rdevminor = _declare("entry_rdevminor", c_uint64, c_void_p)
entry_size = _declare("entry_size", c_int64, c_void_p)
entry_set_size = _declare("entry_set_size", None, c_void_p, c_int64)
entry_mtime = _declare("entry_mtime", c_int64, c_void_p)
entry_mtime_nsec = _declare("entry_mtime_nsec", c_long, c_void_p)
entry_uid = _declare("entry_uid", c_int64, c_void_p)
entry_gid = _declare("entry_gid", c_int64, c_void_p)
entry_xattr_reset = _declare("entry_xattr_reset", c_int, c_void_p)
entry_xattr_next = _declare(
    "entry_xattr_next", c_int, c_void_p, POINTER(c_char_p), POINTER(c_void_p), POINTER(c_size_t)
)
entry_xattr_clear = _declare("entry_xattr_clear", None, c_void_p)
entry_xattr_add_entry = _declare("entry_xattr_add_entry", None, c_void_p, c_char_p, c_char_p, c_size_t)


def entry_xattrs(entry: int) -> dict[bytes, bytes]:
    """The extended attributes of an entry."""
    found: dict[bytes, bytes] = {}
    name, value, size = c_char_p(), c_void_p(), c_size_t()
    for _ in range(entry_xattr_reset(entry)):
        entry_xattr_next(entry, name, value, size)
        found[name.value or b""] = ctypes.string_at(value.value or 0, size.value) if size.value else b""
    return found


def warm_up() -> None:
    """Reads an archive with a name outside ASCII: makes libarchive and iconv(3) load all that they will ever need.

    For a process that is about to lose sight of the host's files. Raises OSError if names in UTF-8 are not read here.
    """
    name = "\u00e9".encode()
    record = b"11 path=%s\n" % name
    archive = _header(b"x", len(record)) + record.ljust(512, b"\0") + _header(b"0", 0) + bytes(1024)
    reader, entry = read_new(), entry_new()
    read_support_format_tar(reader)
    read_open_memory(reader, archive, len(archive))
    if read_next_header2(reader, entry) != OK or entry_pathname(entry) != name:
        raise OSError("libarchive does not read names in UTF-8 here; is the locale C.UTF-8 missing?")
    read_free(reader)


def _header(kind: bytes, size: int) -> bytes:
    fields = b"x".ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"00000000000\0"
    rest = kind + bytes(100) + b"ustar\x0000"
    checksum = sum(fields) + sum(b" " * 8) + sum(rest)
    return (fields + b"%06o\0 " % checksum + rest).ljust(512, b"\0")
