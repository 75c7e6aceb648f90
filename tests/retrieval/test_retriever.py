from __future__ import annotations

import asyncio
import math
import shutil
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI

from tests.conftest import demo, tool
from tests.llm.ways import chat_openai
from tests.waiting import until
from toolret.errors import BudgetError, InputError
from toolret.index import ToolIndex
from toolret.queries import StrategyQueryGenerator
from toolret.retrieval.retriever import ToolRetriever
from toolret.retrieval.selection import Selection
from toolret.testing import HashedWordsEmbedder, OpenAIServer, Reply, ScriptedChatModel
from toolret.text.names import wire_name
from toolret.tokens import TokenCounter, estimate_tokens, token_counter
from toolret.types import Demo, Tool


def ids(selection: Selection) -> list[str]:
    return [hit.tool.id for hit in selection.tools]


def test_a_request_gets_its_tool_examples_and_prompt(index: ToolIndex) -> None:
    selection = ToolRetriever(index).select("refund the payment, she wants her money back")
    assert ids(selection)[0] == "refund_payment"
    assert selection.demos[0].demo.id == "d2"
    assert selection.queries[0].kind == "request"
    assert selection.note == ""
    prompt = selection.to_openai()
    assert prompt["tools"][0]["function"]["name"] == "refund_payment"
    assert "the customer wants her money back" in prompt["messages"][0]["content"]
    assert selection.names["refund_payment"] == "refund_payment"
    assert list(selection.seconds) == ["queries", "embed", "compare", "rank", "pack"]


def test_a_repr_tells_the_index(index: ToolIndex) -> None:
    assert repr(ToolRetriever(index)) == f"<ToolRetriever of {index!r}>"


def test_evidence_adds_up_to_the_score(index: ToolIndex) -> None:
    for hit in ToolRetriever(index).search("stop the order and refund", keep_all=True):
        log_odds = sum(evidence.contribution for evidence in hit.evidence)
        assert hit.score == pytest.approx(1 / (1 + math.exp(-log_odds)), abs=1e-4)
        sizes = [abs(evidence.contribution) for evidence in hit.evidence]
        assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    "request_text",
    ["please run list_invoices for the money she wants back", "LIST_INVOICES", "list_invoices."],
)
def test_a_tool_that_is_called_by_its_name_comes_first(index: ToolIndex, request_text: str) -> None:
    hits = ToolRetriever(index).search(request_text)
    assert hits[0].tool.id == "list_invoices"
    assert hits[0].evidence[0].signal == "exact name"


def test_a_tool_is_found_by_its_tags_and_by_the_values_of_its_arguments(tmp_path: Path) -> None:
    def measuring(name: str, unit: str) -> Tool:
        parameters = {"type": "object", "properties": {"unit": {"enum": [unit]}}}
        return tool(name, "Measures it.", parameters=parameters, tags=(f"{unit}-lab",))

    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools(
        [measuring("a", "kelvin"), measuring("b", "candela"), measuring("c", "ampere")]
    )
    retriever = ToolRetriever(index)
    assert retriever.search("measure it in candela")[0].tool.id == "b"
    assert retriever.search("ask the lab for amperes")[0].tool.id == "c"


def test_a_tool_is_found_by_its_id_which_its_text_does_not_say(tmp_path: Path) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools(Tool(f"TCK-{n}", "do", description="Does it.") for n in range(300))
    retriever = ToolRetriever(index)
    assert retriever.search("run TCK-277 now")[0].tool.id == "TCK-277"
    others = {f"TCK-{n}" for n in range(300)} - {"TCK-277"}
    hits = retriever.search("run TCK-277 now", allow=lambda tool: tool.id in others, keep_all=True)
    assert hits
    assert "TCK-277" not in {hit.tool.id for hit in hits}


