from __future__ import annotations

from typing import Any

from openai.types.chat import ChatCompletionMessage

from toolret.integrations.openai.forms import plain
from toolret.integrations.openai.memory import Memory, State, beginnings

SAID: list[dict[str, Any]] = [
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "hi"},
    {"role": "user", "content": "bye"},
]


def test_a_conversation_is_known_by_its_beginning() -> None:
    memory = Memory()
    memory.keep("user", beginnings(SAID[:1])[-1], State(offered=("a",)))
    known = memory.recall(["user"], beginnings(SAID))
    assert known is not None
    assert known.offered == ("a",)
    assert memory.recall(["user"], beginnings(SAID[1:])) is None
    assert memory.recall(["another user"], beginnings(SAID)) is None


def test_the_longest_beginning_counts() -> None:
    memory = Memory()
    for length in (1, 2):
        memory.keep("before", beginnings(SAID[:length])[-1], State(offered=(str(length),)))
    memory.keep("now", beginnings(SAID[:1])[-1], State(offered=("3",)))
    for length, offered in ((1, "3"), (2, "2"), (3, "2")):
        known = memory.recall(["now", "before"], beginnings(SAID[:length]))
        assert known is not None
        assert known.offered == (offered,)


def test_instructions_may_change() -> None:
    for role in ("system", "developer"):
        now, then = ([{"role": role, "content": at}, *SAID] for at in ("10:00", "10:01"))
        assert beginnings(now)[-1] == beginnings(then)[-1] == beginnings(SAID)[-1]


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    memory = Memory(most=2)
    for key in ("a", "b"):
        memory.keep("user", key, State())
    assert memory.recall(["user"], ["a"])
    memory.keep("user", "c", State())
    assert memory.recall(["user"], ["b"]) is None
    assert memory.recall(["user"], ["a"])
    assert memory.recall(["user"], ["c"])


def test_an_object_its_dump_and_what_was_kept_of_it_are_the_same() -> None:
    message = ChatCompletionMessage(role="assistant", content="hi")
    assert plain(message) == plain(message.model_dump()) == SAID[1]
    assert plain({"role": "assistant", "content": "hi", "tool_calls": None}) == SAID[1]
    assert plain({"role": "user", "parts": iter(["a"])})["parts"] == ["a"]
    assert plain("nonsense") == {}
