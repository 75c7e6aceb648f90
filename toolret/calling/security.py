"""Credentials for API operations, from the caller's hook to their place in a request."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

from toolret.errors import CallError
from toolret.types import Tool

__all__ = ["Credentials", "Placed", "Secret", "SecurityScheme", "placed_credentials"]

_BEARING = frozenset({"oauth2", "openIdConnect"})
"""Types whose tokens are sent as bearer tokens."""

_COOKIE = "!#$%&'()*+-./:<=>?@[]^_`{|}~"
"""What a cookie's value may hold besides letters and digits (RFC 6265); servers don't decode it."""


@dataclass(frozen=True, slots=True)
class SecurityScheme:
    """A security scheme: what an API requires of a caller.

    Attributes:
        name: Its name in the API's document.
        type: ``apiKey``, ``http``, ``oauth2`` or ``openIdConnect``.
        scopes: The scopes that the token must have.
        scheme: For ``http``: ``basic``, ``bearer``, ...
        origin: Where the secret would be sent: scheme, host and port of the server. A document
            names its server itself, so give a secret only to an origin that you know.
        tool: The id of the tool that is called.
    """

    name: str
    type: str
    scopes: tuple[str, ...]
    scheme: str
    origin: str
    tool: str


Secret: TypeAlias = str | tuple[str, str] | None
"""A key or token, or a user name and password; None if the caller has none."""

Credentials: TypeAlias = Callable[[SecurityScheme], Secret]
"""The caller's hook: called for every call, so that tokens may change."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Credentials in their places, ready to send: names and values."""

    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    cookies: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Placed) -> Placed:
        return Placed(
            self.headers + other.headers, self.query + other.query, self.cookies + other.cookies
        )


def placed_credentials(tool: Tool, origin: str, credentials: Credentials | None) -> Placed:
    """Return credentials for the first alternative of a tool's security that the caller has.

    Args:
        tool: The tool, with ``security`` in its metadata if it needs any.
        origin: Where they would be sent.
        credentials: The caller's hook; without one nothing is placed.

    Raises:
        CallError: If the caller lacks credentials for every alternative, or the hook gives
            something else.
    """
    alternatives: list[Mapping[str, Any]] = tool.metadata.get("security") or []
    if credentials is None or not alternatives:
        return Placed()
    # Prefer to authenticate where an API also allows anonymous calls.
    for alternative in sorted(alternatives, key=lambda schemes: not schemes):
        placed = Placed()
        for name, definition in alternative.items():
            one = _placed(name, definition, tool, origin, credentials)
            if one is None:
                break
            placed += one
        else:
            return placed
    wanted = " or ".join(" and ".join(schemes) for schemes in alternatives)
    raise CallError(f"{tool.id!r} needs credentials ({wanted}), and the hook gave none")


def _placed(
    name: str,
    definition: Mapping[str, Any],
    tool: Tool,
    origin: str,
    credentials: Credentials,
) -> Placed | None:
    type_ = definition.get("type")
    if type_ == "mutualTLS":  # the HTTP client's certificate
        return Placed()
    if type_ not in ("apiKey", "http", *_BEARING):
        return None
    if type_ == "http" and not definition.get("scheme"):  # unknown how to send it
        return None
    scheme = SecurityScheme(
        name=name,
        type=type_,
        scopes=tuple(definition.get("scopes") or ()),
        scheme=str(definition.get("scheme") or "").lower(),
        origin=origin,
        tool=tool.id,
    )
    secret = credentials(scheme)
    if secret is None:
        return None
    if not isinstance(secret, str | tuple | list):  # an asynchronous hook's coroutine, for example
        raise CallError(
            f"the credentials hook gave an object of type {type(secret).__name__} for {name!r}: it "
            "has to return a text, a user name and password, or None"
        )
    user_and_password = secret if isinstance(secret, str) else ":".join(secret)
    if type_ == "apiKey":
        key = str(definition.get("name"))
        if definition.get("in") == "query":
            return Placed(query=((quote(key, safe=""), quote(user_and_password, safe="")),))
        if definition.get("in") == "cookie":
            return Placed(cookies=((key, quote(user_and_password, safe=_COOKIE)),))
        return Placed(headers=((key, user_and_password),))
    if scheme.scheme == "basic":
        encoded = b64encode(user_and_password.encode()).decode()
        return Placed(headers=(("Authorization", f"Basic {encoded}"),))
    word = "Bearer" if type_ in _BEARING else scheme.scheme.capitalize()
    return Placed(headers=(("Authorization", f"{word} {user_and_password}"),))
