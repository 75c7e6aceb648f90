"""``wrap``: makes an ``openai`` client whose requests offer the right tools."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextvars import Context, copy_context
from copy import copy as copied
from typing import Any, TypeVar, get_args

from openai import AsyncOpenAI, AsyncStream, OpenAI, Stream

from toolret.integrations.openai.forms import CHAT, PROVIDER_LIMIT, RESPONSES, RequestForm
from toolret.integrations.openai.offered import Offered
from toolret.integrations.openai.planner import Planner, with_lists
from toolret.integrations.openai.planning import Mode
from toolret.integrations.retrievers import checked_retriever
from toolret.options import of_kind, one_of, whole_number
from toolret.permissions import Allow, JointLimit
from toolret.retrieval.retriever import ToolRetriever

__all__ = ["offered", "wrap", "wrap_within"]

_Client = TypeVar("_Client", bound=OpenAI | AsyncOpenAI)

_PLANNER = "_toolret_planner"
"""The attribute of a wrapped client that plans its requests."""

_REQUESTS: Mapping[str, Mapping[str, RequestForm]] = {
    "beta": {"chat.completions": CHAT, "responses": RESPONSES},
    "chat": {"completions": CHAT},
    "responses": {"": RESPONSES},
}
"""Where planned requests are made: a client's resources, paths in them, and their form."""

_FINAL_EVENTS = ("response.completed", "response.incomplete")
"""Types of the events of a stream that hold the whole response."""


def wrap(
    client: _Client,
    retriever: ToolRetriever,
    *,
    mode: Mode = "grow",
    allow: Allow = None,
    max_offered: int = PROVIDER_LIMIT,
) -> _Client:
    """Return a client that offers what the retriever chooses, and otherwise works as before.

    It changes the requests of ``chat.completions`` and ``responses``: ``create``, ``parse``,
    ``stream``, raw and streamed responses, sync or async. Replies are not touched. The caller's own
    tools keep their names; those of the index have the names of ``Selection.names``. If retrieval
    fails, this is logged, and the request goes out with the caller's own tools.

    The modes differ in how later requests of a conversation differ from its first, and so in what
    a provider's prompt cache still holds:

    - *grow*: tools once offered stay, and new ones follow them.
    - *replace*: each request has the tools chosen for it, and those that the conversation calls.
    - *allowed*: all requests have the same tools, and ``tool_choice`` says which may be called; of
      more than ``max_offered`` tools, three quarters of that many, to which chosen ones are added.
    - *search*: the first request's tools stay, and the model searches for others with Responses'
      ``tool_search``, which ``run_calls`` answers. Chat Completions has none, and uses *proxy*.
    - *proxy*: the model has two tools, one that searches and one that calls what was found;
      ``run_calls`` answers both.

    Args:
        client: An ``OpenAI`` or ``AsyncOpenAI``, or of a subclass. It is not changed; the two
            clients share their connections.
        retriever: Chooses the tools and examples.
        mode: See above.
        allow: The user's permissions, or a predicate over tools, for requests without
            ``permitting``. Give ``()`` if every request must use it.
        max_offered: The most tools of the index to offer at once; a list that would grow larger
            starts over, with what the conversation calls and what was chosen. What it calls and
            what ``tool_choice`` names is offered even if that is more. It does not apply where the
            caller gives more than 128 functions that the index does not hold.

    Raises:
        InputError: If the mode is unknown, ``max_offered`` is less than 1, or ``allow`` is a
            mapping, an iterator or not a collection.
        TypeError: If ``allow`` is a string, or ``client`` or ``retriever`` is of another kind.
    """
    return wrap_within(None, client, retriever, mode=mode, allow=allow, max_offered=max_offered)


def wrap_within(
    within: JointLimit | None,
    client: _Client,
    retriever: ToolRetriever,
    *,
    mode: Mode,
    allow: Allow = None,
    max_offered: int = PROVIDER_LIMIT,
) -> _Client:
    """``wrap``, with a limit to what requests may use that ``permitting`` does not override."""
    of_kind("client", client, OpenAI | AsyncOpenAI, "an OpenAI or an AsyncOpenAI")
    one_of("mode", mode, get_args(Mode))
    whole_number("max_offered", max_offered)
    checked_retriever(retriever)
    wrapped = copied(client)
    kind: Any = type(client)
    for name in [*wrapped.__dict__]:
        # Resources that the client has cached would send requests through it.
        if isinstance(getattr(kind, name, None), functools.cached_property):
            del wrapped.__dict__[name]
    if _PLANNER not in client.__dict__:
        wrapped.__class__ = _wrapped_class(kind)
    wrapped.__dict__[_PLANNER] = Planner(
        retriever, mode=mode, allow=allow, max_offered=max_offered, within=within
    )
    return wrapped


def offered(
    client: OpenAI | AsyncOpenAI, messages: str | Sequence[Any], *, continued: str | None = None
) -> Offered:
    """Return what the latest request of a conversation offered, for ``run_calls``.

    Args:
        client: A client that ``wrap`` returned.
        messages: The conversation, or Responses' ``input``; with or without what followed.
        continued: The id of the response or conversation that the request continued, if any.

    Returns:
        Ids by names; empty for a conversation that the client does not know, or of a user with
        other permissions (see ``permitting``).

    Raises:
        TypeError: If the client was not wrapped.
    """
    return _planner(client).offered(messages, continued)


