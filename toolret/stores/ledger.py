"""The bookkeeping of a store beyond this machine, as documents.

- A *head* says what one complete sync left: it is numbered, created once and never changed, so
  whoever publishes from an outdated head is told so, and changes nothing.
- *Pages* say under which name each record is stored. They are told apart by the first digits of
  the keys, and a page that a sync does not change is shared by the heads before and after it.
- A *claim* on the next number says who is writing, and how many documents are stored for it.

Records and pages are named by the sync that stored them. No name is used twice, so that what was
deleted is never referred to again.
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
from toolret.records import KINDS, Generation, Kind, Record, record_key
from toolret.stores.engines import Document, Fields
from toolret.vectors import checksum, pack, unpack, vector_key

__all__ = [
    "Claim",
    "Entry",
    "Head",
    "Part",
    "is_record",
    "page_of",
    "page_text",
    "pages",
    "pages_stem",
    "prefix_bits",
    "read_page",
    "read_record",
    "record_document",
    "records_stem",
    "understood",
]

_FORMAT = "1"
"""Version of what stands in the documents; another version is refused."""

_PAGE = 256
"""Records of a full page: with some 90 bytes a record, below the 40 KB of metadata that some
engines allow."""

_KEY_BITS = 32
"""Of a key, the bits that choose its page: as many as can ever be needed."""


class Entry(NamedTuple):
    """A record with what was embedded of it and its vector, shape ``(dimensions,)``."""

    record: Record
    text: str
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Part:
    """One collection, as a head has it.

    Attributes:
        generation: How many syncs changed it.
        changes: How many records all of them together added or removed.
        space: The identity of its vectors; empty where there are none.
        pages: Names of its pages, in order of the keys.
    """

    generation: int = 0
    changes: int = 0
    space: str = ""
    pages: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """What tells it from any other: no name of a page is used twice."""
        return sha256("\n".join(self.pages).encode()).hexdigest() if self.generation else ""


@dataclass(frozen=True, slots=True)
class Head:
    """An index after one complete sync.

    Attributes:
        number: 1 for the first sync.
        author: Who wrote it; unique to the sync.
        parts: Both collections.
    """

    number: int = 0
    author: str = ""
    parts: Mapping[Kind, Part] = field(default_factory=lambda: {kind: Part() for kind in KINDS})

    @property
    def pages(self) -> set[str]:
        """Names of the pages of both collections."""
        return {name for part in self.parts.values() for name in part.pages}

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Of each collection."""
        return tuple((self.parts[kind].generation, self.parts[kind].digest) for kind in KINDS)

    @staticmethod
    def name(number: int) -> str:
        """The name of its document."""
        return f"head/{number}"

    def document(self) -> Document:
        """It, as a document."""
        return Document(Head.name(self.number), _fields(self))

    @classmethod
    def of(cls, fields: Fields, *, place: str) -> Self:
        """The inverse of ``document``.

        Raises:
            StoreError: If another version of toolret wrote it, or it is damaged.
        """
        if fields.get("format") != _FORMAT:
            raise StoreError(
                f"{place}: the index was written by another version of toolret (format "
                f"{fields.get('format')}, this one reads {_FORMAT}): build it again elsewhere"
            )
        with understood(place, "head"):
            data = json.loads(fields["body"])
            parts = {
                kind: Part(**data["parts"][kind] | {"pages": tuple(data["parts"][kind]["pages"])})
                for kind in KINDS
            }
            return cls(int(data["number"]), data["author"], parts)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who is about to write the head of a number.

    Attributes:
        number: Of the head.
        author: The writer, unique to the sync.
        beat: Changes as long as the writer is alive.
        drafts: By what their names begin with, how many documents were stored or were about to
            be: the writer's own, and those of the dead that it took over from.
        given_up: Whether the writer failed and said so.
    """

    number: int
    author: str
    beat: int = 0
    drafts: Mapping[str, int] = field(default_factory=dict)
    given_up: bool = False

    @staticmethod
    def name(number: int) -> str:
        """The name of its document."""
        return f"claim/{number}"

    def document(self) -> Document:
        """It, as a document."""
        return Document(Claim.name(self.number), _fields(self))

    @classmethod
    def of(cls, fields: Fields, *, place: str) -> Self:
        """The inverse of ``document``.

        Raises:
            StoreError: If it is damaged.
        """
        with understood(place, "claim"):
            return cls(**json.loads(fields["body"]))

    def beating(self) -> Self:
        """The next sign of life."""
        return replace(self, beat=self.beat + 1)

    def drafting(self, stem: str, count: int) -> Self:
        """The same with so many further documents of a stem."""
        return replace(self, drafts={**self.drafts, stem: self.drafts.get(stem, 0) + count})

    def names(self, *, records_only: bool = False, own_only: bool = False) -> list[str]:
        """The names of all drafts; or only of records, or of what the author stored itself."""
        own = records_stem(self.author), pages_stem(self.author)
        return [
            f"{stem}/{index}"
            for stem, count in self.drafts.items()
            if (is_record(stem) or not records_only) and (stem in own or not own_only)
            for index in range(count)
        ]


def records_stem(author: str) -> str:
    """What the names of an author's records begin with; a number follows."""
    return f"records/{author}"


