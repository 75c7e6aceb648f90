"""Measure how much of each prompt a provider's cache can serve, by the mode of offering tools.

    python benchmarks/prompt_cache.py

The same conversation of ten requests goes through the real ``openai`` client to a local server,
where a scripted model calls the tools that it is offered, by their names. A prompt is counted as
providers render it: tools, then the conversation. What is reused of a prompt is what it has in
common with the beginning of an earlier prompt of the conversation: the most that a cache can serve.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from openai import OpenAI

from toolret import Toolbox, ToolIndex, ToolRetriever, load_demos, load_tools
from toolret.calling import ToolResult
from toolret.embedders import Embedder
from toolret.integrations.openai import Api, Mode, run, run_calls
from toolret.integrations.openai.forms import CHAT
from toolret.permissions import Allow
from toolret.prompt.packed import packed_tool
from toolret.testing import OpenAIServer, Reply
from toolret.text.names import wire_name
from toolret.tokens import TokenCounter, token_counter
from toolret.types import JsonObject, Tool

ROOT = Path(__file__).parent.parent

CONVERSATION = {
    "Where is order 48812? The customer asks for its status.": "orders.getOrder",
    "Track its parcel, please.": "shipping.trackShipment",
    "She no longer wants it: cancel the order.": "orders.cancelOrder",
    "Give her the money back for payment pay_771.": "billing.refundPayment",
    "Reply to her ticket 9031 that the refund is on its way.": "support.replyToTicket",
    "Thanks! You have been a great help.": "",
    "Did she have other orders this month?": "orders.listOrders",
    "Set the ticket 9031 to resolved.": "support.resolveTicket",
    "Tell the channel #refunds that it is done.": "messaging.postMessage",
    "Put a meeting with Dana on my calendar for tomorrow at 10 to talk it over.": (
        "calendar.createEvent"
    ),
}
"""The requests, each with the id of the tool that it needs; empty if it needs none."""

SETTINGS: tuple[tuple[Mode, Api], ...] = (
    ("grow", "chat"),
    ("replace", "chat"),
    ("allowed", "chat"),
    ("proxy", "chat"),
    ("grow", "responses"),
    ("search", "responses"),
)
"""The modes that are measured, each with its API."""

FEW = ("billing", "orders", "shipping", "support")
"""The namespaces of tools that are few enough for one request, which *allowed* is made for."""

LINES = [
    {"line": number, "article": f"A-{number * 7919 % 10_000:04}", "count": number % 4 + 1}
    for number in range(40)
]
"""What each tool returns besides its name: some 800 tokens, like the documents that APIs return."""


class EchoRunner:
    """A runner whose tools all return a document with their id and arguments."""

    def runs(self, tool: Tool) -> bool:  # noqa: ARG002 - part of the protocol
        return True

    def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        return ToolResult(json.dumps({"done": tool.id, "with": dict(arguments), "lines": LINES}))

    async def acall(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        return self.call(tool, arguments)


def scripted_reply(request: Mapping[str, Any]) -> Reply:
    """Call the needed tool if it is offered, else search for it if possible, else say so."""
    items = request.get("messages") or request["input"]
    latest = max(i for i, item in enumerate(items) if item.get("role") == "user")
    needed = wire_name(CONVERSATION[items[latest]["content"]] or "none")
    rest = json.dumps(items[latest + 1 :])
    if needed == "none":
        return Reply("You are welcome.")
    if '\\"done\\"' in rest:
        return Reply("Done.")
    arguments = {"id": "48812"}
    said = json.dumps(items).replace("\\", "")
    if needed in callable_names(request):
        return Reply(tool_calls=[(needed, arguments)])
    if f'"name":"{needed}"' in said and "call_tool" in callable_names(request):
        return Reply(tool_calls=[("call_tool", {"name": needed, "arguments": arguments})])
    for search in {"discover_tools", "tool_search"} & callable_names(request):
        if search not in rest and "tool_search_call" not in rest:
            return Reply(tool_calls=[(search, {"query": items[latest]["content"]})])
    return Reply("I have no tool for that.")


def callable_names(request: Mapping[str, Any]) -> set[str]:
    """Return the names of the tools that the model may call."""
    tools = list(request.get("tools", ()))
    for item in request.get("input", ()):
        tools += item.get("tools", ()) if item.get("type") == "tool_search_output" else ()
    choice = request.get("tool_choice")
    if choice == "none":
        return set()
    if isinstance(choice, Mapping) and choice["type"] == "allowed_tools":
        tools = choice.get("allowed_tools", choice)["tools"]
    return {tool.get("function", tool).get("name", tool["type"]) for tool in tools}


def render(request: Mapping[str, Any]) -> str:
    """Return a prompt as its provider reads it: the tools, then the conversation."""
    parts = [*request.get("tools", ()), *(request.get("messages") or request["input"])]
    return "\n".join(json.dumps(part, ensure_ascii=False) for part in parts)


def common_beginning(first: str, second: str) -> str:
    """Return the longest text that both texts begin with."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[:middle] == second[:middle] else (low, middle - 1)
    return first[:low]


