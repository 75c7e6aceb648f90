from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from openai import OpenAI

from toolret.errors import LLMError
from toolret.llm import Answer, ChatModel, Completion, aask, as_chat_model, ask, json_object
from toolret.testing import OpenAIServer, Reply, ScriptedChatModel

QUESTION = [{"role": "user", "content": "which number?"}]


def number(reply: str) -> int:
    value = json_object(reply, "number").get("number")
    if not isinstance(value, int):
        raise LLMError("number: expected an integer")
    return value


def ask_async(model: ChatModel, *arguments: Any, **options: Any) -> Answer[int]:
    return asyncio.run(aask(model, *arguments, **options))


both = pytest.mark.parametrize("asked", [ask, ask_async])


class Counting(ScriptedChatModel):
    """Says what its replies cost."""

    def complete(self, messages: Any, schema: Any, *, timeout: float) -> Completion:
        reply = super().complete(messages, schema, timeout=timeout)
        return Completion(reply.text, input_tokens=10, output_tokens=len(reply.text))


@both
def test_a_reply_is_read_and_counted(asked: Callable[..., Answer[int]]) -> None:
    answer = asked(Counting('{"number": 7}'), QUESTION, {}, number, deadline=5)
    assert (answer.value, answer.model, answer.calls, answer.cached) == (7, "scripted", 1, False)
    assert (answer.input_tokens, answer.output_tokens) == (10, 13)
    assert 0 <= answer.seconds < 5


@both
def test_a_malformed_reply_is_shown_once_more(asked: Callable[..., Answer[int]]) -> None:
    model = Counting("seven", '{"number": 7}')
    answer = asked(model, QUESTION, {}, number, deadline=5)
    assert (answer.value, answer.calls, answer.input_tokens, answer.output_tokens) == (7, 2, 20, 18)
    assert model.asked[1][:2] == [*QUESTION, {"role": "assistant", "content": "seven"}]
    assert model.asked[1][2]["content"].startswith(
        "Your answer could not be used: the reply is no JSON: 'seven'\n"
    )


@both
def test_a_second_malformed_reply_is_dropped(asked: Callable[..., Answer[int]]) -> None:
    model = Counting("seven", '{"number": "7"}', '{"number": 7}')
    with pytest.raises(LLMError) as raised:
        asked(model, QUESTION, {}, number, deadline=5)
    assert str(raised.value) == (
        "the reply is no JSON: 'seven'; and asked again: number: expected an integer"
    )
    assert len(model.asked) == 2
    assert (raised.value.calls, raised.value.input_tokens, raised.value.output_tokens) == (
        2,
        20,
        20,
    )


@both
def test_a_model_that_fails_is_not_asked_to_repair(asked: Callable[..., Answer[int]]) -> None:
    model = ScriptedChatModel(RuntimeError("down"))
    with pytest.raises(LLMError, match=r"^RuntimeError: down$"):
        asked(model, QUESTION, {}, number, deadline=5)
    assert len(model.asked) == 1


@both
def test_a_passed_deadline_leaves_no_time_to_repair(asked: Callable[..., Answer[int]]) -> None:
    def slow(_: Any) -> str:
        time.sleep(0.6)
        return "seven"

    model = ScriptedChatModel(slow)
    with pytest.raises(LLMError, match=r"no JSON.*asked again: no time is left$"):
        asked(model, QUESTION, {}, number, deadline=0.5)
    assert len(model.asked) == 1


@both
@pytest.mark.parametrize("deadline", [sys.maxsize, math.inf])
def test_a_deadline_may_lie_further_off_than_a_thread_can_wait(
    asked: Callable[..., Answer[int]], deadline: float
) -> None:
    with OpenAIServer(Reply('{"number": 7}', delay=0.1)) as server:
        model = as_chat_model(OpenAI(base_url=server.base_url, api_key="none"), "m")
        assert asked(model, QUESTION, {}, number, deadline=deadline).value == 7


@both
def test_a_long_reply_is_not_sent_back_whole(asked: Callable[..., Answer[int]]) -> None:
    model = ScriptedChatModel("x" * 1_000_000, '{"number": 7}')
    assert asked(model, QUESTION, {}, number, deadline=5).value == 7
    assert len(str(model.asked[1])) < 3_000
