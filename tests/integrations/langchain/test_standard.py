"""The standard suites that LangChain keeps for its integrations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
from langchain_tests.integration_tests import RetrieversIntegrationTests, ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from tests.integrations.langchain.conftest import SOME_TOOLS, few_of
from tests.runners import RecordingRunner
from toolret import Toolbox, ToolIndex
from toolret.integrations.langchain import langchain_tools
from toolret.integrations.langchain.retrievers import ToolDocumentRetriever


class TestRetriever(RetrieversIntegrationTests):
    index: ClassVar[ToolIndex]

    @pytest.fixture(autouse=True)
    def _index(self, few_index: ToolIndex) -> Iterator[None]:
        type(self).index = few_index
        yield

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return ToolDocumentRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"retriever": few_of(self.index)}

    @property
    def retriever_query_example(self) -> str:
        return "cancel the order"


class _ToolOfAToolbox:
    @property
    def tool_constructor(self) -> BaseTool:
        return langchain_tools(SOME_TOOLS[:1], Toolbox(SOME_TOOLS, RecordingRunner()))[0]

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"id": "7"}


class TestToolUnit(_ToolOfAToolbox, ToolsUnitTests):
    pass


class TestToolIntegration(_ToolOfAToolbox, ToolsIntegrationTests):
    pass
