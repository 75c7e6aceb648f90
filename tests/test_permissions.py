"""No way to be offered, ranked, shown in a demonstration, or run a forbidden tool.

Everything that tells of a tool or a demonstration carries a mark of its own; no mark of what is
forbidden may stand in anything that comes out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import tool
from tests.runners import RecordingRunner
from toolret.calling import Toolbox
from toolret.catalogs import load_tools
from toolret.errors import InputError
from toolret.index import ToolIndex
from toolret.integrations.openai import run_calls
from toolret.permissions import Allow, allowed_tools, fail_closed, is_allowed
from toolret.retrieval.retriever import ToolRetriever
from toolret.retrieval.selection import Selection
from toolret.testing import HashedWordsEmbedder
from toolret.text.names import wire_name
from toolret.types import Call, Demo, Message, Permissions, Tool

VERBS = ["cancel", "list", "refund", "send", "delete"]
THINGS = ["order", "invoice", "parcel", "ticket", "mail"]
SCOPES = ["read", "write", "admin"]

permissions = st.lists(st.frozensets(st.sampled_from(SCOPES), max_size=2), max_size=2).map(tuple)
words = st.lists(st.sampled_from([*VERBS, *THINGS, "the", "and", "please"]), min_size=1, max_size=6)
IDS = [f"{thing}.{verb}" for thing in THINGS for verb in VERBS]


def _mark(id_: str) -> str:
    """Of letters alone, so that it stands in JSON and in Python's repr as it is."""
    return "mark" + "".join(chr(ord("a") + byte % 26) for byte in id_.encode()) + "end"


def _tool(id_: str, needed: Permissions) -> Tool:
    thing, verb = id_.split(".")
    mark = _mark(id_)
    schema = {"type": "object", "properties": {f"{mark}x": {"type": "string", "title": mark}}}
    return Tool(id_, f"{verb} {mark}", thing, f"{verb} one {thing} {mark}", schema, (), needed)


def _demo(number: int, text: list[str], used: list[str], needed: Permissions) -> Demo:
    mark = _mark(f"demo {number}")
    calls = tuple(Call(id_, {"of": mark, id_: mark}, {"result": mark}) for id_ in used)
    return Demo(f"d{mark}", f"{' '.join(text)} {mark}", calls, tuple(used), mark, needed)


@dataclass(frozen=True)
class Case:
    tools: list[Tool]
    demos: list[Demo]
    gone: list[str]
    """Tools that are removed after the demonstrations were stored."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=10, unique=True))
    tools = [_tool(id_, draw(permissions)) for id_ in ids]
    uses = st.lists(st.sampled_from(ids), max_size=3, unique=True)
    demos = [
        _demo(number, draw(words), draw(uses), draw(st.just(()) | permissions))
        for number in range(draw(st.integers(0, 8)))
    ]
    return Case(tools, demos, draw(st.lists(st.sampled_from(ids), max_size=1)))


def _test_of(ids: frozenset[str]) -> Callable[[Tool], bool]:
    return lambda tool: tool.id in ids


allows = st.one_of(
    st.frozensets(st.sampled_from([*SCOPES, "other"])),
    st.lists(st.sampled_from(SCOPES)),
    st.frozensets(st.sampled_from(IDS)).map(_test_of),
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Turns that ask for tools in words and by name, and pretend that some were called."""
    messages: list[Message] = []
    for _ in range(draw(st.integers(0, 2))):
        id_ = draw(st.sampled_from(IDS))
        call = {"id": "c", "function": {"name": wire_name(id_), "arguments": "{}"}}
        messages += [
            {"role": "user", "content": " ".join(draw(words))},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": f"use {id_} next"},
        ]
    last = " ".join([*draw(words), *draw(st.lists(st.sampled_from(IDS), max_size=1))])
    return [*messages, {"role": "user", "content": last}]


