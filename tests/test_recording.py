"""Learning from use: what a conversation comes to, and what that does to the next request."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    ToolMessage,
    ToolMessageChunk,
    messages_to_dict,
)
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.conftest import demo, tool
from toolret.errors import DemoError, EmbedderError, StoreError
from toolret.index import ToolIndex
from toolret.index.syncing import SyncReport
from toolret.recording import RecordReport, demonstrations, redacting
from toolret.retrieval.retriever import ToolRetriever
from toolret.testing import HashedWordsEmbedder
from toolret.text.names import wire_name
from toolret.types import Call, Demo

TOOLS = [
    tool("cancelOrder", "Cancel an order before it ships.", id="orders.cancelOrder"),
    tool("refund", "Return money that was paid.", id="pay.refund"),
    tool("sendMail", "Send a message to a customer.", id="mail.sendMail"),
    tool("search docs", "Look a word up."),
    tool("drop", "Drop the data.", id="admin.drop", permissions=(frozenset({"admin"}),)),
]
ASKED = "my tent never came, call it off"


@pytest.fixture
def index(tmp_path: Path) -> ToolIndex:
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync_tools(TOOLS)
    return index


def chat(*calls: tuple[str, str, str], asked: Any = ASKED, answer: str = "Done.") -> list[Any]:
    """One turn in the form of Chat Completions; calls are ``(name, arguments, result)``."""
    messages: list[Any] = [{"role": "user", "content": asked}]
    for number, (name, arguments, result) in enumerate(calls):
        function = {"name": name, "arguments": arguments}
        call = {"id": f"c{number}", "type": "function", "function": function}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{number}", "content": result},
        ]
    return [*messages, {"role": "assistant", "content": answer}]


CANCEL = ("orders__cancelOrder", '{"order": 7}', '{"ok": true}')
REFUND = ("pay__refund", '{"order": 7}', "12 EUR")
DEEP = f'{{"a": {"[" * 210}{"]" * 210}}}'


def _in_objects_of_chat() -> list[Any]:
    def reply(message: Any) -> ChatCompletion:
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        fields = {"id": "1", "created": 0, "model": "m", "object": "chat.completion"}
        return ChatCompletion.model_validate(fields | {"choices": [choice]})

    user, first, result, last = chat(CANCEL)
    return [user, reply(first).choices[0].message, result, reply(last)]


def _in_items_of_responses() -> list[Any]:
    text = {"type": "output_text", "text": "Done.", "annotations": []}
    return [
        {"role": "user", "content": [{"type": "input_text", "text": ASKED}]},
        {"type": "reasoning", "id": "r", "summary": []},
        {
            "type": "function_call",
            "id": "f",
            "call_id": "c1",
            "name": "orders__cancelOrder",
            "arguments": '{"order": 7}',
        },
        {"type": "function_call_output", "call_id": "c1", "output": '{"ok": true}'},
        {
            "type": "message",
            "id": "m",
            "role": "assistant",
            "status": "completed",
            "content": [text],
        },
    ]


def _in_replies_of_responses() -> list[Any]:
    user, _, call, result, answer = _in_items_of_responses()

    def reply(*output: Any) -> Response:
        fields = {
            "id": "1",
            "created_at": 0,
            "model": "m",
            "object": "response",
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        return Response.model_validate(fields | {"output": output})

    return [user, reply(call), result, reply(answer)]


def _in_messages_of_anthropic() -> list[Any]:
    use = {"type": "tool_use", "id": "t", "name": "orders__cancelOrder", "input": {"order": 7}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": '{"ok": true}'}
    return [
        {"role": "user", "content": [{"type": "text", "text": ASKED}]},
        {"role": "assistant", "content": [{"type": "text", "text": "I will."}, use]},
        {"role": "user", "content": [result]},
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
    ]


def _in_functions_without_ids() -> list[Any]:
    function = {"name": "orders__cancelOrder", "arguments": '{"order": 7}'}
    return [
        ("system", "Be kind."),
        ("human", ASKED),
        {"role": "assistant", "content": None, "function_call": function},
        {"role": "function", "name": "orders__cancelOrder", "content": '{"ok": true}'},
        ("ai", "Done."),
    ]


def _in_chunks_of_langchain() -> list[Any]:
    """As a loop of one's own adds up what streams."""
    _, user, asked, result, _ = _in_langchain()
    return [
        HumanMessageChunk(content=user.content),
        AIMessageChunk(content="", tool_calls=asked.tool_calls),
        ToolMessageChunk(content=result.content, tool_call_id="c"),
        AIMessageChunk(content="Done."),
    ]


