"""Reranking: a second, slower look at the top of a ranking; off unless a reranker is given.

A reranker only scores the tools that it is shown, all of which the caller may use, and ``reorder``
turns the scores into an order. So no reranker can add or lose a tool.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from toolret.embedders.model_files import find_model, hide_progress_bar
from toolret.errors import EmbedderError, LLMError, message_of
from toolret.forking import RenewedLock
from toolret.llm import Messages, aask, as_chat_model, ask
from toolret.llm.failures import foreign_failure
from toolret.llm.replies import parse_reply_as
from toolret.llm.shipped import prompt_text
from toolret.options import of_kind, seconds, whole_number
from toolret.queries.framing import conversation_lines, json_lines, truncate
from toolret.text.rendering import tool_text
from toolret.types import Evidence, Hit, JsonObject, Request, Tool

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

__all__ = [
    "CrossEncoderReranker",
    "LLMReranker",
    "Reranker",
    "Reranking",
    "ascore_tools",
    "checked_reranker",
    "order_schema",
    "parse_order",
    "render_candidates",
    "reorder",
    "score_tools",
]

_log = logging.getLogger(__name__)

_PROMPT = "rerank_v1"

_DEPTH = 20
"""How many tools are reranked by default: few right ones are left beyond the first 20 of a ranking,
and an LLM's reply takes longer the more it has to order."""

_LONGEST_DESCRIPTION = 300
"""How many characters of a tool's description the LLM sees: the beginning says what it does."""


@dataclass(frozen=True, slots=True)
class Reranking:
    """A reranker's verdict on some tools.

    Attributes:
        scores: A score for each tool, in any unit; higher is better, and ties keep their order.
            None leaves the whole order as it was.
        note: What went wrong, in one line; empty if nothing did.
    """

    scores: tuple[float, ...] | None
    note: str = ""


@runtime_checkable
class Reranker(Protocol):
    """Scores the top of a ranking; it should not raise because of a model or a network.

    If it raises, or returns something else, the order stays as it was, ``Selection.note`` says so,
    and so does the log unless an LLM failed. Other errors of toolret's own, such as a
    ``ReplayError``, are raised.
    """

    @property
    def depth(self) -> int:
        """The most tools that it wants to see."""
        ...

    def score(self, request: Request, tools: Sequence[Tool]) -> Reranking:
        """Score the tools, which come in the order of the ranking."""
        ...

    async def ascore(self, request: Request, tools: Sequence[Tool]) -> Reranking:
        """Score the tools; the asynchronous version of ``score``."""
        ...


class CrossEncoderReranker:
    """A sentence-transformers cross-encoder, reading the request with each tool's text.

    After Nogueira and Cho, *Passage Re-ranking with BERT* (2019, arXiv:1901.04085). It reads only
    the last request, and knows nothing of demonstrations.

    Args:
        model: The model's name on the hub, its folder, or a ``CrossEncoder``.
        depth: How many tools to rerank.
        device: The device, such as ``cpu`` or ``cuda``; by default, sentence-transformers chooses.
        batch_size: How many pairs of request and tool are scored in one forward pass.

    Raises:
        EmbedderError: If the model cannot be found or loaded, or gives several scores per pair.
        InputError: If ``depth`` or ``batch_size`` is no whole number of 1 or more.
    """

    def __init__(
        self,
        model: str | Path | CrossEncoder,
        *,
        depth: int = _DEPTH,
        device: str | None = None,
        batch_size: int = 32,
    ) -> None:
        self.depth = whole_number("depth", depth)
        self._batch_size = whole_number("batch_size", batch_size)
        self._name = str(model) if isinstance(model, (str, Path)) else type(model).__name__
        self._model = _load(str(model), device) if isinstance(model, (str, Path)) else model
        self._turn = RenewedLock()
        if self._model.num_labels != 1:
            raise EmbedderError(
                f"cross-encoder {self._name!r} gives {self._model.num_labels} scores for a pair: "
                "take one that was made for ranking, which gives one"
            )

    def score(self, request: Request, tools: Sequence[Tool]) -> Reranking:
        """Return the model's scores, or None and a note if it fails."""
        pairs = [(request.text, tool_text(tool)) for tool in tools]
        try:
            with self._turn.current:  # Tokenizers refuse to be used by two threads at once.
                scores = self._model.predict(
                    pairs, batch_size=self._batch_size, show_progress_bar=False
                )
        # Torch and tokenizers may raise anything: an IndexError for a token without a vector.
        except Exception as error:  # noqa: BLE001
            return _unchanged(self._name, f"{type(error).__name__}: {message_of(error)}")
        return Reranking(tuple(map(float, scores)))

    async def ascore(self, request: Request, tools: Sequence[Tool]) -> Reranking:
        """Return the model's scores, computed by ``score`` in a worker thread."""
        return await asyncio.to_thread(self.score, request, tools)


