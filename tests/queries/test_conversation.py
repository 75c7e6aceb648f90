from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from openai.types.chat import ChatCompletion, ChatCompletionMessage
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseReasoningItem

from toolret.errors import InputError
from toolret.queries import as_request
from toolret.queries.framing import conversation_lines
from toolret.queries.without_llm import queries_without_llm
from toolret.testing.scripted import response
from toolret.turns import content_text
from toolret.types import Request


def called(conversation: Any) -> bool:
    """Whether the call stands in what an LLM is shown."""
    return r'"called": ["getOrder({\"id\": \"48812\"})"]' in conversation_lines(
        as_request(conversation)
    )


FORMS: dict[str, list[Any]] = {
    "OpenAI's messages": [
        {"role": "system", "content": "You help shop managers."},
        {"role": "user", "content": "Where is order 48812?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "1", "function": {"name": "getOrder", "arguments": '{"id": "48812"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "shipped"},
        {"role": "user", "content": [{"type": "text", "text": "cancel it"}]},
    ],
    "what its client returned": [
        {"role": "developer", "content": "You help shop managers."},
        {"role": "user", "content": "Where is order 48812?"},
        ChatCompletionMessage.model_validate(
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "1",
                        "type": "function",
                        "function": {"name": "getOrder", "arguments": '{"id": "48812"}'},
                    }
                ],
            }
        ),
        {"role": "tool", "tool_call_id": "1", "content": "shipped"},
        {"role": "user", "content": "cancel it"},
    ],
    "items of Responses": [
        {"role": "system", "content": "You help shop managers."},
        {"role": "user", "content": [{"type": "input_text", "text": "Where is order 48812?"}]},
        ResponseReasoningItem(id="r", summary=[], type="reasoning"),
        ResponseFunctionToolCall(
            arguments='{"id": "48812"}', call_id="1", name="getOrder", type="function_call"
        ),
        {"type": "function_call_output", "call_id": "1", "output": "shipped"},
        {"type": "message", "role": "user", "content": "cancel it"},
    ],
    "replies of Responses": [
        {"role": "system", "content": "You help shop managers."},
        {"role": "user", "content": "Where is order 48812?"},
        Response.model_validate(
            response({"model": "m"}, "", [("getOrder", {"id": "48812"})])
            | {"tools": [], "tool_choice": "auto"}
        ),
        {"type": "function_call_output", "call_id": "1", "output": "shipped"},
        {"role": "user", "content": "cancel it"},
    ],
    "the time before calls had ids": [
        ("system", "You help shop managers."),
        ("user", "Where is order 48812?"),
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "getOrder", "arguments": '{"id": "48812"}'},
        },
        {"role": "function", "name": "getOrder", "content": "shipped"},
        ("human", "cancel it"),
    ],
    "Anthropic's messages": [
        {"role": "system", "content": "You help shop managers."},
        {"role": "user", "content": "Where is order 48812?"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "1", "name": "getOrder", "input": {"id": "48812"}}
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "1", "content": "shipped"},
                {"type": "text", "text": "cancel it"},
            ],
        },
    ],
    "LangChain's messages": [
        SystemMessage("You help shop managers."),
        HumanMessage("Where is order 48812?"),
        AIMessage("", tool_calls=[{"id": "1", "name": "getOrder", "args": {"id": "48812"}}]),
        ToolMessage("shipped", tool_call_id="1"),
        HumanMessage([{"type": "text", "text": "cancel it"}]),
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_a_conversation_in_every_form_is_the_same(form: str) -> None:
    request = as_request(FORMS[form])
    assert request.text == "cancel it"
    said = [m["role"] for m in request.messages if content_text(m.get("content"))]
    assert said[1:] == ["user", "tool", "user"]
    assert called(FORMS[form])


@pytest.mark.parametrize("content", ["stop the order", [{"type": "text", "text": "stop it"}]])
@pytest.mark.parametrize("alone", [False, True], ids=["", "alone"])
def test_what_a_tool_gave_is_never_the_request(content: Any, alone: bool) -> None:
    result = {"type": "tool_result", "tool_use_id": "1", "content": content}
    last = {"role": "user", "content": result if alone else [result]}
    request = as_request([{"role": "user", "content": "where is my parcel?"}, last])
    assert request.text == "where is my parcel?"
    assert [query.text for query in queries_without_llm(request)] == []
    assert as_request(replace(request, messages=(*request.messages[:1], last))) == request
    shown = [json.loads(line)["role"] for line in conversation_lines(request).splitlines()]
    assert shown == ["user", "tool"]


def test_one_message_is_a_conversation() -> None:
    messages: list[Any] = [
        {"role": "user", "content": "where is it?"},
        ("user", "where is it?"),
        HumanMessage("where is it?"),
        ChatCompletionMessage(role="assistant", content="where is it?"),
        _completion({"role": "assistant", "content": "where is it?"}),
    ]
    for message in messages:
        for conversation in (message, [message]):
            request = as_request(conversation)
            assert (request.text, len(request.messages)) == ("where is it?", 1)


def _completion(message: dict[str, Any]) -> ChatCompletion:
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    fields = {"id": "1", "created": 0, "model": "m", "object": "chat.completion"}
    return ChatCompletion.model_validate(fields | {"choices": [choice]})


@pytest.mark.parametrize(
    ("message", "turn"),
    [
        (
            AIMessage("", tool_calls=[{"id": "1", "name": "send", "args": {"text": "你好"}}]),
            {"role": "assistant", "text": "", "called": ['send({"text": "你好"})']},
        ),
        (
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "1", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
                ],
            },
            {"role": "assistant", "text": "", "called": ["sql(SELECT 1)"]},
        ),
        (
            {"type": "custom_tool_call", "call_id": "1", "name": "sql", "input": "SELECT 1"},
            {"role": "assistant", "text": "", "called": ["sql(SELECT 1)"]},
        ),
        (
            {"role": "assistant", "content": None, "refusal": "I will not."},
            {"role": "assistant", "text": "I will not."},
        ),
        (
            {"type": "web_search_call", "id": "1", "action": {"query": "secret"}},
            {"role": "assistant", "text": "[web_search_call]"},
        ),
    ],
    ids=["not ASCII", "custom", "custom item", "refusal", "unknown item"],
)
def test_what_was_called_and_refused_is_shown(message: Any, turn: dict[str, Any]) -> None:
    request = as_request([{"role": "user", "content": "hi"}, message])
    line = conversation_lines(request).splitlines()[1]
    assert json.loads(line) == turn
    assert "\\u" not in line


