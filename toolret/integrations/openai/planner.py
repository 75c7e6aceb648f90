"""Turns the arguments of a call into those that are sent: read, select, plan, write."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from toolret.errors import InputError
from toolret.integrations.openai.forms import CHAT, RESPONSES, Form, as_items, plain
from toolret.integrations.openai.memory import Memory, Shown, State, keys
from toolret.integrations.openai.offered import Finder, Offered
from toolret.integrations.openai.planning import Asked, Mode, Plan, plan
from toolret.integrations.openai.searching import found_names
from toolret.integrations.openai.view import View, names_of, told_apart
from toolret.jsonlines import shown
from toolret.offers import DISCOVER, PROVIDER_LIMIT
from toolret.permissions import Allow, closed
from toolret.queries import as_request
from toolret.retriever import ToolRetriever
from toolret.selection import Selection
from toolret.types import JsonObject, Request

__all__ = ["Planner", "listed", "permitting"]

_log = logging.getLogger(__name__)

_allowed: ContextVar[tuple[Allow] | None] = ContextVar("toolret_allowed", default=None)

_memories: WeakKeyDictionary[ToolRetriever, Memory] = WeakKeyDictionary()
_remembering = Lock()

_ONLY_WITH_TOOLS = ("parallel_tool_calls", "tool_choice", "tools")
"""Arguments that OpenAI refuses in a request without tools."""


def listed(form: Form, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with iterators read into lists, which can be read again."""
    read = dict(options)
    for name in (form.items, "tools"):
        if isinstance(options.get(name), Iterator):
            read[name] = list(options[name])
    return read


