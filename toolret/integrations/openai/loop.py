"""A tool loop for programs without one: ask, run what is called, ask again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from toolret.calling import Toolbox
from toolret.catalogs import CatalogInput, load_tools
from toolret.errors import InputError
from toolret.integrations.openai.access import current_permissions, intersection
from toolret.integrations.openai.calls import aanswer_calls, answer_calls
from toolret.integrations.openai.client import offered, wrap_within
from toolret.integrations.openai.forms import CHAT, RESPONSES, RequestForm, value_or_none
from toolret.integrations.openai.offered import Offered
from toolret.integrations.openai.planner import earlier_id
from toolret.integrations.openai.planning import Mode
from toolret.integrations.openai.view import names_of
from toolret.integrations.retrievers import checked_retriever
from toolret.json_values import short_repr
from toolret.options import one_of, whole_number
from toolret.permissions import Allow, JointLimit, fail_closed, is_allowed
from toolret.prompt.packed import packed_tool
from toolret.retrieval.retriever import ToolRetriever
from toolret.turns import turns
from toolret.types import Tool

__all__ = ["Api", "Run", "arun", "run"]

_log = logging.getLogger(__name__)

Api: TypeAlias = Literal["chat", "responses"]
"""Chat Completions or Responses."""

_UNANSWERED = ("cancelled", "failed", "in_progress", "queued")
"""Statuses of responses that failed, were given up, or are still being made in the background."""

_CUT_SHORT = ("content_filter", "length")
"""Reasons to end a message of Chat Completions that the model has not ended itself."""


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a request.

    Attributes:
        text: The model's last words, which may be a refusal.
        messages: The conversation with all calls and answers; it can be continued.
        turns: The number of times that the model was asked.
        finished: Whether the model had nothing more to call, and its last words are whole.
        cut: Why its latest reply is not whole, as the server says it: ``"length"``,
            ``"max_output_tokens"``, ``"content_filter"``; empty if it is.
    """

    text: str
    messages: list[Any]
    turns: int
    finished: bool
    cut: str = ""


def run(
    client: OpenAI,
    retriever: ToolRetriever,
    messages: str | Iterable[Any],
    *,
    model: str,
    tools: Toolbox | Sequence[CatalogInput] = (),
    allow: Allow = None,
    mode: Mode = "grow",
    api: Api = "chat",
    max_turns: int = 10,
    **options: Any,
) -> Run:
    """Answer a request with tools: ask the model, run what it calls, and so on.

    Only tools that can be run are offered: of the index's tools, those that the toolbox holds. Only
    offered tools are run, and only if ``allow`` permits it. If a tool fails, the model is told. An
    error that ends the loop has what was done until then as ``run``, a ``Run``.

    Args:
        client: An ``OpenAI`` client; a wrapped one is used as if it were not wrapped.
        retriever: Chooses the tools.
        messages: The request, or the conversation up to and including it.
        model: The model's name.
        tools: The toolbox that runs the tools; or a list of functions, LangChain tools and anything
            else that ``load_tools`` reads and that can be run. Those that the index does not hold
            are always offered.
        allow: The user's permissions, or a predicate over tools. Within ``permitting``, a tool must
            be allowed by both.
        mode: See ``wrap``.
        api: The API to use.
        max_turns: How often to ask the model at most.
        options: Further arguments of each request, except ``stream``. With a ``conversation`` of
            Responses, each request holds only what is new.

    Raises:
        openai.OpenAIError: If a request fails, after the client's own retries.
        CatalogError: If tools cannot be read.
        InputError: If the API or mode is unknown, ``max_turns`` is not 1 or more, ``allow`` is a
            mapping, an iterator or not a collection, or the server's answer is not a reply, or a
            response that failed.
        TypeError: If ``client`` or ``retriever`` is of another kind, ``allow`` is a string,
            ``tools`` is one tool and no list, loaded tools are given without a ``Toolbox``, or
            ``stream`` is asked for.
    """
    _check(client, OpenAI, "arun", max_turns, options)
    loop = _Loop.begin(client, retriever, messages, tools, allow, mode, api, options)
    with loop.errors_with_run():
        while loop.turns < max_turns:
            called = loop.add_reply(loop.create(model=model, **loop.arguments, **options))
            answer_calls(
                loop.messages, called, loop.toolbox, offered=loop.offered(), allow=loop.allow
            )
            if not loop.goes_on():
                return loop.result(finished=not loop.cut)
    return loop.result(finished=False)


