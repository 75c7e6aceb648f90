"""An MCP server of 2025, written by hand, as a program on stdio; it lists its tools in pages.

``python old_mcp_server.py`` is a good one; ``endless``, ``twins`` and ``broken`` misbehave, and
what ``odd`` answers is odd.
"""

from __future__ import annotations

import json
import sys
from typing import Any

HABIT = sys.argv[1] if len(sys.argv) > 1 else ""

ODD: dict[str, dict[str, Any]] = {
    "empty": {"content": [{"type": "text", "text": ""}]},
    "blank": {"content": [{"type": "resource", "resource": {"uri": "f://x", "text": ""}}]},
    "structured": {"content": [], "structuredContent": {"balance": 42}},
    "silent": {"content": [], "isError": True},
    "astray": {"content": [{"type": "text", "text": "done"}]},  # not as its output schema says
}
names = [*ODD, "refuse"] if HABIT == "odd" else ["first", "second"]


def send(**message: Any) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def tool(name: str, page: int) -> dict[str, Any]:
    schema = 5 if HABIT == "broken" else {"type": "object"}
    made: dict[str, Any] = {"name": name, "description": f"On page {page}.", "inputSchema": schema}
    if name == "astray":
        made["outputSchema"] = {"type": "object", "required": ["n"]}
    return made


def result(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        return {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "old", "version": "1"},
        }
    if method == "tools/list":
        page = int(params.get("cursor", 0))
        if HABIT == "endless":
            return {"tools": [], "nextCursor": str(page + 1)}
        name = names[0 if HABIT == "twins" else page]
        more = {"nextCursor": str(page + 1)} if page + 1 < len(names) else {}
        return {"tools": [tool(name, page)], **more}
    if method == "tools/call" and HABIT == "odd":
        return ODD.get(params["name"])
    if method == "tools/call":
        if params["name"] == "second":
            sys.exit(1)
        names.append(f"tool{len(names)}")
        send(method="notifications/tools/list_changed")
        return {"content": [{"type": "text", "text": "done"}]}
    return None


for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    answer = result(request["method"], request.get("params") or {})
    if answer is None:
        error = {"code": -32601, "message": "Method not found"}
        send(id=request["id"], error=error)
    else:
        send(id=request["id"], result=answer)
