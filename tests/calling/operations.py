"""Tools of documents with one operation."""

from __future__ import annotations

from typing import Any

from toolret.catalogs import load_tools
from toolret.types import Tool

__all__ = ["SERVER", "operation", "parameter"]

SERVER = "https://api.example.com/v1"


def operation(
    *parameters: dict[str, Any],
    body: dict[str, Any] | None = None,
    path: str = "/items",
    method: str = "post",
    **more: Any,
) -> Tool:
    """The tool of a document with one operation."""
    raw: dict[str, Any] = {"operationId": "op", "parameters": list(parameters), **more}
    if body is not None:
        raw["requestBody"] = {"content": body}
    (tool,) = load_tools(
        {
            "openapi": "3.1.0",
            "info": {"title": "T"},
            "servers": [{"url": SERVER}],
            "paths": {path: {method: raw}},
            "components": {
                "securitySchemes": {
                    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
                    "query_key": {"type": "apiKey", "in": "query", "name": "api key"},
                    "cookie_key": {"type": "apiKey", "in": "cookie", "name": "session"},
                    "basic": {"type": "http", "scheme": "Basic"},
                    "bearer": {"type": "http", "scheme": "bearer"},
                    "digest": {"type": "http", "scheme": "digest"},
                    "nameless": {"type": "http"},
                    "login": {"type": "oauth2", "flows": {}},
                    "connect": {"type": "openIdConnect", "openIdConnectUrl": "https://x"},
                    "tls": {"type": "mutualTLS"},
                }
            },
        }
    )
    return tool


def parameter(name: str, where: str = "query", **fields: Any) -> dict[str, Any]:
    return {"name": name, "in": where, "schema": {}, "required": where == "path", **fields}
