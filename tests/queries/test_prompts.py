"""The prompts as an LLM gets them: who changes one gives it a new version and a new snapshot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import demo, tool
from toolret.errors import InputError
from toolret.queries import (
    FewShot,
    Question,
    Refine,
    Rewrite,
    Strategy,
    StrategyContext,
    as_request,
)
from toolret.queries.framing import conversation_lines
from toolret.queries.prompts import as_prompt
from toolret.queries.strategies import as_strategy
from toolret.types import Demo, Query, Tool

SNAPSHOTS = Path(__file__).parent / "snapshots"

REQUEST = as_request(
    [
        {"role": "user", "content": 'Where is "48812"?'},
        {"role": "assistant", "content": "In picking."},
        {"role": "user", "content": "cancel it"},
    ],
    notes="Runs the York shop.",
)
CANCEL = tool("cancel_order", "Cancel an order before it ships.")


class Shelf:
    def tools(self, queries: object, k: int) -> list[Tool]:
        return [CANCEL]

    def demos(self, text: str, k: int) -> list[tuple[Demo, list[Tool]]]:
        return [(demo("d1", "please stop my purchase", "cancel_order"), [CANCEL])]


CONTEXT = StrategyContext(REQUEST, conversation_lines(REQUEST), Shelf())


def last_question(strategy: Strategy) -> Question:
    """The last that a strategy asks, if every reply is one query."""
    steps = strategy.steps(CONTEXT)
    asked = None
    step = next(steps)
    while True:
        try:
            if isinstance(step, Question):
                asked = step
                step = steps.send(("stop a purchase",))
            else:
                step = steps.send(step())
        except StopIteration:
            assert asked is not None
            return asked


@pytest.mark.parametrize("name", ["rewrite", "think", "few-shot", "hypothesize", "refine"])
def test_prompts_are_as_they_were(name: str) -> None:
    file = SNAPSHOTS / f"{name.replace('-', '_')}_v1.txt"
    assert last_question(as_strategy(name)).prompt == file.read_text("utf-8")


def test_the_users_own_prompt_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    text = 'At most {max_queries}. {"queries": []}. Now {conversation}'
    file = tmp_path / "mine_v3.txt"
    file.write_text(text, "utf-8")
    for prompt in (text, file):
        asked = last_question(Rewrite(prompt, max_queries=2)).prompt
        assert asked == f'At most 2. {{"queries": []}}. Now {CONTEXT.conversation}'
    assert as_prompt(file, "rewrite_v1", needs=["max_queries"]).name == "mine_v3"


def test_a_prompt_that_cannot_be_used_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"'own' lacks \{conversation\}: .* needs \{max_queries\}, \{con"
    ):
        Rewrite("at most {max_queries}: {conversaton}")
    with pytest.raises(InputError, match=r"lacks \{examples\}"):
        FewShot("{max_queries} {conversation}")
    with pytest.raises(InputError, match=r"lacks \{tools\}"):
        Refine(prompt="{max_queries} {conversation}")
    with pytest.raises(InputError, match=r"none\.txt.*cannot be read: No such file"):
        Rewrite(tmp_path / "none.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="it is not UTF-8"):
        Rewrite(tmp_path / "bytes.txt")


def test_queries_are_needs() -> None:
    steps = Rewrite().steps(CONTEXT)
    next(steps)
    with pytest.raises(StopIteration) as done:
        steps.send(("stop a purchase",))
    assert done.value.value == (Query("stop a purchase", "need"),)
