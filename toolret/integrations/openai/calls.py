"""Runs the calls of an OpenAI model, for hand-written loops."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from toolret.calling import Toolbox, ToolResult
from toolret.errors import CallError
from toolret.integrations.offers import refusal
from toolret.integrations.openai.offered import Offered
from toolret.integrations.openai.searching import found_text, query_of, search_output
from toolret.json_values import compact_json, parse_json, short_repr
from toolret.options import of_kind
from toolret.permissions import Allow, fail_closed, is_allowed
from toolret.prompt import Packed
from toolret.text.names import CALL, DISCOVER
from toolret.turns import field_of, says_failed

__all__ = ["aanswer_calls", "answer_calls", "arun_calls", "run_calls"]

_log = logging.getLogger(__name__)

_OTHER_CALLS = ("tool_call", "tool_use")
"""Types of the calls in messages of LangChain and of Anthropic."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A call in a reply.

    Attributes:
        id: The id of the call.
        name: The name that is called, as the model wrote it; empty for a search.
        arguments: The arguments, as the model wrote them.
        kind: The form in which it is answered.
    """

    id: str
    name: Any
    arguments: Any
    kind: Literal["chat", "responses", "search"]

    def answer_outcome(self, outcome: ToolResult) -> dict[str, Any]:
        """Return the answer with a tool's outcome; only the text can say that the call failed."""
        said = outcome.ok or says_failed(outcome.text)
        return self.answer(outcome.text if said else f"Error: {outcome.text}")

    def answer(self, text: str) -> dict[str, Any]:
        """Return the answer with a text."""
        if self.kind == "chat":
            return {"role": "tool", "tool_call_id": self.id, "content": text}
        return {"type": "function_call_output", "call_id": self.id, "output": text}

    def answer_search(self, found: Packed | None, known: Offered) -> dict[str, Any]:
        """Return the answer with the tools that were found; None if the search failed."""
        if self.kind == "search":
            return search_output(self.id, found, known)
        return self.answer(found_text(found, known))


@dataclass(frozen=True, slots=True)
class _SearchStep:
    """A search to be run for the model."""

    offered: Offered
    query: str


@dataclass(frozen=True, slots=True)
class _RunStep:
    """A tool to be run, by its name in the toolbox."""

    tool: str
    arguments: Any


def run_calls(
    reply: Any,
    toolbox: Toolbox,
    *,
    offered: Mapping[str, str] | None = None,
    allow: Allow = None,
) -> list[Any]:
    """Run the tool calls of a reply, one after the other.

    Args:
        reply: A completion of Chat Completions or its message, or a response of Responses or its
            ``output``; objects of the ``openai`` package, or dicts. In a list, such as the whole
            conversation, only calls that it does not answer yet are run.
        toolbox: Runs them.
        offered: The tools' ids by the names that the model may call: ``selection.names``, or for a
            client of ``wrap`` the result of ``offered``, with which the model's own searches are
            answered too. Any other call is not run, and the model is told so. None allows the whole
            toolbox.
        allow: The user's permissions, or a predicate over tools, as a further restriction.

    Returns:
        One message (or item, for Responses) for each call, in order, to append after the reply;
        empty if it calls nothing.

    Raises:
        TypeError: If ``reply`` is not a reply, ``toolbox`` not a ``Toolbox``, ``offered`` not a
            mapping, or ``allow`` a string.
        InputError: If ``allow`` is a mapping, an iterator or not a collection.
    """
    messages: list[Any] = []
    answer_calls(messages, reply, toolbox, offered=offered, allow=allow)
    return messages


