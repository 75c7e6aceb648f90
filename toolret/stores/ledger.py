"""The bookkeeping documents of a remote store.

- A *head* describes the result of one complete sync. It is numbered, created once and never
  changed, so a writer that publishes from an outdated head fails without changing anything.
- *Pages* map record keys to document names. Records are divided by the first bits of their keys,
  and a page that a sync does not change is shared by the heads before and after it.
- A *claim* on the next number says who is writing, and which documents were stored for it.

Record and page names contain the sync that stored them. No name is reused, so a deleted document
is never referred to again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from toolret.errors import StoreError
from toolret.stores.engines import Document, Fields
from toolret.stores.records import KINDS, Generation, Kind, Record, record_key
from toolret.stores.vectors import checksum, pack, unpack, vector_key

__all__ = [
    "Claim",
    "EmbeddedRecord",
    "IndexHead",
    "Part",
    "is_record",
    "page_of",
    "page_text",
    "pages",
    "pages_stem",
    "parsing",
    "prefix_bits",
    "read_page",
    "read_record",
    "record_document",
    "records_stem",
]

_FORMAT = "1"
"""Version of the documents' format; documents of other versions are rejected."""

_PAGE = 256
"""Largest number of records in a page: at about 90 bytes each, it stays below the 40 KB of metadata
that some engines allow."""

_KEY_BITS = 32
"""Largest number of leading bits of a key that select its page: more than will ever be needed."""


class EmbeddedRecord(NamedTuple):
    """A record with its embedded text and its vector, shape ``(dimensions,)``."""

    record: Record
    text: str
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Part:
    """One collection, as described by a head.

    Attributes:
        generation: Number of syncs that changed it.
        changes: Total number of records that these syncs added or removed.
        space: Identity of its vectors; empty if there are none.
        pages: Names of its pages, ordered by key.
    """

    generation: int = 0
    changes: int = 0
    space: str = ""
    pages: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Identity of the content: a hash of the page names, which are never reused."""
        return sha256("\n".join(self.pages).encode()).hexdigest() if self.generation else ""


@dataclass(frozen=True, slots=True)
class IndexHead:
    """An index after one complete sync.

    Attributes:
        number: Sequence number, 1 for the first sync.
        author: Random id of the writer, unique to the sync.
        parts: Both collections.
    """

    number: int = 0
    author: str = ""
    parts: Mapping[Kind, Part] = field(default_factory=lambda: {kind: Part() for kind in KINDS})

    @property
    def pages(self) -> set[str]:
        """The page names of both collections."""
        return {name for part in self.parts.values() for name in part.pages}

    @property
    def generations(self) -> tuple[Generation, ...]:
        """The generation of each collection."""
        return tuple((self.parts[kind].generation, self.parts[kind].digest) for kind in KINDS)

    @staticmethod
    def name(number: int) -> str:
        """Return the document name for a number."""
        return f"head/{number}"

    def document(self) -> Document:
        """Convert to a document."""
        return Document(IndexHead.name(self.number), _fields(self))

    @classmethod
    def of(cls, fields: Fields, *, place: str) -> Self:
        """Read from a document's fields: the inverse of ``document``.

        Raises:
            StoreError: If another version of toolret wrote it, or it is damaged.
        """
        if fields.get("format") != _FORMAT:
            raise StoreError(
                f"{place}: the index was written by another version of toolret (format "
                f"{fields.get('format')}, this one reads {_FORMAT}): build it again elsewhere"
            )
        with parsing(place, "head"):
            data = json.loads(fields["body"])
            parts = {
                kind: Part(**data["parts"][kind] | {"pages": tuple(data["parts"][kind]["pages"])})
                for kind in KINDS
            }
            return cls(int(data["number"]), data["author"], parts)


@dataclass(frozen=True, slots=True)
class Claim:
    """A writer's claim on the next head.

    Attributes:
        number: Number of the head to be written.
        author: Random id of the writer, unique to the sync.
        beat: Heartbeat counter: changes while the writer is alive.
        drafts: Number of documents that are stored or about to be, by stem of their names: the
            writer's own, and those of dead writers that it took over from.
        given_up: Whether the writer has released the claim.
    """

    number: int
    author: str
    beat: int = 0
    drafts: Mapping[str, int] = field(default_factory=dict)
    given_up: bool = False

    @staticmethod
    def name(number: int) -> str:
        """Return the document name for a number."""
        return f"claim/{number}"

    def document(self) -> Document:
        """Convert to a document."""
        return Document(Claim.name(self.number), _fields(self))

    @classmethod
    def of(cls, fields: Fields, *, place: str) -> Self:
        """Read from a document's fields: the inverse of ``document``.

        Raises:
            StoreError: If it is damaged.
        """
        with parsing(place, "claim"):
            return cls(**json.loads(fields["body"]))

    def with_next_beat(self) -> Self:
        """Return the claim with its next heartbeat."""
        return replace(self, beat=self.beat + 1)

    def with_drafts(self, stem: str, count: int) -> Self:
        """Return the claim with ``count`` more documents of a stem."""
        return replace(self, drafts={**self.drafts, stem: self.drafts.get(stem, 0) + count})

    def names(self, *, records_only: bool = False, own_only: bool = False) -> list[str]:
        """Return the names of all drafts, optionally only of records or of the author's own."""
        own = records_stem(self.author), pages_stem(self.author)
        return [
            f"{stem}/{index}"
            for stem, count in self.drafts.items()
            if (is_record(stem) or not records_only) and (stem in own or not own_only)
            for index in range(count)
        ]