@contextmanager
def permitting(allow: Allow) -> Iterator[None]:
    """Set what the user of the requests within may use, overriding ``wrap``'s ``allow``.

    Threads other than those of ``asyncio`` do not inherit it: there, ``wrap``'s applies.

    Args:
        allow: The permissions that the user holds, or a predicate over tools.
    """
    token = _allowed.set((closed(allow),))
    try:
        yield
    finally:
        _allowed.reset(token)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A call that is being planned."""

    options: Mapping[str, Any]
    asked: Asked
    request: Request | None
    beginnings: Sequence[str]

    @property
    def how(self) -> dict[str, Any]:
        """Arguments for ``select``; the mode *allowed* first ranks as many as may be offered."""
        begins = self.asked.mode == "allowed" and not self.asked.state
        return {"allow": self.asked.view.allow, "depth": PROVIDER_LIMIT if begins else 0}


class Planner:
    """Plans the requests of a client.

    Args:
        retriever: Selects the tools and examples.
        mode: How later requests of a conversation differ from its first.
        allow: The permissions for requests without ``permitting``.
        most: The most tools of the index to offer at once.
    """

    def __init__(self, retriever: ToolRetriever, *, mode: Mode, allow: Allow, most: int) -> None:
        self._retriever = retriever
        self._mode = mode
        self._allow = closed(allow)
        self._most = most
        self._memory = _memory(retriever)

    def prepare(self, form: Form, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments to send instead of a call's; never raises."""
        try:
            draft = self._draft(form, options)
            return self._write(draft, *self._selected(draft)) if draft else dict(options)
        except Exception as error:  # noqa: BLE001 - the caller's call goes out all the same
            _warn(error)
            return dict(options)

    async def aprepare(self, form: Form, options: Mapping[str, Any]) -> dict[str, Any]:
        """``prepare`` for event loops."""
        try:
            # In a worker: a predicate is called for all tools, and a conversation may be long.
            draft = await asyncio.to_thread(self._draft, form, options)
            if draft is None:
                return dict(options)
            return await asyncio.to_thread(self._write, draft, *await self._aselected(draft))
        except Exception as error:  # noqa: BLE001 - as above
            _warn(error)
            return dict(options)

    def _selected(self, draft: _Draft) -> tuple[Selection | None, bool]:
        """Return what is selected for a call, None without a text; and whether that failed."""
        if draft.request is None:
            return None, False
        try:
            return _as_sent(self._retriever.select(draft.request, **draft.how)), False
        except Exception as error:  # noqa: BLE001 - as above
            return None, _warn(error)

    async def _aselected(self, draft: _Draft) -> tuple[Selection | None, bool]:
        if draft.request is None:
            return None, False
        try:
            return _as_sent(await self._retriever.aselect(draft.request, **draft.how)), False
        except Exception as error:  # noqa: BLE001 - as above
            return None, _warn(error)

    def answered(self, form: Form, options: Mapping[str, Any], reply: Any) -> None:
        """Remember a response by its id, which the next request may name in place of its items."""
        if form is not RESPONSES:
            return
        try:
            reply_id = _reply_id(reply)
            if not isinstance(reply_id, str):
                return
            view = self._view()
            _, beginnings = _read(options.get("input"), view, self._mode, _earlier(options))
            state = self._memory.recall(beginnings)
            if state:
                self._memory.keep(_read((), view, self._mode, reply_id)[1][0], state.carried())
        except Exception as error:  # noqa: BLE001 - the caller gets its reply all the same
            _warn(error)

    def offered(self, messages: str | Sequence[Any], continued: str | None) -> Offered:
        """Return what a conversation's latest request offered, as far as it is still allowed."""
        view = self._view()
        items, beginnings = _read(messages, view, self._mode, continued or "")
        state = self._memory.recall(beginnings) or State()
        searches = self._mode in ("proxy", "search")
        proxy = searches and DISCOVER in state.callable
        found: tuple[str, ...] = ()
        if searches:
            found = found_names(items) if proxy else RESPONSES.loaded(items)
        ids = {name: id_ for name in found if (id_ := view.names.ids.get(name))}
        positions = view.names.snapshot.tools.positions
        callable_now = {
            name: id_
            for name, id_ in {**state.callable, **ids}.items()
            if id_ not in positions or view.tool(id_)
        }
        return Offered(callable_now, Finder(self._retriever, view.allow), proxy=proxy)

    def _draft(self, form: Form, options: Mapping[str, Any]) -> _Draft | None:
        """Read a call that is to be planned; None if tools cannot be added to it."""
        if form.items not in options or options.get("functions"):
            return None
        mode = self._mode
        if mode == "search" and form is CHAT:
            mode = "proxy"
        view = self._view()
        given = [form.given(_dict(tool)) for tool in as_items(options.get("tools"))]
        items, beginnings = _read(options[form.items], view, self._mode, _earlier(options))
        retriever = self._retriever
        request = _request(items)
        asked = Asked(
            form,
            mode,
            self._most,
            items,
            request.text if request else "",
            told_apart(given, view, budget=retriever.token_budget, counter=retriever.counter),
            _choice(options.get("tool_choice")),
            view,
            self._memory.recall(beginnings),
        )
        return _Draft(options, asked, request, beginnings)

    def _write(self, draft: _Draft, selection: Selection | None, failed: bool) -> dict[str, Any]:
        planned = plan(draft.asked, selection, failed=failed)
        start, latest = draft.beginnings[0], draft.beginnings[-1]
        if latest != start:
            # Otherwise nothing was said yet, and all conversations would share the key.
            self._memory.keep(latest, planned.state)
        if _given(draft.options.get("conversation")) is not None:
            # The next request holds only what is new, and this id.
            self._memory.keep(start, planned.state.carried())
        return _written(draft, planned)

    def _view(self) -> View:
        here = _allowed.get()
        return View(names_of(self._retriever), here[0] if here else self._allow)


def _memory(retriever: ToolRetriever) -> Memory:
    """Return one memory for all clients of a retriever: each request may make its own client."""
    with _remembering:
        return _memories.setdefault(retriever, Memory())