def _in_langchain() -> list[Any]:
    call = {"name": "orders__cancelOrder", "args": {"order": 7}, "id": "c"}
    return [
        SystemMessage("Be kind."),
        HumanMessage([{"type": "text", "text": ASKED}, {"type": "image_url", "image_url": "x"}]),
        AIMessage("", tool_calls=[call]),
        ToolMessage('{"ok": true}', tool_call_id="c"),
        AIMessage("Done."),
    ]


@pytest.mark.parametrize(
    "messages",
    [
        chat(CANCEL),
        _in_objects_of_chat(),
        _in_items_of_responses(),
        _in_replies_of_responses(),
        _in_langchain(),
        messages_to_dict(_in_langchain()),
        {"messages": _in_langchain(), "jump_to": None},
        _in_chunks_of_langchain(),
        _in_messages_of_anthropic(),
        _in_functions_without_ids(),
    ],
    ids=[
        "chat",
        "chat objects",
        "responses",
        "responses objects",
        "langchain",
        "langchain stored",
        "state of an agent",
        "chunks",
        "anthropic",
        "functions",
    ],
)
def test_a_conversation_in_any_form_is_the_same_demonstration(
    index: ToolIndex, messages: Iterable[Any]
) -> None:
    recorded = demonstrations(messages, index)
    assert recorded == RecordReport(
        (
            Demo(
                id=recorded.ids[0],
                text=ASKED,
                calls=(Call("orders.cancelOrder", {"order": 7}, {"ok": True}),),
                tools=("orders.cancelOrder",),
                answer="Done.",
            ),
        )
    )
    assert recorded.ids == demonstrations(chat(CANCEL), index).ids


def test_the_next_request_that_is_like_it_profits_at_once(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    request = "the tent I wanted never came, so call it off please"

    def rank() -> int:
        hits = retriever.search(request, k=5, keep_all=True)
        return [hit.tool.id for hit in hits].index("orders.cancelOrder") + 1

    assert rank() > 1
    recorded = retriever.record(chat(CANCEL))
    assert rank() == 1
    selection = retriever.select(request)
    assert [hit.demo.id for hit in selection.demos] == list(recorded.ids)
    assert f"Request: {ASKED}" in selection.to_text()
    index.remove_demos(recorded.ids)
    assert rank() > 1


def test_what_was_recorded_outlasts_a_sync(index: ToolIndex) -> None:
    mine, other = (
        demo("mine", "money back", "pay.refund"),
        demo("other", "tell her", "mail.sendMail"),
    )
    index.sync_demos([mine])
    recorded = ToolRetriever(index).record(chat(CANCEL)).demos
    assert index.sync_demos([other]) == SyncReport(added=1, removed=1, kept=1, embedded=1)
    assert index.sync(TOOLS, [other])["demos"] == SyncReport(kept=2)
    assert index.demos == (other, *recorded)
    edited = replace(recorded[0], answer="Cancelled.")
    assert index.sync_demos([other, edited]) == SyncReport(changed=1, kept=1)
    assert index.demos == (other, edited)
    assert index.sync_demos([other], keep_recorded=False) == SyncReport(removed=1, kept=1)
    ToolRetriever(index).record(chat(CANCEL))
    assert index.sync(TOOLS, [], keep_recorded=False)["demos"] == SyncReport(removed=2)


def test_a_sync_repairs_demonstrations_and_keeps_those_recorded(index: ToolIndex) -> None:
    mine = demo("mine", "money back", "pay.refund")
    index.sync_demos([mine])
    recorded = ToolRetriever(index).record(chat(CANCEL)).demos
    with sqlite3.connect(index.store.folder / "index.sqlite3") as file:
        file.execute("DELETE FROM records WHERE id = 'mine'")
    assert index.sync_demos([mine]).kept == 1
    index.refresh()
    assert index.demos == (mine, *recorded)


def test_nothing_is_recorded_unless_asked_for(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    retriever.select(chat(CANCEL))
    retriever.search(chat(CANCEL))
    assert index.demos == ()


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (("orders__cancelOrder", "{}", "Error: the order has shipped"), "the call failed"),
        (("orders__cancelOrder", "{}", "HTTP 302 Found"), "the call failed"),
        (("orders__cancelOrder", "{}", "HTTP 404 Not Found: {}"), "the call failed"),
        (("orders__cancelOrder", "{}", '{"error": "shipped"}'), "the call failed"),
        (("orders__cancelOrder", "{}", '{"status": "error"}'), "the call failed"),
        (("orders__cancelOrder", "{", "fine"), "the arguments are no JSON object"),
        (("orders__cancelOrder", "[1]", "fine"), "the arguments are no JSON object"),
        (("orders__cancelOrder", DEEP, "fine"), "the arguments are nested too deeply"),
        (("orders__shred", "{}", "fine"), "the index holds no such tool"),
        (("call_tool", '{"name": "orders__shred", "arguments": {}}', "fine"), "holds no such tool"),
        (("call_tool", '{"name": "orders__cancelOrder"}', "fine"), "the index holds no such tool"),
        (("admin__drop", "{}", "fine"), "the caller may not use it"),
    ],
)
def test_what_is_no_evidence_is_left_out_and_said(
    index: ToolIndex, call: tuple[str, str, str], why: str
) -> None:
    alone = demonstrations(chat(call), index, allow=["user"])
    assert alone.demos == ()
    assert [line.endswith(why) for line in alone.left_out] == [True]
    (kept,) = demonstrations(chat(call, REFUND), index, allow=["user"]).demos
    assert kept.calls == (Call("pay.refund", {"order": 7}, "12 EUR"),)


