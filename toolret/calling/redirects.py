"""Hide the secrets of a request in the location to which its response redirects."""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_plus

import httpx

from toolret.calling.security import PlacedCredentials

__all__ = ["secret_pattern", "without_secrets"]

_MIN_LENGTH = 8
"""Characters from which a client's own value is a secret even within a word; shorter ones, such as
the version of an API, may be part of a word by chance."""

_MATCHES_NOTHING = r"(?!)"
"""A regular expression that never matches."""

_SERVER = re.compile(r"^((?:[a-zA-Z][\w+.-]*:)?(?://[^/#]*)?)")
"""The server at the beginning of an address, if it names one."""


def secret_pattern(
    client: httpx.Client | httpx.AsyncClient, placed: PlacedCredentials
) -> re.Pattern[str]:
    """Return a pattern for secrets sent in the query: credentials, and the client's own values."""
    patterns = {re.escape(unquote_plus(value)) for _, value in placed.query if value}
    for _, value in client.params.multi_items():
        if len(value) >= _MIN_LENGTH:
            patterns.add(re.escape(value))
        elif value:
            patterns.add(rf"(?<!\w){re.escape(value)}(?!\w)")
    return re.compile("|".join(sorted(patterns)) or _MATCHES_NOTHING)


def without_secrets(secrets: re.Pattern[str], location: str) -> str:
    """Return a redirect's location without secrets; it often quotes the URL of the request."""

    def is_safe(part: str) -> bool:
        # A link to a page for signing in holds the URL percent-encoded once more.
        forms = {part}
        for _ in range(2):
            forms |= {decode(form) for form in forms for decode in (unquote, unquote_plus)}
        return not any(map(secrets.search, forms))

    address, mark, query = location.partition("?")
    _, server, path = _SERVER.split(address, maxsplit=1)
    user, at, host = server.rpartition("@")
    if at and not is_safe(user):
        server = f"//...@{host}"
    path = "/".join(part if is_safe(part) else "..." for part in path.split("/"))
    pairs = query.split("&")
    for index, pair in enumerate(pairs):
        if not is_safe(pair):
            name = pair.partition("=")[0]
            pairs[index] = f"{name if is_safe(name) else ''}=..."
    query = "&".join(pairs)  # across which a secret may reach that holds such signs itself
    return (
        server + (path if is_safe(path) else "/...") + mark + (query if is_safe(query) else "...")
    )
