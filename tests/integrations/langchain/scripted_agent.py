"""Agents whose model is scripted: it calls, by name, tools that it wants and is offered.

The model is a real server that ``ChatOpenAI`` talks to. It knows of a conversation only what stands
in the request, so one server serves many threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_openai import ChatOpenAI

from toolret.testing import OpenAIServer, Reply
from toolret.types import Call, JsonObject

Wanted = Sequence[tuple[str, JsonObject]]
"""The calls that a model wants to make: names and arguments."""

DISCOVER = "discover_tools"


THREAD: Any = {"configurable": {"thread_id": "one"}}
"""The configuration of a run in a thread."""


def offered(request: Mapping[str, Any]) -> list[str]:
    """Return the names of the functions that a request offers, in order."""
    return [t["function"]["name"] for t in request.get("tools", ()) if t["type"] == "function"]


def wants(plans: Mapping[str, Wanted]) -> Callable[[dict[str, Any]], Reply]:
    """Return a model that answers each user's text by the calls that are planned for it.

    Calls of tools that it is offered are made at once, in parallel. It searches for the other
    tools, once, in the user's words; then it gives up.
    """

    def reply(request: dict[str, Any]) -> Reply:
        messages = request["messages"]
        start = max(i for i, m in enumerate(messages) if m["role"] == "user")
        text = messages[start]["content"]
        called = [
            call["function"]["name"]
            for message in messages[start:]
            for call in message.get("tool_calls") or ()
        ]
        missing = [(name, values) for name, values in plans[text] if name not in called]
        now = [(name, values) for name, values in missing if name in offered(request)]
        if now:
            return Reply(tool_calls=now)
        if missing and DISCOVER in offered(request) and DISCOVER not in called:
            return Reply(tool_calls=[(DISCOVER, {"query": text})])
        return Reply("Gave up." if missing else f"Done: {text}")

    return reply


def model(server: OpenAIServer, **options: Any) -> ChatOpenAI:
    """Return a real model that talks to the server."""
    return ChatOpenAI(
        model="gpt-5", base_url=server.base_url, api_key="key", max_retries=0, **options
    )


def agent_of(server: OpenAIServer, *, streaming: bool = False, **options: Any) -> Any:
    """Return a real agent with such a model."""
    return create_agent(model(server, streaming=streaming), **options)


def summarizing_agent(
    server: OpenAIServer, summarizer: OpenAIServer, middleware: Any, **options: Any
) -> Any:
    """Return an agent whose conversation is summarized from five messages on.

    Args:
        server: The server of the agent's model.
        summarizer: The server of the model that writes the summaries.
        middleware: The middleware after the one that summarizes.
        options: Further options of ``create_agent``.
    """
    summary = SummarizationMiddleware(
        model(summarizer), trigger=("messages", 5), keep=("messages", 1)
    )
    return agent_of(server, middleware=[summary, middleware], **options)


def as_wanted(calls: Sequence[Call], names: Callable[[str], str]) -> list[tuple[str, JsonObject]]:
    return [(names(call.tool), call.arguments) for call in calls]
