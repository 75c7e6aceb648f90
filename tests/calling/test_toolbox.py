from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

import numpy as np
import pytest
from langchain_core.tools import InjectedToolArg
from langchain_core.tools import tool as langchain_tool
from pydantic import BaseModel, Field

from toolret.calling import Toolbox, ToolResult
from toolret.catalogs import load_tools
from toolret.errors import CallError
from toolret.integrations.langchain import langchain_tools
from toolret.text.results import result_text
from toolret.tracing import CAPTURE_CONTENT
from toolret.types import JsonObject, Tool


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


def fail(reason: str) -> str:
    """Fail."""
    raise RuntimeError(f"it failed:\n{reason}")


async def later(text: str) -> dict[str, str]:
    """Say it later."""
    await asyncio.sleep(0)
    return {"said": text}


class Unsaid:
    def __str__(self) -> str:
        raise RuntimeError


class Room(BaseModel):
    number: int
    free_from: date = Field(serialization_alias="freeFrom")


@dataclass
class Price:
    amount: Decimal


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


TOOLBOX = Toolbox(load_tools([add, fail, later], namespace="calc"))


def test_functions_run_by_name_or_id() -> None:
    assert TOOLBOX.call("calc__add", '{"a": 2}') == ToolResult("3", 3)
    assert TOOLBOX.call("calc.add", {"a": 2, "b": 5}) == ToolResult("7", 7)
    assert [tool.id for tool in TOOLBOX] == ["calc.add", "calc.fail", "calc.later"]
    assert len(TOOLBOX) == 3
    assert "calc__add" in TOOLBOX
    assert "calc.add" in TOOLBOX
    assert "add" not in TOOLBOX


async def test_only_the_program_supplies_what_is_hidden_from_the_model() -> None:
    @langchain_tool
    def orders(status: str, user: Annotated[str, InjectedToolArg] = "nobody") -> str:
        """List the user's orders."""
        return f"{status} orders of {user}"

    toolbox = Toolbox(load_tools([orders]))
    by_model = '{"status": "open", "user": "somebody else"}'
    for outcome in (toolbox.call("orders", by_model), await toolbox.acall("orders", by_model)):
        assert not outcome.ok
        assert outcome.text == "Error: 'orders' has no argument 'user'; it has 'status'"
    assert toolbox.call("orders", '{"status": "open"}').text == "open orders of nobody"
    by_program = {"status": "open", "user": "Alice"}
    assert toolbox.call("orders", by_program).text == "open orders of Alice"


async def test_functions_run_in_an_event_loop() -> None:
    assert await TOOLBOX.acall("calc.later", {"text": "é"}) == ToolResult(
        '{"said": "é"}', {"said": "é"}
    )
    assert await TOOLBOX.acall("calc.add", {"a": 1}) == ToolResult("2", 2)


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("nothing", "{}", "Error: there is no tool 'nothing'"),
        ("calc.add", "{", "Error: the arguments are no JSON: Expecting property name enclosed"),
        ("calc.add", '{"a": NaN}', "Error: the arguments are no JSON: NaN is not JSON"),
        ("calc.add", '{"a": 1, "a": 2}', "Error: the arguments are no JSON: the key 'a' stands"),
        ("calc.add", "[1]", "Error: the arguments are no JSON object, but [1]"),
        ("calc.add", "", "Error: ValidationError: a: Field required"),
        ("calc.add", "null", "Error: ValidationError: a: Field required"),
        ("calc.add", None, "Error: ValidationError: a: Field required"),
        ("calc.add", 5, "Error: the arguments are no JSON object, but 5"),
        ("calc.fail", {"reason": "why"}, "Error: RuntimeError: it failed: why"),
    ],
)
async def test_errors_become_outcomes(name: str, arguments: Any, text: str) -> None:
    for outcome in (TOOLBOX.call(name, arguments), await TOOLBOX.acall(name, arguments)):
        assert outcome.text.startswith(text)
        assert not outcome.ok


async def test_an_error_that_cannot_tell_its_message_is_an_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class UnspeakableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def unspeakable() -> None:
        """Fail."""
        raise UnspeakableError

    monkeypatch.setenv(CAPTURE_CONTENT, "true")
    toolbox = Toolbox(load_tools([unspeakable]))
    for outcome in (toolbox.call("unspeakable", {}), await toolbox.acall("unspeakable", {})):
        assert outcome == ToolResult("Error: UnspeakableError", ok=False)


