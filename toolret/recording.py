"""Learning from use: a finished conversation becomes demonstrations.

There is a demonstration for each user turn that led to calls which did what was asked. Its request
is what the user said since calls were last answered, so an answer to the assistant's question
stands with what the question was about. A turn that says next to nothing by itself ("do it") is
joined to the turn before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, TypeAlias

from toolret.errors import DemoError
from toolret.index import ToolIndex
from toolret.json_values import is_deeper_than, short_repr
from toolret.permissions import Allow, invalid_permissions, is_allowed
from toolret.prompt.trimming import first_sentences
from toolret.text.lexical import words
from toolret.text.names import wire_name
from toolret.text.surrogates import drop_surrogates
from toolret.turns import Turn, TurnCall, arguments_of, map_values, turns, value_of
from toolret.types import RECORDED, Call, Demo, Permissions, Tool

__all__ = ["RecordReport", "Redact", "demonstrations", "record", "redacting"]

Redact: TypeAlias = Callable[[Demo], Demo | None]
"""A function that gets each demonstration in full, before it is shortened or stored, and returns
what may be stored of it, or None for nothing."""

_MOST_SAID = 3
"""How many of a turn's latest user messages make up its request: earlier ones were about other
things."""

_FEWEST_WORDS = 2
"""The fewest content words of a request that can be understood without the one before it."""

_LONGEST_TEXT = 1_000
"""How many characters of a request are kept."""

_LONGEST_ANSWER = 500
"""How many characters of the answer are kept."""

_LONGEST_VALUE = 300
"""How many characters of a result, or of a text among the arguments, are kept."""

_MOST_ENTRIES = 20
"""How many entries of a list among the arguments are kept: as an example, the first will do."""

_DEEPEST = 100
"""How many levels deep arguments and results may be nested: half of what an index stores, so that
storing them cannot fail."""

_REPLACED = re.compile(r"Executed instead: \S+ with arguments \{")
"""What LangChain's ``HumanInTheLoopMiddleware`` writes before the result of a call that a person
edited. The conversation holds the call that the model made, which is the one that was wrong."""

_NOTHING_TO_REMOVE = (
    "a turn: nothing to remove, since it was not recorded, or with another redact, private_to or "
    "allow"
)
"""The line that tells why a demonstration could not be removed."""


@dataclass(frozen=True, slots=True)
class RecordReport:
    """What was recorded of a conversation.

    Attributes:
        demos: The demonstrations as they are stored, or were until they were removed just now.
        left_out: What could not be learnt from and why, one line each, without quoting anyone.
    """

    demos: tuple[Demo, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the demonstrations, for ``ToolIndex.remove_demos``."""
        return tuple(demo.id for demo in self.demos)


def record(
    index: ToolIndex,
    messages: Iterable[Any],
    *,
    success: bool,
    allow: Allow,
    private_to: Collection[str],
    redact: Redact | None,
) -> RecordReport:
    """Store the demonstrations of a finished conversation in an index, or remove them from it.

    They are removed if the conversation was no ``success``; then those that were stored are
    returned. They are found by their texts and permissions, so ``redact``, ``private_to`` and
    ``allow`` must be the same as when they were recorded. ``ToolRetriever.record`` describes the
    arguments.
    """
    if not success:
        index.refresh()
    recorded = demonstrations(
        messages, index, allow=allow, private_to=private_to, redact=redact, stored=not success
    )
    if not recorded.demos:
        return recorded
    if success:
        index.add_demos(recorded.demos)
        return recorded
    stored = {demo.id: demo for demo in index.demos}
    removed = tuple(stored[id_] for id_ in recorded.ids if id_ in stored)
    index.remove_demos(demo.id for demo in removed)
    missing = (_NOTHING_TO_REMOVE,) if len(removed) < len(recorded.demos) else ()
    return RecordReport(removed, (*recorded.left_out, *missing))


