"""``ToolRetrieverMiddleware``: offers agents of ``create_agent`` the few tools they need."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import filterfalse
from typing import Annotated, Any, NotRequired, TypeAlias, get_args

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain.agents.middleware.types import OmitFromSchema
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langgraph.types import Command

from toolret.calling import Toolbox
from toolret.errors import InputError
from toolret.integrations.langchain.access import AllowFor, Caller, allow_for, check_allow
from toolret.integrations.langchain.catalog import AgentCatalog, Available
from toolret.integrations.langchain.discovery import DiscoverTool
from toolret.integrations.langchain.offering import (
    Mode,
    Offering,
    Offers,
    shown_tools,
    with_examples,
)
from toolret.integrations.langchain.searching import Search
from toolret.integrations.langchain.tools import langchain_tools
from toolret.integrations.offers import refusal
from toolret.integrations.retrievers import checked_retriever
from toolret.integrations.tool_choices import chosen_name, chosen_names, without_names
from toolret.json_values import short_repr
from toolret.options import of_kind, whole_number
from toolret.prompt import catalog_tokens
from toolret.retrieval.retriever import ToolRetriever
from toolret.retrieval.selection import Selection
from toolret.text.names import DISCOVER

__all__ = ["ToolRetrieverMiddleware", "ToolRetrieverState"]

_log = logging.getLogger(__name__)

_ModelResult: TypeAlias = ModelResponse[Any] | ExtendedModelResponse[Any]
_ToolResult: TypeAlias = ToolMessage | Command[Any]


class ToolRetrieverState(AgentState[Any]):
    """The graph's state, with what the thread has been offered.

    That is kept out of the graph's input and output.
    """

    toolret: NotRequired[Annotated[Offers, OmitFromSchema()]]


@dataclass(frozen=True, slots=True)
class _Turn:
    """A model call before its tools are chosen.

    Attributes:
        request: The call as the agent makes it.
        offering: The rules for what to offer.
        is_small: Whether the catalog is so small that no search is needed.
    """

    request: ModelRequest[Any]
    offering: Offering
    is_small: bool


class ToolRetrieverMiddleware(AgentMiddleware[ToolRetrieverState, Any, Any]):
    """Offers an agent the tools and worked examples that its conversation needs.

    Tools that the agent was given are offered when they are needed, if the index holds them under
    their name on the wire or their own name; other tools, and providers' dicts, are always offered.
    A catalog that fits ``max_offered`` and the retriever's ``max_tools`` and ``token_budget`` is
    offered whole. A tool that the model calls without having been offered it is not run.

    One object serves any number of agents, threads and event loops: what it knows of a
    conversation is in the graph's state. Put it after middleware that brings tools of its own.

    Args:
        retriever: Chooses the tools and examples.
        toolbox: Runs tools of the index that the agent was not given. The attribute may be set to
            another at any time.
        allow: The permissions that all callers hold, or a function from a ``Caller`` to those of
            one, such as ``lambda caller: caller.context.scopes``. Tools that are not allowed are
            never found, offered, shown or run. A function that fails allows nothing. It blocks the
            event loop, so it should only look up what is at hand. None turns the check off.
        mode: ``grow``: a thread's list of tools only grows, at its end, so that providers' prompt
            caches stay valid. ``replace``: each call offers what it needs and what the conversation
            calls.
        discover: Whether the model may ask for more with ``discover_tools``.
        examples: Whether to show demonstrations, before the user message that they are for; there
            they stay.
        max_offered: How many tools of the index to offer at most. A list that would grow larger
            starts over, with what the conversation needs now and what it called last.

    Raises:
        InputError: If ``allow`` is a string, not a collection or asynchronous, ``mode`` is unknown,
            or ``max_offered`` is not 1 or more.
        TypeError: If ``retriever`` is not a ``ToolRetriever``, or ``toolbox`` not a ``Toolbox``.
    """

    state_schema = ToolRetrieverState

    def __init__(
        self,
        retriever: ToolRetriever,
        *,
        toolbox: Toolbox | None = None,
        allow: AllowFor = None,
        mode: Mode = "grow",
        discover: bool = True,
        examples: bool = True,
        max_offered: int = 100,
    ) -> None:
        super().__init__()
        check_allow(allow)
        if mode not in get_args(Mode):
            raise InputError(f"there is no mode {mode!r}: give 'grow' or 'replace'")
        of_kind("toolbox", toolbox, Toolbox | None, "a Toolbox, such as Toolbox(tools), or None")
        whole_number("max_offered", max_offered)
        # From the tools known at the start, LangChain decides whether a call ends the run. The
        # agent was not given them: `_agent_tools` leaves them out.
        self.tools = (DiscoverTool(), *_direct_tools(toolbox))
        self.retriever = checked_retriever(retriever)
        self.toolbox = toolbox
        self.allow = allow
        self.mode: Mode = mode
        self.discover = discover
        self.examples = examples
        self.max_offered = max_offered
        self._latest: tuple[Available, bool] | None = None
        self._latest_catalog: AgentCatalog | None = None

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> _ModelResult:
        """Call the model with the tools and examples that it needs."""
        turn = self._read_turn(request)
        selection = None
        if turn.is_small:
            self.retriever.follow()
        else:
            selection = self._search(turn).select(request.messages)
        offers = self._choose_offers(turn, selection)
        return _with_offers(turn, offers, handler(self._change_request(turn, offers)))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> _ModelResult:
        """``wrap_model_call`` for event loops."""
        await self._refresh_catalog()
        turn = self._read_turn(request)
        selection = None
        if turn.is_small:
            await asyncio.to_thread(self.retriever.follow)
        else:
            selection = await self._search(turn).aselect(request.messages)
        offers = self._choose_offers(turn, selection)
        return _with_offers(turn, offers, await handler(self._change_request(turn, offers)))

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], _ToolResult]
    ) -> _ToolResult:
        """Run a tool that was offered; tell the model that any other cannot be called."""
        routed = self._route(request)
        return handler(routed) if isinstance(routed, ToolCallRequest) else routed

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[_ToolResult]],
    ) -> _ToolResult:
        """``wrap_tool_call`` for event loops."""
        await self._refresh_catalog()
        routed = self._route(request)
        return await handler(routed) if isinstance(routed, ToolCallRequest) else routed

    def _read_turn(self, request: ModelRequest[Any]) -> _Turn:
        before = self._latest
        available, is_small = self._available(self._agent_tools(request.tools))
        if not len(available) and self._latest is not before:
            _log.warning(_why_nothing_is_chosen(available))
        offering = Offering(
            available,
            allow=allow_for(self.allow, _caller(request)),
            before=_offers_in(request.state),
            messages=request.messages,
            history=request.state["messages"],
            demanded=chosen_names(request.tool_choice),
        )
        return _Turn(request, offering, is_small)

    def _search(self, turn: _Turn) -> Search:
        return Search(self.retriever, turn.offering.available, turn.offering.allow)

    def _choose_offers(self, turn: _Turn, selection: Selection | None) -> Offers:
        if turn.is_small:
            return turn.offering.offer_all()
        return turn.offering.offer_selected(
            selection, mode=self.mode, examples=self.examples, most=self.max_offered
        )

    def _change_request(self, turn: _Turn, offers: Offers) -> ModelRequest[Any]:
        """Return the request with what is offered.

        The fixed tools come first, because the list of the others may grow at its end.
        """
        request, available = turn.request, turn.offering.available
        dicts = [tool for tool in request.tools if isinstance(tool, dict)]
        tools: list[BaseTool | dict[str, Any]] = [*available.fixed, *dicts]
        if not turn.is_small and self._may_discover(available):
            tools.append(DiscoverTool())
        tools += shown_tools(offers, available)
        request = _with_choice(request, tools)
        unchanged = [*filterfalse(self._is_own, request.tools)]
        if turn.is_small and {*map(id, tools)} == {*map(id, unchanged)}:
            return request.override(tools=unchanged)
        messages = with_examples(request.messages, offers["examples"])
        return request.override(tools=tools, messages=messages)

    def _route(self, request: ToolCallRequest) -> _ToolResult | ToolCallRequest:
        """Return the call with the tool that runs it, or the message to the model instead."""
        name, registered = request.tool_call["name"], request.tool
        agent_tool = None if self._is_own(registered) else registered
        available, is_small = self._available(self._agent_tools(request.runtime.tools))
        allow = allow_for(self.allow, _caller(request))
        if name == DISCOVER and self._may_discover(available):
            search = Search(self.retriever, available, allow)
            return request.override(tool=DiscoverTool(search=search, examples=self.examples))
        entry = available.catalog.entry(name, agent_tool)
        if entry is None and agent_tool is not None:
            return request
        offered = {offer["name"] for offer in _offers_in(request.state)["offered"]}
        if entry is not None and name in offered and entry.is_permitted(allow):
            return request.override(tool=available.catalog.runnable(entry))
        callable_now = {other for other in offered - {name} if available.may_call(other, allow)}
        # In a small catalog all is offered, so the model cannot ask for more.
        searches = self._may_discover(available) and not is_small
        others = [*available.fixed_names, *([DISCOVER] if searches else ())]
        # Under the name of a tool whose answer ends the run, LangChain would end it with the
        # refusal, which is for the model alone.
        ends = registered is not None and registered.return_direct
        return ToolMessage(
            refusal(name, {*callable_now, *others}),
            name=DISCOVER if ends else name,
            tool_call_id=request.tool_call["id"],
            status="error",
        )

    def _is_own(self, tool: Any) -> bool:
        """Whether the agent has the tool from this middleware."""
        return isinstance(tool, DiscoverTool) or any(tool is own for own in self.tools)

    def _agent_tools(self, tools: Iterable[BaseTool | dict[str, Any]]) -> list[BaseTool]:
        """Return the tools that the agent has from elsewhere, without providers' dicts."""
        return [t for t in tools if not isinstance(t, dict) and not self._is_own(t)]

    def _may_discover(self, available: Available) -> bool:
        """Whether ``discover_tools`` is offered: not if the agent has its own of that name."""
        return self.discover and DISCOVER not in available.fixed_names

    def _available(self, agent_tools: Sequence[BaseTool]) -> tuple[Available, bool]:
        """Return what an agent with these tools can run, and whether all of it can be offered.

        Cached for the next call, which usually has the same tools and index. Threads may overwrite
        each other's entry, which only costs time.
        """
        catalog, latest = self._catalog(), self._latest
        if latest and latest[0].catalog is catalog and latest[0].is_for(agent_tools):
            return latest
        available = Available(catalog, agent_tools)
        self._latest = latest = available, self._is_small(available)
        return latest

    def _is_small(self, available: Available) -> bool:
        """Whether all tools can be offered at once."""
        if len(available) > min(self.retriever.max_tools, self.max_offered):
            return False
        budget = self.retriever.token_budget
        tools = [tool for tool in available.catalog.tools.values() if available.can_run(tool)]
        return budget is None or catalog_tokens(tools, counter=self.retriever.counter) <= budget

    def _catalog(self) -> AgentCatalog:
        snapshot, toolbox = self.retriever.index.snapshot, self.toolbox
        latest = self._latest_catalog
        if latest is None or not latest.is_of(snapshot, toolbox):
            self._latest_catalog = latest = AgentCatalog(snapshot, toolbox)
        return latest

    async def _refresh_catalog(self) -> None:
        """Read a new snapshot in a worker thread: it may hold many thousands of tools."""
        latest = self._latest_catalog
        if latest is None or not latest.is_of(self.retriever.index.snapshot, self.toolbox):
            await asyncio.to_thread(self._catalog)


