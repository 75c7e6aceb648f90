"""Chooses the tools and examples for one model call: pure functions of the thread's state."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, TypeAlias

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_function
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from toolret.files.plain_rows import demo_to_row
from toolret.integrations.langchain.catalog import Available, CatalogEntry
from toolret.integrations.offers import called_names, names_to_offer
from toolret.permissions import Allow, is_allowed, may_see
from toolret.prompt import Packed
from toolret.prompt.packed import PackedDemo, PackedTool
from toolret.prompt.trimming import TOOL_STEPS
from toolret.retrieval.selection import Selection
from toolret.text.names import DISCOVER, wire_name
from toolret.types import Demo

__all__ = [
    "Examples",
    "Mode",
    "Offer",
    "Offering",
    "Offers",
    "offers_of",
    "shown_tools",
    "with_agent_names",
    "with_examples",
]

Mode: TypeAlias = Literal["grow", "replace"]
"""Whether a thread's list of tools grows or is replaced; see ``ToolRetrieverMiddleware``."""


class Offer(TypedDict):
    """An offered tool.

    A tool keeps the form in which it was first offered: a shorter or longer one in the next turn
    would miss the provider's prompt cache.

    Attributes:
        name: The name by which the model calls it.
        trimmed: The steps of ``TOOL_STEPS`` that shortened it.
    """

    name: str
    trimmed: list[str]


class Examples(TypedDict):
    """Worked examples that stand before a message.

    Attributes:
        before: The id of that message.
        demos: Ids of the demonstrations.
        digests: Digests of the demonstrations as they were then: one that was redacted since, or
            shows other arguments, is no longer shown as it was.
        tools: Ids of the tools that they use.
        text: The examples as the model reads them.
    """

    before: str
    demos: list[str]
    digests: list[str]
    tools: list[str]
    text: str


class Offers(TypedDict):
    """All that a thread has been offered: the middleware's part of the graph's state.

    Attributes:
        offered: The tools, in their order.
        examples: The worked examples, in their order.
    """

    offered: list[Offer]
    examples: list[Examples]


_OFFERS = TypeAdapter(list[Offer])
"""Checks the artifacts of messages, which anybody may have written."""