def records_stem(author: str) -> str:
    """Return the stem of the names of an author's records; a number follows."""
    return f"records/{author}"


def pages_stem(author: str) -> str:
    """Return the stem of the names of an author's pages; a number follows."""
    return f"pages/{author}"


def is_record(name: str) -> bool:
    """Whether a document name is a record's, not bookkeeping."""
    return name.startswith("records/")


def prefix_bits(records: int) -> int:
    """Return how many leading bits of a key select its page: pages are at least half full."""
    return min(_KEY_BITS, max(0, (2 * records - 1) // _PAGE).bit_length()) if records else 0


def page_of(key: str, bits: int) -> int:
    """Return the page number of a hexadecimal key."""
    return int(key[: _KEY_BITS // 4], 16) >> (_KEY_BITS - bits)


def pages(names: Mapping[str, str]) -> list[dict[str, str]]:
    """Divide document names by record key into pages, in order of the keys."""
    bits = prefix_bits(len(names))
    by_number: list[dict[str, str]] = [{} for _ in range(1 << bits)] if names else []
    for key in sorted(names):
        by_number[page_of(key, bits)][key] = names[key]
    return [page for page in by_number if page]


def page_text(page: Mapping[str, str]) -> str:
    """Serialise a page; equal pages give equal text."""
    return json.dumps(page, separators=(",", ":"), sort_keys=True)


def read_page(fields: Fields) -> dict[str, str] | None:
    """Parse a page: the inverse of ``page_text``; None if it is damaged."""
    try:
        names: dict[str, str] = json.loads(fields["body"])
    except (KeyError, ValueError):
        return None
    typed = isinstance(names, dict) and all(isinstance(name, str) for name in names.values())
    return names if typed else None


def record_document(name: str, record: Record, text: str, vector: NDArray[np.float32]) -> Document:
    """Convert a record to a document; it keeps the exact vector, as engines normalise theirs."""
    packed = pack(vector)
    fields = {
        "key": record.key,
        "id": record.id,
        "row": record.row,
        "text": text,
        "vector_key": record.vector_key,
        "vector": base64.b64encode(packed).decode("ascii"),
        "checksum": _checksum(record, packed),
    }
    return Document(name, fields, vector)


def read_record(fields: Fields, *, space: str = "") -> EmbeddedRecord | None:
    """Read a record: the inverse of ``record_document``; None if it is damaged.

    Args:
        fields: The document's fields; those of earlier versions have no checksum.
        space: Identity of the vectors, if known: lets the text be checked.
    """
    try:
        packed = base64.b64decode(fields["vector"], validate=True)
        record = Record(fields["key"], fields["id"], fields["row"], fields["vector_key"])
        text, check = fields["text"], _checksum(record, packed)
        intact = (
            record.key == record_key(record.vector_key, record.row)
            and (not space or record.vector_key == vector_key(space, text))
            and fields.get("checksum", check) == check
        )
        return EmbeddedRecord(record, text, unpack(packed)) if intact else None
    except (KeyError, ValueError):  # fields are missing, or not valid base64
        return None


def _checksum(record: Record, packed: bytes) -> str:
    return str(checksum(f"{record.key}\0{record.id}", packed))


@contextmanager
def parsing(place: str, name: str) -> Iterator[None]:
    """Raise ``StoreError`` if a bookkeeping document cannot be parsed."""
    try:
        yield
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{place}: the document {name!r} is damaged: put back a copy, or build the index "
            "again elsewhere"
        ) from error


def _fields(value: IndexHead | Claim) -> dict[str, str]:
    body: dict[str, Any] = asdict(value)
    return {"format": _FORMAT, "body": json.dumps(body, separators=(",", ":"))}
