from __future__ import annotations

import asyncio
import functools
import math
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

import pytest
from langchain_core.callbacks import CallbackManagerForToolRun
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, Field

from toolret.calling import Toolbox
from toolret.catalogs import load_tools
from toolret.catalogs.function_tools import function_tool
from toolret.errors import CallError, CatalogError
from toolret.integrations.langchain import langchain_tools
from toolret.types import Tool


def book_room(
    room: str, hours: int = 1, kind: Literal["quiet", "large"] = "quiet"
) -> dict[str, Any]:
    """Book a meeting room.

    The room is held until somebody checks in.

    Args:
        room: Its number.
        hours: For how long.
        kind: What it must be.
    """
    return {"room": room, "hours": hours, "kind": kind}


async def cancel_room(room: Annotated[str, "Its number."]) -> str:
    """Give a meeting room back."""
    return f"cancelled {room}"


class Desk(BaseModel):
    floor: int = Field(description="From 1.")


BOOK_DESK: BaseTool = StructuredTool.from_function(
    lambda floor: f"desk on {floor}",
    name="book_desk",
    description="Book a desk.",
    args_schema=Desk,
    tags=["office"],
)


def test_functions_become_tools_by_their_hints_and_docstrings() -> None:
    catalog = load_tools([book_room, cancel_room], namespace="office")
    assert catalog == [
        Tool(
            "office.book_room",
            "book_room",
            namespace="office",
            description="Book a meeting room. The room is held until somebody checks in.",
            parameters={
                "type": "object",
                "properties": {
                    "room": {"type": "string", "description": "Its number."},
                    "hours": {"type": "integer", "default": 1, "description": "For how long."},
                    "kind": {
                        "type": "string",
                        "enum": ["quiet", "large"],
                        "default": "quiet",
                        "description": "What it must be.",
                    },
                },
                "required": ["room"],
            },
        ),
        Tool(
            "office.cancel_room",
            "cancel_room",
            namespace="office",
            description="Give a meeting room back.",
            parameters={
                "type": "object",
                "properties": {"room": {"type": "string", "description": "Its number."}},
                "required": ["room"],
            },
        ),
    ]
    assert [str(found) for found in catalog.found] == ["<argument 1>: 2 x Python function, 2 tools"]


def test_an_infinite_default_is_none_in_the_schema() -> None:
    def find(price: float = math.inf) -> float:
        """Find offers up to a price."""
        return price

    (tool,) = catalog = load_tools(find)
    assert tool.parameters == {"type": "object", "properties": {"price": {"type": "number"}}}
    assert Toolbox(catalog).call("find", {}).value == math.inf


async def test_tools_are_run_by_the_functions_they_were_made_from() -> None:
    book, cancel = load_tools(book_room, cancel_room)
    assert book.target.invoke({"room": "12", "hours": 2}) == {
        "room": "12",
        "hours": 2,
        "kind": "quiet",
    }
    assert await cancel.target.ainvoke({"room": "12"}) == "cancelled 12"


def test_langchain_tools_are_kept_as_they_are() -> None:
    catalog = load_tools([BOOK_DESK, book_room], BOOK_DESK)
    assert catalog[0] == Tool(
        "book_desk",
        "book_desk",
        description="Book a desk.",
        parameters={
            "type": "object",
            "properties": {"floor": {"type": "integer", "description": "From 1."}},
            "required": ["floor"],
        },
        tags=("office",),
    )
    assert catalog[0].target is BOOK_DESK
    assert [tool.id for tool in catalog] == ["book_desk", "book_room"]
    assert catalog.found[-1].kind == "LangChain tool"


def test_methods_are_functions() -> None:
    class Office:
        def open_door(self, door: int) -> str:
            """Open a door."""
            return f"door {door} is open"

    (tool,) = load_tools(Office().open_door)
    assert tool.parameters == {
        "type": "object",
        "properties": {"door": {"type": "integer"}},
        "required": ["door"],
    }
    assert tool.target.invoke({"door": 3}) == "door 3 is open"


