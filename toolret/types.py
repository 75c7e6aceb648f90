"""The values that flow through toolret: plain, frozen, without behaviour beyond reading them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = [
    "BEHAVIOUR_TAGS",
    "OPERATION_KEYS",
    "RECORDED",
    "Call",
    "Demo",
    "DemoHit",
    "Evidence",
    "Hit",
    "JsonObject",
    "Message",
    "Permissions",
    "Query",
    "Request",
    "Tool",
]

JsonObject: TypeAlias = Mapping[str, Any]
"""A JSON object, as ``json.loads`` gives it. Treat it as read-only."""

Message: TypeAlias = Mapping[str, Any]
"""One turn of a conversation in OpenAI's form: ``{"role": ..., "content": ...}``."""

Permissions: TypeAlias = tuple[frozenset[str], ...]
"""Alternative sets of permissions, of which a caller must hold one entirely; empty if nothing is
needed."""

BEHAVIOUR_TAGS = frozenset({"deprecated", "destructive", "idempotent", "open-world", "read-only"})
"""Tags that catalog readers add, which say how a tool behaves and not what it is about."""

OPERATION_KEYS = frozenset({"arguments", "method", "path", "server"})
"""Keys of ``Tool.metadata`` that together make a tool an API operation, which can be called over
HTTP; individually they are harmless."""


@dataclass(frozen=True, slots=True)
class Tool:
    """Something an agent can call.

    Attributes:
        id: An identifier, unique in an index, of any characters; ``namespace.name`` unless the
            source gives one.
        name: The source's name for the tool.
        namespace: The API, server or module that the tool belongs to; may be empty.
        description: What the tool does, in words.
        parameters: JSON Schema of the arguments object, or None if it is not known.
        tags: Labels from the source, such as OpenAPI tags.
        permissions: What a caller must hold to use the tool.
        metadata: Anything else the source knows, such as an operation's method and path.
        origin: The file and place that the tool was read from, for messages; ignored in
            comparisons.
        target: The object that the tool was made from and that runs it, such as a LangChain tool;
            ignored in comparisons, and not kept in an index.
    """

    id: str
    name: str
    namespace: str = ""
    description: str = ""
    parameters: JsonObject | None = None
    tags: tuple[str, ...] = ()
    permissions: Permissions = ()
    metadata: JsonObject = field(default_factory=dict)
    origin: str = field(default="", compare=False)
    target: Any = field(default=None, compare=False, repr=False)

    def is_permitted(self, granted: Collection[str]) -> bool:
        """Whether a caller holding ``granted`` may use this tool."""
        return _satisfies(granted, self.permissions)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool in a demonstration.

    Attributes:
        tool: The id of the tool.
        arguments: The arguments, by name.
        result: What the tool returned; None if that is not known.
    """

    tool: str
    arguments: JsonObject = field(default_factory=dict)
    result: Any = None


RECORDED = "recorded-"
"""Prefix of the ids of demonstrations learnt from use, which exist only in the index."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A worked example: a request and the calls that answered it.

    Attributes:
        id: An identifier, unique in an index.
        text: The request.
        calls: The calls, in order; may be empty for a request that is only labelled.
        tools: Ids of the tools that answer the request, in order of first use, each once. Without
            tools and calls, a demonstration says that such requests need no tool.
        answer: The final reply; may be empty.
        permissions: What a caller must hold to be shown the demonstration, besides being allowed
            its tools.
        origin: The file and place that the demonstration was read from, for messages; ignored in
            comparisons.
    """

    id: str
    text: str
    calls: tuple[Call, ...] = ()
    tools: tuple[str, ...] = ()
    answer: str = ""
    permissions: Permissions = ()
    origin: str = field(default="", compare=False)

    def is_permitted(self, granted: Collection[str]) -> bool:
        """Whether a caller holding ``granted`` may be shown this demonstration."""
        return _satisfies(granted, self.permissions)


def _satisfies(granted: Collection[str], permissions: Permissions) -> bool:
    """Whether ``granted`` includes all of at least one of the alternatives, if there are any."""
    held = frozenset(granted)
    return not permissions or any(needed <= held for needed in permissions)


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the retriever.

    Attributes:
        text: The last thing the user said: the raw request.
        messages: The conversation up to and including the request, oldest first.
        notes: A stored summary of the user, for an LLM that writes the queries.
    """

    text: str
    messages: tuple[Message, ...] = ()
    notes: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """One retrieval query.

    Attributes:
        text: The text to search for.
        kind: The source of the text. ``request`` is the user's own text, ``clause`` a part of
            it, and ``turn`` that text with what the user said before; ``need`` was written by an
            LLM, and ``tool`` is the text of a tool that an LLM wishes for.
    """

    text: str
    kind: Literal["request", "clause", "turn", "need", "tool"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One signal's evidence for or against a tool.

    Attributes:
        signal: The signal's name, such as ``dense`` or ``lexical``.
        value: The signal's own figure, such as a cosine.
        contribution: The amount that the signal added to the hit's log-odds.
    """

    signal: str
    value: float
    contribution: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A tool that was found.

    Attributes:
        tool: The tool.
        score: The estimated probability, 0 to 1, that the request needs this tool, if it needs any.
        evidence: What each signal contributed, largest first; the contributions add up to the
            log-odds of ``score``.
    """

    tool: Tool
    score: float
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class DemoHit:
    """A demonstration that was chosen.

    Attributes:
        demo: The demonstration.
        similarity: Cosine of the demonstration's text and the request's nearest query, -1 to 1.
        reason: Why the demonstration was chosen, in words.
    """

    demo: Demo
    similarity: float
    reason: str
