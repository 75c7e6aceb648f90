"""Read the security requirements of API documents: scopes, and how to authenticate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolret.catalogs.refs import Place, References
from toolret.types import Permissions

__all__ = ["Security", "read_security"]


@dataclass(frozen=True, slots=True)
class Security:
    """An operation's security requirements.

    Attributes:
        permissions: Required scopes, one set per alternative; empty if an alternative needs none.
        alternatives: How to authenticate: each alternative's schemes by name, with their ``type``
            and ``scopes``; for an API key also ``in`` and ``name``, for HTTP the ``scheme``.
    """

    permissions: Permissions
    alternatives: list[dict[str, dict[str, Any]]]


def read_security(raw: Any, place: Place, schemes: Any, there: Place, refs: References) -> Security:
    """Read the requirements of an operation, or of a whole document.

    Args:
        raw: The list of requirements, any one of which is enough.
        place: The list's place.
        schemes: The document's schemes by name.
        there: The schemes' place.
        refs: The document's references.

    Raises:
        CatalogError: If a requirement is malformed; it is never silently dropped.
    """
    if not isinstance(raw, list):
        raise place.wrong("an array", raw)
    scope_sets: list[frozenset[str]] = []
    alternatives: list[dict[str, dict[str, Any]]] = []
    for index, requirement in enumerate(raw):
        here = place / index
        if not isinstance(requirement, dict):
            raise here.wrong("an object", requirement)
        required: set[str] = set()
        alternative: dict[str, dict[str, Any]] = {}
        for name, scopes in requirement.items():
            if not isinstance(scopes, list) or not all(isinstance(s, str) for s in scopes):
                raise (here / name).wrong("a list of scopes", scopes)
            required.update(scopes)
            declared = there.object(schemes).get(name)
            scheme = _scheme(refs.follow(declared, there / name)[0])
            alternative[name] = scheme | ({"scopes": scopes} if scopes else {})
        scope_sets.append(frozenset(required))
        alternatives.append(alternative)
    permissions = () if frozenset() in scope_sets else tuple(dict.fromkeys(scope_sets))
    return Security(permissions, alternatives)


def _scheme(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a scheme in OpenAPI 3's terms; its type is "" if it is not declared."""
    kind = raw.get("type")
    if kind == "basic":  # Swagger
        return {"type": "http", "scheme": "basic"}
    if kind == "apiKey" and isinstance(raw.get("name"), str) and isinstance(raw.get("in"), str):
        return {"type": kind, "in": raw["in"], "name": raw["name"]}
    if kind == "http":
        return {"type": kind, "scheme": str(raw.get("scheme", "")).lower()}
    return {"type": kind if isinstance(kind, str) and kind != "apiKey" else ""}
