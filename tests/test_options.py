"""What cannot be meant is refused where it is given, with the way out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from langchain_core.vectorstores import InMemoryVectorStore
from openai import AsyncOpenAI, OpenAI

from tests.conftest import tool
from toolret import (
    Combine,
    CrossEncoderReranker,
    HttpRunner,
    Instructions,
    LLMReranker,
    OpenAIEmbedder,
    Refine,
    Rewrite,
    RoleEmbedder,
    SentenceTransformerEmbedder,
    StrategyQueryGenerator,
    Toolbox,
    ToolIndex,
    ToolRetriever,
)
from toolret.errors import (
    BudgetError,
    EmbedderError,
    InputError,
    LLMError,
    StoreError,
    ToolretError,
)
from toolret.integrations.langchain import (
    ToolRetrieverMiddleware,
    as_example_selector,
    as_retriever,
    langchain_tools,
    retrieve_tools_function,
)
from toolret.integrations.mcp import McpServers
from toolret.integrations.openai import run, run_calls
from toolret.llm import (
    CachedModel,
    CircuitBreaker,
    RecordingModel,
    ReplyCache,
    RetryingModel,
    RetryPolicy,
    as_chat_model,
)
from toolret.options import of_kind, seconds, whole_number
from toolret.stores import IndexEmbeddings, langchain_store
from toolret.testing import HashedWordsEmbedder
from toolret.tokens import TokenCounter

CLIENT: Any = OpenAI(api_key="k", base_url="http://127.0.0.1:9/")
EMBEDDER: Any = HashedWordsEmbedder()
NAMES: Any = ["x"]
TOOLS: Any = [tool("cancel_order", "Cancel an order.")]


def llm(_: object) -> str:
    return "{}"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ToolIndex:
    index = ToolIndex(tmp_path_factory.mktemp("index"), embedder=EMBEDDER)
    index.sync_tools(TOOLS)
    return index


def refused(told: str, error: type[Exception], make: Any, /, *given: Any, **options: Any) -> Any:
    return pytest.param(partial(make, *given, **options), error, told, id=told)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"counter": len}, TypeError, r"counter is .* give a TokenCounter, such as"),
        ({"counter": "o200k_base"}, TypeError, "counter is 'o200k_base': give a TokenCounter"),
        ({"reranker": object()}, TypeError, r"reranker is .* an object with depth, score and"),
        ({"reranker": LLMReranker}, TypeError, "is the class LLMReranker: give an object with"),
        ({"cache": None}, TypeError, "cache is None: give a file, True for .* False for none"),
        ({"cache": 3}, TypeError, "cache is 3: give a file"),
        ({"strategy": Rewrite}, InputError, r"the class Rewrite: give a Strategy, such as Rew"),
        ({"strategy": ["rewrite"]}, InputError, r"strategy is \['rewrite'\]: give a Strategy"),
        ({"strategy": ""}, InputError, "there is no strategy ''"),
        ({"model": 3}, TypeError, "model is 3: give the model's name"),
        (
            {"llm": StrategyQueryGenerator},
            LLMError,
            "StrategyQueryGenerator is a class: give an obj",
        ),
        ({"llm": OpenAI}, LLMError, "OpenAI is a class: give an object of it"),
        ({"token_budget": -1}, InputError, "token_budget is -1: give more than 0, or None"),
        ({"token_budget": 0}, InputError, "token_budget is 0"),
        ({"token_budget": float("nan")}, InputError, "token_budget is nan"),
        ({"token_budget": True}, TypeError, "token_budget is a number or None, not True"),
        ({"max_tools": True}, TypeError, "a number of tools is a whole number, not True"),
        ({"max_demos": False}, TypeError, "demonstrations is a whole number, not False"),
        ({"min_score": True}, TypeError, "min_score is a number, not True"),
    ],
)
def test_a_retriever_is_not_made_of_what_would_fail_later(
    index: ToolIndex, options: dict[str, Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        ToolRetriever(index, **({"llm": llm} | options))


def test_a_reranker_says_how_many_tools_it_wants_to_see(index: ToolIndex) -> None:
    class Deep(LLMReranker):
        def __init__(self) -> None:
            super().__init__(llm)
            self.depth = -1

    with pytest.raises(InputError, match=r"reranker\.depth is -1: give a whole number"):
        ToolRetriever(index, reranker=Deep())


def test_a_budget_that_is_used_up_is_an_error_of_the_call(index: ToolIndex) -> None:
    retriever = ToolRetriever(index, max_tools=np.int64(1))  # type: ignore[arg-type]
    assert len(retriever.select("cancel an order").tools) == 1
    with pytest.raises(BudgetError):
        retriever.select("cancel an order", token_budget=-7)


STRATEGIES: list[Any] = [
    refused("strategy is 'rewrite': give a Strategy", InputError, Refine, "rewrite"),
    refused("strategy is the class Rewrite", InputError, Combine, Rewrite),
    refused("prompt is 3: give a text, or a Path", InputError, Rewrite, 3),
]

MODELS: list[Any] = [
    refused("max_attempts is 0: give a whole number of 1", InputError, RetryPolicy, max_attempts=0),
    refused("failure_threshold is 1.5", InputError, RetryPolicy, failure_threshold=1.5),
    refused(
        "recovery_timeout is '3': give a number of seconds of 0",
        InputError,
        RetryPolicy,
        recovery_timeout="3",
    ),
    refused("call_timeout is 0: .* above 0", InputError, RetryPolicy, call_timeout=0),
    refused(
        "failure_threshold is 0",
        InputError,
        CircuitBreaker,
        failure_threshold=0,
        recovery_timeout=1,
    ),
    refused("one of chat, responses", InputError, as_chat_model, CLIENT, "m", api="chats"),
    refused("retry_policy is 3: give a RetryPolicy", TypeError, as_chat_model, llm, retry_policy=3),
    refused("cache is True: give a file", TypeError, as_chat_model, llm, cache=True),
    refused("cache is False: give a file", TypeError, LLMReranker, llm, cache=False),
    refused("model is .* give a ChatModel, such as", TypeError, RetryingModel, llm),
    refused("model is <function llm", TypeError, CachedModel, llm, "x"),
    refused("model is .* as_chat_model", TypeError, RecordingModel, llm, "x"),
    refused("max_bytes is 0", InputError, ReplyCache, "x", max_bytes=0),
    refused("batch_size is 0", InputError, CrossEncoderReranker, "x", batch_size=0),
    refused("count is 3: give a function", TypeError, TokenCounter, "x", True, 3),
]

EMBEDDERS: list[Any] = [
    refused("embedder is 3: give an object with embed", EmbedderError, RoleEmbedder, 3),
    refused("the class HashedWords", EmbedderError, RoleEmbedder, HashedWordsEmbedder),
    refused("instructions is", EmbedderError, RoleEmbedder, EMBEDDER, instructions={"tool": "x"}),
    refused("tool is None: give a text", TypeError, Instructions, tool=None),
    refused("model is None", EmbedderError, SentenceTransformerEmbedder, None),
    refused("one of onnx, torc", EmbedderError, SentenceTransformerEmbedder, backend="onx"),
    refused("batch_size is 0", EmbedderError, SentenceTransformerEmbedder, batch_size=0),
    refused("model is '': give a name", EmbedderError, OpenAIEmbedder, ""),
    refused(
        "client is of the type AsyncOpenAI: give an OpenAI",
        EmbedderError,
        OpenAIEmbedder,
        "m",
        client=AsyncOpenAI(api_key="k"),
    ),
    refused("dimensions is 0", EmbedderError, OpenAIEmbedder, "m", dimensions=0),
]

PLACES: list[Any] = [
    refused("place is None: give a folder, a URL, or a store", TypeError, ToolIndex, None),
    refused("progress is 3: give a function", TypeError, ToolIndex, "x", progress=3),
    refused("vector_store is 3", TypeError, langchain_store, 3, "n", cache_dir="x"),
    refused(
        "name is ''", StoreError, langchain_store, InMemoryVectorStore(EMBEDDER), "", cache_dir="x"
    ),
    refused(
        "settle is -1",
        InputError,
        langchain_store,
        InMemoryVectorStore(EMBEDDER),
        "n",
        cache_dir="x",
        settle=-1,
    ),
    refused("embedder is 3", TypeError, IndexEmbeddings, 3),
]

RUNNERS: list[Any] = [
    refused("a runner is the class HttpRunner", TypeError, Toolbox, TOOLS, HttpRunner),
    refused(r"a runner is \[", TypeError, Toolbox, TOOLS, [HttpRunner()]),
    refused("max_bytes is 0", InputError, HttpRunner, max_bytes=0),
    refused("the server '' needs a scheme and a host", InputError, HttpRunner, base_url=""),
    refused("'a.example' needs a scheme", InputError, HttpRunner, base_url="a.example"),
    refused("give an httpx.Client", TypeError, HttpRunner, client=httpx.AsyncClient()),
    refused("give an AsyncClient", TypeError, HttpRunner, async_client=httpx.Client()),
    refused("servers is 'http://x': give a dict", TypeError, McpServers, "http://x"),
    refused("timeout is 0", InputError, McpServers, {}, timeout=0),
]


@pytest.mark.parametrize(
    ("make", "error", "told"), [*STRATEGIES, *MODELS, *EMBEDDERS, *PLACES, *RUNNERS]
)
def test_options_that_would_fail_later_are_refused_at_once(
    make: Callable[[], Any],
    error: type[Exception],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=told):
        make()
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        refused(
            "give a Toolbox, such", TypeError, lambda r: ToolRetrieverMiddleware(r, toolbox=TOOLS)
        ),
        refused("toolbox is .* give a Toolbox", TypeError, lambda r: langchain_tools(TOOLS, TOOLS)),
        refused("'x' among them", TypeError, lambda r: langchain_tools(NAMES, Toolbox([]))),
        refused("k is -1", InputError, lambda r: as_retriever(r, k=-1)),
        refused("allow is the text 'a'", InputError, lambda r: as_retriever(r, allow="a")),
        refused("of the type dict", InputError, lambda r: as_example_selector(r, allow={"a": 1})),
        refused("limit is 0", InputError, lambda r: retrieve_tools_function(r, limit=0)),
        refused(
            "max_turns is 0", InputError, lambda r: run(CLIENT, r, "hi", model="m", max_turns=0)
        ),
        refused(
            "toolbox is .* a Toolbox", TypeError, lambda r: run_calls({"role": "assistant"}, TOOLS)
        ),
        refused("a whole number, not True", TypeError, lambda r: r.select("x", depth=True)),
        refused("form is one of openai", InputError, lambda r: r.select("x").packed_as("json")),
    ],
)
def test_integrations_refuse_bad_options_too(
    index: ToolIndex, make: Callable[[Any], Any], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        make(ToolRetriever(index))


def test_a_secret_in_place_of_the_hook_is_not_quoted() -> None:
    with pytest.raises(TypeError, match="credentials are of the type str: give a func") as told:
        HttpRunner(credentials="s3cret", base_url="https://a.example")  # type: ignore[arg-type]
    assert "s3cret" not in str(told.value)


def test_options_are_returned_as_they_were() -> None:
    assert whole_number("n", np.int64(3)) == 3
    assert seconds("n", 0, may_be_zero=True) == 0
    assert of_kind("n", 3, int | None, "a number") == 3
    long = ["x" * 200] * 200
    with pytest.raises(TypeError, match=r"n is .*: give a number") as told:
        of_kind("n", long, int, "a number")
    assert len(str(told.value)) < 400


def test_a_wrong_value_is_one_of_our_errors_and_one_of_pythons() -> None:
    assert issubclass(InputError, ToolretError)
    assert issubclass(InputError, ValueError)
