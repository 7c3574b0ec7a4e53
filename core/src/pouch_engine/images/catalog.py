"""The catalog: which images there are, under which names, by which manifests, of which layers. Tables and
queries; whoever changes several rows does it in one transaction of the database.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from pouch_engine.state.database import Database
from pouch_hookspecs import Descriptor, Image, Layer

from .configs import CONFIG_LIMIT, ImageConfig, parse_config
from .content import ContentStore
from .references import Reference, parse_reference

_TABLES = """
CREATE TABLE IF NOT EXISTS images (
    id TEXT PRIMARY KEY,
    manifest TEXT NOT NULL,
    chain_id TEXT NOT NULL,
    created TEXT NOT NULL,
    os TEXT NOT NULL,
    architecture TEXT NOT NULL,
    labels TEXT NOT NULL,
    size INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image_manifests (
    digest TEXT PRIMARY KEY,
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS image_manifests_by_image ON image_manifests (image);
CREATE TABLE IF NOT EXISTS image_layers (
    manifest TEXT NOT NULL REFERENCES image_manifests (digest) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    digest TEXT NOT NULL,
    diff_id TEXT NOT NULL,
    chain_id TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (manifest, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image_names (
    name TEXT PRIMARY KEY,
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    manifest TEXT NOT NULL REFERENCES image_manifests (digest)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS image_names_by_image ON image_names (image);
"""


@dataclass(frozen=True)
class ImageRecord:
    """An image as it was when it was looked up.

    Attributes:
        id: digest of its configuration.
        names: `registry/path:tag`, sorted; empty: it is dangling.
        digests: of its manifests; the first is the one in use.
        pinned: `registry/path@digest` of the manifests that its names stand for.
        chain_id: of the top layer; empty for an image without layers.
        created: as its configuration says.
        os: as its configuration says.
        architecture: as its configuration says.
        labels: data; never a source of rights.
        size: of all its layers, unpacked, in bytes.
    """

    id: str
    names: tuple[str, ...]
    digests: tuple[str, ...]
    pinned: tuple[str, ...]
    chain_id: str
    created: datetime | None
    os: str
    architecture: str
    labels: Mapping[str, str]
    size: int
    _catalog: Catalog = field(repr=False, compare=False)

    @cached_property
    def config(self) -> ImageConfig:
        """The whole configuration, read and verified at first use.

        Raises:
            DataDamaged: its blob is missing or damaged.
        """
        return parse_config(self._catalog.content.read(self.id, CONFIG_LIMIT))

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, bottom first, read at first use."""
        return self._catalog.layers(self.digests[0])

    @property
    def repo_tags(self) -> tuple[str, ...]:
        """The names as people write them: `busybox:latest`."""
        return tuple(parse_reference(name).familiar() for name in self.names if "@" not in name)

    @property
    def repo_digests(self) -> tuple[str, ...]:
        """The pinned names as people write them: `busybox@sha256:…`."""
        return tuple(parse_reference(name).familiar() for name in self.pinned)

    def to_model(self) -> Image:
        """Return it in the words of the contract."""
        return Image(
            id=self.id,
            names=self.names,
            digests=self.digests,
            labels=self.labels,
            size_bytes=self.size,
            created=self.created,
            os=self.os,
            architecture=self.architecture,
        )


class Catalog:
    """The tables. Reads from any thread; writes take the connection of a transaction."""

    def __init__(self, database: Database, content: ContentStore) -> None:
        database.define(_TABLES)
        self._database = database
        self.content = content

    def records(self) -> list[ImageRecord]:
        """Return all images, in no order."""
        return self._records("", ())

    def by_id(self, image: str) -> ImageRecord | None:
        """Return an image by its whole id."""
        found = self._records("WHERE id = ?", (image,))
        return found[0] if found else None

    def by_prefix(self, prefix: str) -> list[ImageRecord]:
        """Return the images whose id begins so (after `sha256:`); `prefix` is of hexadecimal digits."""
        return self._records("WHERE id >= ? AND id < ?", (f"sha256:{prefix}", f"sha256:{prefix}g"))

    def by_name(self, name: Reference) -> ImageRecord | None:
        """Return what has exactly this name; by digest also what has a name of the same repository for it."""
        rows = self._database.query("SELECT image FROM image_names WHERE name = ?", (name.full(),))
        if rows:
            return self.by_id(str(rows[0][0]))
        found = self.by_manifest(name.digest) if name.digest else None
        return found if found and name.pinned(name.digest).full() in found.pinned else None

    def by_manifest(self, digest: str) -> ImageRecord | None:
        """Return the image of a manifest."""
        rows = self._database.query("SELECT image FROM image_manifests WHERE digest = ?", (digest,))
        return self.by_id(str(rows[0][0])) if rows else None

    def layers(self, manifest: str) -> tuple[Layer, ...]:
        """Return a manifest's layers, bottom first."""
        rows = self._database.query(
            "SELECT digest, diff_id, chain_id, media_type, size FROM image_layers WHERE manifest = ? ORDER BY position",
            (manifest,),
        )
        fields = ("digest", "diff_id", "chain_id", "media_type", "size")
        return tuple(Layer.model_validate(dict(zip(fields, row, strict=True))) for row in rows)

    def blobs(self) -> set[str]:
        """Return the digests of all content that some image needs."""
        return self._column(
            "SELECT id FROM images UNION SELECT digest FROM image_manifests UNION SELECT digest FROM image_layers"
        )

    def chains(self) -> set[str]:
        """Return the chain ids of all layers of all images."""
        return self._column("SELECT DISTINCT chain_id FROM image_layers")

    def put(
        self,
        rows: sqlite3.Connection,
        image: str,
        config: ImageConfig,
        manifest: Descriptor,
        layers: tuple[Layer, ...],
        size: int,
    ) -> None:
        """Record an image with a manifest, which becomes the one in use; fine if it is there already."""
        rows.execute(
            "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET manifest = excluded.manifest, size = excluded.size",
            (
                image,
                manifest.digest,
                layers[-1].chain_id if layers else "",
                config.created.isoformat() if config.created else "",
                config.os,
                config.architecture,
                json.dumps(dict(config.config.labels)),
                size,
            ),
        )
        added = rows.execute(
            "INSERT OR IGNORE INTO image_manifests VALUES (?, ?, ?, ?)",
            (manifest.digest, image, manifest.media_type, manifest.size),
        )
        if added.rowcount:
            rows.executemany(
                "INSERT INTO image_layers VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (manifest.digest, at, layer.digest, layer.diff_id, layer.chain_id, layer.media_type, layer.size)
                    for at, layer in enumerate(layers)
                ],
            )

    def put_name(self, rows: sqlite3.Connection, name: Reference, image: str, manifest: str) -> None:
        """Give an image a name, taking it from the one that had it."""
        rows.execute("INSERT OR REPLACE INTO image_names VALUES (?, ?, ?)", (name.full(), image, manifest))

    def names(self, rows: sqlite3.Connection, image: str) -> tuple[str, ...]:
        """Return an image's names as they are in this transaction, sorted."""
        found = rows.execute("SELECT name FROM image_names WHERE image = ? ORDER BY name", (image,))
        return tuple(name for (name,) in found)

    def remove_name(self, rows: sqlite3.Connection, name: str) -> None:
        """Take a name away."""
        rows.execute("DELETE FROM image_names WHERE name = ?", (name,))

    def remove(self, rows: sqlite3.Connection, image: str) -> None:
        """Forget an image with its names and manifests."""
        rows.execute("DELETE FROM image_names WHERE image = ?", (image,))
        rows.execute("DELETE FROM images WHERE id = ?", (image,))

    def _column(self, statement: str) -> set[str]:
        return {str(value) for (value,) in self._database.query(statement)}

    def _records(self, where: str, parameters: tuple[object, ...]) -> list[ImageRecord]:
        # `where` is one of this class's own texts.
        images = f"SELECT * FROM images {where}"  # noqa: S608
        chosen = f"(SELECT id FROM images {where})"  # noqa: S608
        names = f"SELECT image, name, manifest FROM image_names WHERE image IN {chosen}"  # noqa: S608
        manifests = f"SELECT image, digest FROM image_manifests WHERE image IN {chosen}"  # noqa: S608
        with self._database.transaction() as rows:
            found = rows.execute(images, parameters).fetchall()
            named = _grouped(rows.execute(names, parameters).fetchall())
            digests = _grouped(rows.execute(manifests, parameters).fetchall())
        return [self._record(row, named[row[0]], [digest for (digest,) in digests[row[0]]]) for row in found]

    def _record(self, row: tuple[Any, ...], names: list[tuple[Any, ...]], digests: list[str]) -> ImageRecord:
        image, manifest, chain_id, created, system, architecture, labels, size = row
        return ImageRecord(
            id=image,
            names=tuple(sorted(name for name, _ in names)),
            digests=(manifest, *sorted(set(digests) - {manifest})),
            pinned=tuple(sorted({parse_reference(name).pinned(digest).full() for name, digest in names})),
            chain_id=chain_id,
            created=datetime.fromisoformat(created) if created else None,
            os=system,
            architecture=architecture,
            labels=json.loads(labels),
            size=size,
            _catalog=self,
        )


def _grouped(rows: Iterable[tuple[Any, ...]]) -> defaultdict[str, list[tuple[Any, ...]]]:
    groups: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for key, *rest in rows:
        groups[key].append(tuple(rest))
    return groups
