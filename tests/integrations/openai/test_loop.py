"""The loop that comes with it, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.tools import tool as convert_to_tool
from openai import AsyncOpenAI, OpenAI

from tests.conftest import demo
from tests.integrations.openai.conftest import SHOP, items_of, names, obedient, retriever_of
from tests.runners import RecordingRunner
from toolret import (
    BudgetError,
    CatalogError,
    InputError,
    Toolbox,
    ToolRetriever,
    load_tools,
)
from toolret.integrations.openai import Api, arun, offered, permitting, run, run_calls, wrap
from toolret.testing import OpenAIServer, Reply
from toolret.types import Tool


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_functions_and_tools_of_the_index_run(shop: ToolRetriever, api: Api) -> None:
    replies = [
        Reply(tool_calls=[("add", {"a": 1, "b": 2}), ("shop__track_parcel", {}), ("nope", {})]),
        Reply("There it is."),
    ]
    runner = RecordingRunner()
    toolbox = Toolbox([*load_tools([add]), *SHOP], runner)
    with OpenAIServer(*replies) as server, _client(server) as client:
        went = run(client, shop, "where is the parcel", model="m", tools=toolbox, api=api)
    assert (went.text, went.turns, went.finished) == ("There it is.", 2, True)
    assert names(server.requests[0]) == ["add", "shop__track_parcel"]
    answers = [item.get("content") or item.get("output") for item in _items(server)[-3:]]
    assert answers == [
        "3",
        "shop.track_parcel ran",
        "Error: the tool 'nope' is not available now. Available: add, shop__track_parcel",
    ]
    assert runner.ran == ["shop.track_parcel"]


def test_a_run_without_tools_says_that_it_offers_none(
    shop: ToolRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    with OpenAIServer(Reply("No.")) as server, _client(server) as client:
        run(client, shop, "where is the parcel", model="m")
    assert "tools" not in server.requests[0]
    assert "run was given no tools, so it offers none: pass tools=" in caplog.text


async def test_the_loop_of_event_loops(shop: ToolRetriever) -> None:
    async def double(n: int) -> int:
        """Double a number."""
        return 2 * n

    replies = [Reply(tool_calls=[("double", {"n": 4})]), Reply("8")]
    for api in ("chat", "responses"):
        with OpenAIServer(*replies) as server:
            async with AsyncOpenAI(base_url=server.base_url, api_key="k") as client:
                went = await arun(client, shop, "double 4", model="m", tools=[double], api=api)
        assert (went.text, went.turns) == ("8", 2)
        assert (_items(server)[-1].get("content") or _items(server)[-1]["output"]) == "8"


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_what_has_run_is_answered_when_a_run_is_cancelled(
    shop: ToolRetriever, api: Api
) -> None:
    """Who goes on with the messages would otherwise pay twice."""
    waiting = asyncio.Event()

    def pay(euros: int) -> str:
        """Pay."""
        return f"{euros} paid"

    async def wait() -> None:
        """Wait."""
        waiting.set()
        await asyncio.Event().wait()

    reply = Reply(tool_calls=[("pay", {"euros": 5}), ("wait", {})])
    with OpenAIServer(reply) as server:
        async with AsyncOpenAI(base_url=server.base_url, api_key="k") as client:
            task = asyncio.create_task(
                arun(client, shop, "pay, then wait", model="m", tools=[pay, wait], api=api)
            )
            await waiting.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as error:
                await task
    went: Any = error.value.run  # type: ignore[attr-defined]
    assert "5 paid" in went.messages[-1].values()


def test_a_model_that_calls_for_ever_is_stopped(shop: ToolRetriever) -> None:
    with (
        OpenAIServer(Reply(tool_calls=[("add", {"a": 1, "b": 1})])) as server,
        _client(server) as client,
    ):
        went = run(client, shop, "add", model="m", tools=[add], max_turns=3)
    assert (went.turns, went.finished, len(server.requests)) == (3, False, 3)
    assert "2" in str(went.messages[-1])


def test_what_cannot_be_run_is_not_offered(shop: ToolRetriever) -> None:
    toolbox = Toolbox([tool for tool in SHOP if tool.name != "cancel_order"], RecordingRunner())
    with OpenAIServer(obedient) as server, _client(server) as client:
        run(client, shop, "cancel the order", model="m", tools=toolbox)
        run(client, shop, "cancel the order", model="m")
        schema = {"type": "function", "function": {"name": "wait", "description": "Wait."}}
        run(client, shop, "wait", model="m", tools=[add, schema])
    assert "shop__cancel_order" not in names(server.requests[0])
    assert "tools" not in server.requests[1]
    assert names(server.requests[2]) == ["add"]


def cancel_order() -> str:
    """Cancel an order before it ships."""
    return "mine ran"


@pytest.mark.parametrize("tools", [[cancel_order], Toolbox(load_tools([cancel_order]))])
def test_a_function_that_is_described_like_what_cannot_be_run_is_ones_own(
    shop: ToolRetriever, tools: Any
) -> None:
    replies = [Reply(tool_calls=[("cancel_order", {})]), Reply("ok")]
    with OpenAIServer(*replies) as server, _client(server) as client:
        run(client, shop, "cancel the order", model="m", tools=tools)
    assert names(server.requests[0]) == ["cancel_order"]
    assert _items(server)[-1]["content"] == "mine ran"


@pytest.mark.parametrize("mode", ["grow", "replace", "allowed", "search", "proxy"])
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_what_the_user_may_not_use_is_not_run(shop: ToolRetriever, mode: Any, api: Api) -> None:
    wanted: tuple[str, dict[str, Any]] = ("shop__delete_customer", {})
    through = ("call_tool", {"name": "shop__delete_customer", "arguments": {}})
    find = {"query": "delete the customer Bob"}
    replies = [
        Reply(tool_calls=[("discover_tools", find), ("tool_search", find)]),
        Reply(tool_calls=[wanted, through]),
        Reply("ok"),
    ]
    for allow, ran in (((), []), ({"admin"}, ["shop.delete_customer"])):
        runner = RecordingRunner()
        toolbox = Toolbox(SHOP, runner)
        with OpenAIServer(*replies) as server, _client(server) as client:
            run(
                client,
                shop,
                "delete the customer Bob",
                model="m",
                tools=toolbox,
                allow=allow,
                mode=mode,
                api=api,
            )
        assert set(runner.ran) == set(ran)
        if not ran:
            asked = json.dumps([[r.get("tools"), _system(r)] for r in server.requests])
            assert "delete_customer" not in asked


@pytest.mark.parametrize("mode", ["grow", "proxy"])
def test_a_run_within_permitting_is_limited_by_both(shop: ToolRetriever, mode: Any) -> None:
    scopes = {"cancel_order": "write", "refund_payment": "pay", "track_parcel": "see"}
    known = [tool for tool in SHOP if tool.name in scopes]
    tools = [replace(tool, permissions=(frozenset({scopes[tool.name]}),)) for tool in known]
    shop.index.sync_tools(tools)
    own = Tool("own", "own", description="Mine.", permissions=(frozenset({"own"}),))
    asked = [tool.id.replace(".", "__") for tool in (*tools, own)]
    calls: Any = [(name, {}) for name in asked]
    if mode == "proxy":
        found = [("discover_tools", {"query": tool.description}) for tool in tools]
        calls = [*found, *(("call_tool", {"name": name, "arguments": {}}) for name in asked)]
    everything = {*scopes.values(), "own"}
    limits: list[tuple[Any, Any, list[Tool], list[str]]] = [
        ({"write", "pay"}, {"write", "see", "own"}, [*tools, own], ["shop.cancel_order"]),
        ({"own"}, everything, [*tools, own], ["own"]),
        (everything, (), [*tools, own], []),
        (everything, None, tools[:1], ["shop.cancel_order"]),
        (lambda tool: tool.id == "own", everything, [*tools, own], ["own"]),
    ]
    for outer, allow, held, ran in limits:
        runner = RecordingRunner()
        box = Toolbox(held, runner)
        ask = "cancel_order, refund_payment, track_parcel"
        replies = [Reply(tool_calls=[call]) for call in calls]
        with (
            OpenAIServer(*replies, Reply("ok")) as server,
            _client(server) as client,
            permitting(outer),
        ):
            run(client, shop, ask, model="m", tools=box, allow=allow, mode=mode)
        assert sorted({*runner.ran}) == ran
        sent = json.dumps([request.get("tools") for request in server.requests])
        assert [id_ for id_ in asked if id_ in sent and id_.replace("__", ".") not in ran] == []


def test_a_private_example_is_shown_to_those_who_hold_its_permission(shop: ToolRetriever) -> None:
    """What the toolbox cannot run is not offered, but that is no word on who may see what."""
    mine = demo("mine", "stop what I bought", "shop.cancel_order")
    mine = replace(mine, answer="It is stopped.", permissions=(frozenset({"tenant:7"}),))
    shop.index.add_demos([mine])
    limits: list[tuple[Any, Any, bool]] = [
        (None, None, True),
        (None, {"tenant:7"}, True),
        (None, {"tenant:8"}, False),
        ({"tenant:7"}, None, True),
        ({"tenant:7"}, {"tenant:8"}, False),
        (None, lambda tool: True, False),
        ({"tenant:7"}, lambda tool: True, False),
    ]
    for outer, allow, shown in limits:
        with OpenAIServer(Reply("ok")) as server, _client(server) as client, permitting(outer):
            toolbox = Toolbox(SHOP[:2], RecordingRunner())
            run(client, shop, mine.text, model="m", tools=toolbox, allow=allow)
        assert (mine.answer in json.dumps(server.requests)) == shown


def test_the_proxy_runs_only_what_it_found(shop: ToolRetriever) -> None:
    def call(name: str) -> tuple[str, dict[str, Any]]:
        return "call_tool", {"name": name, "arguments": {}}

    replies = [
        Reply(tool_calls=[call("shop__track_parcel"), ("call_tool", {"name": "x"})]),
        Reply(tool_calls=[("discover_tools", {"query": "track the parcel"})]),
        Reply(tool_calls=[call("shop__track_parcel")]),
        Reply(tool_calls=[("discover_tools", {"query": "where is the parcel"})]),
        Reply("ok"),
    ]
    runner = RecordingRunner()
    with OpenAIServer(*replies) as server, _client(server) as client:
        run(client, shop, "hm", model="m", tools=Toolbox(SHOP, runner), mode="proxy")
    answers = [item["content"] for item in _items(server) if item["role"] == "tool"]
    assert "'shop__track_parcel' is not available now" in answers[0]
    assert answers[1].startswith("Error: call_tool takes the name of a tool")
    found = json.loads(answers[2])
    assert [tool["name"] for tool in found["tools"]] == ["shop__track_parcel"]
    assert "Request: where is the parcel of Alice" in found["examples"]
    assert answers[3] == "shop.track_parcel ran"
    assert json.loads(answers[4])["tools"] == []
    assert json.loads(answers[4])["found before"] == ["shop__track_parcel"]


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_what_was_found_may_be_kept_as_parts(shop: ToolRetriever, api: Api) -> None:
    replies = [
        Reply(tool_calls=[("discover_tools", {"query": "where is the parcel"})]),
        Reply(tool_calls=[("call_tool", {"name": "shop__track_parcel", "arguments": {}})]),
    ]
    items: Any = [{"role": "user", "content": "hm"}]
    with OpenAIServer(*replies) as server, _client(server) as client:
        wrapped = wrap(client, shop, mode="proxy")
        for _ in replies:
            if api == "chat":
                said: Any = wrapped.chat.completions.create(model="m", messages=items)
                items.append(said.choices[0].message)
            else:
                said = wrapped.responses.create(model="m", input=items)
                items += said.output
            [answer] = run_calls(
                said, Toolbox(SHOP, RecordingRunner()), offered=offered(wrapped, items)
            )
            key, kind = ("content", "text") if api == "chat" else ("output", "input_text")
            items.append({**answer, key: [{"type": kind, "text": answer[key]}]})
    assert items[-1][key][0]["text"] == "shop.track_parcel ran"


def test_a_tool_of_the_user_may_have_the_name_of_a_proxy_tool(shop: ToolRetriever) -> None:
    mine = [Tool(name, name, description="Mine.") for name in ("call_tool", "discover_tools")]
    tools: Any = [{"type": "function", "function": {"name": tool.name}} for tool in mine]
    arguments = {"name": "shop__track_parcel", "arguments": {}, "query": "x"}
    reply = Reply(tool_calls=[(tool.name, arguments) for tool in mine])
    ask: Any = [{"role": "user", "content": "hm"}]
    with OpenAIServer(reply) as server, _client(server) as client:
        wrapped = wrap(client, shop)
        said = wrapped.chat.completions.create(model="m", messages=ask, tools=tools)
    box, names = Toolbox(mine, RecordingRunner()), offered(wrapped, ask)
    answers = run_calls(said.choices[0].message, box, offered=names)
    assert [answer["content"] for answer in answers] == ["call_tool ran", "discover_tools ran"]


def test_a_model_is_told_that_its_search_failed(
    shop: ToolRetriever, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **options: Any) -> None:
        raise RuntimeError("the model is gone")

    monkeypatch.setattr(shop, "select", broken)
    replies = [Reply(tool_calls=[("discover_tools", {"query": "x"})]), Reply("ok")]
    with OpenAIServer(*replies) as server, _client(server) as client:
        went = run(client, shop, "hm", model="m", tools=[add], mode="proxy")
    assert went.finished
    assert _items(server)[-1]["content"].startswith("Error: the search of the catalog failed")
    assert "a search of the model's failed: RuntimeError" in caplog.text


@pytest.mark.parametrize("mode", ["grow", "proxy"])
def test_what_fits_the_budget_in_the_retrievers_format_alone_is_a_failed_search(
    tmp_path: Path, mode: Any, caplog: pytest.LogCaptureFixture
) -> None:
    report = Tool("shop.report", "report", description="Export the report.")
    retriever = retriever_of([report], tmp_path, prompt_format="text")

    def fits(budget: int) -> bool:
        with suppress(BudgetError):
            return bool(retriever.select("report", token_budget=budget))
        return False

    retriever.token_budget = next(budget for budget in range(1, 100) if fits(budget))
    with pytest.raises(BudgetError):
        retriever.select("report").to_openai()
    calls: Any = [("discover_tools", {"query": "report"}), ("add", {"a": 1, "b": 2})]
    replies = [Reply(tool_calls=calls[mode == "grow" :]), Reply("ok")]
    toolbox = Toolbox([*load_tools([add]), report], RecordingRunner())
    with OpenAIServer(*replies) as server, _client(server) as client:
        went = run(client, retriever, "report", model="m", tools=toolbox, mode=mode)
    assert went.finished
    assert _items(server)[-1]["content"] == "3"
    if mode == "proxy":
        assert "the search of the catalog failed" in _items(server)[-2]["content"]
        assert "a search of the model's failed: BudgetError" in caplog.text


def test_a_hand_written_loop_with_streams(shop: ToolRetriever) -> None:
    runner = RecordingRunner()
    toolbox = Toolbox(SHOP, runner)
    with OpenAIServer(obedient) as server, _client(server) as client:
        wrapped = wrap(client, shop)
        messages: list[Any] = [{"role": "user", "content": "track the parcel: shop__track_parcel"}]
        while True:
            with wrapped.chat.completions.stream(model="m", messages=messages) as stream:
                message = stream.get_final_completion().choices[0].message
            messages.append(message)
            answers = run_calls(message, toolbox, offered=offered(wrapped, messages))
            if not answers:
                break
            messages += answers
    assert message.content == "It says: shop.track_parcel ran"


def test_tools_that_cannot_be_read(shop: ToolRetriever) -> None:
    with OpenAIServer() as server, _client(server) as client, pytest.raises(CatalogError):
        run(client, shop, "x", model="m", tools=[{"no": "tool"}])


def test_half_of_a_surrogate_pair_is_told_as_a_question_mark(
    shop: ToolRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)  # a warning with the error as it is could not be reported

    def review() -> Any:
        """Read a review."""
        return json.loads('"Great \\ud83d"')

    def broken() -> None:
        """Fail."""
        raise ValueError(review())

    replies = [Reply(tool_calls=[("review", {}), ("broken", {})]), Reply("ok")]
    with OpenAIServer(*replies) as server, _client(server) as client:
        assert run(client, shop, "hm", model="m", tools=[review, broken]).finished
    answers = [item["content"] for item in _items(server)[-2:]]
    assert answers == ["Great ?", "Error: ValueError: Great ?"]


async def test_arguments_that_a_loop_cannot_take(shop: ToolRetriever) -> None:
    start: Any = run
    begin: Any = arun
    loaded = load_tools([add])
    with OpenAIServer(Reply(body=b'{"choices": []}')) as server, _client(server) as client:
        eventual = AsyncOpenAI(base_url=server.base_url, api_key="k")
        with pytest.raises(TypeError, match="of type AsyncOpenAI: give an OpenAI, or use arun"):
            start(eventual, shop, "x", model="m")
        with pytest.raises(TypeError, match="of type OpenAI: give an AsyncOpenAI, or use run"):
            await begin(client, shop, "x", model="m")
        with pytest.raises(InputError, match="api is one of chat, responses, not 'respones'"):
            start(client, shop, "x", model="m", api="respones")
        with pytest.raises(TypeError, match="only whole replies are read"):
            start(client, shop, "x", model="m", stream=True)
        with pytest.raises(TypeError, match=r"give tools=Toolbox\(tools\)"):
            start(client, shop, "x", model="m", tools=loaded)
        for alone in (add, convert_to_tool(add), "tools.json", {"name": "add"}, SHOP[0], None):
            with pytest.raises(TypeError, match=r"^tools is .*: give a list, such as tools=\["):
                start(client, shop, "x", model="m", tools=alone)
        with pytest.raises(TypeError, match="a ToolIndex chooses nothing"):
            start(client, shop.index, "x", model="m")
        assert server.requests == []
        for api in ("chat", "responses"):
            with pytest.raises(InputError, match="the server's answer is no reply"):
                start(client, shop, "x", model="m", api=api)


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_a_refusal_is_what_the_model_said(shop: ToolRetriever, api: Api) -> None:
    refusal = {"type": "refusal", "refusal": "I cannot do that."}
    message = {"role": "assistant", "content": None, "refusal": refusal["refusal"]}
    item = {"type": "message", "id": "m", "role": "assistant", "content": [refusal]}
    body = {"object": "response", "output": [item], "choices": [{"message": message}]}
    with OpenAIServer(Reply(body=json.dumps(body).encode())) as server, _client(server) as client:
        went = run(client, shop, "x", model="m", api=api)
    assert (went.text, went.finished) == ("I cannot do that.", True)


def test_the_words_of_a_reply_in_parts_are_a_text(shop: ToolRetriever) -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    parts += [{"type": "text", "text": text} for text in ("It is", "cancelled.")]
    body = {"choices": [{"message": {"role": "assistant", "content": parts}}]}
    with OpenAIServer(Reply(body=json.dumps(body).encode())) as server, _client(server) as client:
        assert run(client, shop, "x", model="m").text == "It is\ncancelled."


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_that_was_cut_short_is_told_from_a_whole_one(
    shop: ToolRetriever, reason: str
) -> None:
    def reply(words: str, reason: str) -> Reply:
        choice = {"finish_reason": reason, "message": {"role": "assistant", "content": words}}
        return Reply(body=json.dumps({"choices": [choice]}).encode())

    replies = (reply("It is", reason), reply("Oslo", "stop"))
    with OpenAIServer(*replies) as server, _client(server) as client:
        went = run(client, shop, "where?", model="m", tools=[add])
        assert (went.text, went.finished, went.cut) == ("It is", False, reason)
        went = run(client, shop, went.messages, model="m", tools=[add])
        assert (went.text, went.finished, went.cut) == ("Oslo", True, "")


@pytest.mark.parametrize(
    ("details", "cut"),
    [({"reason": "max_output_tokens"}, "max_output_tokens"), (None, "incomplete")],
)
def test_a_response_that_was_cut_short_is_told_from_a_whole_one(
    shop: ToolRetriever, details: Any, cut: str
) -> None:
    body = {"object": "response", "status": "incomplete", "output": []}
    body |= {"incomplete_details": details}
    with OpenAIServer(Reply(body=json.dumps(body).encode())) as server, _client(server) as client:
        went = run(client, shop, "where?", model="m", tools=[add], api="responses")
    assert (went.text, went.finished, went.cut) == ("", False, cut)


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        ("failed", {"code": "server_error", "message": "it broke"}, "failed, .*: it broke"),
        ("queued", None, "queued, so it holds no answer$"),
    ],
)
def test_a_response_without_an_answer_is_no_end(
    shop: ToolRetriever, status: str, error: Any, told: str
) -> None:
    body = {"object": "response", "status": status, "error": error, "output": []}
    with (
        OpenAIServer(Reply(body=json.dumps(body).encode())) as server,
        _client(server) as client,
        pytest.raises(InputError, match=f"the response is {told}"),
    ):
        run(client, shop, "x", model="m", api="responses")


def test_fifty_conversations_at_once(tmp_path: Path) -> None:
    tools = [Tool(f"t.n{n}", f"n{n}", description=f"Handle topic{n}.") for n in range(50)]
    retriever = retriever_of(tools, tmp_path, max_tools=1)

    def talk(client: OpenAI, number: int) -> list[Any]:
        runner = RecordingRunner()
        messages: Any = []
        for turn in range(3):
            wanted = (number + turn) % 50
            messages.append({"role": "user", "content": f"handle topic{wanted}: t__n{wanted}"})
            box = Toolbox(tools, runner)
            messages = run(client, retriever, messages, model="m", tools=box).messages
        return runner.ran

    with (
        OpenAIServer(obedient) as server,
        _client(server) as client,
        ThreadPoolExecutor(50) as pool,
    ):
        ran = list(pool.map(lambda number: talk(client, number), range(50)))
    assert ran == [[f"t.n{(n + turn) % 50}" for turn in range(3)] for n in range(50)]
    # No conversation was offered what another asked for.
    for request in server.requests:
        asked = [m["content"].split()[-1] for m in request["messages"] if m["role"] == "user"]
        assert names(request) == asked


async def test_permissions_do_not_mix_between_tasks(shop: ToolRetriever) -> None:
    ask: Any = [{"role": "user", "content": "delete the customer Bob"}]
    with OpenAIServer(obedient) as server:
        async with AsyncOpenAI(base_url=server.base_url, api_key="k") as client:
            wrapped = wrap(client, shop, allow=())

            async def user(number: int) -> bool:
                with permitting({"admin"} if number % 2 else set()):
                    await wrapped.chat.completions.create(model=f"user-{number}", messages=ask)
                    return "shop__delete_customer" in offered(wrapped, ask)

            may = await asyncio.gather(*map(user, range(20)))
    assert may == [bool(number % 2) for number in range(20)]
    for request in server.requests:
        admin = int(request["model"].split("-")[1]) % 2
        assert ("delete_customer" in json.dumps(request)) == bool(admin)


def _client(server: OpenAIServer) -> OpenAI:
    return OpenAI(base_url=server.base_url, api_key="k")


def _items(server: OpenAIServer) -> list[dict[str, Any]]:
    return items_of(server.requests[-1])


def _system(request: dict[str, Any]) -> list[Any]:
    return [m for m in items_of(request) if m.get("role") == "system"]
