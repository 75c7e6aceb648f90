"""The real client of OpenAI against a local server; the loop that a user writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseFunctionToolCall

from tests.conftest import tool
from tests.runners import RecordingRunner
from toolret.calling import Toolbox, ToolResult
from toolret.catalogs import load_tools
from toolret.index import ToolIndex
from toolret.integrations.openai import arun_calls, run_calls
from toolret.retrieval.retriever import ToolRetriever
from toolret.testing import HashedWordsEmbedder, OpenAIServer, Reply
from toolret.text.names import wire_name
from toolret.types import JsonObject, Tool


def cancel_order(order: str) -> str:
    """Cancel an order before it ships."""
    return f"order {order} is cancelled"


async def track_parcel(parcel: str) -> dict[str, str]:
    """Say where a parcel is now."""
    return {"parcel": parcel, "at": "Oslo"}


CATALOG = load_tools([cancel_order, track_parcel], namespace="shop")


def _reply(*calls: tuple[str, dict[str, Any]], content: str | None = None) -> Reply:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            {
                "id": f"call_{number}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for number, (name, arguments) in enumerate(calls)
        ]
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    return Reply(body=json.dumps(body).encode())


def test_a_hand_written_loop(tmp_path: Any) -> None:
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync_tools(CATALOG)
    toolbox = Toolbox(CATALOG)
    selection = ToolRetriever(index, max_tools=1, min_recall=1).select("cancel the order 48731")
    assert dict(selection.names) == {"shop__cancel_order": "shop.cancel_order"}
    replies = [
        _reply(("shop__cancel_order", {"order": "48731"}), ("shop__track_parcel", {"parcel": "1"})),
        _reply(content="It is cancelled."),
    ]
    with OpenAIServer(*replies) as server, OpenAI(base_url=server.base_url, api_key="k") as client:
        messages: list[Any] = [{"role": "user", "content": "cancel the order 48731"}]
        answers: list[ChatCompletionMessageParam]  # programs that are checked strictly have these
        while True:
            prompt = selection.to_openai()
            reply = client.chat.completions.create(
                model="m", messages=messages, tools=prompt["tools"]
            )
            message = reply.choices[0].message
            messages.append(message)
            answers = run_calls(message, toolbox, offered=selection.names)
            if not answers:
                break
            messages += answers
        sent = server.requests[1]["messages"]
    assert message.content == "It is cancelled."
    assert sent[2:] == [
        {"role": "tool", "tool_call_id": "call_0", "content": "order 48731 is cancelled"},
        {
            "role": "tool",
            "tool_call_id": "call_1",
            "content": "Error: the tool 'shop__track_parcel' is not available now. "
            "Available: shop__cancel_order",
        },
    ]


async def test_responses_in_an_event_loop() -> None:
    call = ResponseFunctionToolCall(
        type="function_call", call_id="c1", name="shop__track_parcel", arguments='{"parcel": "7"}'
    )
    answer = {
        "type": "function_call_output",
        "call_id": "c1",
        "output": '{"parcel": "7", "at": "Oslo"}',
    }
    output = [{"type": "reasoning", "summary": []}, call]
    assert await arun_calls(output, Toolbox(CATALOG)) == [answer]
    assert await arun_calls({"output": output}, Toolbox(CATALOG)) == [answer]
    refused = await arun_calls(output, Toolbox(CATALOG), offered={})
    assert refused[0]["output"].endswith("is not available now. Available: none")
    refused = await arun_calls(output, Toolbox(CATALOG), allow=lambda tool: False)
    assert refused[0]["output"].endswith("is not available now")


def test_a_reply_that_calls_nothing() -> None:
    assert run_calls({"role": "assistant", "content": "hello"}, Toolbox(CATALOG)) == []
    assert run_calls({"output": []}, Toolbox(CATALOG)) == []
    custom = {"tool_calls": [{"type": "custom", "id": "c", "custom": {"name": "x", "input": ""}}]}
    assert run_calls(custom, Toolbox(CATALOG)) == []


@pytest.mark.parametrize("arguments", [None, "", "null", " null\n", "{}", {}])
def test_a_call_without_arguments_in_any_form(arguments: Any) -> None:
    def ping() -> str:
        """Answer."""
        return "pong"

    call = {"id": "1", "function": {"name": "ping", "arguments": arguments}}
    (answer,) = run_calls({"role": "assistant", "tool_calls": [call]}, Toolbox(load_tools([ping])))
    assert answer["content"] == "pong"


@pytest.mark.parametrize("name", [None, 7, ["shop__cancel_order"], {}])
async def test_a_name_that_is_no_text_is_told_to_the_model(name: Any) -> None:
    chat = {"tool_calls": [{"id": "1", "function": {"name": name, "arguments": "{}"}}]}
    item = {"type": "function_call", "call_id": "2", "name": name, "arguments": "{}"}
    for offered in (None, {"shop__cancel_order": "shop.cancel_order"}):
        answers = run_calls([chat, item], Toolbox(CATALOG), offered=offered)
        assert await arun_calls([chat, item], Toolbox(CATALOG), offered=offered) == answers
        told = f"Error: a call names its tool by a text, not by {name!r}"
        assert [answers[0]["content"], answers[1]["output"]] == [told, told]


def test_a_reply_in_any_form() -> None:
    toolbox = Toolbox(CATALOG)
    reply = _reply(("shop__cancel_order", {"order": "7"}))
    with OpenAIServer(reply) as server, OpenAI(base_url=server.base_url, api_key="k") as client:
        whole = client.chat.completions.create(model="m", messages=[])
    message = whole.choices[0].message
    answer = {"role": "tool", "tool_call_id": "call_0", "content": "order 7 is cancelled"}
    for each in (whole, whole.choices[0], whole.choices, message, [message], whole.to_dict()):
        assert run_calls(each, toolbox) == [answer]
    assert run_calls([message, answer], toolbox) == []
    assert run_calls([message, answer, message], toolbox) == [answer]


@pytest.mark.parametrize("call_id", [None, "", "c"])
def test_what_is_answered_is_not_run_again_whatever_its_id(call_id: Any) -> None:
    """Some servers give all calls the same id, or none."""

    def calls(*orders: str) -> dict[str, Any]:
        functions = (
            {"name": "shop__cancel_order", "arguments": json.dumps({"order": order})}
            for order in orders
        )
        return {
            "role": "assistant",
            "tool_calls": [{"id": call_id, "function": function} for function in functions],
        }

    toolbox = Toolbox(CATALOG)
    messages: list[Any] = [{"role": "user", "content": "cancel them"}, calls("1", "2")]
    answers = run_calls(messages, toolbox)
    assert [answer["content"] for answer in answers] == [
        "order 1 is cancelled", "order 2 is cancelled"
    ]  # fmt: skip
    assert run_calls([*messages, answers[0]], toolbox) == answers[1:]
    messages += [*answers, calls("3")]
    (answer,) = run_calls(messages, toolbox)
    assert answer["content"] == "order 3 is cancelled"
    assert run_calls([*messages, answer], toolbox) == []


@pytest.mark.parametrize("reply", [None, "x", 7, ["x"], {"choices": []}, Toolbox([])])
def test_an_object_that_is_no_reply_is_refused(reply: Any) -> None:
    with pytest.raises(TypeError, match="is no reply that could call tools: give a completion"):
        run_calls(reply, Toolbox(CATALOG))


@pytest.mark.parametrize(
    "reply",
    [
        AIMessage("", tool_calls=[{"id": "1", "name": "shop__cancel_order", "args": {}}]),
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "x"}]},
    ],
)
def test_calls_of_another_form_are_refused_and_end_no_loop(reply: Any) -> None:
    with pytest.raises(TypeError, match="calls in the form of LangChain or Anthropic"):
        run_calls(reply, Toolbox(CATALOG))


def test_offered_names_without_ids() -> None:
    offered: Any = ["shop__cancel_order"]
    with pytest.raises(TypeError, match="offered is a list: give ids by names"):
        run_calls({"role": "assistant"}, Toolbox(CATALOG), offered=offered)
    with pytest.raises(TypeError, match="allow is the text 'admin'"):
        run_calls([], Toolbox(CATALOG), allow="admin")


@pytest.mark.parametrize(
    "toolbox", [Toolbox(CATALOG[:1]), Toolbox(CATALOG).allowed(lambda _: False)]
)
def test_what_was_offered_and_the_toolbox_does_not_run_is_warned_of(
    toolbox: Toolbox, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a toolbox is older than the index, or has other permissions than the client."""
    name = "shop__track_parcel"
    call = {"id": "1", "function": {"name": name, "arguments": "{}"}}
    run_calls({"tool_calls": [call]}, toolbox, offered={name: "shop.track_parcel"})
    told = f"{name!r} was offered, but the toolbox does not run it for this user"
    assert caplog.messages == [told]
    run_calls({"tool_calls": [call]}, toolbox, offered={})
    run_calls({"tool_calls": [call]}, toolbox)
    assert caplog.messages == [told]