def _why_nothing_is_chosen(available: Available) -> str:
    """Say why no tool of the index can be run, and what to do about it."""
    if available.agent_tools:
        # Not `sync_tools`, which would remove what else the index holds.
        return (
            "none of the agent's tools is in the index, so all of them are offered in every call; "
            "to have tools chosen, add them: index.add_tools(load_tools(tools))"
        )
    if not available.catalog.tools:
        return "the index holds no tools, so none is offered: index.sync_tools(load_tools(...))"
    return (
        "the agent can run none of the index's tools, so none is offered: give it the tools, or "
        "the middleware a toolbox that runs them, such as Toolbox(index, HttpRunner())"
    )


def _direct_tools(toolbox: Toolbox | None) -> list[BaseTool]:
    """Return the toolbox's tools whose answer ends a run."""
    if toolbox is None:
        return []
    direct = [tool for tool in toolbox if getattr(tool.target, "return_direct", False)]
    return langchain_tools(direct, toolbox)


def _with_offers(turn: _Turn, offers: Offers, response: ModelResponse[Any]) -> _ModelResult:
    """Return the response; if what is offered has changed, with an update of the graph's state."""
    if offers == turn.offering.before:
        return response
    return ExtendedModelResponse(response, Command(update={"toolret": offers}))


def _offers_in(state: Any) -> Offers:
    offers: Offers = state.get("toolret") or Offers(offered=[], examples=[])
    return offers