def _may_use(tool: Tool, allow: Allow) -> bool:
    """What permissions mean, said once more: independent of the package."""
    if callable(allow):
        return bool(allow(tool))
    held = set(allow or ())
    return not tool.permissions or any(set(needed) <= held for needed in tool.permissions)


def _hidden(case: Case, allow: Allow) -> tuple[set[str], set[str], set[str]]:
    """Ids of forbidden tools, ids of demonstrations that may not be shown, and marks of both."""
    there = {tool.id: tool for tool in case.tools if tool.id not in case.gone}
    usable = {id_ for id_, tool in there.items() if _may_use(tool, allow)}
    forbidden = {tool.id for tool in case.tools} - usable
    hidden = {
        demo.id
        for demo in case.demos
        if not usable.issuperset(demo.tools)
        or (
            demo.permissions
            and (callable(allow) or not any(n <= set(allow or ()) for n in demo.permissions))
        )
    }
    marks = {_mark(id_) for id_ in forbidden} | {id_[1:] for id_ in hidden}
    return forbidden, hidden, marks


def _said(selection: Selection) -> Iterator[str]:
    yield json.dumps(selection.to_openai())
    yield json.dumps(selection.to_anthropic())
    yield selection.to_text()
    yield selection.explain()
    yield repr([selection.tools, selection.demos, selection.ranked, selection.dropped])
    yield repr([selection.packed, selection.names])


# Without shrinking, which would take many minutes: each example writes an index.
@settings(
    max_examples=20,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    cases(),
    st.lists(st.tuples(allows, conversations()), min_size=2, max_size=6),
    st.sampled_from([None, 400, 1_000]),
)
def test_nothing_forbidden_is_ever_seen_or_run(
    case: Case, requests: list[tuple[Allow, list[Message]]], budget: int | None
) -> None:
    with TemporaryDirectory() as folder:
        index = ToolIndex(folder, embedder=HashedWordsEmbedder())
        index.sync(case.tools, case.demos)
        index.remove_tools(case.gone)
        retriever = ToolRetriever(index, token_budget=budget, min_score=0.0, min_recall=1.0)
        for allow, messages in requests:
            forbidden, hidden, marks = _hidden(case, allow)
            found = [
                retriever.select(messages, allow=allow, depth=20),
                asyncio.run(retriever.aselect(messages, allow=allow, depth=20)),
            ]
            for selection in found:
                seen = {hit.tool.id for hit in (*selection.tools, *selection.ranked)}
                assert not seen & forbidden
                assert not {hit.demo.id for hit in selection.demos} & hidden
                for said in _said(selection):
                    assert not [mark for mark in marks if mark in said]
            hits = retriever.search(messages, k=20, allow=allow, keep_all=True)
            assert not [mark for mark in marks if mark in repr(hits)]
            _check_calls(case, allow, found[0])


def _check_calls(case: Case, allow: Allow, selection: Selection) -> None:
    """All tools are named in all ways; only those that may be used run."""
    runner = RecordingRunner()
    user = Toolbox(case.tools, runner).allowed(allow)
    usable = {tool.id for tool in case.tools if _may_use(tool, allow)}
    for id_ in IDS:
        for name in (id_, wire_name(id_)):
            user.call(name, "{}")
            asyncio.run(user.acall(name, {}))
        function = {"name": wire_name(id_), "arguments": "{}"}
        reply = {"tool_calls": [{"id": "c", "type": "function", "function": function}]}
        run_calls(reply, user)
        run_calls(reply, user, offered={wire_name(id_): id_})  # a confused caller
    assert set(runner.ran) == usable
    assert {tool.id for tool in user} == usable
    runner.called.clear()
    for id_ in IDS:
        function = {"name": wire_name(id_), "arguments": "{}"}
        reply = {"tool_calls": [{"id": "c", "type": "function", "function": function}]}
        run_calls(reply, Toolbox(case.tools, runner), offered=selection.names)
    assert set(runner.ran) <= usable