def test_texts_requests_and_pairs_are_conversations() -> None:
    assert as_request("hi") == Request("hi", ({"role": "user", "content": "hi"},))
    request = as_request([("ai", "what now?"), ("human", "the same")])
    assert (request.text, request.messages[0]["role"]) == ("the same", "assistant")
    assert as_request(request) is request
    assert as_request("hi", notes="Runs the York shop.").notes == "Runs the York shop."


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://x.example/a/p%20q.png?s=1"}},
            "p q.png",
        ),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,SECRET"}}, "image/png"),
        ({"type": "input_image", "image_url": "data:image/webp;base64,SECRET"}, "image/webp"),
        ({"type": "image", "base64": "SECRET", "mime_type": "image/jpeg"}, "image/jpeg"),
        (
            {"type": "file", "file": {"filename": "minutes.pdf", "file_data": "SECRET"}},
            "minutes.pdf",
        ),
        ({"type": "input_file", "filename": "plan.docx", "file_data": "SECRET"}, "plan.docx"),
        ({"type": "input_audio", "input_audio": {"data": "SECRET", "format": "wav"}}, "wav"),
        ({"type": "image_url", "image_url": {"url": "http://[bad"}}, None),
        ({"type": "image_url"}, None),
        ({"type": "file", "file_id": "SECRET"}, None),
    ],
)
def test_images_and_files_are_named_and_their_bytes_left_out(
    part: dict[str, Any], named: str | None
) -> None:
    kind = part["type"].removeprefix("input_").removesuffix("_url")
    text = f"[{kind}: {named}]" if named else f"[{kind}]"
    assert content_text(["look at", part]) == f"look at\n{text}"
    # Their names are shown to an LLM; the words alone are searched for, if there are any.
    messages = [{"role": "user", "content": [{"type": "text", "text": "look at"}, part]}]
    assert as_request(messages).text == "look at"
    assert as_request([{"role": "user", "content": [part]}]).text == text
    assert "SECRET" not in conversation_lines(as_request(messages))


def test_a_picture_is_no_request_where_there_are_words_before_it() -> None:
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,SECRET"}}]
    asked = [
        {"role": "user", "content": "refund my order"},
        {"role": "assistant", "content": "Please send a photo."},
        {"role": "user", "content": picture},
    ]
    request = as_request(asked)
    assert request.text == "refund my order"
    assert queries_without_llm(request) == ()
    assert as_request([*asked[1:]]).text == "[image: image/png]"


def test_halves_of_surrogate_pairs_are_left_out() -> None:
    half = "caf\ud83d order"
    for conversation in (half, Request(half), [{"role": "user", "content": [{"text": half}]}]):
        assert as_request(conversation).text == "caf order"
    assert as_request("caf\N{TENT} order").text == "caf\N{TENT} order"
    with pytest.raises(InputError, match="no text"):
        as_request("\ud83d")


def test_the_raw_request_is_what_the_user_said_last() -> None:
    spoken = FORMS["OpenAI's messages"]
    assert as_request([*spoken, {"role": "assistant", "content": "ok"}]).text == "cancel it"
    assert as_request([{"role": "assistant", "content": "only me"}]).text == "only me"


@pytest.mark.parametrize(
    ("conversation", "problem"),
    [
        ("  ", "no text"),
        ([], "no text"),
        ([{"role": "user", "content": None}], "no text"),
        ([{"content": "x"}], "has no role"),
        ([7], "7 is no message"),
        (None, "None is no message"),
        (["hi"], "'hi' is no message"),
        ([("content", "hi")], "no message"),
        ({"conversation": [{"role": "user", "content": "hi"}]}, "has no role"),
    ],
)
def test_a_conversation_without_text_is_an_error(conversation: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        as_request(conversation)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "role", "content", "tool_calls", "function", "image_url", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.lists(_JSON, max_size=3))
def test_whatever_stands_in_a_message_is_a_conversation_or_an_input_error(
    values: list[Any],
) -> None:
    for conversation in ([{"role": "user", "content": value} for value in values], values):
        try:
            request = as_request(conversation)
        except InputError:
            continue
        assert request.text
        assert conversation_lines(request)