def _read(
    conversation: Any, view: View, mode: Mode, earlier: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the items of a conversation as JSON, and the keys of its beginnings.

    Args:
        conversation: Messages, or ``input``.
        view: What the user may use; users with other permissions do not share states.
        mode: How the conversation is offered tools; other modes do not share states either.
        earlier: The id of what it continues, at the provider; empty if it continues nothing.
    """
    items = [plain(item) for item in as_items(conversation)]
    return items, keys(f"{mode}\0{view.fingerprint()}\0{earlier}", items)


def _as_sent(selection: Selection) -> Selection:
    """Return a selection with its prompt in OpenAI's format.

    Raises:
        BudgetError: If that is not the retriever's, and the budget holds none of the tools.
    """
    return replace(selection, packed=selection.packed_as("openai"))


def _request(items: Sequence[JsonObject]) -> Request | None:
    """Return what to search for; None if nothing was said. The result of a call is no request."""
    # Items without either refer to what the provider has.
    read = [item for item in items if "role" in item or "type" in item]
    if not any(item.get("role") == "user" for item in read):
        read = [item for item in read if item.get("role", "tool") != "tool"]
    try:
        return as_request(read)
    except InputError:
        return None


def _earlier(options: Mapping[str, Any]) -> str:
    """Return the id of the conversation or response that a request continues, if any."""
    conversation = _given(options.get("conversation"))
    if conversation is not None and not isinstance(conversation, str):
        conversation = plain(conversation).get("id")
    return str(conversation or _given(options.get("previous_response_id")) or "")


def _reply_id(reply: Any) -> Any:
    """Return the id of a response, also of a raw one that was read; None for streams."""
    http = getattr(reply, "http_response", None)
    if http is None:
        return getattr(reply, "id", None)
    return plain(http.json()).get("id") if http.is_closed else None


def _written(draft: _Draft, planned: Plan) -> dict[str, Any]:
    """Return the arguments to send, changed only where the plan differs."""
    form, options = draft.asked.form, dict(draft.options)
    if planned.state.examples:
        options[form.items] = _with_examples(draft, planned.state.examples)
    if planned.tools:
        options["tools"] = list(planned.tools)
    else:
        options = {key: each for key, each in options.items() if key not in _ONLY_WITH_TOOLS}
    if planned.unsent:
        _log.warning(
            "tool_choice names %s, which the request cannot have: it goes out without",
            ", ".join(map(shown, planned.unsent)),
        )
        options.pop("tool_choice", None)
    if planned.choice is not None and planned.tools:
        options["tool_choice"] = planned.choice
    return options


def _with_examples(draft: _Draft, examples: Sequence[Shown]) -> list[Any]:
    places = [place for place, item in enumerate(draft.asked.items) if item.get("role") == "user"]
    items = as_items(draft.options[draft.asked.form.items])
    for each in reversed(examples):
        if each.before < len(places):
            items.insert(places[each.before], {"role": "system", "content": each.text})
    return items


def _given(value: Any) -> Any:
    """Return an argument, or None for ``openai``'s markers of omitted ones."""
    return value if isinstance(value, str | Mapping) or hasattr(value, "model_dump") else None


def _choice(value: Any) -> Any:
    """Return a ``tool_choice`` as a string or dict; None if there is none."""
    choice = _given(value)
    return plain(choice) if hasattr(choice, "model_dump") else choice


def _dict(tool: Any) -> dict[str, Any]:
    """Return a tool as a dict; ``openai`` objects in it as that package would send them."""
    return {key: _dumped(value) for key, value in dict(_dumped(tool)).items()}


def _dumped(value: Any) -> Any:
    if not hasattr(value, "model_dump"):
        return value
    return value.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _warn(error: Exception) -> bool:
    _log.warning(
        "no tools could be selected, so the request goes out with the caller's own: %s: %s",
        type(error).__name__,
        error,
    )
    return True