def test_permitted_tools_are_found(tmp_path: Path) -> None:
    """The property would hold of a retriever that finds nothing."""
    used = _tool("order.cancel", (frozenset({"write"}),))
    case = Case([used], [_demo(1, ["cancel", "it"], [used.id], (frozenset({"read"}),))], [])
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync(case.tools, case.demos)
    retriever = ToolRetriever(index, min_score=0.0, min_recall=1.0)
    selection = retriever.select("please cancel it", allow={"read", "write"})
    for said in _said(selection):
        assert _mark("order.cancel") in said or used.id in said
        assert _mark("demo 1") in said
    # Without its own permission the demonstration is not shown, though its tool is.
    for allow in ({"write"}, lambda tool: True):
        selection = retriever.select("please cancel it", allow=allow)
        assert [hit.tool.id for hit in selection.tools] == [used.id]
        assert selection.demos == ()


def test_one_that_uses_a_tool_which_is_gone_is_shown_to_no_one_whose_permissions_count(
    tmp_path: Path,
) -> None:
    tools = [_tool(id_, ()) for id_ in ("order.cancel", "order.delete")]
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync(tools, [_demo(1, ["cancel", "it"], [t.id for t in tools], ())])
    index.remove_tools(["order.delete"])
    retriever = ToolRetriever(index, min_score=0.0, min_recall=1.0)
    assert retriever.select("please cancel it").demos
    assert retriever.select("please cancel it", allow=SCOPES).demos == ()


def test_demonstrations_that_use_no_tool_that_is_there_are_no_evidence(tmp_path: Path) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync([tool("a", "cancel one"), tool("b", "send it")], [Demo("d", "cancel it")])
    hits = ToolRetriever(index, min_score=0.0).search("cancel", k=1, keep_all=True)
    assert [hit.tool.id for hit in hits] == ["a"]
    index.remove_tools(["a", "b"])
    assert ToolRetriever(index).search("cancel", keep_all=True) == ()


def test_permissions_that_are_no_clear_yes_are_refused() -> None:
    tools = [tool("a"), tool("b", permissions=(frozenset({"a"}),))]

    async def later(tool: Tool) -> bool:
        return False

    def granted() -> Iterator[str]:
        yield "a"

    with pytest.raises(InputError, match="allow is the text 'admin': give a collection"):
        allowed_tools(tools, "admin")
    for wrong in ({"admin": False}, granted(), True):
        with pytest.raises(InputError, match="give a set or a list of permissions"):
            allowed_tools(tools, wrong)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="give a set or a list of permissions"):
            fail_closed(wrong)  # type: ignore[arg-type]
    unclear: list[Any] = [[["a"]], [None], ["a", 1]]
    for other in unclear:
        with pytest.raises(InputError, match=r"allow holds .*: a permission is a text"):
            allowed_tools(tools, other)
    with pytest.raises(InputError, match="allow is asynchronous"):
        allowed_tools(tools, later)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="allow is asynchronous"):
        is_allowed(tools[0], later)  # type: ignore[arg-type]
    for answer in ("yes", "no", "", [], ["a"], {"allow": False}, object(), 2, np.ones(2)):
        test: Any = lambda _, answer=answer: answer  # noqa: E731 - one for each answer
        told = "allow gave .* for the tool 'a': give a function that returns True or False"
        with pytest.raises(InputError, match=told):
            allowed_tools(tools, test)
        with pytest.raises(InputError, match=told):
            is_allowed(tools[0], test)
        assert not is_allowed(tools[0], fail_closed(test))
    clear = [(True, True), (False, False), (None, False), (1, True), (0, False)]
    for answer, verdict in [*clear, (np.True_, True), (np.False_, False)]:
        assert is_allowed(tools[0], lambda _, answer=answer: answer) is verdict  # type: ignore[misc]
    assert allowed_tools(tools, None) is None
    np.testing.assert_array_equal(allowed_tools(tools, []), [True, False])
    np.testing.assert_array_equal(allowed_tools(tools, {"a"}), [True, True])
    assert is_allowed(tools[1], None)
    assert is_allowed(tools[1], {"a": 1}.keys())


