"""A real HTTP server made of OpenAPI documents by code of its own, not toolret's.

It finds the operation of a request, refuses what the document does not allow, and answers with
what it understood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.conftest import HTTP_METHODS
from tests.http_servers import serving

TOKEN = "s3cret"


class _RefusedError(Exception):
    pass


@dataclass(frozen=True)
class _Operation:
    document: dict[str, Any]
    registry: Registry[Any]
    method: str
    pattern: re.Pattern[str]
    raw: dict[str, Any]
    parameters: list[dict[str, Any]]

    def followed(self, value: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in value:
            target: Any = self.document
            for key in value["$ref"].removeprefix("#/").split("/"):
                target = target[key.replace("~1", "/").replace("~0", "~")]
            value = target
        return value

    def check(self, schema: dict[str, Any], value: Any) -> Any:
        absolute = json.loads(_absolute(schema))
        for error in Draft202012Validator(absolute, registry=self.registry).iter_errors(value):
            raise _RefusedError(f"{value!r}: {error.message}")
        return value


def _absolute(value: Any) -> str:
    """JSON whose references lead into the registry's document."""
    return json.dumps(value).replace('"$ref": "#', '"$ref": "urn:d#')


def _operations(folder: Path) -> Iterator[_Operation]:
    for path in sorted(folder.glob("*.yaml")):
        document = yaml.safe_load(path.read_text("utf-8"))
        whole = Resource.opaque(json.loads(_absolute(document)))
        registry: Registry[Any] = Registry().with_resource("urn:d", whole)
        prefix = urlsplit(document["servers"][0]["url"]).path
        for template, item in document["paths"].items():
            names = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(prefix + template))
            for method in HTTP_METHODS:
                if method in item:
                    raw = item[method]
                    parameters = item.get("parameters", []) + raw.get("parameters", [])
                    yield _Operation(document, registry, method, re.compile(names), raw, parameters)


def _understood(
    operations: Sequence[_Operation], method: str, target: str, headers: Any, body: bytes
) -> dict[str, Any]:
    path, _, query = target.partition("?")
    found = [
        (operation, match)
        for operation in operations
        if operation.method == method.lower() and (match := operation.pattern.fullmatch(path))
    ]
    # As OpenAPI says, a path without parameters comes before one with them.
    found.sort(key=lambda pair: len(pair[1].groupdict()))
    if not found:
        raise _RefusedError(f"no operation {method} {path}")
    operation, match = found[0]
    security = operation.raw.get("security", operation.document.get("security", []))
    if security and {} not in security and headers["Authorization"] != f"Bearer {TOKEN}":
        raise PermissionError
    sent = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
    arguments: dict[str, Any] = {}
    for parameter in map(operation.followed, operation.parameters):
        name, schema = parameter["name"], operation.followed(parameter["schema"])
        texts = {
            "path": [unquote(match.groupdict().get(name, ""))],
            "query": sent.pop(name, []) if parameter["in"] == "query" else [],
            "header": headers.get_all(name, []),
        }[parameter["in"]]
        if texts:
            arguments[name] = operation.check(schema, _read(texts, schema, operation))
        elif parameter.get("required"):
            raise _RefusedError(f"{name} is missing")
    if sent:
        raise _RefusedError(f"unknown query parameters {sent}")
    if body:
        media = operation.followed(operation.raw["requestBody"])["content"]
        content = json.loads(body)
        operation.check(media[headers["Content-Type"]]["schema"], content)
        arguments |= content if isinstance(content, dict) else {"body": content}
    elif operation.raw.get("requestBody", {}).get("required"):
        raise _RefusedError("the body is missing")
    return {"operation": operation.raw["operationId"], "arguments": arguments}


def _read(texts: list[str], schema: dict[str, Any], operation: _Operation) -> Any:
    kind = schema.get("type")
    if kind == "array":
        return [_read([text], operation.followed(schema["items"]), operation) for text in texts]
    (text,) = texts
    return json.loads(text) if kind in ("integer", "number", "boolean") else text


@contextmanager
def catalog_server(folder: Path) -> Iterator[str]:
    """Serve the documents of a folder; the base URL."""
    operations = list(_operations(folder))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = 200
            try:
                reply = _understood(operations, self.command, self.path, self.headers, body)
            except PermissionError:
                status, reply = 401, {"error": "who are you?"}
            except _RefusedError as error:
                status, reply = 422, {"error": str(error)}
            content = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = _answer  # noqa: N815 - as http.server calls them

    with serving(Handler) as url:
        yield url