def test_a_misspelt_request_is_read_as_it_was_meant(index: ToolIndex) -> None:
    request, meant = (
        "refnd the paymnt and trakc my parcle",
        "refund the payment and track my parcel",
    )
    selection, right = ToolRetriever(index).select(request), ToolRetriever(index).select(meant)
    assert ids(selection) == ids(right)
    assert [hit.score for hit in selection.tools] == [hit.score for hit in right.tools]
    assert selection.request == request
    assert selection.queries[0].text == meant
    assert selection.explain().startswith(f"request: {request}\nread as: {meant}\n")
    assert "read as" not in right.explain()
    (together,) = ToolRetriever(index).select_many([request])
    assert together.queries[0].text == meant
    assert ids(together) == ids(right)


def test_no_word_of_a_tool_is_put_in_that_the_caller_may_not_use(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    selection = retriever.select("trakc my parcle", allow=lambda tool: tool.id != "track_parcel")
    assert selection.queries[0].text == "trakc my parcle"


def test_a_name_that_is_a_word_counts_only_alone(tmp_path: Path) -> None:
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools([tool("refund", "Return money."), tool("send", "Send a parcel.")])
    signals = {
        evidence.signal
        for hit in ToolRetriever(index).search("send me what a refund costs", keep_all=True)
        for evidence in hit.evidence
    }
    assert "exact name" not in signals
    assert ToolRetriever(index).search("send")[0].evidence[0].signal == "exact name"


def test_what_may_not_be_used_is_neither_offered_nor_shown(
    tmp_path: Path, tools: list[Tool], demos: list[Demo]
) -> None:
    locked = tool(
        "refund_payment", "Return money that was paid.", permissions=(frozenset({"billing"}),)
    )
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync([t for t in tools if t.id != "refund_payment"] + [locked], demos)
    retriever = ToolRetriever(index)
    request = "stop the purchase and refund_payment, give the money back"
    refused = retriever.select(request, allow=["orders"])
    assert "refund_payment" not in ids(refused)
    assert "refund_payment" not in str(refused.to_openai()) + refused.to_text()
    assert "refund_payment" in ids(retriever.select(request, allow={"billing", "orders"}))
    assert "refund_payment" in ids(retriever.select(request))
    only = retriever.select(request, allow=lambda tool: tool.id == "track_parcel")
    assert set(ids(only)) <= {"track_parcel"}
    assert ids(retriever.select(request, allow=lambda tool: False)) == []


def test_an_example_shows_no_tool_that_is_not_offered(index: ToolIndex) -> None:
    selection = ToolRetriever(index, max_tools=1).select(
        "stop the purchase and give the money back"
    )
    offered = set(ids(selection))
    assert len(offered) == 1
    assert [packed.partial for packed in selection.packed.demos] == [False, True]
    assert all(set(packed.tools) <= offered for packed in selection.packed.demos)


def test_the_llm_writes_the_queries(index: ToolIndex) -> None:
    model = ScriptedChatModel('{"queries": ["where a parcel is now"]}')
    selection = ToolRetriever(index, llm=model).select(
        [
            {"role": "user", "content": "order 7 has not come"},
            {"role": "user", "content": "so?"},
        ]
    )
    assert [query.text for query in selection.queries] == ["so?", "where a parcel is now"]
    assert ids(selection)[0] == "track_parcel"
    assert "order 7 has not come" in str(model.asked)


@pytest.mark.parametrize("reply", [ConnectionError("down"), "I cannot help", '{"queries": 3}'])
def test_an_llm_that_fails_is_noted_and_the_request_searched(
    index: ToolIndex, reply: str | Exception
) -> None:
    selection = ToolRetriever(index, llm=ScriptedChatModel(reply)).select("refund the payment")
    assert ids(selection)[0] == "refund_payment"
    assert selection.note
    assert selection.note in selection.explain()


def test_a_callable_and_a_generator_are_taken_as_llm(index: ToolIndex) -> None:
    called = ToolRetriever(index, llm=lambda messages: '{"queries": ["track a parcel"]}')
    assert ids(called.select("hm"))[0] == "track_parcel"
    generator = StrategyQueryGenerator("clauses")
    assert ToolRetriever(index, llm=generator).generator is generator


def test_a_question_is_asked_once_across_retrievers(index: ToolIndex, tmp_path: Path) -> None:
    """Beside the index, in a file of the user's, or not at all."""
    reply = Reply('{"queries": ["where a parcel is now"]}')
    for cache, calls in ((True, 1), (tmp_path / "mine.sqlite3", 1), (False, 3)):
        with OpenAIServer(reply) as server, OpenAI(api_key="k", base_url=server.base_url) as llm:
            for _ in range(3):
                retriever = ToolRetriever(index, llm=llm, model="m", cache=cache)
                selection = retriever.select("so?")
                assert (selection.note, len(selection.queries)) == ("", 2)
        assert len(server.requests) == calls
    assert (index.store.folder / "replies.sqlite3").exists()
    assert len(ToolIndex(index.store.folder, embedder=index.embedder)) == len(index)


async def test_a_langchain_model_writes_queries(index: ToolIndex) -> None:
    """Though it has the methods of a generator of queries."""
    with OpenAIServer(Reply('{"queries": ["where a parcel is now"]}')) as server:
        async with chat_openai(server.base_url) as chat:
            retriever = ToolRetriever(index, llm=chat, cache=False)
            for selection in (
                await retriever.aselect("so?"),
                await asyncio.to_thread(retriever.select, "so?"),
            ):
                assert selection.note == ""
                assert ids(selection)[0] == "track_parcel"


def test_no_reply_is_kept_before_there_are_tools(tmp_path: Path) -> None:
    empty = ToolIndex(tmp_path / "new", embedder=HashedWordsEmbedder())
    reply = Reply('{"queries": ["where a parcel is now"]}')
    with OpenAIServer(reply) as server, OpenAI(api_key="k", base_url=server.base_url) as llm:
        retriever = ToolRetriever(empty, llm=llm, model="m")
        retriever.select("so?")
        assert not (tmp_path / "new").exists()
        empty.sync_tools([tool("a", "anything")])
        calls = [retriever.select("so?").usage.calls for _ in range(2)]
    assert calls == [1, 0]


def test_no_reply_stands_in_the_way_of_an_index_that_is_built_again(
    index: ToolIndex, caplog: pytest.LogCaptureFixture
) -> None:
    retriever = ToolRetriever(index, llm=lambda _: '{"queries": ["a parcel"]}', model="m")
    shutil.rmtree(index.store.folder)
    assert len(retriever.select("where is it?").queries) == 2
    assert not index.store.folder.exists()
    assert "the replies of models are not kept" in caplog.text
    ToolIndex(index.store.place, embedder=index.embedder).sync_tools([tool("a", "anything")])


def test_no_number_of_tools_is_negative(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    with pytest.raises(InputError, match="a number of tools is 0 or more, not -1"):
        retriever.select("stop it", max_tools=-1, depth=10)
    with pytest.raises(InputError, match="a number of ranked tools is 0 or more, not -2"):
        retriever.select("stop it", depth=-2)
    with pytest.raises(InputError, match="a number of tools is 0 or more, not -5"):
        retriever.search("stop it", k=-5)
    with pytest.raises(InputError, match="a number of tools is 0 or more, not -3"):
        ToolRetriever(index, max_tools=-3)
    with pytest.raises(InputError, match="a number of demonstrations is 0 or more, not -1"):
        ToolRetriever(index, max_demos=-1)
    assert retriever.select("stop it", max_tools=0).tools == ()


async def test_no_model_is_paid_for_a_call_with_wrong_limits(index: ToolIndex) -> None:
    model = ScriptedChatModel('{"queries": ["where a parcel is now"]}')
    retriever = ToolRetriever(index, llm=model)
    with pytest.raises(InputError, match="a number of tools is 0 or more, not -1"):
        retriever.select("stop it", max_tools=-1)
    with pytest.raises(InputError, match="a number of tools is 0 or more, not -1"):
        await retriever.aselect("stop it", max_tools=-1)
    with pytest.raises(InputError, match="a number of tools is 0 or more, not -1"):
        retriever.search("stop it", k=-1)
    assert not model.asked


def test_what_is_no_index_number_probability_or_form_is_refused(index: ToolIndex) -> None:
    with pytest.raises(TypeError, match=r"index is 'x.index': give a ToolIndex, such as"):
        ToolRetriever("x.index")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a number of tools is a whole number, not '3'"):
        ToolRetriever(index, max_tools="3")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="token_budget is a number or None, not '600'"):
        ToolRetriever(index).select("stop it", token_budget="600")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="min_score is a share from 0 to 1, not 2"):
        ToolRetriever(index, min_score=2)
    with pytest.raises(
        ValueError, match="prompt_format is one of openai, anthropic, text, not 'json'"
    ):
        ToolRetriever(index, prompt_format="json")  # type: ignore[arg-type]


