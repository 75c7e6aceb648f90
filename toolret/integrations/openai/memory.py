"""Remembers what a conversation was offered, by what was said in it.

The APIs are stateless: each request holds the conversation so far. So a request is recognised by
its beginning as the continuation of an earlier one, and no session has to be passed around.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from toolret.prompt.packed import PackedTool
from toolret.recent import Recent
from toolret.types import Demo, JsonObject

__all__ = ["ConversationState", "Memory", "SentTool", "ShownExamples", "beginning_digests"]

_INSTRUCTIONS = ("developer", "system")
"""Roles of messages that instruct the model."""


@dataclass(frozen=True, slots=True)
class ShownExamples:
    """Worked examples that were put into a conversation.

    Attributes:
        before: The number of the user message that they precede, from 0.
        text: The text that was put in.
        demos: The demonstrations, as they were then.
    """

    before: int
    text: str
    demos: tuple[Demo, ...]


@dataclass(frozen=True, slots=True)
class SentTool:
    """A tool that was sent.

    Attributes:
        untrimmed: The whole tool as it was then.
        trimmed: The same tool as it was sent.
    """

    untrimmed: PackedTool
    trimmed: PackedTool


@dataclass(frozen=True, slots=True)
class ConversationState:
    """The state of a conversation after a request.

    Attributes:
        offered: Names of the tools that may change between requests, in the request's order.
        tools: The index's tools among them, as they were sent, by name: a tool once offered keeps
            its form until it changes, however the next selection is trimmed.
        examples: The worked examples, in order.
        callable: Ids of the tools that the model may call, by the names that it sees; the caller's
            own tools have their names as ids.
        found: Names of the tools that the model's own searches have found.
        searches: Ids of the searches in the response, which the next request answers.
        selected: Names of the tools that were chosen for the user's last words.
        begun: Whether tools could be chosen yet: else the next request begins anew.
    """

    offered: tuple[str, ...] = ()
    tools: Mapping[str, SentTool] = field(default_factory=dict)
    examples: tuple[ShownExamples, ...] = ()
    callable: Mapping[str, str] = field(default_factory=dict)
    found: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    selected: tuple[str, ...] = ()
    begun: bool = True

    def for_continuation(self, searches: tuple[str, ...] = ()) -> ConversationState:
        """Return the state for a request that holds only what is new: the provider has the rest.

        Args:
            searches: Ids of the searches in the response that it continues.
        """
        return replace(self, examples=(), searches=searches)


class Memory:
    """The states of the latest requests; thread-safe.

    Args:
        most: How many requests to remember.
    """

    def __init__(self, most: int = 5_000) -> None:
        self._states: Recent[tuple[str, str], ConversationState] = Recent(most)

    def recall(self, owners: Sequence[str], beginnings: Sequence[str]) -> ConversationState | None:
        """Return the state of the longest beginning that is known.

        Args:
            owners: The owners that it may have, as in ``keep``; the first that has one counts.
            beginnings: Digests as ``beginning_digests`` returns them.
        """
        for beginning in reversed(beginnings):
            for owner in owners:
                if (state := self._states.get((owner, beginning))) is not None:
                    return state
        return None

    def keep(self, owner: str, beginning: str, state: ConversationState) -> None:
        """Remember a state; evict the least recently used one if there are too many.

        Args:
            owner: Anything but the conversation that must be the same to recall it.
            beginning: The conversation so far: one of what ``beginning_digests`` returns.
            state: The state.
        """
        self._states.put((owner, beginning), state)


def beginning_digests(items: Sequence[JsonObject]) -> list[str]:
    """Return a digest for each beginning of a conversation, shortest first.

    Instructions are ignored: many programs write the time, or what they know of the user, into each
    request anew.

    Args:
        items: The conversation's items, as ``forms.as_json`` returns them.
    """
    key = ""
    digests = [key]
    for item in items:
        if item.get("role") not in _INSTRUCTIONS:
            key = sha256(f"{key}{json.dumps(item, sort_keys=True)}".encode()).hexdigest()
        digests.append(key)
    return digests
