"""A LangChain agent with 307 tools, of which its model sees the few that each request needs.

It talks to OpenAI where OPENAI_API_KEY is set, otherwise to a scripted model on this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver

from toolret import (
    JsonObject,
    Tool,
    Toolbox,
    ToolIndex,
    ToolResult,
    ToolRetriever,
    load_demos,
    load_tools,
)
from toolret.integrations.langchain import ToolRetrieverMiddleware
from toolret.testing import OpenAIServer, Reply

ROOT = Path(__file__).parent.parent
INDEX = ROOT / ".demo" / "index"

REQUESTS = {
    "Cancel order 48812, the customer changed her mind.": (
        "orders__cancelOrder",
        {"orderId": "48812", "reason": "customer_changed_mind"},
    ),
    "And pay back P-77031, please.": (
        "billing__refundPayment",
        {"paymentId": "P-77031", "reason": "order_cancelled"},
    ),
}
"""The requests, each with the call that the scripted model makes if it is offered the tool."""


def main() -> None:
    """Index the catalog, make the agent, have a conversation with it."""
    index = ToolIndex(INDEX)
    index.sync(load_tools(ROOT / "tool_catalogs"), load_demos(ROOT / "demos"))
    retriever = ToolRetriever(index)
    toolbox = Toolbox(index, DryRun())  # HttpRunner() would call the company's servers

    with chat_model() as model:
        agent = create_agent(
            model,
            middleware=[ToolRetrieverMiddleware(retriever, toolbox=toolbox)],
            checkpointer=InMemorySaver(),
        )
        for text in REQUESTS:
            answer = agent.invoke(
                {"messages": [HumanMessage(text)]}, {"configurable": {"thread_id": "demo"}}
            )
            show(answer["messages"])
        state = agent.get_state({"configurable": {"thread_id": "demo"}}).values["toolret"]
    names = [offer["name"] for offer in state["offered"]]
    print(f"\n{len(names)} of {len(index)} tools were offered: {', '.join(names)}")


class DryRun:
    """A runner that calls nothing: it says of every tool that it was run."""

    def runs(self, tool: Tool) -> bool:
        return True

    def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        return ToolResult(f"{tool.id}: done")

    async def acall(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        return self.call(tool, arguments)


def show(messages: list[Any]) -> None:
    """Print a conversation from the user's last message on."""
    start = max(i for i, message in enumerate(messages) if isinstance(message, HumanMessage))
    for message in messages[start:]:
        if message.text:
            print(f"{message.type:>6}: {message.text}")
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                print(f"{'call':>6}: {call['name']}({call['args']})")


@contextmanager
def chat_model() -> Iterator[ChatOpenAI]:
    """Provide the model; with a real one, nothing below is needed."""
    if os.environ.get("OPENAI_API_KEY"):
        yield ChatOpenAI(model="gpt-5")
        return
    with OpenAIServer(scripted_reply) as server:
        yield ChatOpenAI(model="scripted", base_url=server.base_url, api_key=lambda: "none")


def scripted_reply(request: dict[str, Any]) -> Reply:
    """Call the tool that the user's last request needs, once, if it is offered."""
    last = request["messages"][-1]
    if last["role"] == "tool":
        return Reply(f"It says: {last['content']}")
    name, arguments = REQUESTS[last["content"]]
    offered = [tool["function"]["name"] for tool in request["tools"]]
    return Reply(tool_calls=[(name, arguments)]) if name in offered else Reply("I cannot do that.")


if __name__ == "__main__":
    main()