def test_what_is_asynchronous_is_not_called_without_an_event_loop() -> None:
    assert TOOLBOX.call("calc.later", {"text": "x"}).text == (
        "Error: 'calc.later' is asynchronous: use acall"
    )


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("calc.fail", {"reason": "4711"}, "RuntimeError"),
        ("calc.add", {"a": "4711x"}, "ValidationError"),
    ],
)
def test_what_a_tool_raised_is_logged_with_its_trace_and_without_what_was_said(
    name: str,
    arguments: JsonObject,
    error: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    TOOLBOX.call(name, arguments)
    assert f"the tool {name!r} raised {error}:\n" in caplog.text
    assert "targets.py" in caplog.text
    assert "4711" not in caplog.text
    monkeypatch.setenv(CAPTURE_CONTENT, "true")
    TOOLBOX.call(name, arguments)
    assert f"the tool {name!r} raised an error" in caplog.text
    assert "4711" in caplog.text


def test_tools_that_nothing_runs_are_logged_for_the_program(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An index keeps no functions, and a model that is told cannot help it."""
    kept = replace(load_tools([add])[0], target=None)
    Toolbox([])
    Toolbox([kept, *load_tools([fail])]).allowed(())
    assert not caplog.records
    Toolbox([kept])
    assert "none of the toolbox's tools can be run: 'add' cannot be run" in caplog.text
    assert "give the Toolbox the function that it was made from" in caplog.text
    caplog.clear()
    mixed = Toolbox([kept, *load_tools([fail])])
    assert not mixed.call("add", {"a": 1}).ok
    assert "a tool was called that nothing runs: 'add' cannot be run" in caplog.text
    caplog.clear()
    mixed.call("unknown", {})
    mixed.allowed(lambda _: False).call("add", {})
    assert not caplog.records


def test_targets_are_preferred_to_runners() -> None:
    class Everything:
        def runs(self, tool: Tool) -> bool:
            return True

        def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
            return ToolResult(f"{tool.id} ran")

        async def acall(self, tool: Tool, arguments: JsonObject) -> ToolResult:
            raise CallError("not now")

    toolbox = Toolbox([*TOOLBOX, Tool("other", "other")], Everything())
    assert toolbox.call("other", {}).text == "other ran"
    assert toolbox.call("calc.add", {"a": 1}).text == "2"
    assert asyncio.run(toolbox.acall("other", {})) == ToolResult("Error: not now", ok=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Room(number=7, free_from=date(2026, 11, 2)), '{"number": 7, "freeFrom": "2026-11-02"}'),
        ({"paid": [Price(Decimal("1.10"))]}, '{"paid": [{"amount": "1.10"}]}'),
        (datetime(2026, 11, 2, 9), '"2026-11-02T09:00:00"'),
        ({(1, 2): {3}, date(2026, 11, 2): 4}, '{"1,2": [3], "2026-11-02": 4}'),
        ([np.int64(3), np.array([[0.5], [1]])], "[3, [[0.5], [1.0]]]"),
        ("näher", "näher"),
        ("näher".encode(), "näher"),
        (b"\xff\x00", "(2 bytes)"),
        ({"text": b"a", "image": b"\xff"}, '{"text": "YQ==", "image": "_w=="}'),
        ({"other": {1j}}, '{"other": ["1j"]}'),
        (CIRCLE, "[[...]]"),
        (Unsaid(), "<Unsaid>"),
    ],
)
def test_any_result_of_a_tool_becomes_text(value: object, text: str) -> None:
    """It has run: were that an error, a model would have it run again."""

    def give() -> object:
        """Give it."""
        return value

    toolbox = Toolbox(load_tools([give]))
    outcome = toolbox.call("give", {})
    assert outcome.text == text
    assert outcome.value is value
    (tool,) = langchain_tools(toolbox, toolbox)
    call: Any = {"name": "give", "args": {}, "id": "1", "type": "tool_call"}
    assert tool.invoke(call).content == text


def test_an_iterator_becomes_text_without_being_consumed() -> None:
    given = iter([1, 2])
    assert result_text(given) == str(given)
    assert list(given) == [1, 2]


@pytest.mark.parametrize(
    ("given", "result"),
    [
        (ToolResult({"a": [1]}), ToolResult('{"a": [1]}')),  # type: ignore[arg-type]
        (ToolResult(None), ToolResult("null")),  # type: ignore[arg-type]
        (
            "text",
            ToolResult(
                "Error: TypeError: what the runner gave is 'text': give a ToolResult", ok=False
            ),
        ),
    ],
)
async def test_what_a_runner_gives_wrongly_is_no_crash(
    given: ToolResult, result: ToolResult
) -> None:
    class Careless:
        def runs(self, tool: Tool) -> bool:
            return True

        def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
            return given

        async def acall(self, tool: Tool, arguments: JsonObject) -> ToolResult:
            return given

    toolbox = Toolbox([Tool("a", "a")], Careless())
    assert toolbox.call("a", {}) == result
    assert await toolbox.acall("a", {}) == result
