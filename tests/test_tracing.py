"""Spans as an SDK receives them: what they say, and what they keep to themselves."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.conftest import tool
from toolret import tracing
from toolret.calling import Toolbox, ToolResult
from toolret.catalogs import load_tools
from toolret.errors import EmbedderError, ReplayError
from toolret.index import ToolIndex
from toolret.retrieval.reranking import Reranking
from toolret.retrieval.retriever import ToolRetriever
from toolret.retrieval.selection import trace as trace_selection
from toolret.testing import ScriptedChatModel
from toolret.types import JsonObject, Request, Tool


class _Reverse:
    """A reranker."""

    depth = 3

    def score(self, request: Request, tools: Sequence[Tool]) -> Reranking:
        return Reranking(tuple(range(len(tools))))

    async def ascore(self, request: Request, tools: Sequence[Tool]) -> Reranking:
        return self.score(request, tools)


def _by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def _attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


REQUEST = "refund the payment, she wants her money back"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_selection_is_a_span_with_its_stages(
    index: ToolIndex, spans: InMemorySpanExporter, is_async: bool
) -> None:
    model = ScriptedChatModel('{"queries": ["refund a payment"]}')
    retriever = ToolRetriever(index, llm=model, reranker=_Reverse(), min_score=0.0)
    run = retriever.aselect(REQUEST)
    selection = asyncio.run(run) if is_async else retriever.select(REQUEST)
    run.close()
    found = _by_name(spans)
    select = found["toolret.select"]
    assert _attributes(select) == {
        "gen_ai.operation.name": "retrieval",
        "toolret.queries.count": 2,
        "toolret.tools.offered": len(selection.tools),
        "toolret.demos.shown": len(selection.demos),
        "toolret.need": selection.need,
        "toolret.tokens": selection.tokens,
        "toolret.token_budget": 2_000,
        "toolret.dropped.count": 0,
        "toolret.degraded": False,
    }
    names = ["queries", "embed", "compare", "rank", "rerank", "pack"]
    assert set(found) == {"toolret.select", *(f"toolret.{name}" for name in names)}
    end = 0
    for name in names:
        stage = found[f"toolret.{name}"]
        assert stage.parent is not None and select.context is not None
        assert stage.parent.span_id == select.context.span_id
        assert stage.start_time is not None and stage.end_time is not None
        assert select.start_time is not None and select.start_time - 1_000_000 <= stage.start_time
        took = stage.end_time - stage.start_time
        assert took == pytest.approx(selection.seconds[name] * 1e9, rel=0.01, abs=1_000)
        assert stage.start_time >= end
        end = stage.end_time
    asked = _attributes(found["toolret.queries"])
    assert asked["gen_ai.request.model"] == "scripted"
    assert (asked["toolret.queries.calls"], asked["toolret.queries.cached"]) == (1, False)
    assert _attributes(found["toolret.embed"]) == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.request.model": "hashed-words:256",
    }


def test_spans_say_that_a_selection_is_degraded_and_with_content_why(
    index: ToolIndex, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it was, always; why, with the content, for it may quote what a model said."""
    ToolRetriever(index, llm=ScriptedChatModel("Sorry, Alice")).select(REQUEST)
    span = _by_name(spans)["toolret.select"]
    assert _attributes(span)["toolret.degraded"] is True
    assert "Alice" not in span.to_json()
    spans.clear()
    monkeypatch.setenv(tracing.CAPTURE_CONTENT, "true")
    selection = ToolRetriever(index, llm=ScriptedChatModel(ConnectionError("down"))).select(REQUEST)
    assert "scripted failed: ConnectionError: down" in selection.note
    assert _attributes(_by_name(spans)["toolret.select"])["toolret.note"] == selection.note


