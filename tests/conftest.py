"""Set-up of all tests: no network beyond this machine, exact token tables, small catalogs."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from toolret import tracing
from toolret.catalogs import load_tools
from toolret.index import ToolIndex
from toolret.retrieval.retriever import ToolRetriever
from toolret.rows import load_demos
from toolret.testing import HashedWordsEmbedder
from toolret.text.rendering import tool_views
from toolret.types import Call, Demo, Tool

# Other programs on the machine may make any example slow.
settings.register_profile("tests", deadline=None)
settings.register_profile(
    "fuzz", deadline=None, max_examples=10_000, suppress_health_check=list(HealthCheck)
)
settings.load_profile("tests")

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"

HTTP_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
"""The methods that an API document may describe under a path."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    absent = pytest.mark.skip(reason="the public data does not stand beside the project")
    for item in items:
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(absent)


def count_views(*tools: Tool) -> int:
    """Return how many texts are embedded of tools whose texts all differ."""
    return sum(len(set(tool_views(tool).split("\n")) - {""}) for tool in tools)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and not ipaddress.ip_address(address[0]).is_loopback:
            raise AssertionError(f"a test reached for the network: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)


@pytest.fixture(autouse=True, scope="session")
def _token_tables() -> Iterator[None]:
    """Use the token tables of a package of the ``dev`` extra.

    They are set for the whole session, because counters are made once per process.
    """
    spec = find_spec("llama_index.core")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent / "_static" / "tiktoken_cache"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        yield


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("toolret"))
    monkeypatch.delenv(tracing.CAPTURE_CONTENT, raising=False)
    yield exporter
    provider.shutdown()


@pytest.fixture
def embedder() -> HashedWordsEmbedder:
    return HashedWordsEmbedder()


def tool(name: str, description: str = "", **fields: Any) -> Tool:
    return Tool(id=fields.pop("id", name), name=name, description=description, **fields)


def demo(id_: str, text: str, *tools: str) -> Demo:
    return Demo(id=id_, text=text, calls=tuple(Call(name) for name in tools), tools=tools)


def ids_of(tools: Iterable[Tool]) -> list[str]:
    return [tool.id for tool in tools]


@pytest.fixture
def tools() -> list[Tool]:
    return [
        tool("cancel_order", "Cancel an order before it ships."),
        tool("refund_payment", "Return money that was paid."),
        tool("list_invoices", "List the invoices of a customer."),
        tool("track_parcel", "Where a parcel is now."),
    ]


@pytest.fixture
def demos() -> list[Demo]:
    return [
        demo("d1", "please stop my purchase", "cancel_order"),
        demo("d2", "the customer wants her money back", "refund_payment"),
        demo("d3", "where is the package of Alice", "track_parcel"),
        demo("d4", "stop the purchase and give the money back", "cancel_order", "refund_payment"),
    ]


@pytest.fixture
def index(tmp_path: Path, tools: list[Tool], demos: list[Demo]) -> ToolIndex:
    index = ToolIndex(tmp_path / "index", embedder=HashedWordsEmbedder())
    index.sync(tools, demos)
    return index


@pytest.fixture
def shipped_index(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of an index of what the project ships, by the default model, with its fit.

    To embed it and to learn from it takes half a minute, so all workers of a run copy the same one.
    """
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shipped"
    with FileLock(f"{shared}.lock"):
        index = ToolIndex(shared)
        index.sync(load_tools(ROOT / "tool_catalogs"), load_demos(ROOT / "demos"))
        ToolRetriever(index).select("cancel my order")
    return shutil.copytree(shared, tmp_path / "index")
