"""The real client, wrapped: what is sent, what comes back, and that nothing else changes."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any, get_args

import pytest
from openai import (
    APIConnectionError,
    AsyncAzureOpenAI,
    AsyncOpenAI,
    AzureOpenAI,
    InternalServerError,
    OpenAI,
    RateLimitError,
    pydantic_function_tool,
)
from openai.types.chat import ChatCompletionFunctionTool
from openai.types.shared import FunctionDefinition
from pydantic import BaseModel

from tests.conftest import tool
from tests.integrations.openai.conftest import SHOP, names, obedient, parameters, retriever_of
from toolret import ToolRetriever
from toolret.calling import Toolbox
from toolret.errors import InputError
from toolret.integrations.openai import Mode, offered, permitting, run_calls, wrap
from toolret.integrations.openai import client as client_module
from toolret.testing import OpenAIServer, Reply
from toolret.text import lexical
from toolret.text.lexical import words as lexical_words
from toolret.types import Demo, JsonObject, Tool

ASK: Any = [{"role": "user", "content": "cancel the order"}]


def function(name: str, description: str = "", **more: Any) -> dict[str, Any]:
    inner = {"name": name, "description": description, "parameters": parameters("x"), **more}
    return {"type": "function", "function": inner}


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer(obedient) as server:
        yield server


@pytest.fixture
def client(server: OpenAIServer) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing went wrong unseen."""
    yield
    assert [r for r in caplog.records if r.name.startswith("toolret")] == []


class NeverRun:
    """A runner that must not be asked to run anything."""

    def runs(self, tool: Tool) -> bool:
        return True

    def call(self, tool: Tool, arguments: JsonObject) -> Any:
        raise AssertionError(f"{tool.id} ran")

    async def acall(self, tool: Tool, arguments: JsonObject) -> Any:
        raise AssertionError(f"{tool.id} ran")


@pytest.mark.usefixtures("quiet")
def test_tools_and_examples_enter_and_calls_come_back(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever
) -> None:
    wrapped = wrap(client, shop)
    ask: Any = [{"role": "user", "content": "cancel the order: shop__cancel_order"}]
    reply = wrapped.chat.completions.create(model="m", messages=ask)
    (sent,) = server.requests
    assert names(sent) == ["shop__cancel_order"]
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert "Request: please cancel my purchase" in sent["messages"][0]["content"]
    calls: Any = reply.choices[0].message.tool_calls
    assert calls[0].function.name == "shop__cancel_order"
    assert dict(offered(wrapped, ask)) == {"shop__cancel_order": "shop.cancel_order"}
    assert ask == [{"role": "user", "content": "cancel the order: shop__cancel_order"}]


@pytest.mark.usefixtures("quiet")
def test_the_callers_tools_stay_first_and_as_they_are(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever
) -> None:
    mine: Any = [function("mine", "Mine.", strict=True), function("cancel_order", "Cancel it.")]
    wrap(client, shop).chat.completions.create(model="m", messages=ASK, tools=mine)
    # Another tool of this name does not make it the index's.
    assert server.requests[0]["tools"][:2] == mine
    assert names(server.requests[0])[2:] == ["shop__cancel_order"]


@pytest.mark.usefixtures("quiet")
def test_a_tool_that_the_index_holds_keeps_the_callers_name(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever
) -> None:
    mine: Any = [function("cancel_order", SHOP[0].description), function("own")]
    wrapped = wrap(client, shop)
    wrapped.chat.completions.create(model="m", messages=ASK, tools=mine)
    assert server.requests[0]["tools"] == mine
    assert "Call: cancel_order({})" in server.requests[0]["messages"][0]["content"]
    assert dict(offered(wrapped, ASK)) == {"cancel_order": "shop.cancel_order", "own": "own"}


def test_a_tool_that_the_caller_gives_only_later_is_not_offered_twice(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever
) -> None:
    wrapped = wrap(client, shop)
    wrapped.chat.completions.create(model="m", messages=ASK)
    more: Any = [*ASK, {"role": "assistant", "content": "Which?"}, {"role": "user", "content": "7"}]
    mine: Any = [function("cancel_order", SHOP[0].description)]
    wrapped.chat.completions.create(model="m", messages=more, tools=mine)
    assert list(map(names, server.requests)) == [["shop__cancel_order"], ["cancel_order"]]


