"""`--log-opt`: how large a log may grow."""

from __future__ import annotations

from collections.abc import Mapping

from pouch_engine.config import LogsConfig
from pouch_hookspecs import parse_size
from pouch_hookspecs.errors import InvalidArgument


def log_limits(options: Mapping[str, str], default: LogsConfig) -> tuple[int, int]:
    """Bytes in a file and number of files, of the container or of the configuration."""
    size = parse_size(options["max-size"]) if options.get("max-size") else default.max_size
    return size, int(options.get("max-file", default.max_file))


def validate_log_options(options: Mapping[str, str]) -> None:
    """Judge `--log-opt`.

    Raises:
        InvalidArgument: an unknown option or a wrong value.
    """
    for name, value in options.items():
        if name == "max-size":
            try:
                valid = parse_size(value) > 0
            except ValueError as error:
                raise InvalidArgument(f"log-opt max-size: {error}") from error
        elif name == "max-file":
            valid = value.isascii() and value.isdecimal() and 1 <= int(value) <= 1000
        else:
            raise InvalidArgument(f"unknown log-opt {name!r}", hint="there are: max-size, max-file")
        if not valid:
            raise InvalidArgument(f"log-opt {name}={value!r} must be at least 1")