@dataclass(frozen=True, slots=True)
class Offering:
    """The rules for offering tools in one model call.

    Attributes:
        available: The tools that the agent can run.
        allow: The caller's permissions.
        before: The tools and examples that the thread has been offered so far.
        messages: The conversation as the model will read it.
        history: The conversation as it was: middleware before this may have removed results.
        demanded: Names of the tools that the request's ``tool_choice`` names.
    """

    available: Available
    allow: Allow
    before: Offers
    messages: Sequence[AnyMessage]
    history: Sequence[AnyMessage]
    demanded: Sequence[str] = ()

    def offer_all(self) -> Offers:
        """Offer all that the caller may use, for a catalog that needs no search."""
        names = self._permitted(self.available.names)
        return Offers(offered=[Offer(name=name, trimmed=[]) for name in names], examples=[])

    def offer_selected(
        self, selection: Selection | None, *, mode: Mode, examples: bool, most: int
    ) -> Offers:
        """Choose what to offer after a search.

        Args:
            selection: What was found; None if the search failed.
            mode: ``grow`` keeps what was offered, in its order; ``replace`` starts over.
            examples: Whether to show demonstrations.
            most: How many tools to offer at most. A list that would grow larger starts over.
        """
        before = self.before["offered"]
        earlier, latest = self._discovered(mode)
        selected = offers_of(selection, self.available) if selection else []
        kept = _names(before) if mode == "grow" else []
        called, asked_for = _called_names(self.messages), _names(earlier)
        in_use = _called_names(self.messages[_last_position(AIMessage, self.messages) :])
        wanted = [*self.demanded, *in_use, *_names(latest), *_names(selected)]
        known = set(self._permitted({*kept, *called, *asked_for, *wanted}))
        needed = [name for name in dict.fromkeys(wanted) if name in known][:most]
        # If not all can stay, those that the model only asked for go first, then those whose last
        # call is the earliest.
        used = dict.fromkeys(reversed([*asked_for, *_called_names(self.messages, by_last=True)]))
        staying = _names_that_stay(
            needed,
            [name for name in kept if name in known],
            [name for name in used if name in known],
            most=most,
        )
        names = names_to_offer(kept, [*called, *asked_for], needed, staying)
        # A tool keeps the form in which it was first offered.
        trims = {o["name"]: o["trimmed"] for o in reversed([*before, *earlier, *latest, *selected])}
        return Offers(
            offered=[Offer(name=name, trimmed=trims.get(name, [])) for name in names],
            examples=self._examples(selection) if examples else [],
        )

    def _permitted(self, names: Iterable[str]) -> list[str]:
        """Return those of the names that this caller can run."""
        entries = ((name, self.available.entry(name)) for name in names)
        return [name for name, entry in entries if entry and entry.is_permitted(self.allow)]

    def _discovered(self, mode: Mode) -> tuple[list[Offer], list[Offer]]:
        """Return what the model has asked for before its last message, and what since.

        Of what it asked for before, ``grow`` keeps what is still offered: tools dropped when a list
        started over would otherwise come back with each call, and make it start over each time.
        ``replace`` has what the model asked for since the user last spoke.
        """
        last = _last_position(AIMessage, self.history)
        start = 0 if mode == "grow" else _last_position(HumanMessage, self.history)
        earlier = _offers_found_in(self.history[start:last])
        before = {*_names(self.before["offered"])}
        if mode == "grow" and before:
            earlier = [offer for offer in earlier if offer["name"] in before]
        return earlier, _offers_found_in(self.history[last:])

    def _examples(self, selection: Selection | None) -> list[Examples]:
        """Return the examples that stay, and new ones for the user's new message.

        Only a message that was not yet answered gets any: adding them later would change what the
        provider has already read.
        """
        message_ids = {message.id for message in self.messages}
        stay = [shown for shown in self.before["examples"] if self._may_stay(shown, message_ids)]
        last = self.messages[-1] if self.messages else None
        if selection is None or not isinstance(last, HumanMessage) or last.id is None:
            return stay
        seen = {id_ for shown in stay for id_ in shown["demos"]}
        packed = with_agent_names(selection.packed, self.available)
        fresh = tuple(demo for demo in packed.demos if demo.id not in seen)
        if not fresh or any(shown["before"] == last.id for shown in stay):
            return stay
        shown_ids = [demo.id for demo in fresh]
        untrimmed = {hit.demo.id: hit.demo for hit in selection.demos}
        tools = [tool for id_ in shown_ids for tool in untrimmed[id_].tools]
        new = Examples(
            before=last.id,
            demos=shown_ids,
            digests=[_digest(untrimmed[id_]) for id_ in shown_ids],
            tools=list(dict.fromkeys(tools)),
            text=replace(packed, demos=fresh).examples(),
        )
        return [*stay, new]

    def _may_stay(self, shown: Examples, message_ids: set[str | None]) -> bool:
        """Whether their message is still there, and the examples are unchanged and can be followed.

        That is, whether their tools can be run and are allowed.
        """
        available, catalog = self.available, self.available.catalog
        demos = [catalog.demos.get(id_) for id_ in shown["demos"]]
        tools = [catalog.tools.get(id_) for id_ in shown["tools"]]
        return (
            shown["before"] in message_ids
            and all(demo and may_see(demo, self.allow) for demo in demos)
            and all(
                tool and available.can_run(tool) and is_allowed(tool, self.allow) for tool in tools
            )
            and [_digest(demo) for demo in demos if demo] == shown.get("digests")
        )


def offers_of(selection: Selection, available: Available) -> list[Offer]:
    """Return a selection's tools that fitted its budget, in the form that fitted."""
    steps: dict[str, list[str]] = {}
    for cut in selection.dropped:
        if cut.kind == "tool":
            steps.setdefault(cut.id, []).append(cut.step)
    return [
        Offer(name=available.name_of(tool.id), trimmed=steps.get(tool.id, []))
        for tool in selection.packed.tools
    ]


def with_agent_names(packed: Packed, available: Available) -> Packed:
    """Return a prompt with this agent's names for the tools.

    A demonstration without calls names its tools as on the wire; if the agent has another name for
    one, it would teach a name that does not exist, so it is left out.
    """
    ids = {tool.id for tool in packed.tools}.union(*(demo.tools for demo in packed.demos))
    names = {wire_name(id_): available.name_of(id_) for id_ in ids}
    tools = tuple(replace(tool, name=names[tool.name]) for tool in packed.tools)
    demos = tuple(
        _rename_calls(demo, names)
        for demo in packed.demos
        if demo.calls or all(available.name_of(id_) == wire_name(id_) for id_ in demo.tools)
    )
    return replace(packed, tools=tools, demos=demos)


