"""HTTP servers that do what ``OpenAIServer`` is too well-behaved for."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.http_servers import serving


def completion(text: str) -> dict[str, Any]:
    """A chat completion."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }


class Wire:
    """What a server saw: connections, those of them that are open, and requests."""

    def __init__(self) -> None:
        self.base_url = ""
        self.connections = self.open = 0
        self.requests = 0
        self.lock = threading.Lock()

    def count(self, **changes: int) -> None:
        with self.lock:
            for name, change in changes.items():
                setattr(self, name, getattr(self, name) + change)


@contextmanager
def answering(answer: Callable[[str], str], *, seconds: float = 0.0) -> Iterator[Wire]:
    """Answers each request by its last message's text, after a while."""
    wire = Wire()
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            wire.count(connections=1, open=1)

        def finish(self) -> None:
            wire.count(open=-1)
            super().finish()

        def do_POST(self) -> None:
            wire.count(requests=1)
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            closing.wait(seconds)
            body = json.dumps(completion(answer(request["messages"][-1]["content"]))).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the client is gone

    with serving(Handler) as url:
        wire.base_url = f"{url}/v1"
        try:
            yield wire
        finally:
            closing.set()


@contextmanager
def dripping() -> Iterator[str]:
    """The base URL of a server that sends one byte of its body every tenth of a second."""
    closing = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip(connection: socket.socket) -> None:
        with connection:
            connection.recv(65_536)
            head = (
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
            )
            try:
                connection.sendall(head.encode())
                while not closing.wait(0.1):
                    connection.sendall(b" ")
            except OSError:
                return  # the client is gone

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(connection,), daemon=True).start()

    with listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        closing.set()
        listener.shutdown(socket.SHUT_RDWR)