async def arun(
    client: AsyncOpenAI,
    retriever: ToolRetriever,
    messages: str | Iterable[Any],
    *,
    model: str,
    tools: Toolbox | Sequence[CatalogInput] = (),
    allow: Allow = None,
    mode: Mode = "grow",
    api: Api = "chat",
    max_turns: int = 10,
    **options: Any,
) -> Run:
    """``run`` for event loops."""
    _check(client, AsyncOpenAI, "run", max_turns, options)
    loop = _Loop.begin(client, retriever, messages, tools, allow, mode, api, options)
    with loop.errors_with_run():
        while loop.turns < max_turns:
            called = loop.add_reply(await loop.create(model=model, **loop.arguments, **options))
            await aanswer_calls(
                loop.messages, called, loop.toolbox, offered=loop.offered(), allow=loop.allow
            )
            if not loop.goes_on():
                return loop.result(finished=not loop.cut)
    return loop.result(finished=False)


@dataclass(slots=True)
class _Loop:
    """A conversation in progress, in either API.

    Attributes:
        client: The wrapped client.
        form: The form of the API.
        toolbox: Runs the tools that are called.
        allow: What the user may use.
        own: The tools that the index does not hold, as they are sent.
        messages: The conversation so far.
        continued: The id of what it continues at the provider; empty if it continues nothing.
        stored: Whether the provider adds each request and response to what it continues.
        known: The number of messages that the provider had before the latest request.
        replied: The number of messages up to the latest reply, without the answers to its calls.
        turns: The number of times that the model was asked.
        text: The model's last words.
        cut: Why the latest reply is not whole.
    """

    client: Any
    form: RequestForm
    toolbox: Toolbox
    allow: Allow
    own: list[dict[str, Any]]
    messages: list[Any]
    continued: str
    stored: bool
    known: int = 0
    replied: int = 0
    turns: int = 0
    text: str = ""
    cut: str = ""

    @classmethod
    def begin(
        cls,
        client: OpenAI | AsyncOpenAI,
        retriever: ToolRetriever,
        messages: str | Iterable[Any],
        tools: Toolbox | Sequence[CatalogInput],
        allow: Allow,
        mode: Mode,
        api: Api,
        options: Mapping[str, Any],
    ) -> _Loop:
        """Prepare a conversation, from the arguments of ``run``."""
        one_of("api", api, get_args(Api))
        checked_retriever(retriever)
        form: RequestForm = CHAT if api == "chat" else RESPONSES
        if isinstance(tools, Toolbox):
            loaded, toolbox = list(tools), tools
        else:
            loaded = list(Toolbox(_load(tools)))  # those that can be run
            toolbox = _make_toolbox(loaded, retriever)
        limit = fail_closed(allow)
        permitted = intersection(current_permissions(), limit)
        own = [t for t in loaded if t.id not in retriever.index and is_allowed(t, permitted)]
        sources = frozenset(map(_source, own))

        def can_run(tool: Tool) -> bool:
            # What a request counts as the index's tool, the toolbox may hold under another id.
            return tool.id in toolbox or (
                (source := _source(tool)) in sources
                and names_of(retriever).by_source.get(source) == tool.id
            )

        return cls(
            client=wrap_within(JointLimit((limit,), can_run), client, retriever, mode=mode),
            form=form,
            toolbox=toolbox,
            allow=permitted,
            own=[form.function(packed_tool(tool)) for tool in own],
            messages=[{"role": "user", "content": messages}]
            if isinstance(messages, str)
            else list(messages),
            continued=earlier_id(options),
            stored=value_or_none(options.get("conversation")) is not None,
        )

    @property
    def create(self) -> Any:
        """The client's method that asks the model."""
        chat = self.form is CHAT
        return self.client.chat.completions.create if chat else self.client.responses.create

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the next request."""
        tools = {"tools": self.own} if self.own else {}
        return {self.form.items: self.messages[self.known :], **tools}

    def offered(self) -> Offered:
        """Return what the latest request offered."""
        return offered(self.client, self.messages[self.known :], continued=self.continued or None)

    def add_reply(self, reply: Any) -> Any:
        """Append a reply to the conversation; return the part of it that may call tools."""
        # The client does not validate replies: this may be a page of HTML.
        try:
            if self.form is RESPONSES:
                text, items, called = reply.output_text, list(reply.output), reply
                if reply.status in _UNANSWERED:
                    why = f": {reply.error.message}" if reply.error else ""
                    raise InputError(f"the response is {reply.status}, so it holds no answer{why}")
            else:
                called = reply.choices[0].message
                text, items = called.content, [called]
        except (AttributeError, LookupError, TypeError) as error:
            raise InputError(f"the server's answer is no reply: {short_repr(reply)}") from error
        self.turns += 1
        self.cut = _why_cut(reply)
        is_text = isinstance(text, str) and text  # else there may be parts, or a refusal
        self.text = text if is_text else turns(items)[0][-1].answer
        self.messages += items
        self.replied = len(self.messages)
        return called

    def goes_on(self) -> bool:
        """Whether the reply's calls have answers, which the next request brings."""
        if self.stored:
            self.known = self.replied
        return len(self.messages) > self.replied

    def result(self, *, finished: bool) -> Run:
        """Return the result so far."""
        return Run(self.text, self.messages, self.turns, finished=finished, cut=self.cut)

    @contextmanager
    def errors_with_run(self) -> Iterator[None]:
        """Set the result so far as ``run`` of an error that ends the loop: tools may have run."""
        try:
            yield
        except BaseException as error:
            error.run = self.result(finished=False)  # type: ignore[attr-defined]
            if self.turns:
                error.add_note(
                    "tools may have run: `run.messages` of this error says what was done"
                )
            raise


