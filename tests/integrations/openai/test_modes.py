"""What each mode keeps of a prompt's beginning, byte for byte, over the ten turns of a talk."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from benchmarks.prompt_cache import (
    CONVERSATION,
    FEW,
    callable_names,
    conversation,
    figures,
    render,
    scripted_reply,
)
from tests.conftest import demo
from tests.integrations.openai.conftest import SHOP, items_of, names, parameters, retriever_of
from tests.runners import RecordingRunner
from toolret import ToolRetriever
from toolret.calling import Toolbox
from toolret.integrations.openai import Api, Mode, offered, run_calls, wrap
from toolret.integrations.openai.planning import limited_names_to_offer
from toolret.testing import OpenAIServer, Reply
from toolret.text.names import wire_name
from toolret.tokens import token_counter
from toolret.types import Tool

NUMBER = parameters("number")


def listed(request: dict[str, Any]) -> list[str]:
    return [json.dumps(tool) for tool in request["tools"]]


def begins(after: list[str], before: list[str]) -> bool:
    return after[: len(before)] == before


def said(request: dict[str, Any]) -> list[str]:
    return [json.dumps(item) for item in items_of(request)]


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_grow_only_appends(shipped: ToolRetriever, api: Api) -> None:
    requests = conversation(shipped, "grow", api)
    assert len(CONVERSATION) == 10
    assert sum(item["role"] == "user" for item in requests[-1].get("messages", ())) in (0, 10)
    for before, after in pairwise(requests):
        assert begins(listed(after), listed(before))
        assert begins(said(after), said(before))
    assert len(requests[-1]["tools"]) > len(requests[0]["tools"])
    examples = [item for item in said(requests[-1]) if "Worked examples" in item]
    assert len(examples) > 1


def test_replace_offers_what_the_turn_needs_and_what_was_called(shipped: ToolRetriever) -> None:
    requests = conversation(shipped, "replace", "chat")
    grown = conversation(shipped, "grow", "chat")
    assert len(requests[-1]["tools"]) < len(grown[-1]["tools"])
    called: set[str] = set()
    for request in requests:
        for message in request["messages"]:
            called |= {call["function"]["name"] for call in message.get("tool_calls", ())}
        assert called <= set(names(request))
        assert sum("Worked examples" in item for item in said(request)) <= 1


def test_allowed_changes_nothing_but_the_choice(shipped: ToolRetriever) -> None:
    requests = conversation(shipped, "allowed", "chat", lambda tool: tool.namespace in FEW)
    ids = [tool.id for tool in shipped.index if tool.namespace in FEW]
    assert names(requests[0]) == [wire_name(id_) for id_ in ids]
    for before, after in pairwise(requests):
        assert render(after).startswith(render(before).rsplit("\n{", 1)[0])
        assert listed(after) == listed(before)
        assert begins(said(after), said(before))
    choices = {json.dumps(request.get("tool_choice")) for request in requests}
    assert len(choices) > 2
    assert all(len(callable_names(request)) < len(ids) for request in requests)


def test_allowed_of_more_than_a_request_may_have(shipped: ToolRetriever) -> None:
    requests = conversation(shipped, "allowed", "chat")
    for request in requests:
        assert len(request["tools"]) <= 128
        assert callable_names(request) <= set(names(request))


@pytest.mark.parametrize(
    ("mode", "api"), [("proxy", "chat"), ("proxy", "responses"), ("search", "responses")]
)
def test_a_search_leaves_the_whole_prompt_as_it_was(
    shipped: ToolRetriever, mode: Any, api: Api
) -> None:
    requests = conversation(shipped, mode, api)
    for before, after in pairwise(requests):
        assert listed(after) == listed(before)
        assert render(after).startswith(render(before))
    counted = figures(mode, api, requests, token_counter())
    assert counted.extended == 1
    assert counted.called >= 6
    if mode == "proxy":
        assert names(requests[0]) == ["discover_tools", "call_tool"]
        return
    (search,) = [tool for tool in requests[0]["tools"] if tool["type"] == "tool_search"]
    assert search["execution"] == "client"
    outputs = [i for i in requests[-1]["input"] if i.get("type") == "tool_search_output"]
    assert outputs
    for output in outputs:
        assert output.keys() == {"type", "call_id", "execution", "status", "tools"}
        assert all(tool["defer_loading"] for tool in output["tools"])


def test_search_of_chat_completions_is_by_proxy(shipped: ToolRetriever) -> None:
    requests = conversation(shipped, "search", "chat")
    assert names(requests[0]) == ["discover_tools", "call_tool"]


@pytest.mark.parametrize("mode", ["grow", "allowed"])
def test_a_list_that_is_full_is_begun_anew(shipped: ToolRetriever, mode: Mode) -> None:
    kept: list[Any] = []
    with (
        OpenAIServer(scripted_reply) as server,
        OpenAI(base_url=server.base_url, api_key="k") as client,
    ):
        wrapped = wrap(client, shipped, mode=mode, max_offered=16)
        for text in CONVERSATION:
            kept.append({"role": "user", "content": text})
            reply = wrapped.chat.completions.create(model="m", messages=kept)
            kept.append({"role": "assistant", "content": reply.choices[0].message.content or "-"})
    assert all(len(request["tools"]) <= 16 for request in server.requests)
    appended = [begins(listed(b), listed(a)) for a, b in pairwise(server.requests)]
    assert True in appended and False in appended


def test_the_same_talk_of_another_process_begins_anew_with_what_was_called(
    shipped: ToolRetriever,
) -> None:
    first = conversation(shipped, "grow", "chat")
    restarted = ToolRetriever(shipped.index)
    messages = [m for m in first[-1]["messages"] if "Worked examples" not in str(m.get("content"))]
    with (
        OpenAIServer(scripted_reply) as server,
        OpenAI(base_url=server.base_url, api_key="k") as client,
    ):
        for _ in range(2):
            wrap(client, restarted).chat.completions.create(model="m", messages=messages)
    called = {c["function"]["name"] for m in messages for c in m.get("tool_calls", ())}
    assert called
    assert set(names(server.requests[0])) >= called
    assert len(server.requests[0]["tools"]) < len(first[-1]["tools"])
    assert server.requests[0] == server.requests[1]


@pytest.mark.parametrize("mode", ["grow", "replace", "allowed", "search"])
def test_a_large_tool_that_is_not_chosen_is_trimmed_to_the_budget(
    tmp_path: Path, mode: Mode
) -> None:
    words = {"type": "string", "description": "word " * 50}
    schema = {
        "type": "object",
        "properties": {f"p{number}": words for number in range(200)},
        "required": ["p7"],
    }
    large = Tool("shop.report", "report", description="Report sales.", parameters=schema)
    retriever = retriever_of([*SHOP, large], tmp_path, max_tools=1, token_budget=400)
    call = {"id": "c", "type": "function", "function": {"name": "shop__report", "arguments": "{}"}}
    messages: Any = [
        {"role": "user", "content": "report"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "done"},
        {"role": "user", "content": "cancel an order before it ships"},
    ]
    ask: Any = messages[-1:]
    choice: Any = {"type": "function", "name": "shop__report"}
    with OpenAIServer() as server, OpenAI(base_url=server.base_url, api_key="k") as client:
        wrapped = wrap(client, retriever, mode=mode)
        wrapped.responses.create(model="m", input=ask, tool_choice=choice)
        if mode != "search":  # it is by proxy
            wrapped.chat.completions.create(model="m", messages=messages)
    for request in server.requests:
        assert {"shop__report", "shop__cancel_order"} <= {*names(request)}
        sent = {t["function"]["name"]: t["function"] for t in request["tools"] if "function" in t}
        sent |= {t["name"]: t for t in request["tools"] if "name" in t}
        assert [*sent["shop__report"]["parameters"]["properties"]] == ["p7"]


def test_dropped_examples_and_tools_of_the_index_are_not_resent(tmp_path: Any) -> None:
    tools = [Tool("a", "a", description="cancel the order"), Tool("b", "b", description="track")]
    retriever = retriever_of(tools, tmp_path)
    ask: Any = [{"role": "user", "content": "cancel the order"}]
    more = [*ask, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "track"}]
    with OpenAIServer() as server, OpenAI(base_url=server.base_url, api_key="k") as client:
        wrapped = wrap(client, retriever)
        wrapped.chat.completions.create(model="m", messages=ask)
        retriever.index.sync_tools(tools[1:])
        wrapped.chat.completions.create(model="m", messages=more)
    assert "a" in names(server.requests[0])
    assert names(server.requests[1]) == ["b"]


def test_responses_go_on_by_the_id_of_the_one_before(shipped: ToolRetriever) -> None:
    with (
        OpenAIServer(scripted_reply) as server,
        OpenAI(base_url=server.base_url, api_key="k") as client,
    ):
        wrapped = wrap(client, shipped)
        texts = list(CONVERSATION)
        first = wrapped.responses.create(model="m", input=texts[0])
        wrapped.responses.create(model="m", input=texts[8], previous_response_id=first.id)
        raw = wrapped.responses.with_raw_response.create(model="m", input=texts[0])
        ids = [raw.parse().id, "resp_unknown"]
        for id_ in ids:
            wrapped.responses.create(model="m", input=texts[8], previous_response_id=id_)
        for text in (texts[0], texts[8]):
            wrapped.responses.create(model="m", input=text, conversation="conv_1")
    one, two, raw_one, raw_two, unknown, three, four = map(listed, server.requests)
    assert (raw_one, raw_two) == (one, two) != (raw_one, unknown)
    assert begins(two, one)
    assert len(two) > len(one)
    assert begins(four, three)
    assert len(four) > len(three)


def test_what_a_tool_answers_is_not_searched_for(tmp_path: Any) -> None:
    tools = [Tool("a", "a", description="cancel order"), Tool("b", "b", description="track parcel")]
    output: Any = {"type": "function_call_output", "call_id": "1", "output": "track parcel"}
    with OpenAIServer() as server, OpenAI(base_url=server.base_url, api_key="k") as client:
        responses = wrap(client, retriever_of(tools, tmp_path, max_tools=1)).responses
        first = responses.create(model="m", input="cancel order")
        reference: Any = {"id": "msg_1"}
        responses.create(model="m", input=[reference, output], previous_response_id=first.id)
    assert [names(request) for request in server.requests] == [["a"], ["a"]]


@pytest.mark.parametrize("mode", ["grow", "replace", "allowed", "search"])
def test_a_tool_that_was_changed_is_sent_as_it_is_now(shop: ToolRetriever, mode: Any) -> None:
    changed = replace(SHOP[0], description="Cancel an order by its number.", parameters=NUMBER)
    with OpenAIServer() as server, OpenAI(base_url=server.base_url, api_key="k") as client:
        responses = wrap(client, shop, mode=mode).responses
        responses.create(model="m", input="cancel the order")
        shop.index.add_tools([changed])
        responses.create(model="m", input="cancel the order")
        shop.index.add_tools([replace(changed, tags=("orders",))])
        responses.create(model="m", input="cancel the order")
    sent = [next(t for t in r["tools"] if "cancel" in t.get("name", "")) for r in server.requests]
    assert [tool["description"] for tool in sent] == [
        SHOP[0].description,
        changed.description,
        changed.description,
    ]
    assert [tool["parameters"]["properties"] for tool in sent[1:]] == [NUMBER["properties"]] * 2


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_model_that_calls_a_tool_by_its_old_name_is_told_how_to_find_others(
    shop: ToolRetriever, api: Api
) -> None:
    def renames(request: dict[str, Any]) -> Reply:
        shop.index.remove_tools([SHOP[0].id])
        shop.index.add_tools([replace(SHOP[0], id="shop.revoke", name="revoke")])
        return old

    old = Reply(tool_calls=[("shop__cancel_order", {})])
    toolbox = Toolbox(SHOP, RecordingRunner())
    with (
        OpenAIServer(renames, old, Reply("ok")) as server,
        OpenAI(base_url=server.base_url, api_key="k") as client,
    ):
        wrapped = wrap(client, shop, mode="search")
        said: list[Any] = [{"role": "user", "content": "cancel the order"}]
        for _ in range(3):
            reply: Any
            if api == "chat":
                reply = wrapped.chat.completions.create(model="m", messages=said)
            else:
                reply = wrapped.responses.create(model="m", input=said)
            answers = run_calls(reply, toolbox, offered=offered(wrapped, said))
            said += [reply.choices[0].message] if api == "chat" else reply.output
            said += answers
    told = [item.get("output") or item.get("content") for item in items_of(server.requests[-1])]
    can_search = "call_tool, discover_tools" if api == "chat" else "tool_search"
    assert told[-1] == (
        f"Error: the tool 'shop__cancel_order' is not available now. Available: {can_search}"
    )


@pytest.mark.parametrize("mode", ["grow", "search"])
def test_an_example_that_was_removed_or_changed_is_not_shown_again(
    shop: ToolRetriever, mode: Any
) -> None:
    mine = demo("mine", "cancel the order of Alice", "shop.cancel_order")
    add, remove = shop.index.add_demos, shop.index.remove_demos
    private = replace(mine, permissions=(frozenset({"tenant:7"}),))
    conversations: list[list[tuple[Any, list[Any]]]] = [
        [(add, [mine]), (add, [replace(mine, text="cancel the order of Bob")]), (remove, ["mine"])],
        [(add, [mine]), (add, [private])],
    ]
    with OpenAIServer() as server, OpenAI(base_url=server.base_url, api_key="k") as client:
        responses = wrap(client, shop, mode=mode, allow={"tenant:8"}).responses
        for number, changes in enumerate(conversations):
            for change, what in changes:
                change(what)
                responses.create(model="m", input=f"cancel the order of Alice, {number}")
    texts = map(examples, server.requests)
    shown = [[who for who in ("Alice", "Bob") if f"of {who}" in text] for text in texts]
    assert shown == [["Alice"], ["Bob"], [], ["Alice"], []]


def examples(request: dict[str, Any]) -> str:
    return "".join(item for item in said(request) if "Worked examples" in item)


@pytest.mark.parametrize("mode", ["allowed", "search"])
def test_a_conversation_begins_once_something_could_be_chosen(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    tools = [Tool(f"t{n}", f"t{n}", description=f"Handle topic{n}.") for n in range(140)]
    retriever = retriever_of(tools, tmp_path, max_tools=1)
    own: Any = {"type": "function", "name": "own", "parameters": NUMBER}
    with OpenAIServer() as server, OpenAI(base_url=server.base_url, api_key="k") as client:
        wrapped = wrap(client, retriever, mode=mode)
        with monkeypatch.context() as patched:
            patched.setattr(retriever, "select", None)
            wrapped.responses.create(model="m", input="topic139", tools=[own])
        assert "own" in offered(wrapped, "topic139")
        for _ in range(2):
            wrapped.responses.create(model="m", input="topic139", tools=[own])
    for request in server.requests[1:]:
        assert {"own", "t139"} <= set(names(request))


def test_a_search_by_chat_completions_begins_none_of_responses(shop: ToolRetriever) -> None:
    ask: Any = [{"role": "user", "content": "cancel the order"}]
    with OpenAIServer() as server, OpenAI(base_url=server.base_url, api_key="k") as client:
        wrapped = wrap(client, shop, mode="search")
        wrapped.chat.completions.create(model="m", messages=ask)
        assert set(offered(wrapped, ask)) == {"discover_tools", "call_tool"}
        wrapped.responses.create(model="m", input=ask)
        assert "shop__cancel_order" in offered(wrapped, ask)
    assert names(server.requests[1]) == ["shop__cancel_order", "tool_search"]


@pytest.mark.parametrize("mode", ["grow", "replace", "allowed", "search", "proxy"])
def test_what_was_chosen_or_found_stays_callable_where_only_results_are_sent(
    shop: ToolRetriever, mode: Any
) -> None:
    toolbox = Toolbox(SHOP, RecordingRunner())
    calls: Any = [("shop__track_parcel", {})]
    if mode == "proxy":
        calls = [("call_tool", {"name": "shop__track_parcel", "arguments": {}})]
    find = ("discover_tools" if mode == "proxy" else "tool_search", {"query": "track the parcel"})
    searches = [Reply(tool_calls=[find])] if mode in ("proxy", "search") else []
    replies = [*searches, *[Reply(tool_calls=calls)] * 3, Reply("ok")]
    ask = "hm" if searches else "track the parcel"
    with OpenAIServer(*replies) as server, OpenAI(base_url=server.base_url, api_key="k") as client:
        wrapped = wrap(client, shop, mode=mode)
        said: Any = [{"role": "user", "content": ask}]
        earlier = None
        while said:
            reply = wrapped.responses.create(model="m", input=said, previous_response_id=earlier)
            names = offered(wrapped, said, continued=earlier)
            said, earlier = run_calls(reply, toolbox, offered=names), reply.id
    assert len(server.requests) == len(replies)
    answers = [request["input"][0].get("output") for request in server.requests[1:]]
    assert answers[-3:] == ["shop.track_parcel ran"] * 3
    if mode == "allowed":
        assert server.requests[1]["tool_choice"] == server.requests[0]["tool_choice"]


def test_a_list_that_is_full_keeps_what_is_called_or_chosen() -> None:
    known = set("abcdef")
    assert limited_names_to_offer(["a", "b"], ["c"], ["d"], known, most=4) == ("a", "b", "c", "d")
    assert limited_names_to_offer(["a", "b", "c"], ["c"], ["d", "a"], known, most=3) == (
        "a",
        "c",
        "d",
    )
    # What is called is not given up for what is merely chosen.
    assert limited_names_to_offer(["a"], ["b", "c"], ["d", "e", "a"], known, most=3) == (
        "b",
        "c",
        "d",
    )