async def test_a_failure_that_only_its_status_tells_is_told_and_not_learnt(tmp_path: Path) -> None:
    class Failing(RecordingRunner):
        def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
            return ToolResult("no such file", ok=False)

    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync_tools([tool("read", id="disk.read")])
    toolbox = Toolbox(index, Failing())
    function = {"name": "disk__read", "arguments": "{}"}
    reply = {"role": "assistant", "tool_calls": [{"id": "call_0", "function": function}]}
    answers = run_calls(reply, toolbox)
    assert [answer["content"] for answer in answers] == ["Error: no such file"]
    assert await arun_calls(reply, toolbox) == answers
    messages = [{"role": "user", "content": "read my notes"}, reply, *answers]
    recorded = ToolRetriever(index).record(messages)
    assert (recorded.demos, recorded.left_out) == ((), ("'disk.read': the call failed",))


def test_a_tool_whose_id_is_anothers_name_runs_and_ends_no_loop() -> None:
    """A catalog may hold it only to be in the way of the other."""
    runner, ids = RecordingRunner(), ["a.b", "a__b"]
    toolbox = Toolbox([tool("b", id=id_) for id_ in ids], runner)
    offered = {wire_name(id_): id_ for id_ in ids}
    reply = {
        "tool_calls": [
            {"id": name, "function": {"name": name, "arguments": "{}"}}
            for name in [*offered, "other"]
        ]
    }
    told = [each["content"] for each in run_calls(reply, toolbox, offered=offered, allow=())]
    assert runner.ran == ids
    assert told[2].endswith(f"Available: {', '.join(sorted(offered))}")
    told = [each["content"] for each in run_calls(reply, toolbox, allow=())]
    assert "call the first by its name" in told[0]
    for tool_id in ids:
        scoped = [tool("b", id=id_, permissions=(frozenset({id_}),)) for id_ in ids]
        runner.called.clear()
        run_calls(reply, Toolbox(scoped, runner).allowed({tool_id}), offered=offered)
        assert runner.ran == [tool_id]
