"""The peers that are compared, each asked through its own public calls as its user would.

Each tool has its id for its name, and the text of ``Data.texts`` for its description: some peers
search names too. haystack, fastmcp, pydantic-ai and ratel-ai rank the words of a request that a
model would write; here they are given the request itself.
"""

from __future__ import annotations

import asyncio
import json
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, cast

from benchmarks.systems import DEPTH, Data, Runs, System
from toolret.embedders import Embedder
from toolret.rows import LabelledRequest
from toolret.text.rendering import tool_text

UTTERANCES = 60
"""The number of utterances that semantic-router searches for: its default of 5 cannot fill ten
places. With 60, and a route as good as its best utterance, it did best on BFCL and MetaTool's
single tools, of 5, 20 and 60 and of its three ways to aggregate."""

NO_ARGUMENTS = {"type": "object", "properties": {}}
"""The schema of each tool: what is said of arguments is in its text already."""


def no_tool(*_: Any, **__: Any) -> str:
    """Stand for each tool, which nobody calls."""
    return ""


class LangGraphStore(System):
    """LangGraph's in-memory store, which langgraph-bigtool searches."""

    key, name, package = "langgraph", "LangGraph store", "langgraph"

    def __init__(self, data: Data) -> None:
        from langgraph.store.base import IndexConfig
        from langgraph.store.memory import InMemoryStore

        super().__init__(data)
        dimensions = len(data.embedder.embed_query(data.texts[0]))
        embed = cast("Callable[[Sequence[str]], list[list[float]]]", data.embedder.embed_documents)
        self._store = InMemoryStore(
            index=IndexConfig(dims=dimensions, embed=embed, fields=["description"])
        )
        for id_, text in zip(data.ids, data.texts, strict=True):
            self._store.put(("tools",), id_, {"description": text})

    def rank(self, text: str) -> list[str]:
        return [item.key for item in self._store.search(("tools",), query=text, limit=DEPTH)]


class LlamaIndexObjects(System):
    key, name, package = "objectindex", "ObjectIndex", "llama-index-core"

    def __init__(self, data: Data) -> None:
        from llama_index.core.embeddings import BaseEmbedding
        from llama_index.core.objects import ObjectIndex
        from llama_index.core.schema import TextNode

        class Embedding(BaseEmbedding):
            def _get_text_embedding(self, text: str) -> list[float]:
                return data.embedder.embed_query(text)

            def _get_query_embedding(self, query: str) -> list[float]:
                return data.embedder.embed_query(query)

            async def _aget_query_embedding(self, query: str) -> list[float]:
                return data.embedder.embed_query(query)

        super().__init__(data)
        tools = {tool.id: tool for tool in data.tools}
        index = ObjectIndex.from_objects(
            data.tools,
            to_node_fn=lambda tool: TextNode(id_=tool.id, text=tool_text(tool)),
            from_node_fn=lambda node: tools[node.node_id],
            embed_model=Embedding(),
        )
        self._retriever = index.as_retriever(similarity_top_k=DEPTH)

    def rank(self, text: str) -> list[str]:
        return [tool.id for tool in self._retriever.retrieve(text)]


class SemanticRouter(System):
    """semantic-router with a route for each tool.

    The utterances of a route are the requests of the demonstrations that use its tool.
    """

    key, name, package = "semantic-router", "semantic-router", "semantic-router"
    needs_demos = True

    def __init__(self, data: Data) -> None:
        from semantic_router import IndexedRouter, Route
        from semantic_router.encoders import DenseEncoder

        class Encoder(DenseEncoder):
            def __call__(self, docs: list[Any]) -> list[list[float]]:
                return data.embedder.embed_documents(docs)

        super().__init__(data)
        utterances: dict[str, list[str]] = {}
        for demo in data.demos:
            for tool in demo.tools:
                utterances.setdefault(tool, []).append(demo.text)
        self._router = IndexedRouter(
            encoder=Encoder(name="toolret"),
            routes=[Route(name=tool, utterances=texts) for tool, texts in utterances.items()],
            top_k=UTTERANCES,
            aggregation="max",
        )

    def rank(self, text: str) -> list[str]:
        choices: Any = self._router(text, limit=DEPTH)
        return [choice.name for choice in choices if choice.confidence]


class Haystack(System):
    """haystack's SearchableToolset, by the search tool that it gives the model."""

    key, name, package = "haystack", "haystack", "haystack-ai"

    def __init__(self, data: Data) -> None:
        from haystack.tools import SearchableToolset, Tool

        super().__init__(data)
        tools = [
            Tool(name=id_, description=text, parameters=NO_ARGUMENTS, function=no_tool)
            for id_, text in zip(data.ids, data.texts, strict=True)
        ]
        self._toolset = SearchableToolset(tools, search_threshold=1)
        self._toolset.warm_up()

    def rank(self, text: str) -> list[str]:
        toolset = self._toolset.spawn()  # as for each run of an agent: it has found nothing yet
        (search,) = toolset
        search.invoke(tool_keywords=text, k=DEPTH)
        return [tool.name for tool in toolset][1:]