@pytest.mark.usefixtures("quiet")
def test_a_function_that_may_be_several_tools_is_the_callers_and_no_forbidden_one_is_sent(
    server: OpenAIServer, client: OpenAI, tmp_path: Path
) -> None:
    like = [tool(f"{place}.create_issue", "Open one.") for place in ("prod", "staging")]
    like = [replace(each, name="create_issue") for each in like]
    mine: Any = [function("create_issue", "Open one."), function("delete_customer", "Delete it.")]
    forbidden = replace(SHOP[-1], description="Delete it.")
    wrapped = wrap(client, retriever_of([*like, forbidden], tmp_path), allow=())
    wrapped.chat.completions.create(model="m", messages=ASK, tools=mine)
    assert server.requests[0]["tools"][:1] == mine[:1]
    assert "delete_customer" not in names(server.requests[0])
    assert offered(wrapped, ASK)["create_issue"] == "create_issue"


def test_the_same_is_sent_by_every_method(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever
) -> None:
    completions = wrap(client, shop).chat.completions
    completions.create(model="m", messages=ASK)
    assert "".join(
        chunk.choices[0].delta.content or ""
        for chunk in completions.create(model="m", messages=ASK, stream=True)
    )
    with completions.stream(model="m", messages=ASK) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Hello!"
    assert completions.parse(model="m", messages=ASK).choices[0].message.content == "Hello!"
    raw = completions.with_raw_response.create(model="m", messages=ASK)
    assert raw.parse().choices[0].message.content == "Hello!"
    with completions.with_streaming_response.create(model="m", messages=ASK) as streamed:
        assert b"Hello!" in streamed.read()
    sent = [{k: v for k, v in r.items() if not k.startswith("stream")} for r in server.requests]
    assert len(sent) == 6
    assert all(names(request) == ["shop__cancel_order"] for request in sent)
    assert all(request == sent[0] for request in sent)


def test_the_same_is_sent_by_every_method_of_responses(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever
) -> None:
    responses = wrap(client, shop).responses
    assert responses.create(model="m", input="cancel the order").output_text == "Hello!"
    events = list(responses.create(model="m", input="cancel the order", stream=True))
    assert events[-1].type == "response.completed"
    with responses.stream(model="m", input="cancel the order") as stream:
        assert stream.get_final_response().output_text == "Hello!"
    assert responses.parse(model="m", input="cancel the order").output_text == "Hello!"
    raw = responses.with_raw_response.create(model="m", input="cancel the order")
    assert raw.parse().output_text == "Hello!"
    sent = [{k: v for k, v in r.items() if k in ("tools", "input")} for r in server.requests]
    assert len(sent) == 5
    assert all(request == sent[0] for request in sent)
    (tool,) = sent[0]["tools"]
    assert (tool["name"], tool["strict"]) == ("shop__cancel_order", False)
    assert [item["role"] for item in sent[0]["input"]] == ["system", "user"]


async def test_the_same_is_sent_in_event_loops(server: OpenAIServer, shop: ToolRetriever) -> None:
    async with AsyncOpenAI(base_url=server.base_url, api_key="k") as bare:
        completions, responses = (w := wrap(bare, shop)).chat.completions, w.responses
        await completions.create(model="m", messages=ASK)
        async for _ in await completions.create(model="m", messages=ASK, stream=True):
            pass
        async with completions.stream(model="m", messages=ASK) as stream:
            await stream.get_final_completion()
        await completions.parse(model="m", messages=ASK)
        await completions.with_raw_response.create(model="m", messages=ASK)
        async with completions.with_streaming_response.create(model="m", messages=ASK) as streamed:
            await streamed.read()
        chat = len(server.requests)
        await responses.create(model="m", input=ASK)
        async for _ in await responses.create(model="m", input=ASK, stream=True):
            pass
        async with responses.stream(model="m", input=ASK) as events:
            assert (await events.get_final_response()).output_text == "Hello!"
        await responses.parse(model="m", input=ASK)
    assert (chat, len(server.requests)) == (6, 10)
    assert {tuple(names(request)) for request in server.requests} == {("shop__cancel_order",)}


class Mine(BaseModel):
    """Mine."""

    x: int


