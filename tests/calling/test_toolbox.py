from __future__ import annotations

import asyncio
from typing import Any

import pytest

from toolret.calling import Outcome, Toolbox
from toolret.catalogs import load_tools
from toolret.errors import CallError
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


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


TOOLBOX = Toolbox(load_tools([add, fail, later], namespace="calc"))


def test_functions_run_by_name_or_id() -> None:
    assert TOOLBOX.call("calc__add", '{"a": 2}') == Outcome("3", 3)
    assert TOOLBOX.call("calc.add", {"a": 2, "b": 5}) == Outcome("7", 7)
    assert [tool.id for tool in TOOLBOX] == ["calc.add", "calc.fail", "calc.later"]
    assert len(TOOLBOX) == 3
    assert "calc__add" in TOOLBOX
    assert "calc.add" in TOOLBOX
    assert "add" not in TOOLBOX


async def test_and_in_an_event_loop() -> None:
    assert await TOOLBOX.acall("calc.later", {"text": "é"}) == Outcome(
        '{"said": "é"}', {"said": "é"}
    )
    assert await TOOLBOX.acall("calc.add", {"a": 1}) == Outcome("2", 2)


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
async def test_what_goes_wrong_is_an_outcome(name: str, arguments: Any, text: str) -> None:
    for outcome in (TOOLBOX.call(name, arguments), await TOOLBOX.acall(name, arguments)):
        assert outcome.text.startswith(text)
        assert not outcome.ok


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


def test_a_runner_of_ones_own_comes_after_what_tools_bring() -> None:
    class Everything:
        def runs(self, tool: Tool) -> bool:
            return True

        def call(self, tool: Tool, arguments: JsonObject) -> Outcome:
            return Outcome(f"{tool.id} ran")

        async def acall(self, tool: Tool, arguments: JsonObject) -> Outcome:
            raise CallError("not now")

    toolbox = Toolbox([*TOOLBOX, Tool("other", "other")], Everything())
    assert toolbox.call("other", {}).text == "other ran"
    assert toolbox.call("calc.add", {"a": 1}).text == "2"
    assert asyncio.run(toolbox.acall("other", {})) == Outcome("Error: not now", ok=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [({(1, 2): 3}, "{(1, 2): 3}"), (CIRCLE, "[[...]]"), (Unsaid(), "<Unsaid>")],
    ids=["keys", "circle", "unsaid"],
)
def test_what_a_tool_gave_is_told_whatever_it_is(value: object, text: str) -> None:
    """It has run: were that an error, a model would have it run again."""

    def give() -> object:
        """Give it."""
        return value

    assert Toolbox(load_tools([give])).call("give", {}) == Outcome(text, value)
