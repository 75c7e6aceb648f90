"""A scripted model's replies in OpenAI's Responses API: whole, and as a stream's events."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import uuid4

__all__ = ["argument_deltas", "response", "response_events", "text_deltas"]

_OutputItem: TypeAlias = dict[str, Any]
"""An item of a response's ``output``: a message or a call."""


def response(
    request: Mapping[str, Any], content: str, calls: Sequence[tuple[str, Mapping[str, Any]]]
) -> dict[str, Any]:
    """Return a response that says a text and calls tools, all at once.

    Args:
        request: The body of the request.
        content: The text; no message is made of an empty one if there are calls.
        calls: The names and arguments of the calls. A call of ``tool_search`` becomes a
            ``tool_search_call`` if the request has that tool for the client to run.
    """
    tools = list(request.get("tools") or ())
    searches = any(tool.get("type") == "tool_search" for tool in tools)
    output: list[_OutputItem] = []
    if content or not calls:
        output.append(_message(content))
    for name, arguments in calls:
        if name == "tool_search" and searches:
            output.append(_search_call(arguments))
        else:
            output.append(_function_call(name, arguments))
    usage = {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 2,
    }
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": time.time(),
        "status": "completed",
        "model": request.get("model", ""),
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": request.get("tool_choice") or "auto",
        "tools": tools,
        "usage": usage,
    }


def text_deltas(text: str) -> list[str]:
    """Split a message's text into what a stream sends of it at a time: words, one by one."""
    return re.findall(r"\S+\s*|\s+", text)


def argument_deltas(arguments: str) -> tuple[str, str]:
    """Split a call's arguments into what a stream sends of them at a time: two halves."""
    half = len(arguments) // 2
    return arguments[:half], arguments[half:]


def response_events(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a response as stream events: words one by one, each call's arguments in halves."""
    begun = {**body, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(body["output"]):
        place = {"output_index": index}
        events.append({"type": "response.output_item.added", "item": _begun_item(item), **place})
        events += [event | place | {"item_id": item["id"]} for event in _item_events(item)]
        events.append({"type": "response.output_item.done", "item": item, **place})
    events.append({"type": "response.completed", "response": body})
    for number, event in enumerate(events):
        yield event | {"sequence_number": number}


def _item_events(item: _OutputItem) -> Iterator[dict[str, Any]]:
    if item["type"] == "message":
        text, place = item["content"][0]["text"], {"content_index": 0}
        part = {"type": "output_text", "text": "", "annotations": []}
        yield {"type": "response.content_part.added", "part": part, **place}
        for delta in text_deltas(text):
            yield {"type": "response.output_text.delta", "delta": delta, "logprobs": [], **place}
        yield {"type": "response.output_text.done", "text": text, "logprobs": [], **place}
        yield {"type": "response.content_part.done", "part": item["content"][0], **place}
    elif item["type"] == "function_call":
        arguments = item["arguments"]
        for delta in argument_deltas(arguments):
            yield {"type": "response.function_call_arguments.delta", "delta": delta}
        yield {"type": "response.function_call_arguments.done", "arguments": arguments}


def _begun_item(item: _OutputItem) -> _OutputItem:
    empty: dict[str, dict[str, Any]] = {
        "message": {"content": []},
        "function_call": {"arguments": ""},
    }
    return item | {"status": "in_progress"} | empty.get(item["type"], {})


def _message(text: str) -> _OutputItem:
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }


def _function_call(name: str, arguments: Mapping[str, Any]) -> _OutputItem:
    return {
        "id": _id("fc"),
        "type": "function_call",
        "status": "completed",
        "call_id": _id("call"),
        "name": name,
        "arguments": json.dumps(arguments),
    }


def _search_call(arguments: Mapping[str, Any]) -> _OutputItem:
    return {
        "id": _id("tsc"),
        "type": "tool_search_call",
        "status": "completed",
        "call_id": _id("call"),
        "execution": "client",
        "arguments": dict(arguments),
    }


def _id(kind: str) -> str:
    return f"{kind}_{uuid4().hex}"
