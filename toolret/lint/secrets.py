"""Arguments that ask the model for a secret which the caller of an API sends anyhow."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toolret.json_values import json_pointer
from toolret.lint.findings import Finding
from toolret.types import Tool

__all__ = ["secret_arguments"]

_SECRETS = frozenset(
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
"""Names of secrets by which an API knows its caller, without separators and capitals."""

_BESIDE = frozenset({"cookie", "header", "query"})
"""Places outside of what a request is about: secrets stand there, and so do page tokens."""

_SAYS_SO = re.compile(r"\b(access|api|auth\w*|bearer|oauth)[\s_-]?(key|token)", re.IGNORECASE)
"""What is said of such a secret in a body, where a card may have a token, too."""


def secret_arguments(tools: Sequence[Tool]) -> Iterator[Finding]:
    """Find arguments of API operations that a security scheme of the document stands for.

    One finding names all operations of an API that have the argument.
    """
    groups: defaultdict[tuple[str, str, tuple[str, ...]], list[str]] = defaultdict(list)
    for tool in tools:
        schemes = _schemes(tool)
        for name in _secrets(tool) if schemes else ():
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
    """Return the names of the security schemes of an operation; none of other tools."""
    alternatives = tool.metadata.get("security") if "arguments" in tool.metadata else None
    if not isinstance(alternatives, list):
        return ()
    names = [name for schemes in alternatives if isinstance(schemes, Mapping) for name in schemes]
    return tuple(sorted({str(name) for name in names}))


def _secrets(tool: Tool) -> Iterator[str]:
    places, parameters = tool.metadata.get("arguments"), tool.parameters or {}
    properties = parameters.get("properties")
    if not (isinstance(places, Mapping) and isinstance(properties, Mapping)):
        return
    for name, schema in properties.items():
        if re.sub(r"[^a-z]", "", str(name).lower()) not in _SECRETS:
            continue
        place = places.get(name)
        where = place.get("in") if isinstance(place, Mapping) else None
        if where in _BESIDE or (where != "path" and _is_said_to_be(schema)):
            yield str(name)


def _is_said_to_be(schema: Any) -> bool:
    text = schema.get("description") if isinstance(schema, Mapping) else None
    return isinstance(text, str) and _SAYS_SO.search(text) is not None
