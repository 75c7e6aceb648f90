from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import SHARED
from toolret.errors import CatalogError, DemoError
from toolret.files.jsonlines import read_rows
from toolret.rows import (
    LabelledRequest,
    demo_from_row,
    demo_to_row,
    load_demos,
    load_requests,
    tool_from_row,
    tool_to_row,
    unique,
)
from toolret.types import Call, Demo, Tool

_texts = st.text(max_size=20)
_names = _texts.filter(lambda text: text.strip())
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(_texts, _values, max_size=3)
_tools = st.builds(
    Tool,
    id=_names,
    name=_names,
    namespace=_texts,
    description=_texts,
    parameters=st.none() | _objects,
    tags=st.lists(_texts, max_size=3).map(tuple),
    permissions=st.lists(st.frozensets(_texts, max_size=2), max_size=3).map(tuple),
    metadata=_objects,
)
_calls = st.builds(Call, tool=_names, arguments=_objects, result=_values)


@st.composite
def _demos(draw: st.DrawFn) -> Demo:
    calls = tuple(draw(st.lists(_calls, max_size=3)))
    others = draw(st.lists(_names, max_size=2))
    tools = tuple(dict.fromkeys([call.tool for call in calls] + others))
    return Demo(draw(_names), draw(_names), calls, tools, draw(_texts))


def _through_json(row: Any) -> Any:
    return json.loads(json.dumps(row))


@given(_tools)
def test_a_tool_comes_back_from_its_row(tool: Tool) -> None:
    assert tool_from_row(_through_json(tool_to_row(tool))) == tool


@given(_demos())
def test_a_demonstration_comes_back_from_its_row(demo: Demo) -> None:
    assert demo_from_row(_through_json(demo_to_row(demo))) == demo


def test_a_tool_row_with_a_name_alone_is_enough() -> None:
    assert tool_from_row({"name": "ping"}) == Tool(id="ping", name="ping")


def test_the_default_id_is_namespace_and_name() -> None:
    assert tool_from_row({"name": "cancel", "namespace": "orders"}).id == "orders.cancel"


def test_null_counts_as_absent() -> None:
    row = {"name": "ping", "id": None, "description": None, "parameters": None, "tags": None}
    assert tool_from_row(row) == Tool(id="ping", name="ping")


def test_unknown_fields_of_a_tool_are_kept_and_metadata_wins() -> None:
    row = {"name": "ping", "cost": 3, "source": "a", "metadata": {"source": "b"}}
    assert tool_from_row(row).metadata == {"cost": 3, "source": "b"}


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("permision", "permissions"),
        ("Permissions", "permissions"),
        ("permission", "permissions"),
        ("PARAMETERS", "parameters"),
        ("discription", "description"),
        ("name_space", "namespace"),
        ("tag", "tags"),
    ],
)
def test_a_misspelt_field_of_a_tool_is_an_error(field: str, meant: str) -> None:
    row = {"name": "pay", "cost": 3, "scopes": ["x"], field: ["admin"]}
    with pytest.raises(CatalogError) as caught:
        tool_from_row(row, file="tools.jsonl", place="line 7")
    assert str(caught.value) == (
        f"tools.jsonl: line 7: the field `{field}` is not read: write `{meant}`, or if it is "
        "something else, call it by another name"
    )
    with pytest.raises(CatalogError, match=f"`{field}` is not read"):
        tool_from_row(row | {meant: None})


def test_a_field_much_like_another_that_is_there_is_kept() -> None:
    tool = tool_from_row({"name": "pay", "permissions": [], "Permissions": ["admin"]})
    assert tool.metadata == {"Permissions": ["admin"]}


def test_misspelt_permissions_of_a_demonstration_are_an_error() -> None:
    row = {"text": "pay", "tools": ["pay"], "answers": ["Paid."], "permission": ["admin"]}
    with pytest.raises(DemoError, match="`permission` is not read: write `permissions`"):
        demo_from_row(row)