@pytest.mark.usefixtures("quiet")
def test_parse_reads_the_calls_of_the_callers_tools(client: OpenAI, shop: ToolRetriever) -> None:
    ask: Any = [{"role": "user", "content": "cancel the order: Mine"}]
    with OpenAIServer(Reply(tool_calls=[("Mine", {"x": 1}), ("shop__cancel_order", {})])) as server:
        wrapped = wrap(client.with_options(base_url=server.base_url), shop)
        reply = wrapped.chat.completions.parse(
            model="m", messages=ask, tools=[pydantic_function_tool(Mine)], extra_body={"seed": 7}
        )
        with wrapped.chat.completions.stream(
            model="m", messages=ask, tools=[pydantic_function_tool(Mine)]
        ) as stream:
            streamed = stream.get_final_completion()
    for each in (reply, streamed):
        calls: Any = each.choices[0].message.tool_calls
        assert calls[0].function.parsed_arguments == Mine(x=1)
        assert calls[1].function.name == "shop__cancel_order"
    assert server.requests[0]["seed"] == 7
    assert names(server.requests[0]) == names(server.requests[1]) == ["Mine", "shop__cancel_order"]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mode", ["grow", "allowed"])
def test_parse_of_responses_takes_the_tools_of_pydantic_models(
    client: OpenAI, shop: ToolRetriever, mode: Any
) -> None:
    ask = "cancel the order: Mine"
    with OpenAIServer(Reply(tool_calls=[("Mine", {"x": 1})])) as server:
        responses = wrap(client.with_options(base_url=server.base_url), shop, mode=mode).responses
        tools = [pydantic_function_tool(Mine)]
        reply = responses.parse(model="m", input=ask, tools=tools)
        with responses.stream(model="m", input=ask, tools=tools) as stream:
            stream.get_final_response()
    (call,) = reply.output
    assert call.type == "function_call" and call.parsed_arguments == Mine(x=1)
    parsed, streamed = ([tool["name"] for tool in r["tools"]] for r in server.requests)
    assert parsed == streamed
    assert parsed[0] == "Mine" and "shop__cancel_order" in parsed
    if mode == "allowed":
        chosen = server.requests[0]["tool_choice"]["tools"]
        assert chosen[0] == {"type": "function", "name": "Mine"}


def test_streamed_chunks_carry_the_same_names(client: OpenAI, shop: ToolRetriever) -> None:
    wrapped = wrap(client, shop)
    ask: Any = [{"role": "user", "content": "cancel the order: shop__cancel_order"}]
    chunks = wrapped.chat.completions.create(model="m", messages=ask, stream=True)
    called = [c.function.name for k in chunks for c in k.choices[0].delta.tool_calls or ()]  # type: ignore[union-attr]
    assert [name for name in called if name] == ["shop__cancel_order"]
    assert offered(wrapped, ask)["shop__cancel_order"] == "shop.cancel_order"


def public(value: Any) -> dict[str, Any]:
    found = {}
    for name in dir(value):
        if not name.startswith("_"):
            try:
                found[name] = getattr(value, name)
            except Exception as error:  # noqa: BLE001 - then it must fail alike
                found[name] = type(error)
    return found


@pytest.mark.parametrize("kind", [OpenAI, AsyncOpenAI, AzureOpenAI, AsyncAzureOpenAI])
def test_nothing_else_of_the_client_changes(kind: Any, shop: ToolRetriever) -> None:
    azure = (
        {"azure_endpoint": "http://127.0.0.1:9", "api_version": "1"}
        if "Azure" in kind.__name__
        else {}
    )
    bare = kind(api_key="k", **azure)
    wrapped = wrap(bare, shop)
    assert isinstance(wrapped, kind)
    assert type(wrapped).__name__ == kind.__name__
    seen = 0
    todo = [("client", bare, wrapped, 0)]
    while todo:
        path, before, after, depth = todo.pop()
        one, other = public(before), public(after)
        assert one.keys() == other.keys(), path
        for name in one:
            a, b, where = one[name], other[name], f"{path}.{name}"
            seen += 1
            if inspect.ismethod(a) or inspect.isfunction(a):
                assert inspect.signature(a) == inspect.signature(b), where
                assert a.__doc__ == b.__doc__, where
            elif type(a).__module__.startswith("openai") and depth < 3:
                assert type(a) is type(b), where
                todo.append((where, a, b, depth + 1))
            elif isinstance(a, str | int | float | bool | None):
                assert a == b, where
            else:
                assert type(a) is type(b), where
    assert seen > 500


