"""A whole catalog behind an MCP server with two tools: any MCP client can search it and call it.

python examples/mcp_server.py CATALOG... --index FOLDER

CATALOG is whatever ``load_tools`` reads, such as an OpenAPI document. A client starts the server
with that command, and asks it by standard input and output. Operations are called where their
document says, or with ``--api URL`` there; only there goes the token that ``API_TOKEN`` holds. What
a client may use is ``toolbox.allowed(...)`` and ``aselect(..., allow=...)``: here, everything.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from toolret import Embedder, HttpRunner, InputError, Toolbox, ToolIndex, ToolRetriever, load_tools


def catalog_server(retriever: ToolRetriever, toolbox: Toolbox) -> MCPServer:
    """Return a server by which clients find the tools of an index, and call them."""
    server = MCPServer("toolret", instructions="Find tools first, then call them by their names.")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def find_tools(request: str) -> str:
        """Find the tools for a request in plain words: names, arguments and worked examples."""
        try:
            selection = await retriever.aselect(request)
        except InputError as error:  # such as an empty request, which the model can put right
            raise ToolError(str(error)) from error
        return selection.to_text() or "No tool of this catalog is for that."

    @server.tool()
    async def call_tool(name: str, arguments: dict[str, Any]) -> str:
        """Call a tool by the name and with the arguments that find_tools gave."""
        result = await toolbox.acall(name, json.dumps(arguments))  # as text: a model wrote them
        if not result.ok:
            raise ToolError(result.text)
        return result.text

    return server


def main(arguments: Sequence[str] | None = None, embedder: Embedder | None = None) -> None:
    """Index the catalog, and serve it until the client hangs up."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("catalogs", nargs="+", metavar="CATALOG")
    parser.add_argument("--index", required=True, metavar="FOLDER")
    parser.add_argument("--api", metavar="URL")
    options = parser.parse_args(arguments)

    index = ToolIndex(options.index, embedder=embedder)
    index.sync_tools(load_tools(*options.catalogs))
    runner = HttpRunner()
    if options.api:
        runner = HttpRunner(
            base_url=options.api, credentials=lambda _scheme: os.environ.get("API_TOKEN")
        )
    retriever = ToolRetriever(index, token_budget=2_000)
    catalog_server(retriever, Toolbox(index, runner)).run("stdio")


if __name__ == "__main__":
    main()