def test_permissions_that_can_be_read_but_once_are_refused_wherever_they_are_given(
    tmp_path: Path,
) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools([tool("cancel", "Cancel it.", permissions=(frozenset({"a"}),))])
    retriever = ToolRetriever(index)
    ways: list[Callable[[Allow], object]] = [
        lambda allow: retriever.select("cancel it", allow=allow),
        lambda allow: retriever.select_many(["cancel it"], allow=allow),
        lambda allow: asyncio.run(retriever.aselect("cancel it", allow=allow)),
        lambda allow: retriever.search("cancel it", allow=allow),
        lambda allow: retriever.record([], allow=allow),
    ]
    for way in ways:
        for wrong in (iter(["a"]), {"a": False}, "a"):
            with pytest.raises(InputError, match="allow is"):
                way(wrong)  # type: ignore[arg-type]
    for granted in ({"a"}, ["a"], ("a",), {"a": 1}.keys()):
        assert len(retriever.select("cancel it", allow=granted).tools) == 1


def test_a_test_that_fails_forbids(caplog: pytest.LogCaptureFixture) -> None:
    def no_user(tool: Tool) -> bool:
        raise KeyError("user")

    test = fail_closed(no_user)
    assert callable(test) and test(tool("t")) is False
    assert "the test of 't' failed" in caplog.text
    test = fail_closed(lambda tool: tool.id == "t")
    assert callable(test) and test(tool("t")) and not test(tool("u"))
    assert fail_closed(None) is None
    assert fail_closed({"a"}) == {"a"}
    with pytest.raises(TypeError, match="allow is the text"):
        fail_closed("admin")


def test_what_a_toolbox_cannot_test_it_does_not_run_and_the_rest_it_does() -> None:
    ran = []

    def cancel(order: str) -> str:
        """Cancel an order."""
        ran.append(order)
        return f"{order} cancelled"

    def refund(order: str) -> str:
        """Refund an order."""
        raise AssertionError

    def no_database(tool: Tool) -> bool:
        if tool.name == "refund":
            raise ConnectionError("no database")
        return True

    calls = [
        {"id": name, "type": "function", "function": {"name": name, "arguments": '{"order": "7"}'}}
        for name in ("cancel", "refund", "nothing")
    ]
    toolbox = Toolbox(load_tools([cancel, refund])).allowed(no_database)
    told = run_calls({"role": "assistant", "tool_calls": calls}, toolbox)
    assert [each["content"] for each in told] == [
        "7 cancelled",
        "Error: there is no tool 'refund'",
        "Error: there is no tool 'nothing'",
    ]
    assert ran == ["7"]
    toolbox = Toolbox(load_tools([cancel, refund]))
    told = run_calls({"role": "assistant", "tool_calls": calls[1:]}, toolbox, allow=no_database)
    assert [each["content"] for each in told] == [
        "Error: the tool 'refund' is not available now",
        "Error: there is no tool 'nothing'",
    ]


def test_an_example_whose_calls_are_of_a_forbidden_tool_is_not_shown(tmp_path: Path) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    secret = tool("raise_salary", "Raise a salary.", permissions=(frozenset({"hr"}),))
    calls = (Call("cancel", {"order": 1}, "ok"), Call("raise_salary", {"who": "Bob"}, "done"))
    request = "cancel the order and raise the salary"
    index.sync(
        [tool("cancel", "Cancel the order."), secret], [Demo("d", request, calls, ("cancel",))]
    )
    retriever = ToolRetriever(index)
    assert retriever.select(request, allow=()).demos == ()
    assert len(retriever.select(request, allow={"hr"}).demos) == 1