async def test_aselect_gives_what_select_gives(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    requests = ["refund the payment", "where is the parcel", "stop the purchase"]
    together = await asyncio.gather(*map(retriever.aselect, requests))
    assert [ids(found) for found in together] == [ids(retriever.select(r)) for r in requests]
    model = ScriptedChatModel('{"queries": ["list the invoices of a customer"]}')
    awaited = await ToolRetriever(index, llm=model).aselect("what does she owe?", max_tools=1)
    assert ids(awaited) == ["list_invoices"]


async def test_asearch_gives_what_search_gives(index: ToolIndex) -> None:
    model = ScriptedChatModel('{"queries": ["list the invoices of a customer"]}')
    retriever = ToolRetriever(index, llm=model)
    allow = {"billing"}
    hits = await retriever.asearch("what does she owe?", k=1, allow=allow)
    assert [hit.tool.id for hit in hits] == ["list_invoices"]
    assert hits == retriever.search("what does she owe?", k=1, allow=allow)
    strict = ToolRetriever(index, min_recall=0.5, min_precision=1.0)
    assert await strict.asearch("the weather on Mars") == ()
    assert len(await strict.asearch("the weather on Mars", k=2, keep_all=True)) == 2
    with pytest.raises(InputError, match="0 or more"):
        await retriever.asearch("stop it", k=-1)


def test_a_sync_is_seen_by_the_next_request(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    index.add_tools([tool("book_flight", "Book a flight to a city.")])
    assert ids(retriever.select("book a flight"))[0] == "book_flight"
    index.remove_tools(["book_flight"])
    assert "book_flight" not in ids(retriever.select("book a flight"))


def test_requests_and_syncs_may_run_at_once(index: ToolIndex) -> None:
    retriever = ToolRetriever(index)
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(15):
                assert "refund_payment" in ids(retriever.select("refund the payment"))
        except BaseException as error:  # noqa: BLE001 - a thread's failure must reach the test
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(3):
        index.add_tools([tool(f"more_{i}", "Something else.")])
    for thread in threads:
        thread.join()
    assert failures == []


def test_an_empty_index_answers_with_no_tool(tmp_path: Path) -> None:
    retriever = ToolRetriever(ToolIndex(tmp_path, embedder=HashedWordsEmbedder()))
    selection = retriever.select("anything")
    assert (selection.tools, selection.demos) == ((), ())
    assert "no tool fits" in selection.explain()
    assert "nearest: there was no tool to choose from" in selection.explain()
    assert retriever.search("anything", keep_all=True) == ()


def test_tools_below_the_least_score_are_not_offered(index: ToolIndex) -> None:
    strict = ToolRetriever(index, min_score=1.0)
    assert strict.select("the weather on Mars").tools == ()
    assert strict.search("the weather on Mars") == ()
    assert len(strict.search("the weather on Mars", k=2, keep_all=True)) == 2


@pytest.mark.parametrize("conversation", ["", "  ", []])
def test_a_conversation_without_a_request_is_refused(
    index: ToolIndex, conversation: str | list[dict[str, str]]
) -> None:
    with pytest.raises(InputError):
        ToolRetriever(index).select(conversation)


def test_targets_decide_which_requests_get_tools(index: ToolIndex) -> None:
    request = "the weather on Mars"
    assert ToolRetriever(index, min_recall=1.0).select(request).ranked
    assert ToolRetriever(index, min_recall=1.0, min_score=0).select(request).tools
    strict = ToolRetriever(index, min_recall=0.5, min_precision=1.0).select(request)
    assert strict.tools == ()
    assert 0 < strict.need < 1
    assert f"no tool fits: p={strict.need:.3f} that" in strict.explain()
    nearest = strict.ranked[0]
    assert f"\nnearest: {nearest.tool.id} (p={nearest.score:.3f}), " in strict.explain()
    assert str(strict) == strict.explain()
    # A tool that is called by its name is needed, whatever the request looks like.
    named = ToolRetriever(index, min_precision=1.0).select("refund_payment")
    assert ids(named)[0] == "refund_payment"
    for wrong in ({"min_recall": 99}, {"min_precision": -0.1}):
        with pytest.raises(InputError, match="a share from 0 to 1"):
            ToolRetriever(index, **wrong)
    with pytest.raises(TypeError, match="min_recall is a number, not None"):
        ToolRetriever(index, min_recall=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="min_score is a number"):
        ToolRetriever(index, min_score="0.1")  # type: ignore[arg-type]


def test_a_counter_need_not_be_hashable(index: ToolIndex) -> None:
    @dataclass
    class Characters:
        encoding: str = "characters"
        exact: bool = True

        def count(self, text: str) -> int:
            return len(text)

    request = "give the money back"
    retriever = ToolRetriever(index, counter=cast("TokenCounter", Characters()))
    first = retriever.select(request)
    assert retriever.select(request).packed is first.packed
    retriever.counter = token_counter()
    assert retriever.select(request).packed is not first.packed


def test_a_note_says_that_the_budget_does_not_hold_the_first_tool(tmp_path: Path) -> None:
    value = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    names = [f"argument_{n}" for n in range(40)]
    huge = {"type": "object", "properties": dict.fromkeys(names, value), "required": names}
    index = ToolIndex(tmp_path, embedder=HashedWordsEmbedder())
    index.sync_tools(
        [
            tool("refund_payment", "Give the money of a payment back.", parameters=huge),
            tool("list_payments", "List the payments of a customer."),
        ]
    )
    selection = ToolRetriever(index, min_score=0).select("refund_payment 12", token_budget=600)
    assert [hit.tool.name for hit in selection.tools] == ["refund_payment", "list_payments"]
    assert [shown.name for shown in selection.packed.tools] == ["list_payments"]
    assert selection.note == "600 tokens do not hold the tool 'refund_payment'"


def test_a_budget_for_no_tool_is_an_error_that_says_what_is_needed(index: ToolIndex) -> None:
    with pytest.raises(BudgetError, match="token"):
        ToolRetriever(index).select("refund the payment", token_budget=3)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> ToolRetriever:
    """A retriever that offers more than most budgets hold."""
    index = ToolIndex(tmp_path_factory.mktemp("wide"), embedder=HashedWordsEmbedder())
    long = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(9)}}
    index.sync(
        [tool(f"refund_{i}", "Give money back. " * 9, parameters=long) for i in range(12)],
        [demo(f"d{i}", f"refund number {i} and stop it", f"refund_{i}") for i in range(12)],
    )
    counter = TokenCounter("estimate", exact=False, count=estimate_tokens)
    return ToolRetriever(index, min_score=0.0, min_recall=1.0, counter=counter)