def answer_calls(
    messages: list[Any],
    reply: Any,
    toolbox: Toolbox,
    *,
    offered: Mapping[str, str] | None,
    allow: Allow,
) -> None:
    """``run_calls`` that appends each answer as soon as there is one: the next may never come."""
    allow = fail_closed(allow)
    for call in _calls(reply, toolbox, offered):
        step = _next_step(call, toolbox, offered, allow)
        if isinstance(step, _SearchStep):
            found = step.offered.finder.find(step.query)
            messages.append(call.answer_search(found, step.offered))
        elif isinstance(step, _RunStep):
            messages.append(call.answer_outcome(toolbox.call(step.tool, step.arguments)))
        elif step:
            messages.append(call.answer(step))


async def arun_calls(
    reply: Any,
    toolbox: Toolbox,
    *,
    offered: Mapping[str, str] | None = None,
    allow: Allow = None,
) -> list[Any]:
    """``run_calls`` for event loops."""
    messages: list[Any] = []
    await aanswer_calls(messages, reply, toolbox, offered=offered, allow=allow)
    return messages


async def aanswer_calls(
    messages: list[Any],
    reply: Any,
    toolbox: Toolbox,
    *,
    offered: Mapping[str, str] | None,
    allow: Allow,
) -> None:
    """``answer_calls`` for event loops."""
    allow = fail_closed(allow)
    for call in _calls(reply, toolbox, offered):
        step = _next_step(call, toolbox, offered, allow)
        if isinstance(step, _SearchStep):
            found = await step.offered.finder.afind(step.query)
            messages.append(call.answer_search(found, step.offered))
        elif isinstance(step, _RunStep):
            outcome = await toolbox.acall(step.tool, step.arguments)
            messages.append(call.answer_outcome(outcome))
        elif step:
            messages.append(call.answer(step))


def _calls(reply: Any, toolbox: Toolbox, offered: Mapping[str, str] | None) -> list[_Call]:
    """Return the calls in a reply, of either form, that the client still has to answer."""
    of_kind("toolbox", toolbox, Toolbox, "a Toolbox, such as Toolbox(tools)")
    if offered is not None and not isinstance(offered, Mapping):
        raise TypeError(
            f"offered is a {type(offered).__name__}: give ids by names, such as selection.names, "
            "or what offered(client, messages) returned"
        )
    by_item: list[list[_Call]] = []
    for item in _items(reply):
        if _is_answer(item):
            _remove_answered(by_item, item)
        by_item.append([*_calls_in(item)])
    return [call for calls in by_item for call in calls]


def _calls_in(item: Any) -> Iterator[_Call]:
    """Yield the calls in a message, or the one that a Responses item is.

    Raises:
        TypeError: If it holds calls of another form, which would end a loop unanswered.
    """
    kind, call_id = field_of(item, "type"), field_of(item, "call_id")
    if kind == "function_call":
        yield _Call(call_id, field_of(item, "name"), field_of(item, "arguments"), "responses")
    elif kind == "tool_search_call" and field_of(item, "execution") == "client":
        yield _Call(call_id, "", field_of(item, "arguments"), "search")
    calls = _as_list(field_of(item, "tool_calls"))
    for part in calls or _as_list(field_of(item, "content")):
        if field_of(part, "type") in _OTHER_CALLS and field_of(part, "function") is None:
            raise TypeError(
                f"a {type(item).__name__} with calls in the form of LangChain or Anthropic: run "
                "each by toolbox.call(name, arguments)"
            )
    for call in calls:
        function = field_of(call, "function")
        if function is not None:
            name, arguments = field_of(function, "name"), field_of(function, "arguments")
            yield _Call(field_of(call, "id"), name, arguments, "chat")


def _items(reply: Any) -> Iterator[Any]:
    """Yield the messages, or Responses items, that a reply holds or is.

    Raises:
        TypeError: If it is not a reply.
    """
    choices, output, message = (field_of(reply, name) for name in ("choices", "output", "message"))
    if isinstance(reply, list | tuple):
        for item in reply:
            yield from _items(item)
    elif any(_has(reply, name) for name in ("role", "type", "tool_calls")):
        yield reply
    elif isinstance(output, list | tuple):
        yield from output
    elif isinstance(choices, list | tuple) and choices:
        yield from _items(choices[0])
    elif message is not None:
        yield from _items(message)
    else:
        raise TypeError(
            f"a {type(reply).__name__} is no reply that could call tools: give a completion or its "
            "message, or a response or its output"
        )


