"""Filters of image lists, as docker has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from pouch_hookspecs.errors import InvalidArgument

from .catalog import ImageRecord
from .references import parse_reference

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_BEGINNING = datetime.min.replace(tzinfo=UTC)


def created(image: ImageRecord) -> datetime:
    """Return an image's time for comparison; one without a time or a zone has the earliest, or UTC."""
    if image.created is None:
        return _BEGINNING
    return image.created if image.created.tzinfo else image.created.replace(tzinfo=UTC)


def select(
    images: Sequence[ImageRecord],
    filters: Mapping[str, Sequence[str]],
    resolve: Callable[[str], ImageRecord],
) -> list[ImageRecord]:
    """Return the images that pass every filter; of one filter's values, any (of `label`, all) must fit.

    Filters: `dangling` (true, false), `label` (KEY or KEY=VALUE), `reference` (a pattern of a name),
    `before` and `since` (an image).

    Raises:
        InvalidArgument: a filter is unknown or its value wrong.
        NotFound: the image of `before` or `since`.
    """
    for name, values in filters.items():
        test = _FILTERS.get(name)
        if test is None:
            raise InvalidArgument(f"invalid filter {name[:80]!r}; images have {', '.join(sorted(_FILTERS))}")
        if values:
            images = test(images, values, resolve)
    return list(images)


_Resolve = Callable[[str], ImageRecord]
_Images = Sequence[ImageRecord]


def _dangling(images: _Images, values: Sequence[str], _: _Resolve) -> _Images:
    wanted = set()
    for value in values:
        if value.lower() not in _BOOLEANS:
            raise InvalidArgument(f"invalid filter dangling={value[:80]!r}; expected true or false")
        wanted.add(_BOOLEANS[value.lower()])
    return [image for image in images if (not image.names) in wanted]


def _label(images: _Images, values: Sequence[str], _: _Resolve) -> _Images:
    def fits(image: ImageRecord, wanted: str) -> bool:
        key, equals, value = wanted.partition("=")
        return key in image.labels and (not equals or image.labels[key] == value)

    return [image for image in images if all(fits(image, value) for value in values)]


def _reference(images: _Images, values: Sequence[str], _: _Resolve) -> _Images:
    def fits(name: str, pattern: str) -> bool:
        reference = parse_reference(name)
        return fnmatchcase(reference.familiar(), pattern) or fnmatchcase(reference.familiar_repository(), pattern)

    return [image for image in images if any(fits(name, value) for name in image.names for value in values)]


def _before(images: _Images, values: Sequence[str], resolve: _Resolve) -> _Images:
    limit = min(created(resolve(value)) for value in values)
    return [image for image in images if created(image) < limit]


def _since(images: _Images, values: Sequence[str], resolve: _Resolve) -> _Images:
    limit = max(created(resolve(value)) for value in values)
    return [image for image in images if created(image) > limit]


_FILTERS: dict[str, Callable[[_Images, Sequence[str], _Resolve], _Images]] = {
    "before": _before,
    "dangling": _dangling,
    "label": _label,
    "reference": _reference,
    "since": _since,
}
