"""A hand-written OpenAI loop gains the right tools out of thousands by one line: ``wrap``.

python examples/openai_loop.py

It talks to a scripted server on this machine, so that it runs anywhere. With the real client, leave
the server out and write ``wrap(OpenAI(), retriever)``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from openai import OpenAI

from toolret import Embedder, Toolbox, ToolIndex, ToolRetriever, load_demos, load_tools
from toolret.integrations.openai import offered, run_calls, wrap
from toolret.testing import OpenAIServer, Reply

ROOT = Path(__file__).parent.parent


def order_status(orderId: str) -> str:  # noqa: N803 - as the catalog's tools write it
    """Say how far an order is."""
    return f"order {orderId} is being packed"


SCRIPT = (
    Reply(tool_calls=[("order_status", {"orderId": "48812"}), ("orders__explode", {})]),
    Reply("Your order 48812 is being packed."),
)
"""What the model says; it also calls a tool that there is not."""


def answer(client: OpenAI, toolbox: Toolbox, messages: list[Any]) -> str:
    """The loop as one has it anyway; new are ``toolbox`` and ``offered``."""
    while True:
        reply = client.chat.completions.create(model="gpt-5", messages=messages)
        message = reply.choices[0].message
        messages.append(message)
        results = run_calls(message, toolbox, offered=offered(client, messages))
        if not results:
            return message.content or ""
        messages += results


def main(embedder: Embedder | None = None) -> None:
    """Index functions beside the shipped catalog, and ask."""
    mine = load_tools([order_status])
    with tempfile.TemporaryDirectory() as folder, OpenAIServer(*SCRIPT) as server:
        index = ToolIndex(folder, embedder=embedder)
        demos = load_demos(ROOT / "demos" / "orders.jsonl")
        index.sync([*load_tools(ROOT / "tool_catalogs"), *mine], demos)
        with OpenAI(base_url=server.base_url, api_key="local") as bare:
            client = wrap(bare, ToolRetriever(index))
            messages: list[Any] = [{"role": "user", "content": "order_status of order 48812?"}]
            print(answer(client, Toolbox(mine), messages))
        sent = server.requests[0]
        print(f"offered {len(sent['tools'])} of {len(index)} tools:")
        for tool in sent["tools"]:
            print(f"  {tool['function']['name']}")
        for result in server.requests[1]["messages"]:
            if result["role"] == "tool":
                print(f"result: {result['content']}")


if __name__ == "__main__":
    main()
