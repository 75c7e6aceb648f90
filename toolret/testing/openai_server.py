"""A server whose replies are scripted."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import numpy as np

from toolret.testing.hashed_words import HashedWordsEmbedder
from toolret.testing.scripted import argument_deltas, response, response_events, text_deltas

__all__ = ["OpenAIServer", "Reply"]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of an ``OpenAIServer`` to one request.

    Attributes:
        content: The text of the assistant's message.
        tool_calls: The names and arguments of the tools that the message calls, all at once.
        status: The HTTP status; from 400 on, an error is sent instead of a message.
        body: A raw body to send instead of a well-formed one.
        delay: The time before the answer, in seconds.
        refuse_schema: Whether to answer 400 to a request with ``response_format``.
        headers: Further headers, such as ``Retry-After``.
        drop: Whether to close the connection without an answer.
    """

    content: str = ""
    tool_calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    status: int = 200
    body: bytes | None = None
    delay: float = 0.0
    refuse_schema: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False


class OpenAIServer:
    """A real HTTP server on this machine that speaks OpenAI's protocol, as a context manager.

    ``/v1/chat/completions`` and ``/v1/responses`` give the scripted replies, the last one
    repeatedly, as a stream of events if the request asks for that; ``/v1/embeddings`` gives the
    vectors of ``HashedWordsEmbedder``.

    Args:
        replies: The replies to the first request, the second, and so on; or functions from a
            request's body to a reply. If a function fails, the answer says how, with the status
            500.

    Attributes:
        requests: The bodies of all requests except those for embeddings.
    """

    def __init__(self, *replies: Reply | Callable[[dict[str, Any]], Reply]) -> None:
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

        self._http = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        """The ``base_url`` for an ``openai`` client."""
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
        """Record a request, and send the answer that is scripted for it."""
        if handler.path.endswith("/embeddings"):
            _send(handler, 200, json.dumps(self._embeddings(request)).encode(), {})
            return
        with self._lock:
            self.requests.append(request)
            scripted = self._replies[min(len(self.requests), len(self._replies)) - 1]
        reply = scripted if isinstance(scripted, Reply) else _reply_of(scripted, request)
        self._closing.wait(reply.delay)
        if reply.drop:
            handler.close_connection = True
            return
        status = 400 if reply.refuse_schema and "response_format" in request else reply.status
        headers = dict(reply.headers)
        body = reply.body
        if body is None:
            is_response = handler.path.endswith("/responses")
            answer = (_responses_answer if is_response else _chat_answer)(request, reply, status)
            body = json.dumps(answer.body).encode()
            if request.get("stream") and status < 400:
                headers["Content-Type"] = "text/event-stream"
                body = answer.stream()
        _send(handler, status, body, headers)

    def _embeddings(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the body of an answer with the vectors of a request's texts."""
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


class _Server(ThreadingHTTPServer):
    """An HTTP server with a thread per connection, none of which keeps the process from ending."""

    daemon_threads = True
    request_queue_size = 128
    """The number of connections that may wait to be accepted: a test may open many at once."""


def _reply_of(function: Callable[[dict[str, Any]], Reply], request: dict[str, Any]) -> Reply:
    """Return a function's reply to a request; if the function fails, a reply that says how."""
    try:
        return function(request)
    except Exception as error:  # noqa: BLE001 - a test's code: its client is told what is wrong
        body = {"error": _error(f"{type(error).__name__}: {error}")}
        return Reply(status=500, body=json.dumps(body).encode())


def _error(message: str) -> dict[str, Any]:
    return {"message": message, "type": "scripted", "code": None}


@dataclass(frozen=True, slots=True)
class _Answer:
    """The two forms of a reply.

    Attributes:
        body: The whole reply.
        stream: A function that returns the reply as a stream of events.
    """

    body: dict[str, Any]
    stream: Callable[[], bytes]


def _chat_answer(request: dict[str, Any], reply: Reply, status: int) -> _Answer:
    completion = _chat_completion(request, reply, status)
    return _Answer(completion, lambda: _chat_stream(_completion_chunks(request, completion)))


def _responses_answer(request: dict[str, Any], reply: Reply, status: int) -> _Answer:
    if status >= 400:
        return _chat_answer(request, reply, status)
    body = response(request, reply.content, reply.tool_calls)
    return _Answer(body, lambda: _responses_stream(response_events(body)))


def _chat_completion(request: dict[str, Any], reply: Reply, status: int) -> dict[str, Any]:
    if status >= 400:
        return {"error": _error(f"scripted {status}")}
    message: dict[str, Any] = {"role": "assistant", "content": reply.content}
    if reply.tool_calls:
        message["tool_calls"] = [
            {
                "id": f"call_{uuid4().hex}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for name, arguments in reply.tool_calls
        ]
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.get("model", ""),
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if reply.tool_calls else "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _completion_chunks(
    request: dict[str, Any], completion: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield a completion as stream chunks: words one by one, then each call in two pieces."""
    head = {key: completion[key] for key in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"
    choice = completion["choices"][0]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": delta} for delta in text_deltas(message["content"])]
    for index, call in enumerate(message.get("tool_calls", ())):
        first, rest = argument_deltas(call["function"]["arguments"])
        begun = call | {"index": index, "function": call["function"] | {"arguments": first}}
        deltas.append({"tool_calls": [begun]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": rest}}]})
    for delta in deltas:
        yield head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    end = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    yield head | {"choices": [end]}
    if (request.get("stream_options") or {}).get("include_usage"):
        yield head | {"choices": [], "usage": completion["usage"]}


def _chat_stream(chunks: Iterable[Mapping[str, Any]]) -> bytes:
    lines = [*map(json.dumps, chunks), "[DONE]"]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def _responses_stream(events: Iterable[Mapping[str, Any]]) -> bytes:
    lines = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
    return "".join(lines).encode()


def _send(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: Mapping[str, str]
) -> None:
    try:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in {"Content-Type": "application/json", **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the client gave up waiting, as some tests intend