@pytest.mark.parametrize("name", ["chat", "responses"])
def test_the_first_requests_of_several_threads_are_all_planned(
    server: OpenAIServer,
    client: OpenAI,
    shop: ToolRetriever,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    begun = Event()
    plan_requests = client_module._plan_requests

    def slow(*args: Any) -> None:
        begun.set()
        time.sleep(0.2)
        plan_requests(*args)

    monkeypatch.setattr(client_module, "_plan_requests", slow)
    wrapped = wrap(client, shop)

    def send() -> None:
        if name == "chat":
            wrapped.chat.completions.create(model="m", messages=ASK)
        else:
            wrapped.responses.create(model="m", input=ASK)

    with ThreadPoolExecutor() as pool:
        first = pool.submit(send)
        assert begun.wait(10)
        pool.submit(send).result()
        first.result()
    assert [names(request) for request in server.requests] == [["shop__cancel_order"]] * 2


def test_the_client_that_was_given_is_as_it_was(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever
) -> None:
    wrap(client, shop).chat.completions.create(model="m", messages=ASK)
    client.chat.completions.create(model="m", messages=ASK)
    assert "tools" not in server.requests[1]
    assert server.requests[1]["messages"] == ASK
    with pytest.raises(TypeError, match="the client was not wrapped"):
        offered(client, ASK)
    with pytest.raises(InputError, match="mode is one of grow, replace, allowed, search, proxy"):
        wrap(client, shop, mode="grown")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a ToolIndex chooses nothing: .* ToolRetriever\(index\)"):
        wrap(client, shop.index)  # type: ignore[arg-type]


def test_a_client_that_is_made_otherwise(server: OpenAIServer, shop: ToolRetriever) -> None:
    class Ours(OpenAI):
        def __init__(self, team: str, **options: Any) -> None:
            super().__init__(**options)
            self.team = team

    with Ours("a", base_url=server.base_url, api_key="k") as client:
        client.chat.completions.create(model="m", messages=ASK)  # which keeps its resources
        wrapped = wrap(client, shop)
        wrapped.chat.completions.create(model="m", messages=ASK)
        client.chat.completions.create(model="m", messages=ASK)
    assert wrapped.team == "a"
    assert [names(request) for request in server.requests] == [[], ["shop__cancel_order"], []]


def test_copies_and_other_ways_to_the_resources(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever
) -> None:
    wrapped = wrap(client, shop)
    wrapped.with_options(timeout=9).chat.completions.create(model="m", messages=ASK)
    wrapped.copy(max_retries=1).responses.create(model="m", input=ASK)
    wrapped.with_raw_response.chat.completions.create(model="m", messages=ASK)
    wrapped.chat.with_raw_response.completions.create(model="m", messages=ASK)
    wrapped.beta.chat.completions.create(model="m", messages=ASK)
    wrapped.beta.responses.create(model="m", input=ASK)
    wrap(wrapped, shop, mode="replace").chat.completions.create(model="m", messages=ASK)
    assert [names(request) for request in server.requests] == [["shop__cancel_order"]] * 7


def test_what_the_model_names_of_what_is_forbidden_is_refused(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever
) -> None:
    ask: Any = [{"role": "user", "content": "delete the customer Bob, cancel his order"}]
    wrapped = wrap(client, shop, allow=())
    wrapped.chat.completions.create(model="m", messages=ask)
    with permitting({"admin"}):
        wrapped.chat.completions.create(model="m", messages=ask)
        assert "shop__delete_customer" in offered(wrapped, ask)
    wrapped.chat.completions.create(model="m", messages=ask)
    for request, may in zip(server.requests, (False, True, False), strict=True):
        assert ("delete_customer" in json.dumps(request)) == may
    call = {"id": "1", "function": {"name": "shop__delete_customer", "arguments": "{}"}}
    message = {"role": "assistant", "tool_calls": [call]}
    toolbox = Toolbox(SHOP, NeverRun())
    (answer,) = run_calls(message, toolbox, offered=offered(wrapped, ask))
    assert "is not available now" in answer["content"]
    # Offered or not, what the user may not use does not run.
    names = {"shop__delete_customer": "shop.delete_customer"}
    (answer,) = run_calls(message, toolbox, offered=names, allow=())
    assert answer["content"].endswith("is not available now. Available: none")


def test_users_whose_permissions_a_test_decides_are_told_apart_when_tools_change(
    client: OpenAI, shop: ToolRetriever
) -> None:
    def may_not(*ids: str) -> Any:
        return wrap(client, shop, allow=lambda tool: tool.id not in ids)

    one, other = "shop.track_parcel", "shop.list_invoices"
    may_not(one).chat.completions.create(model="m", messages=ASK)
    for change in (1, 2):
        shop.index.add_tools([tool("shop.new", f"Something else, {change}.")])
        assert set(offered(may_not(one), ASK)) == {"shop__cancel_order"}
        assert set(offered(may_not(one, "shop.new"), ASK)) == {"shop__cancel_order"}
        for others in ([], [other], [one, other], [one, "shop.cancel_order"]):
            assert not offered(may_not(*others), ASK)
    for change in range(9):
        shop.index.add_demos([Demo("d", f"Demonstration {change}.", tools=("shop.new",))])
        assert set(offered(may_not(one), ASK)) == {"shop__cancel_order"}
    # What changed meanwhile counts as it is now.
    forbidden = replace(SHOP[0], permissions=(frozenset({"admin"}),))
    shop.index.add_tools([forbidden])
    open_to_all = wrap(client, shop, allow=lambda tool: tool.id != one and not tool.permissions)
    assert not offered(open_to_all, ASK)


@pytest.mark.parametrize("mode", ["grow", "replace", "allowed", "proxy"])
def test_the_callers_own_forbidden_tools_are_not_offered(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever, mode: Any
) -> None:
    mine: Any = [function("shop__delete_customer"), function("own")]
    wrapped = wrap(client, shop, allow=(), mode=mode)
    wrapped.chat.completions.create(model="m", messages=ASK, tools=mine)
    assert names(server.requests[0])[0] == "own"
    assert "delete_customer" not in json.dumps(server.requests)


@pytest.mark.parametrize("allow", [None, ()])
async def test_a_request_goes_out_whatever_fails(
    server: OpenAIServer,
    client: OpenAI,
    shop: ToolRetriever,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    allow: Any,
) -> None:
    def fails(_: ToolRetriever) -> None:
        raise RuntimeError("no names")

    mine: Any = [function("shop__delete_customer"), function("own")]
    choice: Any = chosen("own")
    wrapped = wrap(client, shop, allow=allow)
    monkeypatch.setattr("toolret.integrations.openai.planner.names_of", fails)
    wrapped.chat.completions.create(model="m", messages=ASK, tools=mine, tool_choice=choice)
    async with AsyncOpenAI(base_url=server.base_url, api_key="k") as other:
        awrapped = wrap(other, shop, allow=allow)
        await awrapped.chat.completions.create(
            model="m", messages=ASK, tools=mine, tool_choice=choice
        )
    # What is forbidden cannot be told, so nothing is sent that might be.
    sent = {"tools": mine, "tool_choice": choice} if allow is None else {}
    for request in server.requests:
        assert {k: v for k, v in request.items() if k.startswith("tool")} == sent
    assert "RuntimeError: no names" in caplog.text


def test_a_test_of_tools_that_fails_forbids(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(tool: Tool) -> bool:
        raise KeyError("no such user")

    mine: Any = [function("shop__cancel_order"), function("own")]
    wrap(client, shop, allow=broken).chat.completions.create(model="m", messages=ASK, tools=mine)
    assert names(server.requests[0]) == ["own"]
    assert "failed, so it is forbidden" in caplog.text
    with pytest.raises(TypeError, match="allow is the text 'admin'"):
        wrap(client, shop, allow="admin")
    with pytest.raises(TypeError, match="allow is the text 'admin'"), permitting("admin"):
        pass


def test_a_fault_of_the_retrieval_does_not_stop_the_call(
    server: OpenAIServer,
    client: OpenAI,
    shop: ToolRetriever,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("the model is gone")

    monkeypatch.setattr(shop, "select", broken)
    mine: Any = [function("own"), function("shop__track_parcel")]
    wrap(client, shop).chat.completions.create(model="m", messages=ASK, tools=mine)
    assert server.requests[0]["tools"] == mine
    assert server.requests[0]["messages"] == ASK
    assert "the caller's own: RuntimeError: the model is gone" in caplog.text
    # Nor does one of the wrapper itself.
    monkeypatch.setattr("toolret.integrations.openai.planner.plan", broken)
    wrap(client, shop).responses.create(model="m", input=ASK)
    assert "tools" not in server.requests[1]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=429), RateLimitError),
        (Reply(status=500), InternalServerError),
        (Reply(drop=True), APIConnectionError),
    ],
)
def test_the_clients_own_errors_and_retries_stay(
    shop: ToolRetriever, reply: Reply, error: type[Exception]
) -> None:
    with (
        OpenAIServer(reply, Reply("well")) as server,
        OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client,
    ):
        with pytest.raises(error):
            wrap(client, shop).chat.completions.create(model="m", messages=ASK)
        again = wrap(client, shop).with_options(max_retries=1)
        assert again.chat.completions.create(model="m", messages=ASK).choices[0].message.content
    with OpenAIServer(reply, Reply("well")) as server:
        with OpenAI(base_url=server.base_url, api_key="k", max_retries=1) as client:
            wrap(client, shop).chat.completions.create(model="m", messages=ASK)
        assert server.requests[0] == server.requests[1]