def _twin(answer: str) -> Any:
    def ask(question: str) -> str:
        """Ask."""
        return answer

    return ask


def test_different_functions_with_equal_descriptions_are_an_error() -> None:
    one, other = _twin("yes"), _twin("no")
    assert len(load_tools([one], one)) == 1
    with pytest.raises(CatalogError) as caught:
        load_tools([one, other])
    assert str(caught.value) == (
        "<argument 1>: /1: the id 'ask' already stands for another function: give one of them "
        "another name or namespace"
    )


def undescribed(x: int) -> int:
    return x


class Strange:
    """No type that pydantic knows."""


def strange(x: Strange) -> str:
    """Takes something without a schema."""
    return str(x)


def kept(run_manager: CallbackManagerForToolRun) -> str:
    """Takes what LangChain keeps to itself."""
    return str(run_manager)


def private(_room: str) -> str:
    """Takes what no model may be asked for."""
    return _room


def misdescribed(room: str) -> str:
    """Book a meeting room.

    Args:
        rom: Its number.
    """
    return room


class Office:
    def close_door(self, door: int) -> str:
        """Close a door."""
        return f"door {door} is closed"


def shadowing(schema: str, json: str = "") -> str:
    """Takes what pydantic's models have methods of."""
    return schema + json


def test_arguments_may_have_the_names_of_a_models_methods() -> None:
    (tool,) = load_tools(shadowing)
    assert tool.target.invoke({"schema": "a", "json": "b"}) == "ab"


def run_program(command: str, /, args: list[str], config: dict[str, str] | None = None) -> str:
    """Run a program.

    Args:
        command: Its name.
        args: What it is told:
            one text each.
        config (dict): Its settings.
    """
    return f"{command} {args} {config}"


def test_arguments_may_have_names_that_langchain_keeps() -> None:
    (tool,) = load_tools(run_program)
    assert tool.description == "Run a program."
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "command": {"type": "string", "description": "Its name."},
            "args": {
                "type": "array",
                "items": {"type": "string"},
                "description": "What it is told: one text each.",
            },
            "config": {
                "anyOf": [
                    {"type": "object", "additionalProperties": {"type": "string"}},
                    {"type": "null"},
                ],
                "default": None,
                "description": "Its settings.",
            },
        },
        "required": ["command", "args"],
    }
    toolbox = Toolbox([tool])
    given: dict[str, Any] = {"command": "ls", "args": ["-l"]}
    assert toolbox.call("run_program", given).text == "ls ['-l'] None"
    given = given | {"config": {"shell": "sh"}}
    assert toolbox.call("run_program", given).text == "ls ['-l'] {'shell': 'sh'}"
    (bound,) = langchain_tools([tool], toolbox)
    assert set(bound.args) == {"command", "args", "config"}
    assert bound.invoke(given) == "ls ['-l'] {'shell': 'sh'}"
    assert len(load_tools([run_program], run_program)) == 1


@pytest.mark.parametrize("name", ["args", "callbacks", "config", "kwargs", "run_manager", "self"])
async def test_no_argument_is_lost_in_a_call(name: str) -> None:
    made: dict[str, Any] = {}
    exec(f"def sync({name}: str): 'Do it.'; return {name}", made)
    exec(f"async def later(*, {name}: str = 'b'): 'Do it.'; return {name}", made)
    toolbox = Toolbox(load_tools([made["sync"], made["later"]]))
    assert toolbox.call("sync", {name: "a"}).text == "a"
    assert (await toolbox.acall("sync", {name: "a"})).text == "a"
    assert (await toolbox.acall("later", {name: "a"})).text == "a"
    assert (await toolbox.acall("later", {})).text == "b"