def test_a_name_of_several_tools_is_no_evidence_for_any(index: ToolIndex) -> None:
    index.add_tools([tool("refund", "Return a parcel.", id="parcels.refund")])
    recorded = demonstrations(chat(("refund", "{}", "fine")), index)
    assert recorded.demos == ()
    assert recorded.left_out == ("'refund': the index holds several tools of that name",)


@pytest.mark.parametrize(
    ("strange", "why"),
    [
        ({"type": "mcp_call", "name": "x", "output": "y"}, "an item of the type 'mcp_call'"),
        ({"role": "critic", "content": "x"}, "a message of the role 'critic'"),
        (("critic", "x"), "an item of the type 'tuple'"),
        ({"content": "x"}, "an item of the type 'dict'"),
        (7, "an item of the type 'int'"),
    ],
)
def test_what_cannot_be_read_is_left_out_and_said(index: ToolIndex, strange: Any, why: str) -> None:
    recorded = demonstrations([*chat(CANCEL), strange], index)
    assert recorded.left_out == (f"{why}: it was not read",)
    assert recorded.ids == demonstrations(chat(CANCEL), index).ids
    items = _in_items_of_responses()
    items[2] = {"type": "custom_tool_call", "call_id": "c1", "name": "pay__refund", "input": "x"}
    items[3] |= {"type": "custom_tool_call_output"}
    assert demonstrations(items, index).left_out == (
        "'pay.refund': the arguments are no JSON object",
    )


def test_a_request_without_words_is_left_out_and_said(index: ToolIndex) -> None:
    photo = [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]
    recorded = demonstrations(chat(CANCEL, asked=photo), index)
    assert recorded.demos == ()
    assert recorded.left_out == ("a turn: the user said nothing in words",)


def test_anthropics_results_say_themselves_what_failed(index: ToolIndex) -> None:
    messages = _in_messages_of_anthropic()
    messages[2]["content"][0] |= {"content": "It has shipped.", "is_error": True}
    assert demonstrations(messages, index).left_out == ("'orders.cancelOrder': the call failed",)