def test_without_any_tool_nothing_is_said_of_tools(
    server: OpenAIServer, client: OpenAI, tmp_path: Path
) -> None:
    empty = wrap(client, retriever_of([], tmp_path))
    empty.chat.completions.create(
        model="m", messages=ASK, tool_choice="auto", parallel_tool_calls=False
    )
    assert server.requests[0].keys() == {"model", "messages"}


def test_requests_that_are_not_planned(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever
) -> None:
    wrapped = wrap(client, shop)
    functions: Any = [function("mine")["function"]]
    wrapped.chat.completions.create(model="m", messages=ASK, functions=functions)
    image: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    wrapped.chat.completions.create(model="m", messages=[{"role": "system", "content": ""}])
    assert all("tools" not in request for request in server.requests)
    wrapped.chat.completions.create(model="m", messages=image)
    with pytest.raises(TypeError, match="Missing required arguments"):
        wrapped.chat.completions.create(model="m")  # type: ignore[call-overload]


def test_iterators_are_read_once(server: OpenAIServer, client: OpenAI, shop: ToolRetriever) -> None:
    wrapped: Any = wrap(client, shop)
    wrapped.responses.create(model="m", input=iter(ASK), tools=iter([{"type": "web_search"}]))
    assert names(server.requests[0]) == ["web_search", "shop__cancel_order"]