def _digest(demo: Demo) -> str:
    return sha256(json.dumps(demo_to_row(demo), sort_keys=True).encode()).hexdigest()[:16]


def _rename_calls(demo: PackedDemo, names: Mapping[str, str]) -> PackedDemo:
    calls = tuple((names.get(name, name), values, result) for name, values, result in demo.calls)
    return replace(demo, calls=calls)


def shown_tools(offers: Offers, available: Available) -> list[BaseTool]:
    """Return the tools that a model sees: those that run, or shortened copies of them."""
    tools = []
    for offer in offers["offered"]:
        if entry := available.entry(offer["name"]):
            key = (entry.name, *offer["trimmed"], *_description_and_schema(entry, offer["trimmed"]))
            tool = available.shown_tools.get(key)
            if tool is None:
                tool = _shorten(available.catalog.runnable(entry), entry, offer["trimmed"])
                available.shown_tools.put(key, tool)
            tools.append(tool)
    return tools


def _description_and_schema(entry: CatalogEntry, steps: Sequence[str]) -> tuple[Hashable, ...]:
    """Return what a tool that is to be shortened says: its owner may change that at any time."""
    if entry.agent_tool is None or not steps:
        return ()
    schema = entry.agent_tool.args_schema
    return entry.agent_tool.description, schema if isinstance(schema, type) else repr(schema)


def _shorten(tool: BaseTool, entry: CatalogEntry, steps: Sequence[str]) -> BaseTool:
    if not steps:
        return tool
    function = convert_to_openai_function(tool)
    # For the toolbox's tools, the source's schema: the prompt's steps were applied to that.
    schema = function.get("parameters", {}) if entry.agent_tool else entry.tools[0].parameters or {}
    form = PackedTool("", tool.name, function["description"], schema)
    for step in steps:
        form = TOOL_STEPS[step](form) if step in TOOL_STEPS else form
    changes = {"description": form.description, "args_schema": dict(form.parameters)}
    return tool.model_copy(update=changes)


def with_examples(messages: Sequence[AnyMessage], examples: Iterable[Examples]) -> list[AnyMessage]:
    """Return a conversation with each block of examples before its message.

    The blocks are user messages: several providers accept system messages only at the start.
    """
    texts = {block["before"]: block["text"] for block in examples}

    def interleaved() -> Iterator[AnyMessage]:
        for message in messages:
            if message.id in texts:
                yield HumanMessage(texts[message.id])
            yield message

    return list(interleaved())


def _names_that_stay(
    needed: Sequence[str], kept: Iterable[str], used: Iterable[str], *, most: int
) -> set[str]:
    """Return which names to offer if there is no room for all.

    Args:
        needed: Names that this call needs, ``most`` of them at most: they always stay.
        kept: Names that were offered before: they all stay if there is room, else none of them.
        used: Names that the conversation has called or asked for: they fill the remaining room, in
            this order.
        most: How many names may stay.
    """
    staying = {*needed, *kept}
    if len(staying) > most:
        staying = {*needed}
    others = [name for name in used if name not in staying]
    return staying.union(others[: most - len(staying)])


def _names(offers: Iterable[Offer]) -> list[str]:
    return [offer["name"] for offer in offers]


def _called_names(messages: Sequence[AnyMessage], *, by_last: bool = False) -> list[str]:
    """Return the names of the tools that the conversation calls, in order of first or last use.

    Calls that could not be parsed are included, since they are sent back too.
    """
    names: list[str] = []
    for message in messages:
        if isinstance(message, AIMessage):
            names += called_names([message])
            names += [call["name"] for call in message.invalid_tool_calls if call["name"]]
    return list(dict.fromkeys(reversed(names)))[::-1] if by_last else list(dict.fromkeys(names))


def _offers_found_in(messages: Sequence[AnyMessage]) -> list[Offer]:
    """Read the offers in messages of ``discover_tools``; none from another tool of that name.

    Permissions are checked afterwards.
    """
    offers: list[Offer] = []
    for message in messages:
        if isinstance(message, ToolMessage) and message.name == DISCOVER:
            with suppress(ValidationError):
                offers += _OFFERS.validate_python(message.artifact)
    return offers


def _last_position(kind: type[BaseMessage], messages: Sequence[AnyMessage]) -> int:
    """Return the position of the last message of a kind; 0 if there is none."""
    positions = [i for i, message in enumerate(messages) if isinstance(message, kind)]
    return positions[-1] if positions else 0