def demonstrations(
    messages: Iterable[Any],
    index: ToolIndex,
    *,
    allow: Allow = None,
    private_to: Collection[str] = (),
    redact: Redact | None = None,
    stored: bool = False,
) -> RecordReport:
    """Return the demonstrations that a finished conversation yields; nothing is stored.

    The arguments and the errors are those of ``ToolRetriever.record``. With ``stored``, what it may
    have yielded earlier is returned: also demonstrations with tools that have left the index since,
    and those that say the same as a curated one.
    """
    if wrong := invalid_permissions([private_to]):
        raise DemoError(f"private_to holds {short_repr(wrong[0])}: give a set of permissions")
    permissions: Permissions = (frozenset(private_to),) if private_to else ()
    find = _Finder(index, gone=stored)
    demos: dict[str, Demo] = {}
    grouped, left_out = turns(messages)
    text = ""
    for turn in grouped:
        own = "\n".join(turn.said[-_MOST_SAID:])
        text = f"{text}\n{own}".strip() if len(words(own)) < _FEWEST_WORDS else own
        calls, skipped = _successful_calls(turn, find, allow)
        left_out += skipped
        if not calls:
            continue
        if not text:  # an image alone, say
            left_out.append("a turn: the user said nothing in words")
            continue
        demo = Demo(
            id="",
            text=text,
            calls=tuple(calls),
            tools=tuple(dict.fromkeys(call.tool for call in calls)),
            answer=turn.answer,
            permissions=permissions,
        )
        redacted = demo if redact is None else _redact(demo, redact)
        if redacted is None:
            left_out.append("a turn: the redaction hook gave nothing of it")
            continue
        short = _as_stored(redacted)
        if not stored and (same := _find_curated(short, index)) is not None:
            left_out.append(f"a turn: the demonstration {same.id!r} says the same")
            continue
        demos[short.id] = short
    return RecordReport(tuple(demos.values()), tuple(dict.fromkeys(left_out)))


def redacting(scrub: Callable[[str], str]) -> Redact:
    """Return a ``Redact`` that applies a function to all texts of a demonstration but tool ids.

    Args:
        scrub: The function. It is called with the request, the answer, and every key, text and
            number in arguments and results; a number that it changes becomes the text that it
            returns.
    """

    def scrub_all(value: Any) -> Any:
        if isinstance(value, str):
            return scrub(value)
        text = str(value)
        return value if (scrubbed := scrub(text)) == text else scrubbed

    def redact(demo: Demo) -> Demo:
        calls = tuple(
            Call(c.tool, map_values(c.arguments, scrub_all), map_values(c.result, scrub_all))
            for c in demo.calls
        )
        return replace(demo, text=scrub(demo.text), answer=scrub(demo.answer), calls=calls)

    return redact


def _successful_calls(turn: Turn, find: _Finder, allow: Allow) -> tuple[list[Call], list[str]]:
    """Return the calls that did what was asked, each once, and why others were left out."""
    calls: dict[tuple[str, str], Call] = {}
    left_out = []
    for call in turn.calls:
        tool = find(call.name)
        if tool is None:
            left_out.append(f"{short_repr(call.name)}: {find.why_none(call.name)}")
            continue
        # Of a tool that is gone nobody can say any more who may use it.
        outcome = _as_successful(call, tool, None if tool.id in find.gone else allow)
        if isinstance(outcome, str):
            left_out.append(f"{tool.id!r}: {outcome}")
        else:
            calls.setdefault((tool.id, json.dumps(outcome.arguments, sort_keys=True)), outcome)
    return list(calls.values()), left_out


def _as_successful(call: TurnCall, tool: Tool, allow: Allow) -> Call | str:
    """Return a call for a demonstration, or why nothing can be learnt from it."""
    if not is_allowed(tool, allow):
        return "the caller may not use it"
    if call.result is None:
        return "the call has no result"
    if call.failed:
        return "the call failed"
    if _REPLACED.search(call.result):
        return "a person replaced the call before it ran"
    arguments = arguments_of(call.arguments)
    if arguments is None:
        return "the arguments are no JSON object"
    if is_deeper_than(arguments, _DEEPEST):
        return "the arguments are nested too deeply"
    result = value_of(call.result)
    return Call(tool.id, arguments, call.result if is_deeper_than(result, _DEEPEST) else result)