def pages_stem(author: str) -> str:
    """What the names of an author's pages begin with; a number follows."""
    return f"pages/{author}"


def is_record(name: str) -> bool:
    """Whether a document is a record, and not bookkeeping."""
    return name.startswith("records/")


def prefix_bits(records: int) -> int:
    """How many of a key's first bits choose its page, so that pages are half full or more."""
    return min(_KEY_BITS, max(0, (2 * records - 1) // _PAGE).bit_length()) if records else 0


def page_of(key: str, bits: int) -> int:
    """The page of a key, which is hexadecimal."""
    return int(key[: _KEY_BITS // 4], 16) >> (_KEY_BITS - bits)


def pages(names: Mapping[str, str]) -> list[dict[str, str]]:
    """Names of documents by the records' keys, in order and cut into pages."""
    bits = prefix_bits(len(names))
    cut: list[dict[str, str]] = [{} for _ in range(1 << bits)] if names else []
    for key in sorted(names):
        cut[page_of(key, bits)][key] = names[key]
    return [some for some in cut if some]


def page_text(page: Mapping[str, str]) -> str:
    """A page as its document holds it: the same names give the same text."""
    return json.dumps(page, separators=(",", ":"), sort_keys=True)


def read_page(fields: Fields) -> dict[str, str] | None:
    """The inverse of ``page_text``; None for a page that is damaged."""
    try:
        names: dict[str, str] = json.loads(fields["body"])
    except (KeyError, ValueError):
        return None
    typed = isinstance(names, dict) and all(isinstance(name, str) for name in names.values())
    return names if typed else None


def record_document(name: str, record: Record, text: str, vector: NDArray[np.float32]) -> Document:
    """A record with its vector: exact as text, for engines normalise what they are given."""
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


def read_record(fields: Fields, *, space: str = "") -> Entry | None:
    """The inverse of ``record_document``; None for a record that is damaged.

    Args:
        fields: What the document holds; those of earlier versions have no checksum.
        space: The identity of the vectors, if it is known: with it the text is checked.
    """
    try:
        packed = base64.b64decode(fields["vector"], validate=True)
        record = Record(fields["key"], fields["id"], fields["row"], fields["vector_key"])
        text, check = fields["text"], _checksum(record, packed)
        whole = (
            record.key == record_key(record.vector_key, record.row)
            and (not space or record.vector_key == vector_key(space, text))
            and fields.get("checksum", check) == check
        )
        return Entry(record, text, unpack(packed)) if whole else None
    except (KeyError, ValueError):  # fields are missing, or are no numbers in base 64
        return None


def _checksum(record: Record, packed: bytes) -> str:
    return str(checksum(f"{record.key}\0{record.id}", packed))


@contextmanager
def understood(place: str, name: str) -> Iterator[None]:
    """Raises ``StoreError`` where a document of the bookkeeping cannot be understood."""
    try:
        yield
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{place}: the document {name!r} is damaged: put back a copy, or build the index "
            "again elsewhere"
        ) from error


def _fields(value: Head | Claim) -> dict[str, str]:
    body: dict[str, Any] = asdict(value)
    return {"format": _FORMAT, "body": json.dumps(body, separators=(",", ":"))}