@functools.cache
def _wrapped_class(kind: Any) -> Any:
    """Return a client's class with planning resources, which are still loaded on first use."""

    def copy(self: Any, **options: Any) -> Any:
        other = kind.copy(self, **options)
        other.__dict__[_PLANNER] = _planner(self)
        return other

    def planning_resource(name: str) -> functools.cached_property[Any]:
        def resource(self: Any) -> Any:
            # By ``super``, the resource would be there for other threads before it plans.
            declared = getattr(kind, name)
            is_cached = isinstance(declared, functools.cached_property)
            inner = declared.func(self) if is_cached else getattr(super(wrapped, self), name)
            for path, form in _REQUESTS[name].items():
                _plan_requests(inner, path, form, _planner(self), issubclass(kind, AsyncOpenAI))
            return inner

        return functools.cached_property(resource)

    members: dict[str, Any] = {name: planning_resource(name) for name in _REQUESTS}
    copy = functools.update_wrapper(copy, kind.copy)
    members |= {"copy": copy, "with_options": copy, "__doc__": kind.__doc__}
    wrapped = type(kind.__name__, (kind,), members)
    return wrapped


def _planner(client: Any) -> Planner:
    planner = client.__dict__.get(_PLANNER)
    if not isinstance(planner, Planner):
        raise TypeError(
            "the client was not wrapped: give what toolret's wrap(client, ...) returned"
        )
    return planner


def _plan_requests(
    resource: Any, path: str, form: RequestForm, planner: Planner, is_async: bool
) -> None:
    """Replace the methods of a resource, or of one within it, by methods that plan requests.

    ``stream``, raw and streamed responses call ``create``, so they need nothing of their own.
    """
    for name in filter(None, path.split(".")):
        resource = getattr(resource, name, None)
    for name in ("create", "parse"):
        send = getattr(resource, name, None)
        if send is not None:
            sender = _asender if is_async else _sender
            setattr(resource, name, sender(send, form, planner, parses=name == "parse"))


def _sender(
    send: Callable[..., Any], form: RequestForm, planner: Planner, *, parses: bool
) -> Callable[..., Any]:
    """Return a method that plans a request before it is sent.

    Args:
        send: The method that sends it.
        form: The form of the API.
        planner: Plans the request.
        parses: Whether the method is ``parse``.
    """

    @functools.wraps(send)
    def plan_and_send(*args: Any, **options: Any) -> Any:
        options = with_lists(form, options)
        planned = planner.prepare(form, options)
        reply = send(*args, **(_arguments_for_parse(options, planned) if parses else planned))
        remember = functools.partial(planner.remember_reply, form, options)
        if form is RESPONSES and isinstance(reply, Stream) and hasattr(reply, "_iterator"):
            reply._iterator = _watch_events(reply._iterator, remember, copy_context())
        else:
            remember(reply)
        return reply

    return plan_and_send


def _asender(
    send: Callable[..., Any], form: RequestForm, planner: Planner, *, parses: bool
) -> Callable[..., Any]:
    """``_sender`` for event loops."""

    @functools.wraps(send)
    async def plan_and_send(*args: Any, **options: Any) -> Any:
        options = with_lists(form, options)
        planned = await planner.aprepare(form, options)
        reply = await send(*args, **(_arguments_for_parse(options, planned) if parses else planned))
        remember = functools.partial(planner.remember_reply, form, options)
        if form is RESPONSES and isinstance(reply, AsyncStream) and hasattr(reply, "_iterator"):
            reply._iterator = _awatch_events(reply._iterator, remember, copy_context())
        else:
            await asyncio.to_thread(remember, reply)
        return reply

    return plan_and_send


def _watch_events(
    events: Iterator[Any], remember: Callable[[Any], None], sent_in: Context
) -> Iterator[Any]:
    """Yield a stream's events, and remember the response with which it ends.

    Args:
        events: The events.
        remember: Remembers a response.
        sent_in: The context of the request: the stream may be read outside of ``permitting``.
    """
    for event in events:
        if getattr(event, "type", "") in _FINAL_EVENTS:
            sent_in.run(remember, getattr(event, "response", None))
        yield event


async def _awatch_events(
    events: AsyncIterator[Any], remember: Callable[[Any], None], sent_in: Context
) -> AsyncIterator[Any]:
    """``_watch_events`` for event loops."""
    async for event in events:
        if getattr(event, "type", "") in _FINAL_EVENTS:
            await asyncio.to_thread(sent_in.run, remember, getattr(event, "response", None))
        yield event


def _arguments_for_parse(options: Mapping[str, Any], planned: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments for ``parse``, which takes strict tools only and reads their calls.

    So the caller's tools stay its argument, and those to send replace them in the body.
    """
    tools = planned.get("tools")
    if tools is None or tools == options.get("tools"):
        return dict(planned)
    arguments = {key: value for key, value in planned.items() if key != "tools"}
    if "tools" in options:
        arguments["tools"] = options["tools"]
    return arguments | {"extra_body": {"tools": tools, **(options.get("extra_body") or {})}}
