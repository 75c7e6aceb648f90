"""A company's API document becomes tools that a model finds, plans with and calls.

python examples/openapi_catalog.py

The API and the model are small servers on this machine. For real ones, give ``HttpRunner`` the
credentials of your API, and ``run`` the client ``OpenAI()``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from openai import OpenAI

from toolret import (
    Embedder,
    HttpRunner,
    SecurityScheme,
    Toolbox,
    ToolIndex,
    ToolRetriever,
    load_tools,
)
from toolret.integrations.openai import run
from toolret.stores import temporary_store
from toolret.testing import OpenAIServer, Reply

DOCUMENT = Path(__file__).parent.parent / "tool_catalogs" / "orders.yaml"

REQUEST = "Show order 48812: its lines, its payments and what happened to it so far."

SCRIPT = (
    Reply(tool_calls=[("orders__getOrder", {"orderId": "48812"})]),
    Reply("Order 48812 has shipped."),
)
"""The model's replies."""


def main(embedder: Embedder | None = None) -> None:
    """Index the document, show the plan for a request, and answer it by calling the API."""
    index = ToolIndex(temporary_store(), embedder=embedder)
    index.sync_tools(load_tools(DOCUMENT))
    retriever = ToolRetriever(index, max_tools=4)
    print(retriever.select(REQUEST).explain())

    with (
        api_server() as url,
        OpenAIServer(*SCRIPT) as server,
        OpenAI(base_url=server.base_url, api_key="local") as client,
    ):
        runner = HttpRunner(base_url=url, credentials=credentials)
        result = run(client, retriever, REQUEST, model="gpt-5", tools=Toolbox(index, runner))
    print(f"\nAnswer after {result.turns} turns: {result.text}")


def credentials(scheme: SecurityScheme) -> str | None:
    """Return the user's token, for this API only."""
    return "token-of-the-user" if scheme.origin.startswith("http://127.0.0.1:") else None


@contextmanager
def api_server() -> Iterator[str]:
    """Run a server in place of the company's API, which says of every order that it has shipped."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            print(f"\nThe API was asked: {self.command} {self.path}")
            body = json.dumps({"id": self.path.rsplit("/", 1)[-1], "status": "shipped"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    main()
