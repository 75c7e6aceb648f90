"""An MCP server as a program: ``python mcp_server.py stdio`` or ``python mcp_server.py PORT``."""

from __future__ import annotations

import sys

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("files")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def read_file(path: str) -> str:
    """Show what a file holds."""
    return f"contents of {path}"


@server.tool(annotations=ToolAnnotations(destructive_hint=True, idempotent_hint=True))
def delete_file(path: str) -> dict[str, str]:
    """Remove a file for good."""
    if path == "/":
        raise ValueError("the root cannot be removed")
    return {"deleted": path}


@server.tool(structured_output=False)
def picture() -> list[Image | str]:
    """Draw a picture."""
    return ["a dot", Image(data=b"\x89PNG", format="png")]


@server.tool()
async def mount(disk: str, ctx: Context) -> str:
    """Make the files of a disk available: adds a tool to this server."""

    def read_disk(path: str) -> str:
        """Show what a file of the disk holds."""
        return f"{disk}: {path}"

    server.add_tool(read_disk, name=f"read_{disk}")
    await ctx.notify_tools_changed()  # to those who listen, as of 2026-07-28
    await ctx.session.send_tool_list_changed()  # to all others
    return f"mounted {disk}"


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        server.run("streamable-http", port=int(sys.argv[1]))