class _Finder:
    """Finds a tool of an index by its name on the wire, its id, or its name if that is unique.

    Args:
        index: The index.
        gone: Also find, by name on the wire or id, the tools that the index no longer holds but
            that its demonstrations use.

    Attributes:
        gone: The ids of these tools.
    """

    def __init__(self, index: ToolIndex, *, gone: bool) -> None:
        self._index = index
        used = {tool for demo in index.demos for tool in demo.tools} if gone else ()
        self.gone = frozenset(tool for tool in used if tool not in index)
        self._tools: dict[str, Tool | None] = {}

    def __call__(self, name: str) -> Tool | None:
        if name not in self._tools:
            self._tools[name] = self._find(name)
        return self._tools[name]

    def _find(self, name: str) -> Tool | None:
        plain = name.replace("__", ".")  # reverses ``wire_name`` where it kept the id
        for id_ in ([plain] if wire_name(plain) == name else []) + [name]:
            if id_ in self._index:
                return self._index.get_tool(id_)
        for tool in self._index:
            if wire_name(tool.id) == name:
                return tool
        for id_ in self.gone:
            if name in (id_, wire_name(id_)):
                return Tool(id_, id_)
        same_name = self._tools_named(name)
        return same_name[0] if len(same_name) == 1 else None

    def why_none(self, name: str) -> str:
        """Say why no tool is found by a name."""
        what = "several tools of that name" if self._tools_named(name) else "no such tool"
        return f"the index holds {what}"

    def _tools_named(self, name: str) -> list[Tool]:
        return [tool for tool in self._index if tool.name == name]


def _redact(demo: Demo, redact: Redact) -> Demo | None:
    """Return what a redaction hook leaves of a demonstration; None if it leaves no call.

    Raises:
        DemoError: If the hook raises anything, or returns anything else.
    """
    try:
        redacted = redact(demo)
    except Exception as exc:
        # The message may hold what was to be redacted.
        raise DemoError(
            f"the redaction hook raised {type(exc).__name__}; nothing was recorded"
        ) from exc
    if redacted is None:
        return None
    calls = getattr(redacted, "calls", ())
    tools = {call.tool for call in calls}
    texts = [getattr(redacted, name, None) for name in ("text", "answer")]
    is_demo = isinstance(redacted, Demo) and all(isinstance(text, str) for text in texts)
    if not is_demo or not redacted.text.strip() or not tools <= set(demo.tools):
        raise DemoError(
            "the redaction hook must give a demonstration with a text and no other tools, or "
            "None; nothing was recorded"
        )
    if not calls:
        return None
    tools_called = tuple(dict.fromkeys(call.tool for call in calls))
    return replace(redacted, tools=tools_called, permissions=demo.permissions)


def _as_stored(demo: Demo) -> Demo:
    """Return a demonstration shortened, with the id of its request, tools and permissions."""
    calls = tuple(
        Call(call.tool, _stored_value(call.arguments), _stored_result(call.result))
        for call in demo.calls
    )
    short = replace(
        demo,
        text=first_sentences(drop_surrogates(demo.text).strip(), _LONGEST_TEXT),
        answer=first_sentences(drop_surrogates(demo.answer).strip(), _LONGEST_ANSWER),
        calls=calls,
    )
    digest = sha256(json.dumps(_demo_identity(short)).encode()).hexdigest()
    return replace(short, id=f"{RECORDED}{digest[:16]}")


def _demo_identity(demo: Demo) -> list[Any]:
    """Return what makes two demonstrations count as the same, as JSON values."""
    text = " ".join(demo.text.casefold().split())
    return [text, sorted(set(demo.tools)), sorted(sorted(names) for names in demo.permissions)]


def _find_curated(demo: Demo, index: ToolIndex) -> Demo | None:
    """Return a demonstration of the index that says the same but was not recorded, if any."""
    tools, identity = set(demo.tools), _demo_identity(demo)
    for other in index.demos:
        if set(other.tools) == tools and _demo_identity(other) == identity and other.id != demo.id:
            return other
    return None


def _stored_value(value: Any) -> Any:
    """Return arguments, or a value among them, with long texts and lists shortened."""
    if isinstance(value, Mapping):
        return {_stored_value(key): _stored_value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_stored_value(inner) for inner in value[:_MOST_ENTRIES]]
    return first_sentences(value, _LONGEST_VALUE) if isinstance(value, str) else value


def _stored_result(result: Any) -> Any:
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    return result if len(text) <= _LONGEST_VALUE else first_sentences(text, _LONGEST_VALUE)