def many(count: int, **more: Any) -> list[Any]:
    return [function(f"tool_{n}", f"Handles case {n} of area{n}.", **more) for n in range(count)]


def test_more_of_the_callers_tools_than_a_request_may_have(
    server: OpenAIServer, client: OpenAI, tmp_path: Path
) -> None:
    tools: Any = many(300)
    ask: Any = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "tool_calls": [{"id": "1", **function("tool_7")}]},
        {"role": "tool", "tool_call_id": "1", "content": "x"},
        {"role": "user", "content": "handle area299"},
    ]
    chosen: Any = {"type": "function", "function": {"name": "tool_123"}}
    own = [tool("other", "Something else.")]
    wrapped = wrap(client, retriever_of(own, tmp_path / "unknown"))
    wrapped.chat.completions.create(model="m", messages=ask, tools=tools, tool_choice=chosen)
    known = retriever_of(
        [tool(t["function"]["name"], t["function"]["description"]) for t in tools],
        tmp_path / "known",
    )
    wrap(client, known).chat.completions.create(
        model="m", messages=ask, tools=tools, tool_choice=chosen
    )
    for request in server.requests:
        assert {"tool_7", "tool_123", "tool_299"} <= set(names(request))
        assert len(request["tools"]) <= 128
        assert all(
            each in [*tools] for each in request["tools"] if each["function"]["name"] != "other"
        )
    assert len(server.requests[1]["tools"]) < 20