def test_a_call_without_a_result_or_with_a_failure_by_its_status_is_none(index: ToolIndex) -> None:
    messages = _in_langchain()
    assert demonstrations([*messages[:3], messages[-1]], index).demos == ()
    messages[3] = ToolMessage("It has shipped.", tool_call_id="c", status="error")
    assert demonstrations(messages, index).left_out == ("'orders.cancelOrder': the call failed",)
    # LangChain says itself what failed, whatever the words are.
    messages[3] = ToolMessage("Error budget: 40 % left", tool_call_id="c")
    assert demonstrations(messages, index).demos
    # A value that merely has a place for errors is no failure.
    assert demonstrations(chat((*CANCEL[:2], '{"error": null}')), index).demos
    assert demonstrations(chat((*CANCEL[:2], "Error-free order list")), index).demos


def test_a_result_may_come_after_the_user_spoke_again(index: ToolIndex) -> None:
    user, call, result, answer = chat(CANCEL)
    hurry = {"role": "user", "content": "hurry up please now"}
    (found,) = demonstrations([user, call, hurry, result, answer], index).demos
    (prompt,) = demonstrations(chat(CANCEL), index).demos
    assert (found.text, found.calls) == (prompt.text, prompt.calls)
    # A later call of the same id has the result that comes next.
    messages = [user, call, hurry, {**call}, result, {**result, "content": "late"}, answer]
    first, second = demonstrations(messages, index).demos
    assert (first.calls[0].result, second.calls[0].result) == ("late", {"ok": True})


@pytest.mark.parametrize("call_id", [None, "", "c"])
def test_parallel_calls_of_one_id_have_their_own_results(index: ToolIndex, call_id: Any) -> None:
    """Some servers give all calls of a reply the same id, or none."""
    messages = [*chat(CANCEL), *chat((*REFUND[:2], "Error: not paid"))]
    user, cancel, cancelled, _, _, refund, failed, answer = messages
    calls = [{**message["tool_calls"][0], "id": call_id} for message in (cancel, refund)]
    results = [{**message, "tool_call_id": call_id} for message in (cancelled, failed)]
    recorded = demonstrations([user, {**cancel, "tool_calls": calls}, *results, answer], index)
    (found,) = recorded.demos
    assert [(call.tool, call.result) for call in found.calls] == [
        ("orders.cancelOrder", {"ok": True})
    ]
    assert recorded.left_out == ("'pay.refund': the call failed",)


def test_a_result_that_is_nested_too_deeply_is_kept_as_a_text(index: ToolIndex) -> None:
    (found,) = demonstrations(
        chat((*CANCEL[:2], DEEP)), index, redact=redacting(lambda text: text)
    ).demos
    assert isinstance(found.calls[0].result, str)
    assert found.calls[0].result.startswith('{"a": [[[')


def test_a_call_without_arguments_may_say_so_with_null(index: ToolIndex) -> None:
    none: list[Any] = ["null", "", None, {}]
    for nothing in none:
        (found,) = demonstrations(chat((CANCEL[0], nothing, CANCEL[2])), index).demos
        assert found.calls[0].arguments == {}


def test_calls_through_the_proxy_are_calls_of_its_tools(index: ToolIndex) -> None:
    search = ("discover_tools", '{"query": "cancel"}', '{"tools": []}')
    through = ("call_tool", '{"name": "orders__cancelOrder", "arguments": {"order": 7}}', CANCEL[2])
    assert demonstrations(chat(search, through), index) == demonstrations(chat(CANCEL), index)
    assert demonstrations(chat(search), index) == RecordReport()
    items = _in_items_of_responses()
    items[2] |= {"name": through[0], "arguments": through[1]}
    assert demonstrations(items, index).demos == demonstrations(chat(CANCEL), index).demos


def test_halves_of_surrogate_pairs_are_left_out_of_values(index: ToolIndex) -> None:
    call = ("orders__cancelOrder", r'{"note": "so \ud83d sad"}', r'["\ud83d", "\ud83d\ude00"]')
    (found,) = demonstrations(chat(call), index).demos
    assert found.calls == (Call("orders.cancelOrder", {"note": "so  sad"}, ["", "\U0001f600"]),)


def test_a_call_that_succeeds_at_the_second_try_counts_once(index: ToolIndex) -> None:
    (found,) = demonstrations(
        chat(("orders__cancelOrder", "{}", "Error: which one?"), CANCEL, CANCEL, REFUND), index
    ).demos
    assert [call.tool for call in found.calls] == ["orders.cancelOrder", "pay.refund"]


