from __future__ import annotations

from typing import Any

from openai.types.chat import ChatCompletionMessage

from toolret.integrations.openai.forms import as_json
from toolret.integrations.openai.memory import ConversationState, Memory, beginning_digests

SAID: list[dict[str, Any]] = [
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "hi"},
    {"role": "user", "content": "bye"},
]


def test_a_conversation_is_known_by_its_beginning() -> None:
    memory = Memory()
    memory.keep("user", beginning_digests(SAID[:1])[-1], ConversationState(offered=("a",)))
    known = memory.recall(["user"], beginning_digests(SAID))
    assert known is not None
    assert known.offered == ("a",)
    assert memory.recall(["user"], beginning_digests(SAID[1:])) is None
    assert memory.recall(["another user"], beginning_digests(SAID)) is None


def test_the_longest_beginning_counts() -> None:
    memory = Memory()
    for length in (1, 2):
        memory.keep(
            "before",
            beginning_digests(SAID[:length])[-1],
            ConversationState(offered=(str(length),)),
        )
    memory.keep("now", beginning_digests(SAID[:1])[-1], ConversationState(offered=("3",)))
    for length, offered in ((1, "3"), (2, "2"), (3, "2")):
        known = memory.recall(["now", "before"], beginning_digests(SAID[:length]))
        assert known is not None
        assert known.offered == (offered,)


def test_instructions_may_change() -> None:
    for role in ("system", "developer"):
        now, then = ([{"role": role, "content": at}, *SAID] for at in ("10:00", "10:01"))
        assert (
            beginning_digests(now)[-1] == beginning_digests(then)[-1] == beginning_digests(SAID)[-1]
        )


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    memory = Memory(most=2)
    for key in ("a", "b"):
        memory.keep("user", key, ConversationState())
    assert memory.recall(["user"], ["a"])
    memory.keep("user", "c", ConversationState())
    assert memory.recall(["user"], ["b"]) is None
    assert memory.recall(["user"], ["a"])
    assert memory.recall(["user"], ["c"])


def test_an_object_its_dump_and_what_was_kept_of_it_are_the_same() -> None:
    message = ChatCompletionMessage(role="assistant", content="hi")
    assert as_json(message) == as_json(message.model_dump()) == SAID[1]
    assert as_json({"role": "assistant", "content": "hi", "tool_calls": None}) == SAID[1]
    assert as_json({"role": "user", "parts": iter(["a"])})["parts"] == ["a"]
    assert as_json("nonsense") == {}
