from __future__ import annotations

from typing import Any

from openai.types.chat import ChatCompletionMessage

from toolret.integrations.openai.forms import plain
from toolret.integrations.openai.memory import Memory, State, keys

SAID: list[dict[str, Any]] = [
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "hi"},
    {"role": "user", "content": "bye"},
]


def test_a_conversation_is_known_by_its_beginning() -> None:
    memory = Memory()
    memory.keep(keys("", SAID[:1])[-1], State(offered=("a",)))
    known = memory.recall(keys("", SAID))
    assert known is not None
    assert known.offered == ("a",)
    assert memory.recall(keys("", SAID[1:])) is None
    assert memory.recall(keys("another user", SAID)) is None


def test_the_longest_beginning_counts() -> None:
    memory = Memory()
    for length in (1, 2):
        memory.keep(keys("", SAID[:length])[-1], State(offered=(str(length),)))
    known = memory.recall(keys("", SAID))
    assert known is not None
    assert known.offered == ("2",)


def test_instructions_may_change() -> None:
    for role in ("system", "developer"):
        now, then = ([{"role": role, "content": at}, *SAID] for at in ("10:00", "10:01"))
        assert keys("", now)[-1] == keys("", then)[-1] == keys("", SAID)[-1]


def test_what_was_not_used_for_longest_is_forgotten() -> None:
    memory = Memory(most=2)
    for key in ("a", "b"):
        memory.keep(key, State())
    assert memory.recall(["a"])
    memory.keep("c", State())
    assert memory.recall(["b"]) is None
    assert memory.recall(["a"])
    assert memory.recall(["c"])


def test_an_object_its_dump_and_what_was_kept_of_it_are_the_same() -> None:
    message = ChatCompletionMessage(role="assistant", content="hi")
    assert plain(message) == plain(message.model_dump()) == SAID[1]
    assert plain({"role": "assistant", "content": "hi", "tool_calls": None}) == SAID[1]
    assert plain({"role": "user", "parts": iter(["a"])})["parts"] == ["a"]
    assert plain("nonsense") == {}