def test_names_lead_back_to_ids(index: ToolIndex) -> None:
    index.add_tools([tool("run", id="a__b"), tool("run", id="x.y"), tool("alone", id="m.n")])
    for name, id_ in [
        (wire_name("search docs"), "search docs"),
        ("search docs", "search docs"),
        (wire_name("a__b"), "a__b"),
        ("a__b", "a__b"),
        ("alone", "m.n"),
    ]:
        assert demonstrations(chat((name, "{}", "ok")), index).demos[0].tools == (id_,)
    assert demonstrations(chat(("run", "{}", "ok")), index).demos == ()  # of which one?


def test_each_turn_that_led_to_calls_is_one_demonstration(index: ToolIndex) -> None:
    mail = ("mail__sendMail", "{}", "sent")
    messages = [
        {"role": "user", "content": "the tent is broken, I want my money"},
        {"role": "assistant", "content": "For order 7?"},
        *chat(REFUND, asked="yes", answer="Done."),
        *chat(mail, asked="write to the supplier about it"),
        *chat(mail, asked="and again"),
        {"role": "user", "content": "thank you"},
        {"role": "assistant", "content": "My pleasure."},
    ]
    found = demonstrations(messages, index).demos
    assert [(each.text, each.tools) for each in found] == [
        ("the tent is broken, I want my money\nyes", ("pay.refund",)),
        ("write to the supplier about it", ("mail.sendMail",)),
        ("write to the supplier about it\nand again", ("mail.sendMail",)),
    ]


