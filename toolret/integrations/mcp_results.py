"""Turns what MCP servers answer to calls into outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolret.calling import ToolResult
from toolret.text.results import result_text

if TYPE_CHECKING:
    from mcp.types import CallToolResult

__all__ = ["tool_result"]

_MAX_BYTES = 1_000_000
"""The most bytes of text that a model is shown of a result; as much as of an API's response."""


def tool_result(result: CallToolResult) -> ToolResult:
    """Return a server's answer to a call as an outcome; a text that is too long is cut."""
    blocks: list[dict[str, Any]] = [
        block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content
    ]
    value = result.structured_content
    text = "\n".join(map(_block_text, blocks))
    if not blocks and value is not None:
        text = result_text(value)
    if result.is_error and not text:
        text = "Error: the tool failed and said nothing"
    data = text.encode("utf-8", "replace")
    if len(data) > _MAX_BYTES:
        text = data[:_MAX_BYTES].decode("utf-8", "ignore")
        text += f"\n(cut: the result is longer than {_MAX_BYTES:,} bytes)"
    return ToolResult(text=text, value=blocks if value is None else value, ok=not result.is_error)


def _block_text(fields: Mapping[str, Any]) -> str:
    """Return a content block as a model reads it: its text, or what it holds instead."""
    resource = fields.get("resource", {})
    text: str | None = fields.get("text", resource.get("text"))
    if text is not None:
        return text
    about = [fields.get("mimeType") or resource.get("mimeType"), fields.get("uri")]
    return f"({', '.join(part for part in [fields['type'], *about] if part)})"
