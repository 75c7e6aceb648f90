"""What is recorded of an agent's run beside middleware that changes the conversation."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from tests.integrations.langchain.scripted_agent import THREAD, agent_of, summarizing_agent, wants
from toolret import Toolbox, ToolIndex, ToolRetriever
from toolret.integrations.langchain import ToolRetrieverMiddleware, langchain_tools
from toolret.recording import demonstrations
from toolret.testing import OpenAIServer, Reply


@pytest.mark.parametrize("notice", [{}, {"edit_notice": "Edited."}], ids=["", "own notice"])
@pytest.mark.parametrize("name", ["cancel_order", "refund_order"])
def test_a_call_that_a_person_replaced_is_not_learnt_as_the_model_made_it(
    few_index: ToolIndex,
    few_toolbox: Toolbox,
    saver: InMemorySaver,
    name: str,
    notice: dict[str, Any],
) -> None:
    request = "cancel_order, refund_order and track_parcel"
    calls: list[tuple[str, Any]] = [("cancel_order", {"id": "7"}), ("track_parcel", {"id": "8"})]
    retriever = ToolRetriever(few_index, max_tools=3, min_recall=1.0)
    with OpenAIServer(Reply(tool_calls=calls), Reply("Done.")) as server:
        agent = agent_of(
            server,
            tools=langchain_tools([few_toolbox.tool("refund_order")], few_toolbox),
            middleware=[
                HumanInTheLoopMiddleware({"cancel_order": True}, **notice),
                ToolRetrieverMiddleware(retriever, toolbox=few_toolbox),
            ],
            checkpointer=saver,
        )
        agent.invoke({"messages": [("user", request)]}, THREAD)
        edit = {"type": "edit", "edited_action": {"name": name, "args": {"id": "9"}}}
        decisions: Any = Command(resume={"decisions": [edit]})
        answer = agent.invoke(decisions, THREAD)
    found = demonstrations(answer["messages"], few_index)
    assert [(demo.text, demo.tools) for demo in found.demos] == [(request, ("track_parcel",))]
    assert found.left_out == ("'cancel_order': a person replaced the call before it ran",)


def test_a_summary_is_not_what_the_user_asked(
    few: ToolRetriever, few_toolbox: Toolbox, saver: InMemorySaver
) -> None:
    plan: Any = {
        "cancel the order": [("cancel_order", {})],
        "track the parcel": [("track_parcel", {})],
    }
    with OpenAIServer(Reply("They cancelled.")) as summarizer, OpenAIServer(wants(plan)) as server:
        retrieving = ToolRetrieverMiddleware(few, toolbox=few_toolbox)
        agent = summarizing_agent(server, summarizer, retrieving, checkpointer=saver)
        for text in plan:
            messages = agent.invoke({"messages": [("user", text)]}, THREAD)["messages"]
    assert "They cancelled." in messages[0].text
    found = demonstrations(messages, few.index)
    assert [(demo.text, demo.tools) for demo in found.demos] == [
        ("track the parcel", ("track_parcel",))
    ]
    assert found.left_out == ("a summary of earlier messages: the user did not say it",)