def _why_cut(reply: Any) -> str:
    """Return why a reply of either API is not whole; empty if it is, or does not say."""
    if getattr(reply, "status", None) == "incomplete":
        details = getattr(reply, "incomplete_details", None)
        return getattr(details, "reason", None) or "incomplete"
    choices = getattr(reply, "choices", None)
    reason = getattr(choices[0], "finish_reason", None) if choices else None
    return reason if reason in _CUT_SHORT else ""


def _load(inputs: Iterable[CatalogInput]) -> list[Tool]:
    """Load tools that can be run as they are.

    Raises:
        TypeError: If they are not in a list or the like, or one was loaded before, so that only a
            ``Toolbox`` can run it.
    """
    # Of texts, mappings and LangChain tools, Python would take the parts.
    if isinstance(inputs, str | Mapping | BaseModel) or not isinstance(inputs, Iterable):
        raise TypeError(f"tools is {short_repr(inputs)}: give a list, such as tools=[a_function]")
    tools = list(inputs)
    if not tools:
        _log.warning("run was given no tools, so it offers none: pass tools=...")
    if any(isinstance(tool, Tool) for tool in tools):
        raise TypeError("tools that were loaded are run by a Toolbox: give tools=Toolbox(tools)")
    return list(load_tools(*tools))


def _make_toolbox(own: Sequence[Tool], retriever: ToolRetriever) -> Toolbox:
    """Make a toolbox; tools with the name and description of an index's tool get its id."""
    ids = names_of(retriever).by_source
    return Toolbox(replace(tool, id=ids.get(_source(tool), tool.id)) for tool in own)


def _source(tool: Tool) -> tuple[str, str]:
    """Return the name and the description by which ``Names.by_source`` knows a tool."""
    return tool.name, tool.description.strip()


def _check(client: Any, kind: type, other: str, max_turns: int, options: Mapping[str, Any]) -> None:
    """Refuse clients of another kind, streams, and runs without a turn.

    Raises:
        TypeError: If it is one of the first two.
        InputError: If it is the last.
    """
    whole_number("max_turns", max_turns)
    if not isinstance(client, kind):
        actual = type(client).__name__
        raise TypeError(f"the client is of type {actual}: give an {kind.__name__}, or use {other}")
    if options.get("stream") is True:
        raise TypeError("stream=True: only whole replies are read; stream in a loop of your own")
