"""What a row may not say of itself: how it is run.

Runners go by a tool's metadata: the operation of an API, the MCP server that listed it. toolret's
own sources write these; a row that brought them would be run as something else than it says,
with the credentials of that.
"""

from __future__ import annotations

from dataclasses import replace

from toolret.types import Tool

__all__ = ["without_claims"]

_OPERATION = frozenset({"method", "path", "server", "arguments"})
"""What makes an operation, together; alone they are words like any other."""

_MCP_SERVER = "mcp_server"


def without_claims(tool: Tool) -> Tool:
    """The tool, without metadata that would have it run as an operation or an MCP tool."""
    claimed = {_MCP_SERVER} & tool.metadata.keys()
    if tool.metadata.keys() >= _OPERATION:
        claimed |= _OPERATION
    if not claimed:
        return tool
    kept = {key: value for key, value in tool.metadata.items() if key not in claimed}
    return replace(tool, metadata=kept)