class LLMReranker:
    """An LLM that sees the conversation and all candidates at once, and writes their order.

    The listwise method of Sun et al., *Is ChatGPT Good at Search?* (2023, arXiv:2304.09542).

    Args:
        llm: An ``openai`` client, a LangChain chat model, or a callable from messages to text.
        model: The model's name; required with an ``openai`` client.
        depth: How many tools to show the LLM.
        deadline: The timeout in seconds, after which the order is left as it was.
        cache: The file in which replies are cached; by default none.

    Raises:
        LLMError: If ``llm`` is of no known kind, or the model's name is missing.
        InputError: If ``depth`` is no whole number of 1 or more, or ``deadline`` is not above 0.
    """

    def __init__(
        self,
        llm: Any,
        *,
        model: str | None = None,
        depth: int = _DEPTH,
        deadline: float = 8.0,
        cache: str | Path | None = None,
    ) -> None:
        self.depth = whole_number("depth", depth)
        self._model = as_chat_model(llm, model, cache=cache)
        self._deadline = seconds("deadline", deadline)

    def score(self, request: Request, tools: Sequence[Tool]) -> Reranking:
        """Score each tool by its place in the LLM's order, with 0 for those that it left out."""
        messages, parse = _question(request, tools)
        try:
            answer = ask(self._model, messages, order_schema(), parse, deadline=self._deadline)
        except LLMError as error:
            return _unchanged(self._model.name, str(error))
        return self._reranking(*answer.value, count=len(tools))

    async def ascore(self, request: Request, tools: Sequence[Tool]) -> Reranking:
        """Score the tools; the asynchronous version of ``score``."""
        messages, parse = _question(request, tools)
        try:
            answer = await aask(
                self._model, messages, order_schema(), parse, deadline=self._deadline
            )
        except LLMError as error:
            return _unchanged(self._model.name, str(error))
        return self._reranking(*answer.value, count=len(tools))

    def _reranking(self, order: Sequence[int], unknown: bool, *, count: int) -> Reranking:
        if not order:
            return _unchanged(self._model.name, "it named none of the tools")
        places = {tool: place for place, tool in enumerate(order, start=1)}
        scores = tuple(1 / places[tool] if tool in places else 0.0 for tool in range(count))
        note = f"{self._model.name} named tools that it was not shown" if unknown else ""
        return Reranking(scores, note)


def checked_reranker(reranker: Reranker | None) -> Reranker | None:
    """Return the argument unchanged, if it is a reranker or None.

    Raises:
        TypeError: If it is anything else.
        InputError: If its ``depth`` is no whole number of 0 or more.
    """
    give = "an object with depth, score and ascore, such as LLMReranker(llm)"
    of_kind("reranker", reranker, Reranker | None, give)
    if reranker is not None:
        whole_number("reranker.depth", reranker.depth, least=0)
    return reranker


def score_tools(reranker: Reranker, request: Request, tools: Sequence[Tool]) -> Reranking:
    """Return a reranker's verdict on tools; if it fails, one that leaves the order as it was.

    The reranker may be anyone's code, so an error other than an LLM's failure is logged.

    Raises:
        ToolretError: If the reranker raised one that is no failure of an LLM, such as a
            ``ReplayError``.
    """
    try:
        return _checked_reranking(reranker.score(request, tools))
    except Exception as error:  # noqa: BLE001 - the caller's agent goes on
        return _after_failure(reranker, error)


async def ascore_tools(reranker: Reranker, request: Request, tools: Sequence[Tool]) -> Reranking:
    """Return a reranker's verdict on tools; the asynchronous version of ``score_tools``."""
    try:
        return _checked_reranking(await reranker.ascore(request, tools))
    except Exception as error:  # noqa: BLE001 - as above
        return _after_failure(reranker, error)


def _checked_reranking(reranking: Any) -> Reranking:
    """Return what a reranker returned, with its scores as floats.

    Raises:
        TypeError, ValueError: If it is no ``Reranking`` with numbers for scores.
    """
    if not isinstance(reranking, Reranking) or not isinstance(reranking.note, str):
        kind = type(reranking).__name__
        raise TypeError(f"it gave an object of the type {kind}: give a Reranking with a text note")
    scores = reranking.scores
    return replace(reranking, scores=None if scores is None else tuple(map(float, scores)))


