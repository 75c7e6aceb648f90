"""A hand-written OpenAI loop gains the right tools out of thousands by one line: ``wrap``.

python examples/openai_loop.py

It talks to a scripted server on this machine, so that it runs anywhere. With the real client, leave
the server out and write ``wrap(OpenAI(), retriever)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openai import OpenAI

from toolret import Embedder, Toolbox, ToolIndex, ToolRetriever, load_demos, load_tools
from toolret.integrations.openai import offered, run_calls, wrap
from toolret.stores import temporary_store
from toolret.testing import OpenAIServer, Reply

ROOT = Path(__file__).parent.parent


def order_status(orderId: str) -> str:  # noqa: N803 - as the catalog's tools write it
    """Say how far an order is."""
    return f"order {orderId} is being packed"


SCRIPT = (
    Reply(tool_calls=[("order_status", {"orderId": "48812"}), ("orders__explode", {})]),
    Reply("Your order 48812 is being packed."),
)
"""The model's replies; the first also calls a tool that does not exist."""


def answer(client: OpenAI, toolbox: Toolbox, messages: list[Any]) -> str:
    """Run the usual loop of calls and results; only ``toolbox`` and ``offered`` are new."""
    while True:
        reply = client.chat.completions.create(model="gpt-5", messages=messages)
        message = reply.choices[0].message
        messages.append(message)
        results = run_calls(message, toolbox, offered=offered(client, messages))
        if not results:
            return message.content or ""
        messages += results


def main(embedder: Embedder | None = None) -> None:
    """Index a function beside the shipped catalog, and ask a question that needs it."""
    mine = load_tools([order_status])
    index = ToolIndex(temporary_store(), embedder=embedder)
    demos = load_demos(ROOT / "demos" / "orders.jsonl")
    index.sync([*load_tools(ROOT / "tool_catalogs"), *mine], demos)
    with OpenAIServer(*SCRIPT) as server:
        with OpenAI(base_url=server.base_url, api_key="local") as bare:
            client = wrap(bare, ToolRetriever(index))
            messages: list[Any] = [{"role": "user", "content": "order_status of order 48812?"}]
            print(answer(client, Toolbox(mine), messages))
        sent = server.requests[0]
        print(f"offered {len(sent['tools'])} of {len(index)} tools:")
        for tool in sent["tools"]:
            print(f"  {tool['function']['name']}")
        for message in server.requests[1]["messages"]:
            if message["role"] == "tool":
                print(f"result: {message['content']}")


if __name__ == "__main__":
    main()
