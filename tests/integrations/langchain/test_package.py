from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from toolret import errors
from toolret.integrations import langchain


def test_every_name_is_there() -> None:
    for name in langchain.__all__:
        assert getattr(langchain, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        getattr(langchain, "nothing")  # noqa: B009 - mypy rightly refuses the plain form


def test_only_the_middleware_needs_langchain() -> None:
    code = (
        "import sys; sys.modules['langchain'] = None\nfrom toolret.integrations.langchain import *"
    )
    without: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert errors.MissingExtraError.__name__ in without.stderr
    assert "pip install 'toolret[langchain]'" in without.stderr
    names = ", ".join(name for name in langchain.__all__ if name != "ToolRetrieverMiddleware")
    subprocess.run([sys.executable, "-c", code.replace("*", names)], check=True)


@pytest.mark.parametrize(
    "use",
    [
        langchain.ToolRetrieverMiddleware,
        langchain.as_example_selector,
        langchain.as_retriever,
        langchain.retrieve_tools_coroutine,
        langchain.retrieve_tools_function,
    ],
)
def test_an_index_is_no_retriever(use: Any, few_index: Any) -> None:
    with pytest.raises(TypeError, match=r"a ToolIndex chooses nothing: .* ToolRetriever\(index\)"):
        use(few_index)
