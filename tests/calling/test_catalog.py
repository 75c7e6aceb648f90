"""The shipped catalog, called on a real server that is made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from langchain_core.messages import ToolMessage

from tests.calling.catalog_server import TOKEN, catalog_server
from tests.conftest import ROOT
from toolret.calling import HttpRunner, SecurityScheme, Toolbox
from toolret.catalogs import load_tools
from toolret.integrations.langchain import langchain_tools
from toolret.rows import load_demos
from toolret.text.names import wire_name
from toolret.types import Call, Tool

CALLS = [call for demo in load_demos(ROOT / "demos") for call in demo.calls]


@pytest.fixture(scope="module")
def tools() -> list[Tool]:
    return load_tools(ROOT / "tool_catalogs")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with catalog_server(ROOT / "tool_catalogs") as url:
        yield url


SERVER = "https://api.fernhill.example"


def _token(scheme: SecurityScheme) -> str:
    return TOKEN


def _is_understood(call: Call, text: str) -> bool:
    understood = json.loads(text)
    return bool(
        understood["operation"] == call.tool.partition(".")[2]
        and understood["arguments"] == call.arguments
    )


def test_every_demonstrated_call_reaches_its_operation_with_its_arguments(
    tools: list[Tool], server: str
) -> None:
    assert len({call.tool for call in CALLS}) > 150
    with httpx.Client() as client:
        toolbox = Toolbox(tools, HttpRunner(credentials=_token, base_url=server, client=client))
        for call in CALLS:
            outcome = toolbox.call(wire_name(call.tool), json.dumps(call.arguments))
            assert (outcome.ok, outcome.status) == (True, 200), outcome.text
            assert _is_understood(call, outcome.text), (call, outcome.text)


async def test_demonstrated_calls_reach_their_operations_in_an_event_loop(
    tools: list[Tool], server: str
) -> None:
    async with httpx.AsyncClient() as client:
        runner = HttpRunner(credentials=_token, base_url=server, async_client=client)
        toolbox = Toolbox(tools, runner)
        for call in CALLS[::5]:
            outcome = await toolbox.acall(call.tool, call.arguments)
            assert _is_understood(call, outcome.text)


async def test_langchain_runs_operations_sync_and_async(tools: list[Tool], server: str) -> None:
    toolbox = Toolbox(tools, HttpRunner(credentials=_token, base_url=server))
    by_name = {tool.name: tool for tool in langchain_tools(tools, toolbox)}
    assert len(by_name) == len(tools)
    for call in CALLS[:20]:
        tool = by_name[wire_name(call.tool)]
        asked = {"type": "tool_call", "id": "c1", "name": tool.name, "args": call.arguments}
        for message in (tool.invoke(asked), await tool.ainvoke(asked)):
            assert isinstance(message, ToolMessage)
            assert (message.status, message.tool_call_id) == ("success", "c1")
            assert _is_understood(call, str(message.content))
            assert message.artifact.status == 200


def test_a_server_that_refuses_is_an_outcome_that_the_model_can_read(
    tools: list[Tool], server: str
) -> None:
    arguments = {"orderId": "no number"}
    toolbox = Toolbox(tools, HttpRunner(credentials=_token, base_url=server))
    outcome = toolbox.call("orders__getOrder", arguments)
    assert (outcome.ok, outcome.status) == (False, 422)
    assert outcome.text.startswith("HTTP 422 Unprocessable")
    assert outcome.value == {"error": "'no number': 'no number' does not match '^[0-9]{5}$'"}
    (tool,) = langchain_tools([toolbox.tool("orders.getOrder")], toolbox)
    message = tool.invoke({"type": "tool_call", "id": "c", "name": tool.name, "args": arguments})
    assert (message.status, message.content) == ("error", outcome.text)
    assert toolbox.call("orders.getOrder", {}).text == (
        "Error: 'orders.getOrder' needs the arguments 'orderId'"
    )


def test_without_credentials_nothing_secret_is_sent(tools: list[Tool], server: str) -> None:
    outcome = Toolbox(tools, HttpRunner(base_url=server)).call(
        "orders.getOrder", {"orderId": "48731"}
    )
    assert outcome.text == 'HTTP 401 Unauthorized: {"error": "who are you?"}'


def test_the_hook_is_given_the_scheme_and_the_origin(tools: list[Tool], server: str) -> None:
    asked: list[SecurityScheme] = []

    def hook(scheme: SecurityScheme) -> None:
        asked.append(scheme)

    toolbox = Toolbox(tools, HttpRunner(credentials=hook, base_url=server))
    outcome = toolbox.call("orders.getOrder", {"orderId": "48731"})
    assert outcome.text == (
        "Error: 'orders.getOrder' needs credentials (fernhill), and the hook gave none"
    )
    assert asked == [
        SecurityScheme("fernhill", "oauth2", ("orders:read",), "", server, "orders.getOrder")
    ]


def test_reading_a_catalog_and_making_tools_calls_nothing(
    tools: list[Tool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("something was sent")

    monkeypatch.setattr("socket.socket.connect", refuse)
    runner = HttpRunner(credentials=_token, origins=[SERVER])
    toolbox = Toolbox(load_tools(ROOT / "tool_catalogs"), runner)
    assert len(langchain_tools(toolbox, toolbox)) == len(tools)
    request = runner.request(toolbox.tool("orders.getOrder"), {"orderId": "48731"})
    assert request.url == f"{SERVER}/orders/v1/orders/48731"
    assert request.headers == (("Authorization", f"Bearer {TOKEN}"),)


def test_a_toolbox_does_not_hold_what_none_of_its_runners_can_run(tools: list[Tool]) -> None:
    rows = load_tools([{"name": "lookup", "description": "Looks a word up."}])
    idle = Toolbox([*tools, *rows])
    assert (list(idle), len(idle), "orders.getOrder" in idle) == ([], 0, False)
    assert idle.call("orders.getOrder", {"orderId": "1"}).text == (
        "Error: 'orders.getOrder' cannot be run: give the Toolbox a runner for API operations, "
        "such as HttpRunner()"
    )
    assert idle.call("lookup", {}).text == (
        "Error: 'lookup' cannot be run: give the Toolbox the function that it was made from, or a "
        "Runner of your own"
    )
    assert list(Toolbox([*tools, *rows], HttpRunner())) == tools