def test_of_many_tools_only_those_that_changed_are_read_anew(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def words(text: str, **options: Any) -> list[str]:
        read.append(text)
        return lexical_words(text, **options)

    monkeypatch.setattr(lexical, "words", words)
    completions = wrap(client, shop, mode="replace").chat.completions
    ask: Any = [{"role": "user", "content": "play the flugelhorn"}]
    tools: Any = [function(f"instrument_{n}", "Plays it.") for n in range(300)]
    completions.create(model="m", messages=ask, tools=tools)
    assert {json.dumps(each) for each in tools} <= {*read}
    read.clear()
    completions.create(model="m", messages=ask, tools=deepcopy(tools))
    assert not [text for text in read if "instrument" in text]
    tools[7]["function"]["description"] = "Plays the flugelhorn."
    completions.create(model="m", messages=ask, tools=tools)
    assert [text for text in read if "instrument" in text] == [json.dumps(tools[7])]
    assert tools[7] not in server.requests[1]["tools"]
    assert tools[7] in server.requests[2]["tools"]


def chosen(*named: str) -> Any:
    tools = [{"type": "function", "function": {"name": name}} for name in named]
    allowed = {"mode": "required", "tools": tools}
    return tools[0] if len(tools) == 1 else {"type": "allowed_tools", "allowed_tools": allowed}


def test_what_is_chosen_is_offered_beyond_the_most(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever
) -> None:
    completions = wrap(client, shop, max_offered=1).chat.completions
    one, two = "shop__track_parcel", "shop__list_invoices"
    completions.create(model="m", messages=ASK, tool_choice=chosen(one))
    completions.create(model="m", messages=ASK, tool_choice=chosen(one, two))
    assert [names(request) for request in server.requests] == [[one], [one, two]]
    for most in (0, -1, 1.5, True):
        with pytest.raises(
            ValueError, match=f"max_offered is {most}: give a whole number of 1 or more"
        ):
            wrap(client, shop, max_offered=most)  # type: ignore[arg-type]
    for no_client in (None, OpenAI):
        with pytest.raises(TypeError, match=r"client is .*: give an OpenAI or an AsyncOpenAI"):
            wrap(no_client, shop)  # type: ignore[type-var]


def test_a_call_that_is_required_is_asked_for_even_if_nothing_was_chosen(
    server: OpenAIServer, client: OpenAI, tmp_path: Path
) -> None:
    choosy = retriever_of(SHOP, tmp_path, min_score=1)
    completions = wrap(client, choosy, mode="allowed").chat.completions
    completions.create(model="m", messages=ASK)
    completions.create(model="m", messages=ASK, tool_choice="required")
    assert [request["tool_choice"] for request in server.requests] == ["none", "required"]


@pytest.mark.parametrize("count", [0, 200])
def test_tools_that_search_are_sent_once(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever, count: int
) -> None:
    mine: Any = [function("discover_tools", "Area7."), *many(count)]
    ask: Any = [{"role": "user", "content": "area7"}]
    wrapped = wrap(client, shop, mode="proxy")
    wrapped.chat.completions.create(model="m", messages=ask, tools=mine)
    search: Any = {"type": "tool_search", "execution": "client", "description": "Mine."}
    wrap(client, shop, mode="search").responses.create(model="m", input=ASK, tools=[search])
    proxied, searching = server.requests
    assert sorted(set(names(proxied)) - set(names({"tools": mine[1:]}))) == [
        "call_tool",
        "discover_tools",
    ]
    assert len(set(names(proxied))) == len(names(proxied))
    if not count:
        assert proxied["tools"][0] == mine[0]
    assert searching["tools"][0] == search
    assert names(searching) == ["tool_search", "shop__cancel_order"]


def test_a_choice_of_what_cannot_be_sent_is_left_out(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    completions = wrap(client, shop, allow=()).chat.completions
    may, forbidden = "shop__cancel_order", "shop__delete_customer"
    completions.create(model="m", messages=ASK, tool_choice=chosen(forbidden))
    completions.create(model="m", messages=ASK, tool_choice=chosen(forbidden, may))
    completions.create(model="m", messages=ASK, tool_choice=chosen(may), tools=many(128))
    choices = [request.get("tool_choice") for request in server.requests]
    left = {"mode": "required", "tools": [chosen(may)]}
    assert choices == [None, {"type": "allowed_tools", "allowed_tools": left}, None]
    assert caplog.text.count("which the request cannot have: it goes out without") == 3


@pytest.mark.usefixtures("quiet")
def test_tools_may_be_objects(server: OpenAIServer, client: OpenAI, shop: ToolRetriever) -> None:
    about = FunctionDefinition(name="own", parameters={"type": "object", "properties": {}})
    whole = ChatCompletionFunctionTool(type="function", function=about)
    tools: Any = [whole, {"type": "function", "function": about}]
    for each in (client, wrap(client, shop)):
        each.chat.completions.create(model="m", messages=ASK, tools=tools)
    bare, sent = (request["tools"] for request in server.requests)
    assert sent[:2] == bare
    assert names(server.requests[1])[2:] == ["shop__cancel_order"]


async def test_what_is_forbidden_is_not_offered_where_nothing_can_be_planned(
    shop: ToolRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbidden, mine = function("shop__delete_customer"), function("own")
    odd = {"type": "function", "name": {}}
    choice: Any = {"type": "function", "function": {"name": "shop__delete_customer"}}
    flat: Any = [{"type": "function", **each["function"]} for each in (forbidden, mine)]

    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("the planner is wrong")

    with OpenAIServer(Reply("Done.")) as server:
        with OpenAI(base_url=server.base_url, api_key="k") as client:
            wrapped = wrap(client, shop, allow=())
            wrapped.responses.create(model="m", previous_response_id="r", tools=flat)
            monkeypatch.setattr("toolret.integrations.openai.planner.plan", broken)
            create: Any = wrapped.chat.completions.create
            create(model="m", messages=ASK, tools=[forbidden, mine], tool_choice=choice)
            create(model="m", messages=ASK, tools=[forbidden])
            create(model="m", messages=ASK, tools=[forbidden, odd, mine])
        async with AsyncOpenAI(base_url=server.base_url, api_key="k") as other:
            create = wrap(other, shop, allow=()).chat.completions.create
            await create(model="m", messages=ASK, tools=[forbidden, mine])
            with permitting({"admin"}):
                await create(model="m", messages=ASK, tools=[forbidden, mine], tool_choice=choice)
    sent = [request.get("tools") for request in server.requests]
    assert sent == [flat[1:], [mine], None, [odd, mine], [mine], [forbidden, mine]]
    choices = [request.get("tool_choice") for request in server.requests]
    assert choices == [None, None, None, None, None, choice]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("mode", get_args(Mode))
def test_no_conversation_makes_a_forbidden_tool_be_offered(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever, mode: Mode
) -> None:
    wrapped = wrap(client, shop, mode=mode, allow=())
    search = {"name": "discover_tools", "arguments": "{}"}
    messages: Any = [
        {"role": "assistant", "tool_calls": [{"id": ["a"], "function": search}]},
        {"role": "tool", "tool_call_id": ["a"], "content": "{}"},
        *ASK,
    ]
    tools: Any = [function("shop__delete_customer"), function("own")]
    wrapped.chat.completions.create(model="m", messages=messages, tools=tools)
    assert "own" in names(server.requests[0])
    assert "delete_customer" not in json.dumps(server.requests[0])
    offered(wrapped, messages)


def test_forbidden_functions_in_a_namespace_of_the_callers_are_left_out(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever
) -> None:
    inner = [
        {"type": "function", "name": name, "parameters": parameters("name")}
        for name in ("find_customer", "shop__delete_customer")
    ]
    crm: Any = {"type": "namespace", "name": "crm", "description": "Customers.", "tools": inner}
    other: Any = {**crm, "name": "other", "tools": inner[1:]}
    wrapped = wrap(client, shop, allow=())
    wrapped.responses.create(model="m", input=ASK, tools=[crm, other])
    assert server.requests[0]["tools"][0] == {**crm, "tools": inner[:1]}
    assert names(server.requests[0])[1:] == ["shop__cancel_order"]


def test_functions_in_a_namespace_of_the_callers_may_be_called(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    inner = {"type": "function", "name": "find_customer", "parameters": parameters("name")}
    crm: Any = {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [inner]}
    choice: Any = {"type": "function", "name": "find_customer"}
    wrapped = wrap(client, shop)
    wrapped.responses.create(model="m", input=ASK, tools=[crm], tool_choice=choice)
    request = server.requests[0]
    assert request["tools"][0] == crm
    assert (request["tool_choice"], caplog.text) == (choice, "")
    assert {*offered(wrapped, ASK)} == {"find_customer", "shop__cancel_order"}


def test_after_a_fault_many_tools_are_cut_to_what_a_request_may_have(
    server: OpenAIServer, client: OpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools: Any = many(300)
    known = retriever_of([tool(t["function"]["name"], "x") for t in tools], tmp_path)
    monkeypatch.setattr(known, "select", None)
    wrap(client, known).chat.completions.create(model="m", messages=ASK, tools=tools)
    assert server.requests[0]["tools"] == tools[:128]


def test_after_a_fault_the_callers_tools_that_were_offered_stay(
    server: OpenAIServer, client: OpenAI, shop: ToolRetriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools: Any = many(300)
    ask: Any = [{"role": "user", "content": "handle area299"}]
    completions = wrap(client, shop).chat.completions
    completions.create(model="m", messages=ask, tools=tools)
    monkeypatch.setattr(shop, "select", None)
    ask += [{"role": "assistant", "content": "Which?"}, {"role": "user", "content": "all of it"}]
    completions.create(model="m", messages=ask, tools=tools)
    before, after = map(names, server.requests)
    mine = [name for name in before if name in names({"tools": tools})]
    assert "tool_299" in mine
    assert [name for name in after if name in mine] == mine
    assert len(after) == 128