class FastMcp(System):
    """fastmcp's BM25 search transform, as an MCP client calls it."""

    key, name, package = "fastmcp", "fastmcp", "fastmcp"

    def __init__(self, data: Data) -> None:
        from fastmcp import FastMCP
        from fastmcp.server.transforms.search import BM25SearchTransform
        from fastmcp.tools import FunctionTool

        super().__init__(data)
        self._server = FastMCP("tools")
        for id_, text in zip(data.ids, data.texts, strict=True):
            self._server.add_tool(
                FunctionTool(name=id_, description=text, parameters=NO_ARGUMENTS, fn=no_tool)
            )
        self._server.add_transform(BM25SearchTransform(max_results=DEPTH))

    def rank(self, text: str) -> list[str]:
        return asyncio.run(self._ranked([text]))[0]

    def runs(self, requests: Sequence[LabelledRequest]) -> Runs:
        ranked = asyncio.run(self._ranked([request.text for request in requests]))
        return {request.id: tools for request, tools in zip(requests, ranked, strict=True)}

    async def _ranked(self, texts: list[str]) -> list[list[str]]:
        from fastmcp import Client

        async with Client(self._server) as client:
            found = [await client.call_tool("search_tools", {"query": text}) for text in texts]
        return [[tool["name"] for tool in result.data] for result in found]


class PydanticAi(System):
    """pydantic-ai's tool search, in an agent whose model searches for the request and is done."""

    key, name, package = "pydantic-ai", "pydantic-ai", "pydantic-ai-slim"

    def __init__(self, data: Data) -> None:
        from pydantic_ai import Agent, Tool
        from pydantic_ai.capabilities import ToolSearch
        from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
        from pydantic_ai.models.function import FunctionModel

        def model(messages: list[Any], _: Any) -> Any:
            if len(messages) > 1:
                return ModelResponse(parts=[TextPart("done")])
            queries = [messages[0].parts[-1].content]
            return ModelResponse(parts=[ToolCallPart("search_tools", {"queries": queries})])

        super().__init__(data)
        tools = []
        for id_, text in zip(data.ids, data.texts, strict=True):
            tool = Tool.from_schema(no_tool, id_, text, NO_ARGUMENTS)
            tool.defer_loading = True
            tools.append(tool)
        search = ToolSearch(max_results=DEPTH)
        self._agent = Agent(FunctionModel(model), tools=tools, capabilities=[search])

    def rank(self, text: str) -> list[str]:
        run = asyncio.run(self._agent.run(text))
        (found,) = run.all_messages()[2].parts
        return [tool["name"] for tool in found.content["discovered_tools"]]


class Ratel(System):
    """ratel-ai's ToolCatalog with its default search, BM25."""

    key, name, package = "ratel-ai", "ratel-ai", "ratel-ai"
    options: Mapping[str, Any] = {}

    def __init__(self, data: Data) -> None:
        from ratel_ai import ExecutableTool, ToolCatalog, TraceSinkConfig

        super().__init__(data)
        self._log = data.folder / f"{self.key}.jsonl"
        trace = TraceSinkConfig("jsonl", "benchmark", str(self._log))
        self._catalog = ToolCatalog(trace=trace, **self.options)
        tools = [
            ExecutableTool(id_, id_, text, NO_ARGUMENTS, execute=no_tool)
            for id_, text in zip(data.ids, data.texts, strict=True)
        ]
        asyncio.run(self._prepare(tools))

    async def _prepare(self, tools: list[Any]) -> None:
        await self._catalog.register(tools)

    def rank(self, text: str) -> list[str]:
        return [hit.tool_id for hit in asyncio.run(self._catalog.search_async(text, DEPTH))]


class RatelHybrid(Ratel):
    """ratel-ai's BM25 and vectors, for which it asks an endpoint like OpenAI's."""

    key, name = "ratel-ai-hybrid", "ratel-ai, hybrid"

    def __init__(self, data: Data) -> None:
        url = serve_vectors(self, data.embedder)
        self.options = {"method": "hybrid", "embedding": {"url": url, "model": "same"}}
        super().__init__(data)


def serve_vectors(owner: object, embedder: Embedder) -> str:
    """Serve an embedder's vectors as OpenAI does, while the owner lives, and return the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
            vectors = embedder.embed_documents([texts] if isinstance(texts, str) else texts)
            rows = [{"index": i, "embedding": list(vector)} for i, vector in enumerate(vectors)]
            body = json.dumps({"data": rows}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")  # else the next request may meet its end
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
            """Say nothing."""

    def close() -> None:
        server.shutdown()
        server.server_close()

    server = HTTPServer(("127.0.0.1", 0), Handler)
    weakref.finalize(owner, close)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


class RatelLearned(RatelHybrid):
    """The same with an intent graph, which is built of the demonstrations as recorded turns."""

    key, name, needs_demos = "ratel-ai-learned", "ratel-ai, learned", True

    async def _prepare(self, tools: list[Any]) -> None:
        await super()._prepare(tools)
        for demo in self.data.demos:
            self._catalog.experimental_record_baseline_turn(demo.text, list(demo.tools))
        log = self._log.read_text("utf-8")
        graph = await self._catalog.experimental_build_intent_graph(log)
        self._catalog.experimental_enable_adaptive_ranking(graph)


PEERS: tuple[type[System], ...] = (
    LangGraphStore,
    LlamaIndexObjects,
    Haystack,
    FastMcp,
    PydanticAi,
    Ratel,
    RatelHybrid,
    SemanticRouter,
    RatelLearned,
)
