"""Remove what untrusted tools claim: metadata that would control how they are run, and ids.

Runners rely on a tool's metadata: its API operation, or the MCP server that listed it. Only
toolret's own sources may write these; a row that sets them could be run as something other than it
claims, with that thing's credentials.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from toolret.types import Tool

__all__ = ["namespace_of", "without_claims"]

_OPERATION = frozenset({"method", "path", "server", "arguments"})
"""Keys that together define an operation; individually they are harmless."""

_MCP_SERVER = "mcp_server"


def without_claims(tool: Tool) -> Tool:
    """Remove metadata that would make a tool run as an API operation or an MCP tool."""
    claimed = {_MCP_SERVER} & tool.metadata.keys()
    if tool.metadata.keys() >= _OPERATION:
        claimed |= _OPERATION
    if not claimed:
        return tool
    kept = {key: value for key, value in tool.metadata.items() if key not in claimed}
    return replace(tool, metadata=kept)


def namespace_of(tool_id: str, namespaces: Iterable[str]) -> str | None:
    """The namespace that an id belongs to, of several: the longest; None if it is in none."""
    there = (each for each in namespaces if not each or tool_id.startswith(f"{each}."))
    return max(there, key=len, default=None)
