"""Learning from use: a finished conversation becomes demonstrations.

There is one for each user turn that led to calls which did what was asked. Its request is what the
user said since calls were last answered, so an answer to the assistant's question stands with what
the question was about. A turn that says next to nothing by itself ("do it") is joined to the turn
before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
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
from toolret.turns import Turn, arguments_of, clean, map_values, turns, value_of
from toolret.types import RECORDED, Call, Demo, Permissions, Tool

__all__ = ["Recorded", "Redact", "demonstrations", "record", "redacting"]

Redact: TypeAlias = Callable[[Demo], Demo | None]
"""Receives each demonstration in full before it is shortened or stored, and returns what may be
stored of it, or None for nothing."""

_MOST_SAID = 3
"""How many of a turn's latest user messages make its request: earlier ones were other talk."""

_FEWEST_WORDS = 2
"""A request with fewer content words says nothing without the one before it."""

_LONGEST_TEXT, _LONGEST_ANSWER, _LONGEST_VALUE = 1_000, 500, 300
"""Characters kept of a request, of the answer, and of a result or an argument's text."""

_DEEPEST = 100
"""Levels of nesting of arguments and results: half of what an index stores, so that none fails."""

_REPLACED = re.compile(r"Executed instead: \S+ with arguments \{")
"""What LangChain's ``HumanInTheLoopMiddleware`` writes before the result of a call that a person
edited. The conversation holds the call that the model made, which is the one that was wrong."""

