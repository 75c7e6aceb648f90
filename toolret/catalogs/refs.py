"""The ``$ref``s of one document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from referencing import Registry, Resource
from referencing.exceptions import Unresolvable

from toolret.errors import CatalogError
from toolret.jsonlines import shown

__all__ = ["References", "child"]


def child(pointer: str, key: str | int) -> str:
    """The JSON pointer of what stands under a key."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


class References:
    """Looks up what the references of a document stand for.

    Args:
        document: The whole document.
        file: Its file, for messages.
    """

    def __init__(self, document: Any, file: str) -> None:
        self.file = file
        self._resolver = Registry().with_resource("", Resource.opaque(document)).resolver()
        self._found: dict[str, tuple[Any, str]] = {}

    def lookup(self, ref: str, pointer: str) -> tuple[Any, str]:
        """What a reference leads to.

        Args:
            ref: The value of ``$ref``.
            pointer: Where the reference stands.

        Returns:
            The value, and the JSON pointer where it stands.

        Raises:
            CatalogError: If it leads nowhere or to another document.
        """
        if ref not in self._found:
            if not ref.startswith("#"):
                raise CatalogError(
                    f"$ref {ref!r} leads to another document, which is not read: bundle them",
                    file=self.file,
                    place=child(pointer, "$ref"),
                )
            try:
                value = self._resolver.lookup(ref).contents
            except (Unresolvable, ValueError, TypeError) as exc:
                raise CatalogError(
                    f"$ref {ref!r} leads nowhere", file=self.file, place=child(pointer, "$ref")
                ) from exc
            self._found[ref] = (value, unquote(ref[1:]))
        return self._found[ref]

    def follow(self, value: Any, pointer: str) -> tuple[dict[str, Any], str]:
        """The object that a value is, or that its reference leads to.

        What stands beside a ``$ref`` counts over what it leads to, as OpenAPI 3.1 has it for
        path items and descriptions.

        Returns:
            The object, and the JSON pointer where it stands.

        Raises:
            CatalogError: If it is no object, or a reference leads nowhere or to itself.
        """
        beside: dict[str, Any] = {}
        seen: set[str] = set()
        while isinstance(value, Mapping) and isinstance(ref := value.get("$ref"), str):
            if ref in seen:
                raise CatalogError(
                    f"$ref {ref!r} leads to itself", file=self.file, place=child(pointer, "$ref")
                )
            seen.add(ref)
            beside = {key: part for key, part in value.items() if key != "$ref"} | beside
            value, pointer = self.lookup(ref, pointer)
        return self.object(value, pointer) | beside, pointer

    def object(self, value: Any, pointer: str) -> dict[str, Any]:
        """The value if it is an object; nothing at all counts as an empty one.

        Raises:
            CatalogError: If it is something else.
        """
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        raise self.wrong("an object", value, pointer)

    def array(self, value: Any, pointer: str) -> list[Any]:
        """The value if it is an array; nothing at all counts as an empty one.

        Raises:
            CatalogError: If it is something else.
        """
        if value is None:
            return []
        if isinstance(value, list):
            return value
        raise self.wrong("an array", value, pointer)

    def wrong(self, expected: str, value: Any, pointer: str) -> CatalogError:
        """The error for a value that is not what is expected at this place."""
        return CatalogError(
            f"expected {expected}, found {shown(value)}", file=self.file, place=pointer
        )