def test_the_same_request_and_tools_stand_once_as_last_recorded(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    first = retriever.record(chat(CANCEL))
    again = retriever.record(chat((*CANCEL[:1], '{"order": 8}', "ok"), asked=ASKED.upper()))
    assert first.ids == again.ids
    assert [each.calls[0].arguments for each in index.demos] == [{"order": 8}]
    other = retriever.record(chat(CANCEL, REFUND))
    assert {each.id for each in index.demos} == {*first.ids, *other.ids}


def test_what_a_curated_demonstration_says_is_not_recorded_again(index: ToolIndex) -> None:
    index.sync_demos([demo("mine", f"{ASKED} ", "orders.cancelOrder")])
    retriever = ToolRetriever(index)
    recorded = retriever.record(chat(CANCEL))
    assert recorded.left_out == ("a turn: the demonstration 'mine' says the same",)
    retriever.record(chat(CANCEL), success=False)
    assert [d.id for d in index.demos] == ["mine"]


def test_what_went_wrong_is_taken_back(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    assert retriever.record(chat(CANCEL), success=False).demos == ()
    assert not retriever.index.demos
    retriever.record(chat(REFUND))
    kept = retriever.record(chat((*CANCEL[:1], '{"order": 8}', "ok")))
    assert retriever.record(chat(CANCEL), success=False) == kept
    assert [each.tools for each in index.demos] == [("pay.refund",)]


def test_what_uses_a_tool_that_is_gone_or_was_curated_since_is_taken_back(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    kept = retriever.record(chat(CANCEL, REFUND), allow=["user"])
    search = (wire_name("search docs"), "{}", "found")
    named = retriever.record(chat(search))
    assert {each.id for each in index.demos} == {*kept.ids, *named.ids}
    index.remove_tools(["orders.cancelOrder", "search docs"])
    nobody = retriever.record(chat(CANCEL, REFUND), allow=lambda tool: False, success=False)
    assert nobody.demos == ()
    assert retriever.record(chat(CANCEL, REFUND), allow=["user"], success=False) == kept
    assert retriever.record(chat(search), success=False) == named
    assert not list(index.demos)

    kept = retriever.record(chat(REFUND))
    index.add_demos([demo("mine", ASKED, "pay.refund")])
    assert retriever.record(chat(REFUND), success=False) == kept
    assert [each.id for each in index.demos] == ["mine"]


def test_it_is_shown_to_those_who_may_use_its_tools_and_see_it(index: ToolIndex) -> None:
    retriever = ToolRetriever(index, min_score=0.0, min_recall=1.0)
    drop = ("admin__drop", "{}", "gone")
    retriever.record(chat(drop, CANCEL, asked="clear the data of order 7"), allow={"admin"})
    retriever.record(chat(REFUND, asked="the money of order 7"), private_to={"tenant 1"})

    def shown(*held: str) -> set[str]:
        request = "clear the data and the money of order 7"
        hits = retriever.select(request, allow=held).demos
        return {tool for hit in hits for tool in hit.demo.tools}

    assert shown() == set()
    assert shown("admin") == {"admin.drop", "orders.cancelOrder"}
    assert shown("tenant 1") == {"pay.refund"}
    assert shown("tenant 2") == set()


CARD = "4111222233334444"


def _scrub(text: str) -> str:
    return re.sub(r"\d{16}", "[card]", text)


def test_what_is_redacted_is_nowhere(index: ToolIndex) -> None:
    call = (
        "pay__refund",
        json.dumps({"to": CARD, CARD: [int(CARD)], "note": "x" * 290 + CARD}),
        json.dumps({"card": {"number": CARD}}),
    )
    asked = "y " * 495 + CARD  # which would be cut in half
    retriever = ToolRetriever(index)
    recorded = retriever.record(
        chat(call, asked=asked, answer=f"Paid to {CARD}"), redact=redacting(_scrub)
    )
    assert recorded.demos[0].calls[0].arguments["to"] == "[card]"
    assert recorded.demos[0].calls[0].arguments["[card]"] == ["[card]"]
    assert recorded.demos[0].answer == "Paid to [card]"
    for file in index.store.folder.rglob("*"):
        if file.is_file():
            assert CARD[:8].encode() not in file.read_bytes()


def test_what_was_recorded_otherwise_is_not_taken_back_and_that_is_said(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    asked = chat(CANCEL, asked=f"cancel what I paid with {CARD}")
    hide = redacting(_scrub)
    kept = retriever.record(asked, redact=hide, private_to={"me"})
    for other in ({}, {"redact": hide}, {"private_to": {"me"}}):
        recorded = retriever.record(asked, success=False, **other)
        assert recorded.demos == ()
        assert [line.partition(",")[0] for line in recorded.left_out] == [
            "a turn: nothing to remove"
        ]
    assert index.demos == kept.demos
    assert retriever.record(asked, success=False, redact=hide, private_to={"me"}) == kept
    assert index.demos == ()


def test_a_redaction_that_fails_or_widens_records_nothing(index: ToolIndex) -> None:
    def fails(demo: Demo) -> Demo:
        raise KeyError(demo.text)

    retriever = ToolRetriever(index)
    with pytest.raises(DemoError, match="the redaction hook raised KeyError; nothing") as caught:
        retriever.record(chat(CANCEL), redact=fails)
    assert ASKED not in str(caught.value)
    wrong: list[Any] = [
        lambda demo: replace(demo, text=" "),
        lambda demo: replace(demo, text=None),
        lambda demo: replace(demo, answer=None),
        lambda demo: replace(demo, calls=(Call("admin.drop"),)),
        lambda demo: demo.text,
    ]
    for hook in wrong:
        with pytest.raises(DemoError, match="no other tools"):
            retriever.record(chat(CANCEL), redact=hook)
    recorded = retriever.record(chat(CANCEL), redact=lambda demo: None)
    assert recorded.left_out == ("a turn: the redaction hook gave nothing of it",)
    assert index.demos == ()
    public = retriever.record(
        chat(CANCEL), private_to={"me"}, redact=lambda demo: replace(demo, permissions=())
    )
    assert public.demos[0].permissions == (frozenset({"me"}),)


@pytest.mark.parametrize(
    "wrong", ["me", b"me", None, [None], [1], [("tenant", "admin")], {"me": False}, iter(["me"])]
)
def test_who_may_see_it_is_said_in_texts(index: ToolIndex, wrong: Any) -> None:
    retriever = ToolRetriever(index)
    with pytest.raises(DemoError, match=r"private_to holds .*: give a set of permissions"):
        retriever.record(chat(CANCEL), private_to=wrong)
    assert index.demos == ()
    assert retriever.select(ASKED, allow={"admin"}).demos == ()


def test_long_texts_are_shortened(index: ToolIndex) -> None:
    call = ("pay__refund", json.dumps({"note": "n" * 9_000}), json.dumps(["r" * 9_000]))
    (found,) = demonstrations(chat(call, asked="a" * 9_000, answer="b" * 9_000), index).demos
    assert len(repr(found)) < 2_500


def test_long_lists_are_shortened(index: ToolIndex) -> None:
    lines = {"lines": [{"prices": list(range(90))}] * 90}
    call = ("pay__refund", json.dumps(lines), "paid")
    (found,) = demonstrations(chat(call), index).demos
    assert found.calls[0].arguments == {"lines": [{"prices": list(range(20))}] * 20}


async def test_in_an_event_loop(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    recorded = await retriever.arecord(chat(CANCEL))
    assert [d.id for d in index.demos] == list(recorded.ids)
    await retriever.arecord(chat(CANCEL), success=False)
    assert index.demos == ()


def test_an_embedder_or_a_disk_that_fails_is_a_clear_error_and_changes_nothing(
    index: ToolIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = ToolRetriever(index)
    retriever.record(chat(REFUND))
    before = index.demos

    class Broken(HashedWordsEmbedder):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            raise ConnectionError("refused")

    broken = ToolRetriever(ToolIndex(index.store.folder, embedder=Broken()))
    with pytest.raises(EmbedderError, match="refused"):
        broken.record(chat(CANCEL, asked="something else"))

    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("toolret.stores.folder.put_records", full)
        with pytest.raises(StoreError, match=r"index\.sqlite3: .*disk is full"):
            retriever.record(chat(CANCEL))
    again = ToolIndex(index.store.folder, embedder=HashedWordsEmbedder())
    assert again.demos == before
    assert retriever.record(chat(CANCEL)).demos
    assert len(index.demos) == 2


def _in_threads(jobs: Iterable[Any]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


WRITER = """
import sys
from tests.test_recording import CANCEL, chat
from toolret.index import ToolIndex
from toolret.retrieval.retriever import ToolRetriever
from toolret.testing import HashedWordsEmbedder
retriever = ToolRetriever(ToolIndex(sys.argv[1], embedder=HashedWordsEmbedder()))
for number in range(3):
    retriever.record(chat(CANCEL, asked=f"stop process {sys.argv[2]} number {number}"))
"""


def test_records_of_threads_and_processes_are_all_kept(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(index.store.folder), str(number)])
        for number in range(2)
    ]

    def job(number: int) -> None:
        retriever.record(chat(CANCEL, asked=f"stop thread {number}"))

    _in_threads([lambda number=number: job(number) for number in range(4)])
    assert [process.wait() for process in processes] == [0, 0]
    index.refresh()
    assert len(index.demos) == 4 + 2 * 3
    # What this process wrote is seen without a refresh, whichever thread was the last to read.
    _in_threads([lambda number=number: job(number) for number in range(4, 8)])
    assert len(index.demos) == 8 + 2 * 3


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            [
                "role", "type", "content", "tool_calls", "function", "name", "arguments", "args",
                "id", "call_id", "tool_call_id", "output", "status", "choices", "object", "text",
            ]
        ),
        inner | st.sampled_from(["user", "assistant", "tool", "function_call", "pay__refund"]),
        max_size=6,
    ),
    max_leaves=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def paying(tmp_path_factory: pytest.TempPathFactory) -> ToolIndex:
    """An index that no test changes."""
    index = ToolIndex(tmp_path_factory.mktemp("paying"), embedder=HashedWordsEmbedder())
    index.sync_tools(TOOLS)
    return index


@given(messages=st.lists(junk, max_size=6), odd=st.sampled_from(["", "\ud800", "é"]))
def test_no_conversation_breaks_it(paying: ToolIndex, messages: list[Any], odd: str) -> None:
    call = ("pay__refund", "{}", f"paid {odd}")
    found = demonstrations([*messages, *chat(call, asked=f"money {odd} back")], paying)
    assert found.demos
    for each in found.demos:
        json.dumps([each.text, each.answer, each.id], ensure_ascii=False).encode()