def _caller(request: ModelRequest[Any] | ToolCallRequest) -> Caller:
    runtime = request.runtime
    return Caller(
        context=getattr(runtime, "context", None),
        state=request.state,
        store=getattr(runtime, "store", None),
    )


def _with_choice(
    request: ModelRequest[Any], tools: Sequence[BaseTool | dict[str, Any]]
) -> ModelRequest[Any]:
    """Return the request with a ``tool_choice`` that names only tools which are sent."""
    sent = _sent_names(tools)
    unsent = [name for name in chosen_names(request.tool_choice) if name not in sent]
    if not unsent:
        return request
    _log.warning(
        "tool_choice names %s, which cannot be offered: the model is called without",
        ", ".join(map(short_repr, unsent)),
    )
    return request.override(tool_choice=without_names(request.tool_choice, unsent))


def _sent_names(tools: Collection[BaseTool | dict[str, Any]]) -> set[str]:
    """Return the names by which a ``tool_choice`` can mean these tools."""
    names = {tool.name for tool in tools if isinstance(tool, BaseTool)}
    for tool in tools:
        if isinstance(tool, dict):  # a hosted tool is chosen by its type
            known = (chosen_name(tool), tool.get("name"), tool.get("type"))
            names |= {name for name in known if isinstance(name, str)}
    return names
