"""What is recorded of an agent's run beside middleware that changes the conversation."""

from __future__ import annotations

from typing import Any

from langchain.agents.middleware import SummarizationMiddleware
from langgraph.checkpoint.memory import InMemorySaver

from tests.integrations.langchain.scripted_agent import agent_of, model, wants
from toolret import Toolbox, ToolRetriever
from toolret.integrations.langchain import ToolRetrieverMiddleware
from toolret.recording import demonstrations
from toolret.testing import OpenAIServer, Reply

THREAD: Any = {"configurable": {"thread_id": "one"}}


def test_a_summary_is_not_what_the_user_asked(
    few: ToolRetriever, few_toolbox: Toolbox, saver: InMemorySaver
) -> None:
    plan: Any = {
        "cancel the order": [("cancel_order", {})],
        "track the parcel": [("track_parcel", {})],
    }
    with OpenAIServer(Reply("They cancelled.")) as summarizer, OpenAIServer(wants(plan)) as server:
        summary = SummarizationMiddleware(
            model(summarizer), trigger=("messages", 5), keep=("messages", 1)
        )
        agent = agent_of(
            server,
            middleware=[summary, ToolRetrieverMiddleware(few, toolbox=few_toolbox)],
            checkpointer=saver,
        )
        for text in plan:
            messages = agent.invoke({"messages": [("user", text)]}, THREAD)["messages"]
    assert "They cancelled." in messages[0].text
    found = demonstrations(messages, few.index)
    assert [(demo.text, demo.tools) for demo in found.demos] == [
        ("track the parcel", ("track_parcel",))
    ]
    assert found.left_out == ("a summary of earlier messages: the user did not say it",)