def test_a_blank_name_is_replaced_by_the_id() -> None:
    assert tool_from_row({"name": "", "id": "tool_636"}).name == "tool_636"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], ()),
        (["a", "b"], (frozenset({"a", "b"}),)),
        ([["a"], ["b", "c"]], (frozenset({"a"}), frozenset({"b", "c"}))),
        ([[]], (frozenset(),)),
    ],
)
def test_permissions_are_one_set_or_alternatives(value: Any, expected: Any) -> None:
    assert tool_from_row({"name": "x", "permissions": value}).permissions == expected


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"description": "x"}, "the field `name` is missing"),
        ({"name": None}, "the field `name` is missing"),
        ({"name": " "}, "the tool has a blank `name` and no `id`"),
        ({"name": "x", "id": ""}, "the field `id` is blank"),
        ({"name": 5}, "the field `name` should be a valid string, not 5"),
        ({"name": "x", "tags": "a"}, "the field `tags` should be a valid list, not 'a'"),
        (
            {"name": "x", "parameters": [1]},
            "the field `parameters` should be an object, not [1]",
        ),
        (
            {"name": "x", "permissions": ["a", ["b"]]},
            "the field `permissions` must be a list of strings, or a list of such lists, "
            "not ['a', ['b']]",
        ),
    ],
)
def test_a_bad_tool_row_is_an_error_that_names_the_place(row: Any, problem: str) -> None:
    with pytest.raises(CatalogError) as caught:
        tool_from_row(row, file="tools.jsonl", place="line 3")
    assert str(caught.value) == f"tools.jsonl: line 3: {problem}"


def test_the_tools_of_a_demonstration_are_those_of_its_calls_then_the_others() -> None:
    row = {"id": "d", "text": "t", "calls": [{"tool": "b"}, {"tool": "b"}], "tools": ["a", "b"]}
    assert demo_from_row(row) == Demo("d", "t", (Call("b"), Call("b")), ("b", "a"))


def test_labels_alone_make_a_demonstration() -> None:
    assert demo_from_row({"id": "d", "text": "t", "tools": []}) == Demo("d", "t")


def test_a_demonstration_without_id_gets_one_from_its_content() -> None:
    one = demo_from_row({"text": "t", "tools": ["a"]})
    assert one.id == demo_from_row({"tools": ["a"], "text": "t", "extra": 1}).id
    assert one.id != demo_from_row({"text": "t", "tools": ["b"]}).id
    assert len(one.id) == 16


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"tools": ["a"]}, "the field `text` is missing"),
        (
            {"text": "t"},
            "the demonstration 't' has neither `calls` nor `tools`: say which tools answer it",
        ),
        ({"text": "t", "calls": [{}]}, "the field `calls.0.tool` is missing"),
        (
            {"text": "t", "calls": ["a"]},
            "the field `calls.0` should be an object, not 'a'",
        ),
        ({"text": "t", "tools": [""]}, "the field `tools.0` is blank"),
    ],
)
def test_a_bad_demonstration_is_an_error(row: Any, problem: str) -> None:
    with pytest.raises(DemoError) as caught:
        demo_from_row(row)
    assert str(caught.value) == problem


def _write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_demonstrations_of_several_files_are_read_in_order(tmp_path: Path) -> None:
    first = _write(tmp_path / "a.jsonl", {"id": "1", "text": "x", "tools": ["t"]})
    second = _write(
        tmp_path / "b.jsonl",
        {"id": "2", "text": "y", "calls": [{"tool": "t", "arguments": {"n": 1}, "result": [2]}]},
        {"id": "1", "text": "x", "tools": ["t"]},
    )
    demos = load_demos(first, second)
    assert demos == [
        Demo("1", "x", (), ("t",)),
        Demo("2", "y", (Call("t", {"n": 1}, [2]),), ("t",)),
    ]
    assert demos[1].origin == f"{second}: line 1"