def _is_answer(item: Any) -> bool:
    """Whether an item of a conversation answers a call."""
    return field_of(item, "role") == "tool" or str(field_of(item, "type")).endswith("_output")


def _remove_answered(by_item: Sequence[list[_Call]], answer: Any) -> None:
    """Remove the call that an item answers: the first of its id in the latest item with one.

    Some models use an id again later, and some servers give parallel calls the same id, or none.
    """
    is_chat = field_of(answer, "role") == "tool"
    answered = field_of(answer, "tool_call_id" if is_chat else "call_id")
    for calls in reversed(by_item):
        for call in calls:
            if call.id == answered:
                calls.remove(call)
                return


def _has(value: Any, name: str) -> bool:
    return name in value if isinstance(value, Mapping) else hasattr(value, name)


def _as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _next_step(
    call: _Call, toolbox: Toolbox, offered: Mapping[str, str] | None, allow: Allow
) -> _SearchStep | _RunStep | str:
    """Return what to do for a call, or what to tell the model; empty if it is not ours."""
    name, arguments = call.name, call.arguments
    limits = [allow]
    if isinstance(offered, Offered):
        limits.append(offered.finder.allow)
        if call.kind == "search" or (offered.proxy and name == DISCOVER):
            return _SearchStep(offered, query_of(arguments))
        if offered.proxy and name == CALL:
            try:
                name, arguments = _inner_call(arguments)
            except (KeyError, TypeError, ValueError):
                return f"Error: {CALL} takes the name of a tool, and an object of its arguments"
    elif call.kind == "search":
        return ""
    if not isinstance(name, str):
        return f"Error: a call names its tool by a text, not by {short_repr(name)}"
    is_offered = offered is None or name in offered
    tool = _toolbox_name(toolbox, name, offered or {})
    if is_offered and _may_run(toolbox, tool, limits):
        if offered is not None and tool not in toolbox:
            # The model is told as well, but only the program can be mended.
            _log.warning("%r was offered, but the toolbox does not run it for this user", name)
        return _RunStep(tool, arguments)
    if offered is None:
        return refusal(name, None)
    tools = {other: _toolbox_name(toolbox, other, offered) for other in offered}
    available = [n for n, tool in tools.items() if _may_run(toolbox, tool, limits)]
    if isinstance(offered, Offered) and offered.tool_search and call.kind == "responses":
        available.append("tool_search")
    return refusal(name, available)


def _inner_call(arguments: Any) -> tuple[str, str]:
    """Return the name and the arguments, as JSON, that ``call_tool`` was called with.

    Raises:
        KeyError: If one is missing.
        TypeError: If they are not an object.
        ValueError: If they are not JSON.
    """
    call = parse_json(arguments) if isinstance(arguments, str) else arguments
    inner = call["arguments"]
    return str(call["name"]), inner if isinstance(inner, str) else compact_json(inner)


def _toolbox_name(toolbox: Toolbox, name: str, names: Mapping[str, str]) -> str:
    """Return what the toolbox calls the tool that a model calls by a name.

    A function of the caller's that counts as a tool of the index may be in the toolbox only under
    the caller's name.
    """
    tool_id = names.get(name, name)
    if tool_id == name:
        return name
    known = toolbox.name_of(tool_id)
    if known in toolbox:
        return known
    return next((own for own, id_ in names.items() if id_ == tool_id and own in toolbox), known)


def _may_run(toolbox: Toolbox, name: str, limits: Sequence[Allow]) -> bool:
    """Whether the user may run a tool; the toolbox itself refuses what it does not hold."""
    try:
        tool = toolbox.tool(name)
    except CallError:
        return True
    return all(is_allowed(tool, allow) for allow in limits)
