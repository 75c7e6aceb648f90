"""Read function schemas in the formats of OpenAI and Anthropic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from toolret.catalogs.argument_maps import with_properties
from toolret.catalogs.claims import without_claims
from toolret.catalogs.source import Document
from toolret.errors import CatalogError
from toolret.json_values import short_repr
from toolret.rows import check_spelling, tool_from_row
from toolret.types import Tool

__all__ = ["FunctionSchemas", "schema_tool"]

_SCHEMA_FIELDS = {
    "OpenAI Chat function": "parameters",
    "OpenAI Responses function": "parameters",
    "Anthropic tool": "input_schema",
}
"""The field that holds the JSON Schema, by format."""

_NAMESPACE = "OpenAI namespace"
"""The format of a named list of functions."""

_HOSTED = "tool that its provider runs"
"""The format of a tool that has no schema, because the provider of the model runs it."""

_HOSTED_TYPES = re.compile(
    r"(apply_patch|code_execution|code_interpreter|computer|computer_use|custom|file_search"
    r"|image_generation|local_shell|mcp|mcp_toolset|shell|tool_search|tool_search_tool_[a-z0-9]+"
    r"|web_fetch|web_search)(_preview)?(_\d{8}|_\d{4}_\d\d_\d\d)?"
    r"|(bash|memory|text_editor)_\d{8}"
)
"""The ``type`` of provider-hosted tools; Anthropic's end in a date."""

_OWN_SCHEMAS = ("inputSchema", "parameters")
"""Fields that provider-hosted tools do not have."""


class FunctionSchemas:
    """Reads function schemas of OpenAI's Chat Completions and Responses, and of Anthropic.

    A Responses ``namespace`` becomes its functions' namespace. ``permissions`` are read as in rows.
    Other fields (``strict``, ``input_examples``, ...) are kept in the tool's metadata.
    """

    reads = "function schemas of OpenAI and Anthropic"

    def recognizes(self, content: Any) -> bool:
        """Whether the content has one of the formats."""
        return isinstance(content, dict) and bool(_format_name(content))

    def kind(self, content: Any) -> str:
        """Return the format."""
        return _format_name(content)

    def tools(self, document: Document, *, namespace: str | None) -> Iterator[Tool]:
        """Yield the tool of a schema, or those of a namespace.

        Raises:
            CatalogError: If it is invalid, or a provider-hosted tool.
        """
        content: dict[str, Any] = document.content
        format_name = _format_name(content)
        if format_name == _HOSTED:
            raise CatalogError(
                f"a tool of type {short_repr(content['type'])} is run by its provider and has no "
                "schema to choose it by: leave it out, and bind it beside the chosen tools",
                file=document.file,
                place=document.at,
            )
        if format_name == _NAMESPACE:
            yield from self._namespace_tools(document, content)
            return
        function = content.get("function", content)
        if not isinstance(function, dict):
            raise CatalogError(
                f"the field `function` should be an object, not {short_repr(function)}",
                file=document.file,
                place=document.at,
            )
        fields = content | function
        fields = {k: v for k, v in fields.items() if k not in ("function", "type")}
        if format_name.startswith("OpenAI") and fields.get("parameters") is None:
            # In OpenAI's formats this means that there are no arguments; in others, unknown ones.
            fields["parameters"] = {"type": "object", "properties": {}}
        check_spelling(
            fields, ("permissions",), error=CatalogError, file=document.file, place=document.at
        )
        permissions = fields.pop("permissions", None)
        yield schema_tool(
            fields,
            document,
            schema=_SCHEMA_FIELDS[format_name],
            namespace=namespace,
            permissions=permissions,
        )

    def _namespace_tools(self, document: Document, content: dict[str, Any]) -> Iterator[Tool]:
        """Yield the functions of an OpenAI namespace as tools."""
        items, name = content["tools"], content.get("name")
        if not isinstance(items, list) or not isinstance(name, str) or not name.strip():
            raise CatalogError(
                "a namespace needs a `name`, and a list of `tools`",
                file=document.file,
                place=document.at,
            )
        for index, item in enumerate(items):
            place = f"{document.at}/tools/{index}"
            if not self.recognizes(item):
                raise CatalogError(
                    f"expected a function, found {short_repr(item)}",
                    file=document.file,
                    place=place,
                )
            yield from self.tools(replace(document, content=item, at=place), namespace=name)


def schema_tool(
    fields: dict[str, Any],
    document: Document,
    *,
    schema: str,
    namespace: str | None,
    tags: tuple[str, ...] = (),
    permissions: Any = None,
) -> Tool:
    """Make a tool from a named and described schema.

    Args:
        fields: The tool's ``name``, ``description`` and schema; other fields become metadata,
            except those that would control how the tool is run.
        document: The document, for messages.
        schema: Name of the field that holds the JSON Schema.
        namespace: The tool's namespace.
        tags: The tool's labels.
        permissions: The tool's permissions, as in a row.

    Raises:
        CatalogError: If a field is missing or of a wrong type.
    """
    parameters = fields.get(schema)
    if parameters is not None and not isinstance(parameters, dict):
        raise CatalogError(
            f"the field `{schema}` should be an object, not {short_repr(parameters)}",
            file=document.file,
            place=document.at,
        )
    row: dict[str, Any] = {key: fields[key] for key in ("name", "description") if key in fields}
    row |= {
        "parameters": parameters,
        "namespace": namespace or "",
        "tags": list(tags),
        "permissions": permissions,
        "metadata": {
            key: value
            for key, value in fields.items()
            if key not in ("name", "description", schema)
        },
    }
    tool = tool_from_row(row, file=document.file, place=document.at)
    return with_properties(without_claims(tool))


def _format_name(content: dict[str, Any]) -> str:
    """Return the name of a function schema's format; empty if it has none of them."""
    type_ = content.get("type")
    if isinstance(content.get("function"), dict) or (type_ == "function" and "function" in content):
        return "OpenAI Chat function"
    if "input_schema" in content:
        return "Anthropic tool"
    if type_ == "function":
        return "OpenAI Responses function"
    if type_ == "namespace" and "tools" in content:
        return _NAMESPACE
    is_hosted = isinstance(type_, str) and _HOSTED_TYPES.fullmatch(type_)
    return _HOSTED if is_hosted and content.keys().isdisjoint(_OWN_SCHEMAS) else ""
