"""Measure what the LangChain middleware adds to a model call besides the selection itself.

    python -m benchmarks.langchain_overhead

The selection is made once and then reused, so what is timed is all the rest: finding what can be
run, what is permitted and what is offered, and making the request and the state of it. Each call
belongs to a thread that has been offered a hundred tools.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langchain.agents.middleware import ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.prebuilt.tool_node import ToolCallRequest, ToolRuntime

from toolret import Selection, Tool, Toolbox, ToolIndex, ToolRetriever
from toolret.integrations.langchain import ToolRetrieverMiddleware, langchain_tools
from toolret.prompt.trimming import TOOL_STEPS
from toolret.testing import HashedWordsEmbedder

SIZES = (300, 3_000, 20_000)
"""The numbers of tools in the index."""

CALLS = 30
"""The number of calls that are timed of each kind."""

THINGS = ("order", "payment", "parcel", "invoice", "ticket", "shift", "build", "document")


def main() -> None:
    """Print two rows for each size: with tools run by the agent, and by the toolbox."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(f"{'tools':>7}  {'run by':8}  {'model call':>11}  {'tool call':>10}  (ms, median)")
    for size in SIZES:
        with TemporaryDirectory() as folder:
            index = ToolIndex(Path(folder), embedder=HashedWordsEmbedder(64))
            index.sync_tools(generated_tools(size))
            for run_by in ("agent", "toolbox"):
                model_call, tool_call = measure(index, run_by)
                print(f"{size:>7}  {run_by:8}  {model_call:>11.2f}  {tool_call:>10.2f}")


def generated_tools(size: int) -> Iterator[Tool]:
    for number in range(size):
        thing = THINGS[number % len(THINGS)]
        yield Tool(
            f"{thing}s.do_{number}",
            f"do_{number}",
            namespace=f"{thing}s",
            description=f"Do number {number} to the {thing} of a customer.",
            parameters={"type": "object", "properties": {"id": {"type": "string"}}},
            permissions=(frozenset({thing}),),
        )


class _CachingRetriever(ToolRetriever):
    """A retriever that selects once, and returns that selection from then on."""

    prepared: Selection | None = None

    def select(self, *args: Any, **options: Any) -> Selection:
        self.prepared = self.prepared or super().select(*args, **options)
        return self.prepared


def measure(index: ToolIndex, run_by: str) -> tuple[float, float]:
    """Return the milliseconds of CPU that a model call and a tool call take.

    Args:
        index: The tools.
        run_by: What runs them: the ``agent``, which is given all of them, or a ``toolbox``.
    """
    toolbox = Toolbox(index)  # nothing is run
    agent_tools = langchain_tools(index, toolbox) if run_by == "agent" else []
    middleware = ToolRetrieverMiddleware(
        _CachingRetriever(index, min_recall=1.0),
        toolbox=None if agent_tools else toolbox,
        allow=lambda _: set(THINGS),
    )
    messages: list[Any] = [HumanMessage("do something to the order of a customer", id="1")]
    for number, tool in enumerate(list(index)[:20]):
        name = tool.id.replace(".", "__")
        call = {"name": name, "args": {}, "id": str(number)}
        messages += [AIMessage("", tool_calls=[call]), ToolMessage("", tool_call_id=str(number))]
    names = [tool.id.replace(".", "__") for tool in list(index)[:92]]
    offered = [{"name": name, "trimmed": list(TOOL_STEPS)} for name in names]
    state: Any = {"messages": messages, "toolret": {"offered": offered, "examples": []}}
    model: Any = None
    request: ModelRequest[Any] = ModelRequest(
        model=model, messages=messages, tools=list(agent_tools), state=state
    )
    tool_request = ToolCallRequest(
        tool_call={"name": names[-1], "args": {}, "id": "x"},
        tool=next((tool for tool in agent_tools if tool.name == names[-1]), None),
        state=state,
        runtime=ToolRuntime(state, None, {}, lambda _: None, "x", None, tools=list(agent_tools)),
    )
    return (
        _median_ms(lambda: middleware.wrap_model_call(request, _answer)),
        _median_ms(lambda: middleware.wrap_tool_call(tool_request, _run)),
    )


def _answer(request: ModelRequest[Any]) -> ModelResponse[Any]:
    assert len(request.tools) > 90
    return ModelResponse([AIMessage("")])


def _run(_: ToolCallRequest) -> ToolMessage:
    return ToolMessage("", tool_call_id="x")


def _median_ms(work: Any) -> float:
    work()
    seconds = []
    for _ in range(CALLS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return statistics.median(seconds) * 1_000


if __name__ == "__main__":
    main()
