"""LangChain's callbacks, and with them LangSmith, see each search as the run of a retriever."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler

from tests.integrations.langchain.scripted_agent import agent_of
from toolret import Toolbox, ToolRetriever
from toolret.integrations.langchain import ToolRetrieverMiddleware
from toolret.testing import OpenAIServer, Reply


class Recorder(BaseCallbackHandler):
    def __init__(self) -> None:
        self.parents: dict[UUID, UUID | None] = {}
        self.names: dict[UUID, str | None] = {}
        self.searches: list[tuple[str, list[str]]] = []
        self.errors: list[str] = []
        self._queries: dict[UUID, str] = {}

    def on_chain_start(self, *args: Any, run_id: UUID, **options: Any) -> None:
        self.parents[run_id] = options["parent_run_id"]
        self.names[run_id] = options.get("name")

    def on_tool_start(self, *args: Any, run_id: UUID, **options: Any) -> None:
        self.on_chain_start(run_id=run_id, **options)

    def on_retriever_start(
        self, serialized: Any, query: str, *, run_id: UUID, **options: Any
    ) -> None:
        self._queries[run_id] = query
        self.on_chain_start(run_id=run_id, **options)

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **options: Any) -> None:
        names = [document.metadata["name"] for document in documents]
        self.searches.append((self._queries[run_id], names))

    def on_retriever_error(self, error: BaseException, **options: Any) -> None:
        self.errors.append(str(error))

    def path(self, name: str) -> list[str | None]:
        """From the first run of a name to the root."""
        run: UUID | None = next(id_ for id_, found in self.names.items() if found == name)
        path = []
        while run is not None:
            path.append(self.names[run])
            run = self.parents[run]
        return path


class AsyncRecorder(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.queries: list[str] = []

    async def on_retriever_start(self, serialized: Any, query: str, **options: Any) -> None:
        self.queries.append(query)


REPLIES = [
    Reply(tool_calls=[("discover_tools", {"query": "track the parcel"})]),
    Reply("Done."),
]
ASK: Any = {"messages": [("user", "cancel the order")]}


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_searches_are_runs_of_a_retriever(
    few: ToolRetriever, few_toolbox: Toolbox, asynchronous: bool
) -> None:
    recorder, other = Recorder(), AsyncRecorder()
    middleware = ToolRetrieverMiddleware(few, toolbox=few_toolbox)
    with OpenAIServer(*REPLIES) as server:
        agent = agent_of(server, middleware=[middleware], name="helper")
        if asynchronous:
            await agent.ainvoke(ASK, {"callbacks": [recorder, other]})
        else:
            agent.invoke(ASK, {"callbacks": [recorder]})
    queries = ["cancel the order", "track the parcel", "cancel the order"]
    assert [query for query, _ in recorder.searches] == queries
    assert recorder.searches[0][1][0] == "cancel_order"
    assert recorder.path("toolret") == ["toolret", "model", "helper"]
    assert other.queries == (queries if asynchronous else [])


def test_a_search_that_fails_is_seen_too(few: ToolRetriever, few_toolbox: Toolbox) -> None:
    few.token_budget = 1
    recorder = Recorder()
    with OpenAIServer(Reply("Done.")) as server:
        agent = agent_of(server, middleware=[ToolRetrieverMiddleware(few, toolbox=few_toolbox)])
        agent.invoke(ASK, {"callbacks": [recorder]})
    assert len(recorder.errors) == 1
    assert "token budget" in recorder.errors[0]
