"""Arguments that ask the model for a secret which the program that calls the API sends itself."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolret.json_values import json_pointer
from toolret.lint.findings import Finding
from toolret.types import Tool

__all__ = ["secret_arguments"]

_SECRET_NAMES = frozenset(
    {
        "accesskey",
        "accesstoken",
        "apikey",
        "apitoken",
        "authorization",
        "authtoken",
        "bearertoken",
        "oauthtoken",
        "password",
        "token",
        "xapikey",
    }
)
"""Names of secrets by which an API knows its caller, in lower case and without separators."""

_SECRET_PLACES = frozenset({"cookie", "header", "query"})
"""Places of a request, besides its path and body, where the name alone tells a secret, although
page tokens stand there, too."""

_SECRET_WORDING = re.compile(
    r"\b(access|api|auth\w*|bearer|oauth)[\s_-]?(key|token)", re.IGNORECASE
)
"""Words that describe such a secret. In a body the name alone does not tell: a card may have a
token, too."""


def secret_arguments(tools: Sequence[Tool]) -> Iterator[Finding]:
    """Find arguments of API operations that repeat a security scheme of the document.

    One finding names all operations of an API that have the argument.
    """
    groups: defaultdict[tuple[str, str, tuple[str, ...]], list[str]] = defaultdict(list)
    for tool in tools:
        schemes = _schemes(tool)
        for name in _secret_names(tool) if schemes else ():
            groups[tool.namespace, name, schemes].append(tool.id)
    for (_, name, schemes), ids in groups.items():
        listed = " or ".join(map(repr, schemes))
        who = "it asks" if len(ids) == 1 else f"{len(ids)} tools ask"
        problem = (
            f"{who} the model for {name!r}, a secret that the API's security scheme {listed} "
            "stands for"
        )
        yield Finding("asks-for-secret", tuple(ids), problem, json_pointer("", "properties", name))


def _schemes(tool: Tool) -> tuple[str, ...]:
    """Return the names of an operation's security schemes; none if the tool is no operation."""
    alternatives = tool.metadata.get("security") if "arguments" in tool.metadata else None
    if not isinstance(alternatives, list):
        return ()
    names = [name for schemes in alternatives if isinstance(schemes, Mapping) for name in schemes]
    return tuple(sorted({str(name) for name in names}))


def _secret_names(tool: Tool) -> Iterator[str]:
    """Yield the names of an operation's arguments that are secrets of its caller."""
    places, parameters = tool.metadata.get("arguments"), tool.parameters or {}
    properties = parameters.get("properties")
    if not (isinstance(places, Mapping) and isinstance(properties, Mapping)):
        return
    for name, schema in properties.items():
        if re.sub(r"[^a-z]", "", str(name).lower()) not in _SECRET_NAMES:
            continue
        place = places.get(name)
        where = place.get("in") if isinstance(place, Mapping) else None
        if where in _SECRET_PLACES or (where != "path" and _is_described_as_secret(schema)):
            yield str(name)


def _is_described_as_secret(schema: Any) -> bool:
    text = schema.get("description") if isinstance(schema, Mapping) else None
    return isinstance(text, str) and _SECRET_WORDING.search(text) is not None