def test_an_argument_is_called_as_in_python_whatever_its_alias() -> None:
    def find(
        city: Annotated[str, Field(alias="City", description="Where.")],
        day: Annotated[str, Field(validation_alias="Day")] = "today",
        most: int = Field(5, alias="max"),
        sort: str = Field("price", exclude=True),
    ) -> list[Any]:
        """Find offers."""
        return [city, day, most, sort]

    (tool,) = catalog = load_tools(find)
    schema = tool.parameters or {}
    assert list(schema["properties"]) == ["city", "day", "most", "sort"]
    assert schema["properties"]["city"]["description"] == "Where."
    given = {"city": "Oslo", "day": "Monday", "most": 1, "sort": "name"}
    assert Toolbox(catalog).call("find", given).value == list(given.values())


async def test_a_documented_argument_that_a_function_lacks_is_an_error() -> None:
    def find(city: str, most: int = 5) -> str:
        """Find offers."""
        return city * most

    toolbox = Toolbox(load_tools(find))
    given = {"city": "Oslo", "at_most": 1}
    for outcome in (toolbox.call("find", given), await toolbox.acall("find", given)):
        assert outcome.text == "Error: ValidationError: at_most: Extra inputs are not permitted"


def test_arguments_without_names_are_left_out() -> None:
    def search(text: str, *fields: str, _depth: int = 0, **options: int) -> str:
        """Search.

        Args:
            text: What for.
            fields: Where.
            **options: And how.
        """
        return f"{text} {fields} {_depth} {options}"

    (tool,) = load_tools(search)
    assert tool.parameters == {
        "type": "object",
        "properties": {"text": {"type": "string", "description": "What for."}},
        "required": ["text"],
    }
    assert Toolbox([tool]).call("search", {"text": "a"}).text == "a () 0 {}"


def test_langchain_supplies_its_own_arguments() -> None:
    def deploy(args: list[str], settings: RunnableConfig, callbacks: Any = None) -> str:
        """Deploy."""
        return f"{args} {settings['tags']} {callbacks is not None}"

    (tool,) = load_tools(deploy)
    assert set((tool.parameters or {})["properties"]) == {"args"}
    assert tool.target.invoke({"args": ["a"]}, {"tags": ["b"]}) == "['a'] ['b'] True"


def blank_lines(x: int, y: int) -> None:
    """Do it.

    Args:
        x: One of

            - a: first
            - b: second

        y: The y.
    """


def no_blank_lines(x: int, y: int) -> None:
    """Do it.
    Arguments:
        x (Annotated[int, Gt(0)], optional): One of
            - a: first
            - b: second
        y: The y.
    Returns:
        Nothing.
    """


def other_sections(x: int, y: int) -> None:
    """Do it.

    Raises:
        ValueError: Never.

    Args:
        x:
            One of
            - a: first
            - b: second
        y: The y.
    Example:
        other_sections(1, 2)
    """


def same_indent(x: int, y: int) -> None:
    """Do it.

    Args:
    x: One of
    - a: first
    - b: second
    y: The y.
    """


def a_note(x: int, y: int) -> None:
    """Do it.

    Args:
        x: One of
            - a: first
            - b: second
        y: The y.

    Note:
        Never twice.
    """


@pytest.mark.parametrize(
    "function",
    [blank_lines, no_blank_lines, other_sections, same_indent, a_note],
    ids=lambda f: f.__name__,
)
def test_docstrings_are_read_however_their_sections_are_set_apart(function: Any) -> None:
    (tool,) = load_tools(function)
    assert tool.description == "Do it."
    texts = {
        name: part["description"] for name, part in (tool.parameters or {})["properties"].items()
    }
    assert texts == {"x": "One of - a: first - b: second", "y": "The y."}


def test_several_arguments_may_share_a_text_and_options_need_no_name() -> None:
    def draw(x: int, y: int, **style: str) -> None:
        """Draw a point.

        Args:
            x, y: Where.
            colour: Of the ink.
        """

    (tool,) = load_tools(draw)
    assert [part["description"] for part in (tool.parameters or {})["properties"].values()] == [
        "Where.",
        "Where.",
    ]


