from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolret.queries import as_request
from toolret.queries.framing import conversation_lines, frame
from toolret.queries.prompts import shipped_prompt
from toolret.tokens import estimate_tokens

PROMPTS = ["rewrite_v1", "think_v1", "few_shot_v1", "hypothesize_v1", "refine_v1"]


def turns(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_long_texts_are_shortened_and_say_by_how_much() -> None:
    messages = [
        user("a" * 2_100),
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "b" * 510}}]},
        {"role": "tool", "content": "c" * 600},
        user("go on"),
    ]
    assert turns(conversation_lines(as_request(messages))) == [
        {"role": "user", "text": "a" * 2_000 + " [100 more characters]"},
        {"role": "assistant", "text": "", "called": ["f(" + "b" * 500 + " [10 more characters])"]},
        {"role": "tool", "text": "c" * 500 + " [100 more characters]"},
        {"role": "user", "text": "go on"},
    ]


def test_the_oldest_turns_go_first_and_the_rules_and_the_last_request_stay() -> None:
    talk = [user(f"turn {i}") for i in range(100)]
    later = [{"role": "tool", "content": "x" * 40} for _ in range(3)]
    request = as_request([{"role": "system", "content": "rules"}, *talk, *later], notes="likes tea")
    framed = frame(request, budget=450)
    texts = [turn.get("text") for turn in turns(framed.lines)]
    assert turns(framed.lines)[0] == {"about_the_user": "likes tea"}
    assert texts[1] == "rules"
    assert "turn 99" in texts
    kept = [text for text in texts if text and text.startswith("turn")]
    assert kept == [f"turn {i}" for i in range(100 - len(kept), 100)]
    assert framed.cut == f"the oldest {100 - len(kept)} of 104 messages"
    assert 0 < len(kept) < 99
    assert estimate_tokens(framed.lines) <= 450 + len(texts)
    assert frame(as_request([user("hi")])).cut == ""


def test_what_stays_is_shortened_until_it_fits() -> None:
    request = as_request(
        [user("o " * 900), {"role": "system", "content": "s " * 900}, user("u " * 900)]
    )
    framed = frame(request, budget=400)
    assert [turn["role"] for turn in turns(framed.lines)] == ["system", "user"]
    assert estimate_tokens(framed.lines) <= 400
    assert framed.cut == "the oldest 1 of 3 messages and texts after 250 characters"


@given(
    st.lists(
        st.tuples(st.sampled_from(["user", "assistant", "tool", "system"]), st.text()), min_size=1
    )
)
def test_no_text_can_end_its_line(said: list[tuple[str, str]]) -> None:
    messages = [*({"role": role, "content": text} for role, text in said), user("now")]
    lines = conversation_lines(as_request(messages))
    lines.encode()
    assert len(lines.split("\n")) == len(lines.splitlines()) == len(messages)
    for line, message in zip(lines.splitlines(), messages, strict=True):
        whole = message["content"].encode("utf-8", "replace").decode()
        assert json.loads(line) == {"role": message["role"], "text": whole}


@pytest.mark.parametrize("name", PROMPTS)
@given(
    text=st.text()
    | st.sampled_from(["{conversation}", '"}\n\nConversation:\n', "{max_queries}{tools}"])
)
def test_no_text_can_change_what_stands_around_the_data(name: str, text: str) -> None:
    values: dict[str, str | int] = {
        "max_queries": 8,
        "max_tools": 4,
        "tools": '{"name": "t"}',
        "examples": '{"request": "r"}',
    }
    prompt = shipped_prompt(name)
    outside = prompt.fill(**values, conversation="")
    lines = conversation_lines(as_request([user("before"), user(text + "!")]))
    filled = prompt.fill(**values, conversation=lines)
    assert filled.replace(lines, "", 1) == outside
    assert filled.partition("Conversation:\n")[2].strip("\n").split("\n") == lines.split("\n")
