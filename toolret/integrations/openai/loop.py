"""A tool loop for those who have none: ask, run what is called, ask again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from openai import AsyncOpenAI, OpenAI

from toolret.calling import Toolbox
from toolret.catalogs import Given, load_tools
from toolret.integrations.openai.calls import arun_calls, run_calls
from toolret.integrations.openai.client import offered, wrap
from toolret.integrations.openai.forms import CHAT, RESPONSES, Form
from toolret.integrations.openai.planning import Mode
from toolret.offers import closed
from toolret.permissions import Allow, is_allowed
from toolret.prompt import packed_tool
from toolret.retriever import ToolRetriever
from toolret.types import Tool

__all__ = ["Api", "Run", "arun", "run"]

Api: TypeAlias = Literal["chat", "responses"]
"""Chat Completions or Responses."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a request.

    Attributes:
        text: What the model said last.
        messages: The conversation, with all that was called and answered; to go on with.
        turns: How often the model was asked.
        finished: Whether it had nothing more to call.
    """

    text: str
    messages: list[Any]
    turns: int
    finished: bool


def run(
    client: OpenAI,
    retriever: ToolRetriever,
    messages: str | Iterable[Any],
    *,
    model: str,
    tools: Toolbox | Sequence[Given] = (),
    allow: Allow = None,
    mode: Mode = "grow",
    api: Api = "chat",
    max_turns: int = 10,
    **options: Any,
) -> Run:
    """Answer a request with tools: ask the model, run what it calls, and so on.

    Only what can be run is offered: of the index's tools those that the toolbox holds. Only what
    was offered is run, if ``allow`` permits it. What goes wrong with a tool the model is told.

    Args:
        client: An ``OpenAI``; one of ``wrap`` is used as if it were not wrapped.
        retriever: What chooses the tools.
        messages: The request, or the conversation up to and including it.
        model: The model's name.
        tools: What runs the tools; or functions, LangChain tools and what else ``load_tools``
            reads, and can be run. Those that the index does not hold are always offered.
        allow: What the user may use.
        mode: See ``wrap``.
        api: By which API.
        max_turns: How often to ask the model at most.
        options: Further arguments of each request, but for ``stream``.

    Raises:
        openai.OpenAIError: If a request fails, after the client's own retries.
        CatalogError: If tools cannot be read.
    """
    loop = _Loop.begin(retriever, messages, tools, allow, api)
    wrapped = wrap(client, retriever, mode=mode, allow=loop.allow)
    create = wrapped.chat.completions.create if api == "chat" else wrapped.responses.create
    for turn in range(1, max_turns + 1):
        called = loop.heard(create(model=model, **loop.arguments, **options))
        answers = run_calls(called, loop.toolbox, offered=offered(wrapped, loop.messages))
        if not answers:
            return Run(loop.text, loop.messages, turn, finished=True)
        loop.messages += answers
    return Run(loop.text, loop.messages, max_turns, finished=False)


async def arun(
    client: AsyncOpenAI,
    retriever: ToolRetriever,
    messages: str | Iterable[Any],
    *,
    model: str,
    tools: Toolbox | Sequence[Given] = (),
    allow: Allow = None,
    mode: Mode = "grow",
    api: Api = "chat",
    max_turns: int = 10,
    **options: Any,
) -> Run:
    """``run`` for event loops."""
    loop = _Loop.begin(retriever, messages, tools, allow, api)
    wrapped = wrap(client, retriever, mode=mode, allow=loop.allow)
    create = wrapped.chat.completions.create if api == "chat" else wrapped.responses.create
    for turn in range(1, max_turns + 1):
        called = loop.heard(await create(model=model, **loop.arguments, **options))
        answers = await arun_calls(called, loop.toolbox, offered=offered(wrapped, loop.messages))
        if not answers:
            return Run(loop.text, loop.messages, turn, finished=True)
        loop.messages += answers
    return Run(loop.text, loop.messages, max_turns, finished=False)


@dataclass(slots=True)
class _Loop:
    """A conversation that goes on, in either API."""

    form: Form
    toolbox: Toolbox
    own: list[dict[str, Any]]
    allow: Allow
    messages: list[Any]
    text: str = ""

    @classmethod
    def begin(
        cls,
        retriever: ToolRetriever,
        messages: str | Iterable[Any],
        tools: Toolbox | Sequence[Given],
        allow: Allow,
        api: Api,
    ) -> _Loop:
        form: Form = CHAT if api == "chat" else RESPONSES
        toolbox = tools if isinstance(tools, Toolbox) else Toolbox(load_tools(*tools))
        own = [tool for tool in toolbox if tool.id not in retriever.index]
        permitted = closed(allow)

        def runnable(tool: Tool) -> bool:
            return tool.id in toolbox and is_allowed(tool, permitted)

        return cls(
            form,
            toolbox,
            [form.function(packed_tool(tool)) for tool in own if runnable(tool)],
            runnable,
            [{"role": "user", "content": messages}]
            if isinstance(messages, str)
            else list(messages),
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """Those of the next request."""
        tools = {"tools": self.own} if self.own else {}
        return {self.form.items: list(self.messages), **tools}

    def heard(self, reply: Any) -> Any:
        """Put a reply behind the conversation; what of it may call tools."""
        if self.form is RESPONSES:
            self.text = reply.output_text
            self.messages += reply.output
            return reply
        message = reply.choices[0].message
        self.text = message.content or ""
        self.messages.append(message)
        return message
