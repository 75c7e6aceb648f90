"""A shop's tools behind a retriever, and a model that calls what it is offered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, demo, tool
from toolret import ToolIndex, ToolRetriever, load_demos, load_tools
from toolret.testing import HashedWordsEmbedder, Reply
from toolret.types import Tool


def parameters(*names: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": list(names),
    }


SHOP = [
    tool("cancel_order", "Cancel an order before it ships.", id="shop.cancel_order"),
    tool("refund_payment", "Return money that was paid.", id="shop.refund_payment"),
    tool("list_invoices", "List the invoices of a customer.", id="shop.list_invoices"),
    tool("track_parcel", "Say where a parcel is now.", id="shop.track_parcel"),
    tool(
        "delete_customer",
        "Delete a customer and all orders.",
        id="shop.delete_customer",
        permissions=(frozenset({"admin"}),),
    ),
]
DEMOS = [
    demo("d1", "please cancel my purchase", "shop.cancel_order"),
    demo("d2", "where is the parcel of Alice", "shop.track_parcel"),
    demo("d3", "delete the customer Bob and cancel his order", "shop.delete_customer"),
]


def retriever_of(tools: list[Tool], path: Path, **options: Any) -> ToolRetriever:
    index = ToolIndex(path, embedder=HashedWordsEmbedder())
    index.sync_tools(tools)
    return ToolRetriever(index, min_recall=1, **options)


@pytest.fixture
def shop(tmp_path: Path) -> ToolRetriever:
    retriever = retriever_of(SHOP, tmp_path / "index", max_tools=1)
    retriever.index.sync_demos(DEMOS)
    return retriever


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> ToolRetriever:
    """The shipped catalog, under the deterministic embedder."""
    index = ToolIndex(tmp_path_factory.mktemp("shipped"), embedder=HashedWordsEmbedder())
    demos = load_demos(ROOT / "demos")
    index.sync(load_tools(ROOT / "tool_catalogs"), demos)
    return ToolRetriever(index)


def items_of(request: Mapping[str, Any]) -> list[Any]:
    """Return the messages of a request's body, in either API."""
    items = request.get("messages") or request["input"]
    return items if isinstance(items, list) else [{"role": "user", "content": items}]


def names(request: Mapping[str, Any]) -> list[str]:
    """The names of the tools of a request's body."""
    return [t.get("function", t).get("name", t["type"]) for t in request.get("tools", ())]


def obedient(request: dict[str, Any]) -> Reply:
    """Calls the tool that the user's last words name in full, if it is offered; else talks."""
    items = items_of(request)
    said = [i for i, item in enumerate(items) if item.get("role") == "user"]
    if not said:
        return Reply("Hello!")
    after = items[said[-1] + 1 :]
    if after:
        answers = [item.get("content") or item.get("output") for item in after]
        return Reply(f"It says: {answers[-1]}")
    words = str(items[said[-1]]["content"]).split()
    called = [name for name in names(request) if name in words]
    return Reply("" if called else "Hello!", tool_calls=[(name, {}) for name in called])
