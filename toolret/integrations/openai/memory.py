"""What was offered in a conversation, remembered by what was said in it.

The APIs are stateless: each request holds the conversation so far. So a request is recognized as
the continuation of an earlier one by its beginning, and no session has to be carried around.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from toolret.recent import Recent
from toolret.trimming import PackedTool
from toolret.types import JsonObject

__all__ = ["Memory", "Shown", "State", "keys"]

_INSTRUCTIONS = ("developer", "system")


@dataclass(frozen=True, slots=True)
class Shown:
    """Worked examples that were put into a conversation.

    Attributes:
        before: Before which of the user's messages, from 0.
        text: As they were put.
        demos: Ids of the demonstrations.
        tools: Ids of all tools that these use.
    """

    before: int
    text: str
    demos: frozenset[str]
    tools: frozenset[str]


@dataclass(frozen=True, slots=True)
class State:
    """What a request offered.

    Attributes:
        offered: Names of the tools that come and go, in the order of the request.
        tools: Those of the index among them as they were written, by name: a tool once offered
            stays as it was, however the next selection is trimmed.
        examples: The worked examples, in order.
        callable: What the model may call, as the ids of the tools (or the names, of the caller's
            own) by the names that it sees.
    """

    offered: tuple[str, ...] = ()
    tools: Mapping[str, PackedTool] = field(default_factory=dict)
    examples: tuple[Shown, ...] = ()
    callable: Mapping[str, str] = field(default_factory=dict)

    def carried(self) -> State:
        """The same for a request that holds only what is new, the rest being at the provider."""
        return replace(self, examples=())


class Memory:
    """The states of the latest conversations; for threads.

    Args:
        most: How many requests to remember.
    """

    def __init__(self, most: int = 5_000) -> None:
        self._states: Recent[str, State] = Recent(most)

    def recall(self, beginnings: Sequence[str]) -> State | None:
        """The state of the longest beginning that is known, of those given shortest first."""
        found = (self._states.get(key) for key in reversed(beginnings))
        return next((state for state in found if state is not None), None)

    def keep(self, key: str, state: State) -> None:
        """Remember a state; the one that was not used for longest is forgotten for it."""
        self._states.put(key, state)


def keys(seed: str, items: Sequence[JsonObject]) -> list[str]:
    """A key for each beginning of a conversation, shortest first.

    Instructions do not count: many programs write the time, or what they know of the user, anew
    into each request.

    Args:
        seed: What else must be the same.
        items: Of the conversation, as ``forms.plain`` gives them.
    """
    key = sha256(seed.encode()).hexdigest()
    found = [key]
    for item in items:
        if item.get("role") not in _INSTRUCTIONS:
            key = sha256(f"{key}{json.dumps(item, sort_keys=True)}".encode()).hexdigest()
        found.append(key)
    return found