def test_a_docstring_that_only_says_what_is_returned_says_so() -> None:
    def weather(city: str) -> str:
        """Returns: the weather.

        Args:
            city: Where.

        Returns:
            A text.
        """
        return city

    (tool,) = load_tools(weather)
    assert tool.description == "Returns: the weather."
    assert (tool.parameters or {})["properties"]["city"]["description"] == "Where."


def test_a_docstrings_text_wins_over_that_of_a_hint() -> None:
    def look(a: Annotated[int, "hint"], b: Annotated[int, Field(description="hint", ge=1)]) -> None:
        """Look.

        Args:
            a: text a
            b: text b
        """

    (tool,) = load_tools(look)
    assert (tool.parameters or {})["properties"] == {
        "a": {"type": "integer", "description": "text a"},
        "b": {"type": "integer", "description": "text b", "minimum": 1},
    }


def _logged(function: Any) -> Any:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


def _blocking(function: Any) -> Any:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(function(*args, **kwargs))

    return inner


async def test_an_asynchronous_function_is_awaited_whatever_its_decorator() -> None:
    toolbox = Toolbox(load_tools([_logged(cancel_room)]))
    refused = toolbox.call("cancel_room", {"room": "12"})
    assert (refused.ok, refused.text) == (False, "Error: 'cancel_room' is asynchronous: use acall")
    assert (await toolbox.acall("cancel_room", {"room": "12"})).text == "cancelled 12"
    toolbox = Toolbox(load_tools([_blocking(cancel_room)]))
    assert (await toolbox.acall("cancel_room", {"room": "12"})).text == "cancelled 12"


def test_a_synchronous_agent_is_told_that_a_function_is_asynchronous() -> None:
    with pytest.raises(CallError, match="'cancel_room' is asynchronous: use acall"):
        function_tool(cancel_room).invoke({"room": "12"})


def test_a_decorator_may_make_an_asynchronous_function_a_plain_one() -> None:
    toolbox = Toolbox(load_tools([_blocking(cancel_room)]))
    assert toolbox.call("cancel_room", {"room": "12"}).text == "cancelled 12"


async def test_the_items_of_a_generator_become_a_list() -> None:
    def rooms(floor: int) -> Iterator[str]:
        """List the meeting rooms of a floor."""
        yield from (f"{floor}{number}" for number in range(2))

    async def desks(floor: int) -> AsyncIterator[str]:
        """List the desks of a floor."""
        for number in range(2):
            yield f"{floor}{number}"

    toolbox = Toolbox(load_tools([rooms, desks]))
    assert toolbox.call("rooms", {"floor": 1}).value == ["10", "11"]
    assert (await toolbox.acall("rooms", {"floor": 1})).value == ["10", "11"]
    assert (await toolbox.acall("desks", {"floor": 1})).value == ["10", "11"]
    assert toolbox.call("desks", {"floor": 1}).text == "Error: 'desks' is asynchronous: use acall"


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (undescribed, "'undescribed': it has no docstring: say in one what it does"),
        (lambda x: x, "'<lambda>': it has no docstring"),
        (kept, "'kept': LangChain keeps the argument 'run_manager' to itself: rename it"),
        (private, "'private': pydantic keeps the argument '_room' to itself: rename it"),
        (Office.close_door, "'Office.close_door': it is a method without its object"),
        (strange, "'strange': Failed to generate JSON schema"),
        (misdescribed, "'misdescribed': its docstring describes 'rom', which is no argument"),
    ],
)
def test_functions_that_no_schema_can_describe_are_errors(function: Any, problem: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load_tools([function])
    assert f"<argument 1>: /0: no schema can be made for {problem}" in str(caught.value)[:120]
    assert "\n" not in str(caught.value)


def test_files_are_read_without_importing_langchain() -> None:
    code = (
        "import sys; from toolret import load_tools\n"
        "assert [tool.id for tool in load_tools([{'name': 'a'}])] == ['a']\n"
        "print(*{'langchain_core', 'mcp', 'torch', 'chromadb', 'httpx'} & sys.modules.keys())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (printed.stdout.split(), printed.stderr) == ([], "")