@dataclass(frozen=True)
class Figures:
    """The figures of one mode.

    Attributes:
        mode: The name of the mode.
        api: The name of the API.
        requests: The number of requests that the conversation took.
        called: The number of the needed tools that were called.
        tools: The number of tools that the last request offered.
        tokens: The tokens of all prompts.
        reused: The share of these tokens that are reused, 0 to 1.
        anew: The number of these tokens that are not reused.
        extended: The share of prompts after the first that begin with the whole prompt before.
    """

    mode: str
    api: str
    requests: int
    called: int
    tools: int
    tokens: int
    reused: float
    anew: int
    extended: float


def figures(
    mode: str, api: str, requests: Sequence[Mapping[str, Any]], counter: TokenCounter
) -> Figures:
    """Compute the figures of one conversation from the bodies of its requests."""
    prompts = [render(request) for request in requests]
    sizes = [counter.count(prompt) for prompt in prompts]
    common = [
        max((common_beginning(prompt, earlier) for earlier in prompts[:turn]), key=len, default="")
        for turn, prompt in enumerate(prompts)
    ]
    total, reused = sum(sizes), sum(map(counter.count, common))
    done = {name for name in CONVERSATION.values() if f'\\"done\\": \\"{name}\\"' in prompts[-1]}
    return Figures(
        mode,
        api,
        requests=len(requests),
        called=len(done - {""}),
        tools=len(requests[-1].get("tools", ())),
        tokens=total,
        reused=reused / total,
        anew=total - reused,
        extended=sum(b.startswith(a) for a, b in pairwise(prompts)) / (len(prompts) - 1),
    )


def conversation(
    retriever: ToolRetriever, mode: Mode, api: Api, allow: Allow = None
) -> list[dict[str, Any]]:
    """Have the conversation, and return the bodies of the requests that it made."""
    toolbox = Toolbox(retriever.index, EchoRunner())
    messages: list[Any] = []
    with OpenAIServer(scripted_reply) as server, _client(server) as client:
        for text in CONVERSATION:
            messages.append({"role": "user", "content": text})
            messages = run(
                client,
                retriever,
                messages,
                model="m",
                tools=toolbox,
                mode=mode,
                api=api,
                allow=allow,
            ).messages
    return server.requests


def conversation_with_all_tools(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Have the conversation with all tools in each request, which no provider would take."""
    toolbox = Toolbox(tools, EchoRunner())
    bound: Any = [CHAT.function(packed_tool(tool)) for tool in tools]
    messages: list[Any] = []
    with OpenAIServer(scripted_reply) as server, _client(server) as client:
        for text in CONVERSATION:
            messages.append({"role": "user", "content": text})
            while True:
                reply = client.chat.completions.create(model="m", messages=messages, tools=bound)
                messages.append(reply.choices[0].message)
                answers = run_calls(reply.choices[0].message, toolbox)
                if not answers:
                    break
                messages += answers
    return server.requests


def _client(server: OpenAIServer) -> OpenAI:
    return OpenAI(base_url=server.base_url, api_key="local")


def table(rows: Sequence[Figures], *, exact: bool) -> str:
    """Return the figures as a table in Markdown; ``exact`` tells whether tokens were counted."""
    lines = [
        "| mode | API | requests | needed tools called | tools at the end | prompt tokens "
        "| reused | read anew | extended |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    needed = sum(map(bool, CONVERSATION.values()))
    lines += [
        f"| {row.mode} | {row.api} | {row.requests} | {row.called} of {needed} | {row.tools} | "
        f"{row.tokens:,} | {row.reused:.0%} | {row.anew:,} | {row.extended:.0%} |"
        for row in rows
    ]
    return "\n".join([*lines, "" if exact else "\n(Tokens are estimates that err high.)"])


def main(arguments: Sequence[str] | None = None, *, embedder: Embedder | None = None) -> int:
    """Measure all modes, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        index = ToolIndex(folder, embedder=embedder)
        demos = load_demos(ROOT / "demos")
        index.sync(load_tools(ROOT / "tool_catalogs"), demos)
        retriever = ToolRetriever(index)
        counter = token_counter()
        rows = [figures("all tools", "chat", conversation_with_all_tools(list(index)), counter)]
        rows += [
            figures(mode, api, conversation(retriever, mode, api), counter)
            for mode, api in SETTINGS
        ]
        few = conversation(retriever, "allowed", "chat", lambda tool: tool.namespace in FEW)
        rows.append(figures(f"allowed, {len(FEW)} APIs", "chat", few, counter))
    print(table(rows, exact=counter.exact))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