def test_a_folder_gives_its_demonstrations_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "demos"
    (folder / "below").mkdir(parents=True)
    with pytest.raises(DemoError, match=r"demos: the folder holds no \.jsonl files$"):
        load_demos(folder)
    with pytest.raises(DemoError, match="the path is empty: name a file or a folder"):
        load_demos("")
    for name in ("b.jsonl", "a.jsonl", "below/c.jsonl", ".hidden.jsonl"):
        _write(folder / name, {"id": name, "text": name, "tools": ["t"]})
    (folder / "d.jsonl.gz").write_bytes(
        gzip.compress(b'{"id": "d", "text": "d", "tools": ["t"]}\n')
    )
    (folder / "README.md").write_text("no rows")
    assert [demo.id for demo in load_demos(folder)] == [
        "a.jsonl",
        "b.jsonl",
        "below/c.jsonl",
        "d",
    ]
    assert [request.id for request in load_requests(folder / "below")] == ["below/c.jsonl"]
    (tmp_path / "elsewhere").mkdir()
    outside = _write(tmp_path / "elsewhere" / "e.jsonl", {"id": "e", "text": "e", "tools": ["t"]})
    (folder / "link.jsonl").symlink_to(outside)
    with pytest.raises(DemoError, match=r"link\.jsonl: the link leads out of the folder"):
        load_demos(folder)


def test_one_id_for_two_demonstrations_is_an_error_that_names_both(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "a.jsonl",
        {"id": "1", "text": "x", "tools": ["t"]},
        {"id": "1", "text": "other", "tools": ["t"]},
    )
    with pytest.raises(DemoError) as caught:
        load_demos(path)
    assert str(caught.value) == (
        f"{path}: line 2: the id '1' already stands for something else, given at "
        f"{path}: line 1: give one of them another id"
    )


def test_unique_keeps_the_first_of_equal_items() -> None:
    first, again = Tool("a", "a", origin="here"), Tool("a", "a", origin="there")
    assert [tool.origin for tool in unique([first, again], error=CatalogError)] == ["here"]


def test_requests_keep_their_labels_and_ignore_other_fields(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "q.jsonl",
        {"id": "1", "text": "x", "tools": ["b", "a", "b"], "needs_tool": True, "calls": [5]},
        {"id": "2", "text": "y", "tools": []},
    )
    assert load_requests(path) == [LabelledRequest("1", "x", ("b", "a")), LabelledRequest("2", "y")]


def test_what_the_user_said_last_may_be_in_parts(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    messages = [{"role": "user", "content": parts}, {"role": "assistant", "content": "hello"}]
    path = _write(tmp_path / "q.jsonl", {"id": "1", "messages": messages, "tools": []})
    (request,) = load_requests(path)
    assert (request.text, request.messages) == ("a\nb", tuple(messages))


def test_a_text_that_is_not_what_was_said_last_is_an_error(tmp_path: Path) -> None:
    row = {"id": "1", "messages": [{"role": "user", "content": "a"}], "tools": []}
    (request,) = load_requests(_write(tmp_path / "q.jsonl", {**row, "text": "a"}))
    assert request.text == "a"
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x.png"}}]}]
    for n, messages in enumerate(([{"type": "human", "content": "a "}], image)):
        (request,) = load_requests(
            _write(tmp_path / f"{n}.jsonl", {**row, "messages": messages, "text": "a"})
        )
        assert request.text == "a"
    with pytest.raises(DemoError) as caught:
        load_requests(_write(tmp_path / "r.jsonl", {**row, "text": "b"}))
    assert str(caught.value) == (
        f"{tmp_path / 'r.jsonl'}: line 1: the request has a `text` that its `messages` do not end "
        "with: leave the `text` out"
    )


def test_a_request_without_labels_is_an_error(tmp_path: Path) -> None:
    path = _write(tmp_path / "q.jsonl", {"id": "1", "text": "x"})
    with pytest.raises(DemoError) as caught:
        load_requests(path)
    assert str(caught.value) == f"{path}: line 1: the field `tools` is missing"


@pytest.mark.shared
def test_all_public_sets_are_read() -> None:
    counts = {"tools": 0, "demos": 0, "dev": 0}
    for path in SHARED.glob("*/*.jsonl*"):
        if "tools" in path.name:
            rows = read_rows(path, error=CatalogError)
            tools = (tool_from_row(row, file=path, place=place) for place, row in rows)
            counts["tools"] += len(unique(tools, error=CatalogError))
        elif "demos" in path.name:
            counts["demos"] += len(load_demos(path))
        else:
            counts["dev"] += len(load_requests(path))
    assert counts == {"tools": 32_205, "demos": 42_450, "dev": 12_698}