_NOT_THERE = (
    "a turn: nothing to remove, since it was not recorded, or with another redact, private_to or "
    "allow"
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The demonstrations learnt from a conversation.

    Attributes:
        demos: The demonstrations as they are stored, or were until they were removed just now.
        left_out: What could not be learnt from and why, one line each, without quoting anyone.
    """

    demos: tuple[Demo, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the demonstrations, for ``ToolIndex.remove_demos``."""
        return tuple(demo.id for demo in self.demos)


def record(
    index: ToolIndex,
    messages: Iterable[Any],
    *,
    success: bool,
    allow: Allow,
    private_to: Collection[str],
    redact: Redact | None,
) -> Recorded:
    """``ToolRetriever.record``, for an index.

    If not ``success``, what was recorded from the conversation is removed, and only what was there
    is returned. It is found by its text and permissions, so ``redact``, ``private_to`` and
    ``allow`` must be the same as when it was recorded.
    """
    recorded = demonstrations(messages, index, allow=allow, private_to=private_to, redact=redact)
    if not recorded.demos:
        return recorded
    if success:
        index.add_demos(recorded.demos)
        return recorded
    index.refresh()
    there = {demo.id: demo for demo in index.demos}
    removed = tuple(there[id_] for id_ in recorded.ids if id_ in there)
    index.remove_demos(demo.id for demo in removed)
    missing = (_NOT_THERE,) if len(removed) < len(recorded.demos) else ()
    return Recorded(removed, (*recorded.left_out, *missing))


def demonstrations(
    messages: Iterable[Any],
    index: ToolIndex,
    *,
    allow: Allow = None,
    private_to: Collection[str] = (),
    redact: Redact | None = None,
) -> Recorded:
    """Return the demonstrations that a finished conversation yields; nothing is stored.

    Takes the arguments of ``ToolRetriever.record``, and raises the same.
    """
    if wrong := invalid_permissions([private_to]):
        raise DemoError(f"private_to holds {short_repr(wrong[0])}: give a set of permissions")
    permissions: Permissions = (frozenset(private_to),) if private_to else ()
    find = _Finder(index)
    demos: dict[str, Demo] = {}
    found, left_out = turns(messages)
    text = ""
    for turn in found:
        own = "\n".join(turn.said[-_MOST_SAID:])
        text = f"{text}\n{own}".strip() if len(words(own)) < _FEWEST_WORDS else own
        calls = list(_evidence(turn, find, allow, left_out))
        if not calls or not text:
            continue
        demo = Demo(
            id="",
            text=text,
            calls=tuple(calls),
            tools=tuple(dict.fromkeys(call.tool for call in calls)),
            answer=turn.answer,
            permissions=permissions,
        )
        kept = demo if redact is None else _redacted(demo, redact)
        if kept is None:
            left_out.append("a turn: the redaction hook gave nothing of it")
            continue
        stored = _stored(kept)
        known = _curated(stored, index)
        if known is not None:
            left_out.append(f"a turn: the demonstration {known.id!r} says the same")
            continue
        demos[stored.id] = stored
    return Recorded(tuple(demos.values()), tuple(dict.fromkeys(left_out)))


def redacting(scrub: Callable[[str], str]) -> Redact:
    """Make a ``Redact`` from a function of texts, for all of a demonstration except tool ids.

    It is called with the request, the answer, and every key, text and number in arguments and
    results; a number that it changes becomes the text that it returns.
    """

    def scrub_all(value: Any) -> Any:
        if isinstance(value, str):
            return scrub(value)
        said = str(value)
        return value if (kept := scrub(said)) == said else kept

    def redact(demo: Demo) -> Demo:
        calls = tuple(
            Call(c.tool, map_values(c.arguments, scrub_all), map_values(c.result, scrub_all))
            for c in demo.calls
        )
        return replace(demo, text=scrub(demo.text), answer=scrub(demo.answer), calls=calls)

    return redact


def _evidence(turn: Turn, find: _Finder, allow: Allow, left_out: list[str]) -> Iterator[Call]:
    """Yield the calls that did what was asked, each once."""
    seen = set()
    for asked in turn.calls:
        tool = find(asked.name)
        if tool is None:
            left_out.append(f"{short_repr(asked.name)}: the index holds no such tool")
        elif not is_allowed(tool, allow):
            left_out.append(f"{tool.id!r}: the caller may not use it")
        elif asked.result is None:
            left_out.append(f"{tool.id!r}: the call has no result")
        elif asked.failed:
            left_out.append(f"{tool.id!r}: the call failed")
        elif _REPLACED.search(asked.result):
            left_out.append(f"{tool.id!r}: a person replaced the call before it ran")
        else:
            arguments = arguments_of(asked.arguments)
            if arguments is None:
                left_out.append(f"{tool.id!r}: the arguments are no JSON object")
                continue
            if is_deeper_than(arguments, _DEEPEST):
                left_out.append(f"{tool.id!r}: the arguments are nested too deeply")
                continue
            result = value_of(asked.result)
            key = (tool.id, json.dumps(arguments, sort_keys=True))
            if key not in seen:
                seen.add(key)
                yield Call(
                    tool.id, arguments, asked.result if is_deeper_than(result, _DEEPEST) else result
                )


class _Finder:
    """Finds a tool by its name on the wire, its id, or a name that no other tool has."""

    def __init__(self, index: ToolIndex) -> None:
        self._index = index
        self._found: dict[str, Tool | None] = {}

    def __call__(self, name: str) -> Tool | None:
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def _find(self, name: str) -> Tool | None:
        plain = name.replace("__", ".")  # reverses ``wire_name`` where it kept the id
        for id_ in ([plain] if wire_name(plain) == name else []) + [name]:
            if id_ in self._index:
                return self._index.get(id_)
        for tool in self._index:
            if wire_name(tool.id) == name:
                return tool
        named = [tool for tool in self._index if tool.name == name]
        return named[0] if len(named) == 1 else None


def _redacted(demo: Demo, redact: Redact) -> Demo | None:
    try:
        kept = redact(demo)
    except Exception as exc:
        # The message may hold what was to be redacted.
        raise DemoError(
            f"the redaction hook raised {type(exc).__name__}; nothing was recorded"
        ) from exc
    if kept is None:
        return None
    calls = getattr(kept, "calls", ())
    tools = {call.tool for call in calls}
    texts = [getattr(kept, name, None) for name in ("text", "answer")]
    is_demo = isinstance(kept, Demo) and all(isinstance(text, str) for text in texts)
    if not is_demo or not kept.text.strip() or not tools <= set(demo.tools):
        raise DemoError(
            "the redaction hook must give a demonstration with a text and no other tools, or "
            "None; nothing was recorded"
        )
    if not calls:
        return None
    return replace(
        kept, tools=tuple(dict.fromkeys(call.tool for call in calls)), permissions=demo.permissions
    )


def _stored(demo: Demo) -> Demo:
    """Shorten a demonstration, and give it the id of its request, tools and permissions."""
    calls = tuple(
        Call(
            call.tool,
            map_values(call.arguments, _short_value),
            _short_result(call.result),
        )
        for call in demo.calls
    )
    short = replace(
        demo,
        text=first_sentences(clean(demo.text).strip(), _LONGEST_TEXT),
        answer=first_sentences(clean(demo.answer).strip(), _LONGEST_ANSWER),
        calls=calls,
    )
    digest = sha256(json.dumps(_said(short)).encode()).hexdigest()
    return replace(short, id=f"{RECORDED}{digest[:16]}")


def _said(demo: Demo) -> list[Any]:
    """Two demonstrations with this in common are the same: request, tools and permissions."""
    text = " ".join(demo.text.casefold().split())
    return [text, sorted(set(demo.tools)), sorted(sorted(names) for names in demo.permissions)]


def _curated(demo: Demo, index: ToolIndex) -> Demo | None:
    """Find a demonstration in the index that says the same and was not recorded."""
    tools, said = set(demo.tools), _said(demo)
    for other in index.demos:
        if set(other.tools) == tools and _said(other) == said and other.id != demo.id:
            return other
    return None


def _short_value(value: Any) -> Any:
    return first_sentences(value, _LONGEST_VALUE) if isinstance(value, str) else value


def _short_result(result: Any) -> Any:
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    return result if len(text) <= _LONGEST_VALUE else first_sentences(text, _LONGEST_VALUE)
