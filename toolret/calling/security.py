"""Credentials for API operations, from the caller's hook to their place in a request."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

from toolret.calling.results import pauses_a_graph
from toolret.errors import CallError
from toolret.tracing import log_error
from toolret.types import Tool

__all__ = ["Credentials", "PlacedCredentials", "Secret", "SecurityScheme", "place_credentials"]

_log = logging.getLogger(__name__)

_BEARER_TYPES = frozenset({"oauth2", "openIdConnect"})
"""Types of security schemes whose tokens are sent as bearer tokens."""

_COOKIE_CHARACTERS = "!#$%&'()*+-./:<=>?@[]^_`{|}~"
"""Characters that a cookie's value may hold besides letters and digits (RFC 6265). These are not
percent-encoded, because servers do not decode them."""


@dataclass(frozen=True, slots=True)
class SecurityScheme:
    """A security scheme: what an API requires of a caller.

    Attributes:
        name: The scheme's name in the API's document.
        type: ``apiKey``, ``http``, ``oauth2`` or ``openIdConnect``.
        scopes: The scopes that the token must have.
        scheme: The HTTP authentication scheme, such as ``basic`` or ``bearer``, if the type is
            ``http``; otherwise empty.
        origin: Scheme, host and port of the server to which the secret would be sent. A document
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
"""A key or token, or a user name and a password; None if the caller has none."""

Credentials: TypeAlias = Callable[[SecurityScheme], Secret]
"""A hook of the caller that returns a secret; called for every call, so that tokens may change."""


@dataclass(frozen=True, slots=True)
class PlacedCredentials:
    """Credentials by where they go in a request, as names and values that are ready to send."""

    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    cookies: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: PlacedCredentials) -> PlacedCredentials:
        return PlacedCredentials(
            self.headers + other.headers, self.query + other.query, self.cookies + other.cookies
        )


def place_credentials(
    tool: Tool, origin: str, credentials: Credentials | None
) -> PlacedCredentials:
    """Return credentials for the first alternative of a tool's security that the caller can meet.

    Args:
        tool: The tool, with ``security`` in its metadata if it needs any.
        origin: Scheme, host and port of the server to which they would be sent.
        credentials: The caller's hook; without one there are no credentials.

    Raises:
        CallError: If the caller lacks credentials for every alternative, or the hook fails or gives
            something else.
    """
    alternatives: list[Mapping[str, Any]] = tool.metadata.get("security") or []
    if credentials is None or not alternatives:
        return PlacedCredentials()
    # Prefer to authenticate where an API also allows anonymous calls.
    for alternative in sorted(alternatives, key=lambda schemes: not schemes):
        placed = PlacedCredentials()
        for name, definition in alternative.items():
            credential = _place_credential(name, definition, tool, origin, credentials)
            if credential is None:
                break
            placed += credential
        else:
            return placed
    wanted = " or ".join(" and ".join(schemes) for schemes in alternatives)
    raise CallError(f"{tool.id!r} needs credentials ({wanted}), and the hook gave none")


def _place_credential(
    name: str,
    definition: Mapping[str, Any],
    tool: Tool,
    origin: str,
    credentials: Credentials,
) -> PlacedCredentials | None:
    """Return the credential for one scheme of an alternative; None if the caller has none."""
    type_ = definition.get("type")
    if type_ == "mutualTLS":  # the HTTP client's certificate
        return PlacedCredentials()
    if type_ not in ("apiKey", "http", *_BEARER_TYPES):
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
    try:
        secret = credentials(scheme)
    except Exception as error:
        if isinstance(error, CallError) or pauses_a_graph(error):
            raise
        # The model is not told its message, which may quote a secret or where it was asked for.
        log_error(_log, "the credentials hook", error)
        raise CallError(
            f"{tool.id!r} needs credentials ({name}), and the hook raised {type(error).__name__}"
        ) from error
    if secret is None:
        return None
    parts = (secret,) if isinstance(secret, str) else secret
    # An asynchronous hook's coroutine is neither, for example, nor is a password that is None.
    if not isinstance(parts, tuple | list) or not all(isinstance(part, str) for part in parts):
        raise CallError(
            f"the credentials hook gave an object of type {type(secret).__name__} for {name!r}: it "
            "has to return a text, two texts (user name and password), or None"
        )
    if not any(parts):  # a user name or a password alone may be empty
        raise CallError(
            f"the credentials hook gave an empty secret for {name!r}: it has to return None if "
            "there is none"
        )
    text = ":".join(parts)
    if type_ == "apiKey":
        return _place_key(str(definition.get("name")), text, definition.get("in"))
    if scheme.scheme == "basic":
        text = b64encode(text.encode()).decode()
    word = "Bearer" if type_ in _BEARER_TYPES else scheme.scheme.capitalize()
    return PlacedCredentials(headers=(("Authorization", f"{word} {text}"),))


def _place_key(name: str, key: str, where: Any) -> PlacedCredentials:
    """Return an API key in the query, in a cookie or, by default, in a header of this name."""
    if where == "query":
        return PlacedCredentials(query=((quote(name, safe=""), quote(key, safe="")),))
    if where == "cookie":
        return PlacedCredentials(cookies=((name, quote(key, safe=_COOKIE_CHARACTERS)),))
    return PlacedCredentials(headers=((name, key),))
