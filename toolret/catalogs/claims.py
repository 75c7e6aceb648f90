"""Remove the false claims of untrusted tools: metadata that controls how they are run, and ids.

Runners rely on a tool's metadata: its API operation, or the MCP server that listed it. Only
toolret's own sources may write these; a row that sets them could be run as something other than it
claims, with that thing's credentials.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from toolret.types import OPERATION_KEYS, Tool

__all__ = ["namespace_of", "without_claims"]

_MCP_SERVER = "mcp_server"
"""Key of the server that listed an MCP tool."""


def without_claims(tool: Tool) -> Tool:
    """Return a tool without metadata that would make it run as an API operation or an MCP tool."""
    claimed = {_MCP_SERVER} & tool.metadata.keys()
    if tool.metadata.keys() >= OPERATION_KEYS:
        claimed |= OPERATION_KEYS
    if not claimed:
        return tool
    kept = {key: value for key, value in tool.metadata.items() if key not in claimed}
    return replace(tool, metadata=kept)


def namespace_of(tool_id: str, namespaces: Iterable[str]) -> str | None:
    """Return the longest of the namespaces that a tool's id is in; None if it is in none."""
    fitting = (space for space in namespaces if not space or tool_id.startswith(f"{space}."))
    return max(fitting, key=len, default=None)