def test_what_was_said_is_on_no_span_unless_it_is_wanted(
    index: ToolIndex, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    toolbox = Toolbox([tool("refund", "Give money back.")], _Echo())
    selection = ToolRetriever(index).select(REQUEST)
    toolbox.call("refund", '{"to": "Alice"}')
    toolbox.call("made up by Alice", {})
    said = " ".join(span.to_json() for span in spans.get_finished_spans())
    for secret in ("money", "refund_payment", "Alice"):
        assert secret not in said
    spans.clear()
    monkeypatch.setenv(tracing.CAPTURE_CONTENT, "true")
    ToolRetriever(index).select(REQUEST)
    toolbox.call("refund", '{"to": "Alice"}')
    select = _attributes(_by_name(spans)["toolret.select"])
    assert select["gen_ai.retrieval.query.text"] == REQUEST
    documents = json.loads(str(select["gen_ai.retrieval.documents"]))
    assert [each["id"] for each in documents] == [hit.tool.id for hit in selection.tools]
    assert select["toolret.demos"] == tuple(hit.demo.id for hit in selection.demos)
    call = _attributes(_by_name(spans)["execute_tool refund"])
    assert call["gen_ai.tool.call.arguments"] == '{"to": "Alice"}'
    assert call["gen_ai.tool.call.result"] == "given to Alice"


def test_an_error_is_marked_without_its_text(
    index: ToolIndex, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = ToolRetriever(index)
    monkeypatch.setattr(index.embedder, "embed", _raise_embedder_error)
    with pytest.raises(EmbedderError):
        retriever.select(REQUEST)
    span = _by_name(spans)["toolret.select"]
    assert span.status.status_code is trace.StatusCode.ERROR
    assert _attributes(span)["error.type"] == "EmbedderError"
    assert "money" not in span.to_json()


def _raise_embedder_error(*_: object) -> None:
    raise EmbedderError(f"cannot embed {REQUEST}")


class _Echo:
    """Runs everything."""

    def runs(self, tool: Tool) -> bool:
        return True

    def call(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        if tool.id == "lost":
            return ToolResult("HTTP 404 Not Found", ok=False, status=404)
        return ToolResult(f"given to {arguments['to']}", status=200)

    async def acall(self, tool: Tool, arguments: JsonObject) -> ToolResult:
        return await asyncio.to_thread(self.call, tool, arguments)


async def test_calls_are_spans_in_both_ways_of_calling(spans: InMemorySpanExporter) -> None:
    toolbox = Toolbox([tool("pay"), tool("lost")], _Echo())
    for name, arguments, error in [
        ("pay", {"to": "x"}, None),
        ("lost", {}, "404"),
        ("pay", {}, "KeyError"),
        ("nothing", {}, "CallError"),
    ]:
        toolbox.call(name, arguments)
        await toolbox.acall(name, arguments)
        both = spans.get_finished_spans()
        spans.clear()
        known = name != "nothing"
        assert [span.name for span in both] == [
            f"execute_tool {name}" if known else "execute_tool"
        ] * 2
        for span in both:
            attributes = _attributes(span)
            assert attributes["gen_ai.operation.name"] == "execute_tool"
            assert attributes.get("gen_ai.tool.name") == (name if known else None)
            assert attributes.get("error.type") == error
            assert span.status.is_ok is (error is None)


async def test_a_span_of_the_tools_own_is_below_that_of_its_call(
    spans: InMemorySpanExporter,
) -> None:
    def inner() -> str:
        """Do it."""
        with tracing.span("inner"):
            return "done"

    toolbox = Toolbox(load_tools([inner]))
    await toolbox.acall("inner", {})  # in a worker thread
    toolbox.call("inner", {})
    first, outer, second, other = spans.get_finished_spans()
    for below, above in ((first, outer), (second, other)):
        assert below.parent is not None and above.context is not None
        assert below.parent.span_id == above.context.span_id


def test_without_an_sdk_tracing_costs_next_to_nothing(index: ToolIndex) -> None:
    """Beside a selection with the cheapest embedder there is."""
    retriever = ToolRetriever(index)
    selection = retriever.select(REQUEST)

    def seconds(run: Callable[[int], object], times: int) -> float:
        run(-1)
        started = time.process_time()
        for number in range(times):
            run(number)
        return (time.process_time() - started) / times

    def spanned(_: int) -> None:
        with tracing.span("toolret.select", "retrieval") as current:
            trace_selection(current, selection, "x")

    def asked(number: int) -> None:  # never the same, which would be remembered
        retriever.select(f"{REQUEST} {number}")

    assert seconds(spanned, 300) < 0.05 * seconds(asked, 30)


def test_logging_is_left_to_the_program_and_warnings_are_seen_without_it() -> None:
    code = (
        "import toolret, logging; log = logging.getLogger('toolret.index');"
        "log.warning('plain'); log.info('never');"
        "logging.basicConfig(); log.warning('set up')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "plain\nWARNING:toolret.index:set up\n"
    assert logging.getLogger("toolret").handlers == []


def test_spans_of_many_conversations_stand_as_those_of_one(
    index: ToolIndex, spans: InMemorySpanExporter
) -> None:
    def model(_: object) -> str:
        with tracing.span("openai.chat"):
            time.sleep(0.05)
            return '{"queries": ["refund a payment"]}'

    retriever = ToolRetriever(index, llm=model, cache=False)
    with tracing.span("handler"):
        selections = retriever.select_many(["refund it", "cancel it"])
    assert all(selection.seconds["queries"] >= 0.05 for selection in selections)
    finished = spans.get_finished_spans()
    names = {span.context.span_id: span.name for span in finished}
    parents = [(span.name, names[span.parent.span_id]) for span in finished if span.parent]
    assert parents.count(("openai.chat", "toolret.select")) == 2
    assert parents.count(("toolret.queries", "toolret.select")) == 2
    assert parents.count(("toolret.select", "handler")) == 2


def test_a_conversation_of_many_that_fails_ends_its_span(
    index: ToolIndex, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = ToolRetriever(index)

    def write_queries(*_: object) -> None:
        raise ReplayError("it lacks what is asked")

    monkeypatch.setattr(retriever.generator, "write_queries", write_queries)
    with pytest.raises(ReplayError):
        retriever.select_many(["refund it"])
    assert _attributes(_by_name(spans)["toolret.select"])["error.type"] == "ReplayError"


def test_a_batch_that_cannot_be_embedded_ends_the_span_of_each(
    index: ToolIndex, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = ToolRetriever(index)

    def embed(*_: object) -> None:
        raise EmbedderError("down")

    monkeypatch.setattr(retriever._latest(), "embed", embed)
    with pytest.raises(EmbedderError):
        retriever.select_many(["refund it", "cancel it", "find it"])
    assert [span.name for span in spans.get_finished_spans()].count("toolret.select") == 3
