"""How much of each prompt a provider's cache can take over, by the mode in which tools are offered.

    python benchmarks/prompt_cache.py

The same conversation of ten requests goes through the real ``openai`` client to a local server,
where a scripted model calls, by name, what it is offered. A prompt is counted as providers render
it: tools, then the conversation. Reused is what it has in common with the beginning of an earlier
prompt of the conversation: the most that a cache can take over.
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
"""Requests, and the tool that each needs; none needs the empty name."""

SETTINGS: tuple[tuple[Mode, Api], ...] = (
    ("grow", "chat"),
    ("replace", "chat"),
    ("allowed", "chat"),
    ("proxy", "chat"),
    ("grow", "responses"),
    ("search", "responses"),
)

FEW = ("billing", "orders", "shipping", "support")
"""APIs whose tools are few enough for one request: what *allowed* is made for."""


LINES = [
    {"line": number, "article": f"A-{number * 7919 % 10_000:04}", "count": number % 4 + 1}
    for number in range(40)
]
"""What each tool gives besides: some 800 tokens, as the documents that APIs answer with."""


class EchoRunner:
    """Runs all tools: each gives a document that says which it was."""

    def runs(self, tool: Tool) -> bool:  # noqa: ARG002 - part of the protocol
        return True

    def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        return ToolResult(json.dumps({"done": tool.id, "with": dict(arguments), "lines": LINES}))

    async def acall(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        return self.call(tool, arguments)


def scripted(request: Mapping[str, Any]) -> Reply:
    """A model that calls what is needed if it is offered, searches if it can, or else says so."""
    items = request.get("messages") or request["input"]
    latest = max(i for i, item in enumerate(items) if item.get("role") == "user")
    needed = wire_name(CONVERSATION[items[latest]["content"]] or "none")
    rest = json.dumps(items[latest + 1 :])
    if needed == "none":
        return Reply("You are welcome.")
    if '\\"done\\"' in rest:
        return Reply("Done.")
    arguments = {"id": "48812"}
    found = json.dumps(items).replace("\\", "")
    if needed in callable_names(request):
        return Reply(tool_calls=[(needed, arguments)])
    if f'"name":"{needed}"' in found and "call_tool" in callable_names(request):
        return Reply(tool_calls=[("call_tool", {"name": needed, "arguments": arguments})])
    for search in {"discover_tools", "tool_search"} & callable_names(request):
        if search not in rest and "tool_search_call" not in rest:
            return Reply(tool_calls=[(search, {"query": items[latest]["content"]})])
    return Reply("I have no tool for that.")


def callable_names(request: Mapping[str, Any]) -> set[str]:
    """The names of the tools that the model may call."""
    tools = list(request.get("tools", ()))
    for item in request.get("input", ()):
        tools += item.get("tools", ()) if item.get("type") == "tool_search_output" else ()
    choice = request.get("tool_choice")
    if choice == "none":
        return set()
    if isinstance(choice, Mapping) and choice["type"] == "allowed_tools":
        tools = choice.get("allowed_tools", choice)["tools"]
    return {tool.get("function", tool).get("name", tool["type"]) for tool in tools}


def rendered(request: Mapping[str, Any]) -> str:
    """A prompt as its provider reads it: the tools, then the conversation."""
    parts = [*request.get("tools", ()), *(request.get("messages") or request["input"])]
    return "\n".join(json.dumps(part, ensure_ascii=False) for part in parts)


def beginning(one: str, other: str) -> str:
    """What two texts have in common from the first character on."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return one[:low]


@dataclass(frozen=True)
class Figures:
    """What one mode came to.

    Attributes:
        mode: Its name.
        api: The API.
        requests: How many were made for the conversation.
        called: How many of the needed tools were called.
        tools: How many tools the last request offered.
        tokens: Of all prompts.
        reused: Share of them that an earlier prompt began with, 0 to 1.
        anew: Tokens that had to be read, not being reused.
        extended: Of the prompts after the first, the share that the one before is the beginning of.
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
    """Figures of the requests of one conversation."""
    prompts = [rendered(request) for request in requests]
    sizes = [counter.count(prompt) for prompt in prompts]
    common = [
        max((beginning(prompt, earlier) for earlier in prompts[:turn]), key=len, default="")
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
    """The bodies of the requests that the conversation makes."""
    toolbox = Toolbox(retriever.index, EchoRunner())
    messages: list[Any] = []
    with OpenAIServer(scripted) as server, _client(server) as client:
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


def whole_catalog(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """The same with all tools in each request, which no provider would take."""
    toolbox = Toolbox(tools, EchoRunner())
    bound: Any = [CHAT.function(packed_tool(tool)) for tool in tools]
    messages: list[Any] = []
    with OpenAIServer(scripted) as server, _client(server) as client:
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
    """The figures as Markdown."""
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
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        index = ToolIndex(folder, embedder=embedder)
        demos = load_demos(ROOT / "demos")
        index.sync(load_tools(ROOT / "tool_catalogs"), demos)
        retriever = ToolRetriever(index)
        counter = token_counter()
        rows = [figures("all tools", "chat", whole_catalog(list(index)), counter)]
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
