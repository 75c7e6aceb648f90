"""Deterministic stand-ins for tests, users' as well: an embedder, a model, a server."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import numpy as np

from toolret.errors import QueryGenerationError
from toolret.lexical import words
from toolret.llm import Completion, Messages, Schema

__all__ = ["HashedWordsEmbedder", "OpenAIServer", "Reply", "ScriptedChatModel"]


class HashedWordsEmbedder:
    """Texts that share words are near: each word's stem adds to or takes from one dimension.

    The feature hashing of Weinberger et al. (2009). The same in every process.

    Args:
        dimensions: Length of the vectors.
    """

    def __init__(self, dimensions: int = 256) -> None:
        self.dimensions = dimensions

    @property
    def id(self) -> str:
        """The same for all of one length, subclasses too."""
        return f"hashed-words:{self.dimensions}"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One unit vector a text."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """The unit vector of a text; of one without words, the first axis."""
        vector = np.zeros(self.dimensions)
        for word in words(text):
            digest = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big")
            vector[digest % self.dimensions] += 1 if digest >> 63 else -1
        if not vector.any():
            vector[0] = 1
        unit: list[float] = (vector / np.linalg.norm(vector)).tolist()
        return unit


class ScriptedChatModel:
    """A ``ChatModel`` that says what it was told to say.

    Args:
        replies: One after the other, the last for ever: texts, exceptions to raise, or functions
            of the messages.

    Attributes:
        asked: The messages of every call.
    """

    name = "scripted"

    def __init__(self, *replies: str | Exception | Callable[[Messages], str]) -> None:
        self._replies = list(replies)
        self.asked: list[Messages] = []

    def complete(
        self,
        messages: Messages,
        schema: Schema,  # noqa: ARG002 - part of the protocol
        *,
        timeout: float,
    ) -> Completion:
        """The next reply."""
        if timeout <= 0:
            raise QueryGenerationError("no time is left")
        self.asked.append(messages)
        reply = self._replies[min(len(self.asked), len(self._replies)) - 1]
        if isinstance(reply, QueryGenerationError):
            raise reply
        if isinstance(reply, Exception):
            raise QueryGenerationError(f"{type(reply).__name__}: {reply}") from reply
        return Completion(reply if isinstance(reply, str) else reply(messages))

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """The next reply."""
        return self.complete(messages, schema, timeout=timeout)


@dataclass(frozen=True, slots=True)
class Reply:
    """What ``OpenAIServer`` does with one request.

    Attributes:
        content: The text of the assistant's message.
        status: HTTP status; one of 400 on has an error instead of a message.
        body: The raw body, instead of a well-formed one.
        delay: Seconds before the answer.
        refuse_schema: Whether to answer 400 to a request with ``response_format``.
        headers: Further headers, such as ``Retry-After``.
        drop: Whether to close the connection without an answer.
    """

    content: str = ""
    status: int = 200
    body: bytes | None = None
    delay: float = 0.0
    refuse_schema: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False


class OpenAIServer:
    """A real HTTP server on this machine that speaks OpenAI's protocol, as a context manager.

    ``/v1/chat/completions`` gives the scripted replies, the last for ever; ``/v1/embeddings`` the
    vectors of ``HashedWordsEmbedder``.

    Args:
        replies: What to do with the first request, the second, and so on.

    Attributes:
        requests: The bodies of all requests to ``/v1/chat/completions``.
    """

    def __init__(self, *replies: Reply) -> None:
        self._replies = replies or (Reply(),)
        self._embedder = HashedWordsEmbedder()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.requests: list[dict[str, Any]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                server._answer(self, json.loads(self.rfile.read(length)))

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        """What an ``openai`` client takes as ``base_url``."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        if handler.path.endswith("/embeddings"):
            _send(handler, 200, json.dumps(self._embeddings(request)).encode(), {})
            return
        with self._lock:
            self.requests.append(request)
            reply = self._replies[min(len(self.requests), len(self._replies)) - 1]
        self._closing.wait(reply.delay)
        if reply.drop:
            handler.close_connection = True
            return
        status = 400 if reply.refuse_schema and "response_format" in request else reply.status
        body = reply.body
        if body is None:
            body = json.dumps(_completion(request, reply.content, status)).encode()
        _send(handler, status, body, reply.headers)

    def _embeddings(self, request: dict[str, Any]) -> dict[str, Any]:
        texts = [request["input"]] if isinstance(request["input"], str) else request["input"]
        vectors = self._embedder.embed_documents(texts)
        encoded: list[Any] = list(vectors)
        if request.get("encoding_format") == "base64":
            encoded = [
                base64.b64encode(np.array(v, dtype="<f4").tobytes()).decode() for v in vectors
            ]
        return {
            "object": "list",
            "model": request["model"],
            "data": [
                {"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(encoded)
            ],
            "usage": {"prompt_tokens": 0, "total_tokens": 0},
        }


def _completion(request: dict[str, Any], content: str, status: int) -> dict[str, Any]:
    if status >= 400:
        return {"error": {"message": f"scripted {status}", "type": "scripted", "code": None}}
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.get("model", ""),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _send(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str]
) -> None:
    try:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the client gave up waiting, as some tests mean it to
