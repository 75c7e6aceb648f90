"""What a loop goes on with: what the provider has, what was done, and tools that change."""

from __future__ import annotations

from typing import Any

import pytest
from openai import AsyncOpenAI, InternalServerError, OpenAI

from tests.integrations.openai.conftest import SHOP, names, obedient
from tests.runners import RecordingRunner
from toolret import Toolbox, ToolRetriever
from toolret.integrations.openai import arun, offered, permitting, run, wrap
from toolret.testing import OpenAIServer, Reply
from toolret.types import Tool


@pytest.mark.parametrize("mode", ["grow", "replace", "allowed", "search", "proxy"])
@pytest.mark.parametrize("option", ["conversation", "previous_response_id"])
def test_a_run_goes_on_with_what_the_provider_has(
    shop: ToolRetriever, mode: Any, option: str
) -> None:
    calls: Any = [("shop__track_parcel", {})]
    searches: list[Reply] = []
    if mode in ("search", "proxy"):
        name = "tool_search" if mode == "search" else "discover_tools"
        searches = [Reply(tool_calls=[(name, {"query": "where is the parcel"})])]
    if mode == "proxy":
        calls = [("call_tool", {"name": "shop__track_parcel", "arguments": {}})]
    replies = [*searches, *[Reply(tool_calls=calls)] * 2, Reply("ok")]
    runner = RecordingRunner()
    options: dict[str, Any] = {option: "id_1"}
    with OpenAIServer(*replies) as server, OpenAI(base_url=server.base_url, api_key="k") as client:
        went = run(
            client,
            shop,
            "hm" if searches else "where is the parcel",
            model="m",
            tools=Toolbox(SHOP, runner),
            mode=mode,
            api="responses",
            **options,
        )
    assert (went.text, runner.ran) == ("ok", ["shop.track_parcel"] * 2)
    assert [request[option] for request in server.requests] == ["id_1"] * len(replies)
    # What follows an earlier response is sent whole; a conversation is told what is new.
    step = 0 if option == "conversation" else 2
    lengths = [len(request["input"]) - len(examples(request)) for request in server.requests]
    assert lengths == [1 + step * n for n in range(len(replies))]


@pytest.mark.parametrize("how", ["create", "stream"])
async def test_streamed_responses_are_gone_on_with_by_their_ids(
    shop: ToolRetriever, how: str
) -> None:
    ask: Any = [{"role": "user", "content": "shop__delete_customer Bob"}]
    told: Any = [{"type": "function_call_output", "call_id": "c", "output": "done"}]
    with OpenAIServer(obedient) as server:
        options: Any = {"base_url": server.base_url, "api_key": "k"}
        with OpenAI(**options) as bare:
            client = wrap(bare, shop, allow=())
            with permitting({"admin"}):
                opened = getattr(client.responses, how)(
                    model="m", input=ask, **({"stream": True} if how == "create" else {})
                )
                stream = opened if how == "create" else opened.__enter__()
            first = next(event for event in stream if event.type == "response.completed").response
            with permitting({"admin"}):
                client.responses.create(model="m", input=told, previous_response_id=first.id)
                assert "shop__delete_customer" in offered(client, told, continued=first.id)
        async with AsyncOpenAI(**options) as abare:
            aclient = wrap(abare, shop, allow={"admin"})
            if how == "create":
                astream = await aclient.responses.create(model="m", input=ask, stream=True)
                id_ = [e async for e in astream if e.type == "response.completed"].pop().response.id
            else:
                async with aclient.responses.stream(model="m", input=ask) as managed:
                    id_ = (await managed.get_final_response()).id
            await aclient.responses.create(model="m", input=told, previous_response_id=id_)
    for asked, went_on in (server.requests[:2], server.requests[2:]):
        assert names(asked) == names(went_on) == ["shop__delete_customer"]


async def test_an_error_that_ends_a_run_tells_what_was_done(shop: ToolRetriever) -> None:
    runner = RecordingRunner()
    box = Toolbox(SHOP, runner)
    ask = "where is the parcel"
    replies = [Reply(tool_calls=[("shop__track_parcel", {})]), Reply(status=500)]
    with OpenAIServer(*replies, *replies) as server:
        options: Any = {"base_url": server.base_url, "api_key": "k", "max_retries": 0}
        with OpenAI(**options) as client, pytest.raises(InternalServerError) as raised:
            run(client, shop, ask, model="m", tools=box)
        async with AsyncOpenAI(**options) as eventual:
            with pytest.raises(InternalServerError) as araised:
                await arun(eventual, shop, ask, model="m", tools=box)
    for error in (raised.value, araised.value):
        went: Any = error.run  # type: ignore[attr-defined]
        assert (went.turns, went.finished) == (1, False)
        assert went.messages[-1]["content"] == "shop.track_parcel ran"
        assert "`run.messages` of this error" in error.__notes__[0]
        with (
            OpenAIServer(Reply("It is there.")) as server,
            OpenAI(base_url=server.base_url, api_key="k") as client,
        ):
            assert run(client, shop, went.messages, model="m", tools=box).text == "It is there."
    assert len(runner.ran) == 2


def test_tools_may_change_while_the_model_thinks(shop: ToolRetriever) -> None:
    def thinks(request: dict[str, Any]) -> Reply:
        shop.index.add_tools([Tool("shop.new", "new", description="Something else.")])
        return Reply(tool_calls=[("shop__track_parcel", {})])

    runner = RecordingRunner()
    with (
        OpenAIServer(thinks, Reply("ok")) as server,
        OpenAI(base_url=server.base_url, api_key="k") as client,
    ):
        run(client, shop, "where is the parcel", model="m", tools=Toolbox(SHOP, runner))
    assert runner.ran == ["shop.track_parcel"]
    assert server.requests[0]["tools"] == server.requests[1]["tools"]


def examples(request: dict[str, Any]) -> list[Any]:
    return [item for item in request["input"] if item.get("role") == "system"]