@settings(max_examples=40)
@given(budget=st.integers(100, 1500))
def test_the_budget_is_never_exceeded(wide: ToolRetriever, budget: int) -> None:
    selection = wide.select("refund and stop it", token_budget=budget)
    assert selection.tokens <= budget
    assert selection.to_text()
    names = {entry["function"]["name"] for entry in selection.to_openai()["tools"]}
    assert names <= {wire_name(hit.tool.id) for hit in selection.tools}
    cut = {item.id for item in selection.dropped if item.step == "left out"}
    offered = {hit.tool.id for hit in selection.tools} | {hit.demo.id for hit in selection.demos}
    assert cut <= offered


def test_another_form_may_not_fit_the_budget(index: ToolIndex) -> None:
    retriever = ToolRetriever(index, prompt_format="text", max_demos=0, min_score=0, min_recall=1)
    first = retriever.select("refund the payment", max_tools=1, token_budget=None)
    selection = retriever.select("refund the payment", token_budget=first.tokens)
    assert selection.to_text() == first.to_text()
    with pytest.raises(BudgetError):
        selection.to_openai()


def test_what_the_budget_leaves_out_is_not_offered_under_any_name(wide: ToolRetriever) -> None:
    selection = wide.select("refund and stop it", token_budget=400)
    prompt = selection.to_openai()
    offered = [entry["function"]["name"] for entry in prompt["tools"]]
    assert 0 < len(offered) < len(selection.tools)
    assert list(selection.names) == offered
    assert {entry["name"] for entry in selection.to_anthropic()["tools"]} <= set(offered)
    ranks = [line for line in selection.explain().splitlines() if line[:1].isdigit()]
    held = [line for line in ranks if not line.endswith("(left out: beyond the token budget)")]
    assert len(ranks) == len(selection.tools)
    assert [line.split()[1] for line in held] == list(selection.names.values())