def _after_failure(reranker: Reranker, error: Exception) -> Reranking:
    """Return the verdict in place of that of a reranker that failed; log or raise the error."""
    name = type(reranker).__name__
    return _unchanged(name, foreign_failure(_log, f"the reranker {name}", error))


def reorder(hits: Sequence[Hit], reranking: Reranking) -> tuple[tuple[Hit, ...], str]:
    """Return the hits by descending score, and a note if something failed; ties keep their order.

    The places keep their probabilities: the ranking estimated how likely the first tool is needed,
    and how many tools are likely; the reranker only says which tools they are. What a hit gains or
    loses by its new place is its evidence ``reranked``.
    """
    scores = reranking.scores
    if scores is None:
        return tuple(hits), reranking.note
    if len(scores) != len(hits) or not all(map(math.isfinite, scores)):
        problem = f"not reranked, since there were not {len(hits)} finite scores for as many tools"
        return tuple(hits), problem
    order = sorted(range(len(hits)), key=lambda i: -scores[i])
    moved = [_moved(hits[i], place, scores[i]) for i, place in zip(order, hits, strict=True)]
    return tuple(moved), reranking.note


def _moved(hit: Hit, place: Hit, score: float) -> Hit:
    """Return a hit moved to the place of another, with that one's probability."""
    gained = Evidence("reranked", value=score, contribution=_log_odds(place) - _log_odds(hit))
    evidence = sorted((*hit.evidence, gained), key=lambda item: -abs(item.contribution))
    return replace(hit, score=place.score, evidence=tuple(evidence))


def _log_odds(hit: Hit) -> float:
    return math.fsum(item.contribution for item in hit.evidence)


@dataclass
class _OrderReply:
    """The reply that the LLM is asked for: the tools' numbers from 1 on, best first."""

    order: list[int]


def order_schema() -> JsonObject:
    """Return the JSON Schema of the reply, within the rules of structured output."""
    return {
        "type": "object",
        "properties": {"order": {"type": "array", "items": {"type": "integer"}}},
        "required": ["order"],
        "additionalProperties": False,
    }


def parse_order(reply: str, count: int) -> tuple[tuple[int, ...], bool]:
    """Parse the order that an LLM's reply gives to ``count`` tools.

    Returns:
        The tools' positions, from 0 on, each once; and whether the reply named tools that it was
        not shown.

    Raises:
        LLMError: If the reply holds no JSON that follows ``order_schema``.
    """
    numbers = parse_reply_as(_OrderReply, reply).order
    known = dict.fromkeys(number - 1 for number in numbers if 1 <= number <= count)
    return tuple(known), any(not 1 <= number <= count for number in numbers)


def render_candidates(request: Request, tools: Sequence[Tool]) -> str:
    """Return the prompt: conversation and tools as JSON lines, which no text can break out of."""
    candidates = json_lines(_candidate(number, tool) for number, tool in enumerate(tools, start=1))
    return prompt_text(_PROMPT).format(
        count=len(tools), conversation=conversation_lines(request), tools=candidates
    )


def _candidate(number: int, tool: Tool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"number": number}
    if tool.namespace:
        candidate["namespace"] = tool.namespace
    description = truncate(tool.description, _LONGEST_DESCRIPTION)
    return candidate | {"name": tool.name, "description": description}


def _question(
    request: Request, tools: Sequence[Tool]
) -> tuple[Messages, Callable[[str], tuple[tuple[int, ...], bool]]]:
    """Return the messages that ask for the order of tools, and the parser of the reply."""
    messages = [{"role": "user", "content": render_candidates(request, tools)}]
    return messages, partial(parse_order, count=len(tools))


def _unchanged(model: str, reason: str) -> Reranking:
    """Return the verdict that leaves the order as it was, since a model failed."""
    reason = " ".join(reason.split())
    return Reranking(None, f"not reranked, since {model} failed: {reason}")


def _load(name: str, device: str | None) -> CrossEncoder:
    from sentence_transformers import CrossEncoder

    folder = find_model(name)
    try:
        with hide_progress_bar():
            model: CrossEncoder = CrossEncoder(str(folder), device=device, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise EmbedderError(
            f"cannot load the cross-encoder {name!r} from {folder}: {error}"
        ) from error
    return model
