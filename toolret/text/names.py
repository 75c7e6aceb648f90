"""Names of tools: those that a text mentions, and the function names that providers accept.

The name on the wire depends on the tool's id alone, so it is the same in every turn and every
process, and no table has to be kept. Ids of plain words joined by single dots keep their words
(``orders.cancelOrder`` becomes ``orders__cancelOrder``); what cannot be kept is replaced, and a
digest of the id makes the name unique.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256

from toolret.text.values import unquoted

__all__ = ["CALL", "DISCOVER", "RESERVED", "ids_by_name", "mentioned_names", "wire_name"]

DISCOVER = "discover_tools"
"""The name of the tool with which a model asks for more tools."""

CALL = "call_tool"
"""The name of the tool with which a model calls what ``DISCOVER`` found."""

RESERVED = frozenset(
    {
        # OpenAI's hosted tools, and what its models call by themselves
        "apply_patch",
        "browser",
        "code_interpreter",
        "computer",
        "computer_use_preview",
        "file_search",
        "functions",
        "image_generation",
        "local_shell",
        "mcp",
        "multi_tool_use",
        "python",
        "shell",
        "tool_search",
        "web_search",
        "web_search_preview",
        # Anthropic's
        "bash",
        "code_execution",
        "memory",
        "str_replace_based_edit_tool",
        "str_replace_editor",
        "tool_search_tool_bm25",
        "tool_search_tool_regex",
        "web_fetch",
        # toolret's own
        CALL,
        DISCOVER,
    }
)
"""Names of tools that others add to a request: two of one name are refused, or confused."""

_MAX_LENGTH = 64
"""The most characters of a name that the strictest provider accepts: OpenAI takes
``^[a-zA-Z0-9_-]{1,64}$``."""

_DIGEST_LENGTH = 12
"""Length of the digest that ends a changed name, in hexadecimal digits: with 48 bits, two of 50,000
ids collide with odds of one in 200,000."""

_PLAIN_PART = re.compile(r"(?!_)[A-Za-z0-9_-]+(?<!_)")
"""A part of an id that is kept as it is: no underscore at either end."""

_DIGEST = re.compile(rf"[0-9a-f]{{{_DIGEST_LENGTH}}}")
"""The form of an id's digest. An id that ends like this is replaced, so that its name is not taken
for one with a digest."""

_BEGINNING = re.compile(r"[A-Za-z]")
"""The first character of a name: some providers accept no digit or hyphen there."""

_IDENTIFIERS = (re.compile(r"\w[\w.:/-]*"), re.compile(r"[^\W_][\w.:/-]*", re.ASCII))
"""Runs of characters that identifiers consist of, with punctuation that may end them. The second
pattern, of ASCII alone, finds names in scripts that join them to words, as Chinese and Japanese."""

_JOINTS = frozenset("_.:/-")
"""Characters that join the words of an identifier."""


def mentioned_names(text: str) -> set[str]:
    """Return the names that a text may mention, case-folded: its identifiers, and all of it.

    A name that is also a word counts only if it is the whole text, which may be in quotation marks.
    """
    text = unquoted(text)
    runs = (run for pattern in _IDENTIFIERS for run in pattern.findall(text))
    words = {run.rstrip(".:/-") for run in runs}
    return {text.strip().casefold()} | {word.casefold() for word in words if _is_identifier(word)}


def _is_identifier(word: str) -> bool:
    """Whether a word cannot be a word of prose: ``listInvoices``, ``list_invoices``, ``a.b``."""
    rest = word[1:]
    return not _JOINTS.isdisjoint(word) or (not rest.isupper() and rest != rest.lower())


@lru_cache(maxsize=65_536)  # the same tools are offered again and again
def wire_name(tool_id: str) -> str:
    """Return the function name for a tool id, which matches ``^[a-zA-Z][a-zA-Z0-9_-]{0,63}$``.

    Different ids have different names: a double underscore stands only where the id has a dot,
    or before the digest of an id that had to be changed.
    """
    parts = tool_id.split(".")
    name = "__".join(parts)
    kept = (
        len(name) <= _MAX_LENGTH
        and _BEGINNING.match(name)
        and all(_PLAIN_PART.fullmatch(part) and "__" not in part for part in parts)
        and not (len(parts) > 1 and _DIGEST.fullmatch(parts[-1]))
        and name.lower() not in RESERVED
    )
    if kept:
        return name
    digest = sha256(tool_id.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    words = re.sub(r"[^A-Za-z0-9-]+", "_", tool_id).strip("_-")
    if not _BEGINNING.match(words):
        words = f"tool_{words}".rstrip("_")
    return f"{words[: _MAX_LENGTH - _DIGEST_LENGTH - 2].rstrip('_')}__{digest}"


def ids_by_name(tool_ids: Iterable[str]) -> dict[str, str]:
    """Return tool ids by their names on the wire, in order.

    If two ids share a name, which somebody would have to contrive, the first keeps it: a call must
    not reach a tool other than the one that was shown.
    """
    ids: dict[str, str] = {}
    for tool_id in tool_ids:
        ids.setdefault(wire_name(tool_id), tool_id)
    return ids