def test_an_explanation_says_what_was_left_out_and_nothing_that_says_nothing(
    index: ToolIndex,
) -> None:
    retriever = ToolRetriever(index, max_tools=1)
    full = retriever.select("refund the payment, she wants her money back")
    bare = replace(full.packed, demos=())
    explained = replace(full, packed=bare).explain()
    assert f"p={full.need:.3f} that a tool is needed" in full.explain()
    assert "example d2" in full.explain()
    assert "left out" not in full.explain()
    (example,) = [line for line in explained.splitlines() if line.startswith("example d2")]
    assert example.endswith("(left out: beyond the token budget)")
    assert any(round(e.contribution, 2) == 0 for e in full.tools[0].evidence)
    assert "0.00 " not in full.explain()


def test_without_a_budget_nothing_is_cut(index: ToolIndex) -> None:
    retriever = ToolRetriever(index, token_budget=None)
    selection = retriever.select("refund the payment")
    assert selection.dropped == ()
    assert {tool["name"] for tool in selection.to_anthropic()["tools"]} == set(selection.names)


def test_what_another_process_synced_is_found_without_waiting(
    tmp_path: Path, tools: list[Tool], demos: list[Demo], embedder: HashedWordsEmbedder
) -> None:
    own = ToolIndex(tmp_path, embedder=embedder)
    own.sync(tools, demos)
    retriever = ToolRetriever(own)
    ToolIndex(tmp_path, embedder=embedder).add_tools([tool("water_plants", "Water the plants.")])

    def is_found() -> bool:
        hits = retriever.search("water the plants", keep_all=True)
        return "water_plants" in {hit.tool.id for hit in hits}

    assert until(is_found)
    assert "water_plants" in own


async def test_each_selection_is_told_and_what_that_raises_is_logged(
    index: ToolIndex, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Selection] = []
    retriever = ToolRetriever(index, on_select=seen.append)
    one = retriever.select("stop the order")
    other = await retriever.aselect("stop the order")
    many = retriever.select_many(["stop the order", "refund"])
    assert seen == [one, other, *many]
    retriever.search("stop the order")  # finds tools, but selects nothing
    assert len(seen) == 4

    def fail(selection: Selection) -> None:
        raise LookupError("not yours")

    assert ToolRetriever(index, on_select=fail).select("stop the order").tools == one.tools
    assert "on_select raised LookupError" in caplog.text
    with pytest.raises(TypeError, match="on_select is 3: give a function"):
        ToolRetriever(index, on_select=3)  # type: ignore[arg-type]
