"""A conversation into retrieval queries."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Protocol, TypeAlias, runtime_checkable

from pydantic import BaseModel, ValidationError

from toolret.clauses import split_clauses
from toolret.errors import InputError, QueryGenerationError
from toolret.llm import ChatModel, as_chat_model, json_object
from toolret.types import JsonObject, Message, Query, Request

__all__ = [
    "ClauseQueries",
    "Conversation",
    "GeneratedQueries",
    "QueryGenerator",
    "RewriteQueries",
    "as_generator",
    "as_request",
    "conversation_lines",
    "parse_reply",
    "render_prompt",
    "search_texts",
    "shortened",
]

Conversation: TypeAlias = str | Request | Sequence[Any]
"""A request, or the messages up to and including it, OpenAI's or LangChain's."""

_PROMPT = "rewrite_v1.txt"

_LONGEST_QUERY = 500
"""Characters: a query is a sentence; what is longer is the request copied, or nonsense."""

_LONGEST_MESSAGE = 2_000
_LONGEST_RESULT = 500
"""Characters of an earlier message, and of a tool's result, that the model sees: the beginning,
which names things, and a note of how much was left out."""

_MOST_MESSAGES = 30
"""The latest of a conversation, besides its system message."""

_ROLES = {"human": "user", "ai": "assistant"}
"""LangChain's names of OpenAI's roles."""


@dataclass(frozen=True, slots=True)
class GeneratedQueries:
    """Retrieval queries, and how they came about.

    Attributes:
        queries: The raw request first.
        note: Why the LLM's queries are not among them, in one line; empty if all went well.
        model: The LLM's name; empty if none was asked.
        seconds: How long it took.
    """

    queries: tuple[Query, ...]
    note: str = ""
    model: str = ""
    seconds: float = 0.0


@runtime_checkable
class QueryGenerator(Protocol):
    """Writes retrieval queries; never raises for what an LLM or a network does."""

    def generate(self, request: Request) -> GeneratedQueries:
        """The queries for a request, the raw request first."""
        ...

    async def agenerate(self, request: Request) -> GeneratedQueries:
        """``generate`` for event loops."""
        ...


class ClauseQueries:
    """The request and its clauses; no LLM."""

    def generate(self, request: Request) -> GeneratedQueries:
        """The request, then its clauses if it has several."""
        clauses = [Query(clause, "clause") for clause in split_clauses(request.text)]
        return GeneratedQueries((Query(request.text, "request"), *clauses))

    async def agenerate(self, request: Request) -> GeneratedQueries:
        """``generate``: there is nothing to wait for."""
        return self.generate(request)


class RewriteQueries:
    """An LLM sees the conversation and writes one query a need (zero-shot).

    After *Improving Tool Retrieval by Leveraging Large Language Models for Query Generation*
    (Kachuee et al., 2024, arXiv:2412.03573). The raw request stays in the mix.

    Args:
        model: The LLM.
        deadline: Seconds after which the request and its clauses are used instead.
        most: How many queries to take at most.
    """

    def __init__(self, model: ChatModel, *, deadline: float = 8.0, most: int = 8) -> None:
        self._model = model
        self._deadline = deadline
        self._most = most

    def generate(self, request: Request) -> GeneratedQueries:
        """The request, then what the LLM wrote; if it fails, the request and its clauses."""
        started = time.perf_counter()
        try:
            reply = self._model.complete(
                self._messages(request), reply_schema(), timeout=self._deadline
            )
            return self._generated(request, parse_reply(reply, most=self._most), started)
        except QueryGenerationError as error:
            return self._fallback(request, error, started)

    async def agenerate(self, request: Request) -> GeneratedQueries:
        """``generate`` for event loops."""
        started = time.perf_counter()
        try:
            reply = await self._model.acomplete(
                self._messages(request), reply_schema(), timeout=self._deadline
            )
            return self._generated(request, parse_reply(reply, most=self._most), started)
        except QueryGenerationError as error:
            return self._fallback(request, error, started)

    def _messages(self, request: Request) -> list[dict[str, str]]:
        return [{"role": "user", "content": render_prompt(request, most=self._most)}]

    def _generated(
        self, request: Request, needs: Sequence[str], started: float
    ) -> GeneratedQueries:
        queries = [Query(request.text, "request")]
        queries += [Query(need, "need") for need in needs if need != request.text]
        return GeneratedQueries(
            tuple(queries), model=self._model.name, seconds=time.perf_counter() - started
        )

    def _fallback(
        self, request: Request, error: QueryGenerationError, started: float
    ) -> GeneratedQueries:
        return GeneratedQueries(
            ClauseQueries().generate(request).queries,
            note=f"queries of the request alone, since {self._model.name} failed: {error}",
            model=self._model.name,
            seconds=time.perf_counter() - started,
        )


def as_generator(llm: Any, model: str | None = None) -> QueryGenerator:
    """What writes the queries: with an LLM, as ``as_chat_model`` takes it, or without (None).

    A ``QueryGenerator`` is returned as it is.

    Raises:
        QueryGenerationError: If it is no LLM, or its name is missing.
    """
    if llm is None:
        return ClauseQueries()
    if isinstance(llm, QueryGenerator) and not _is_langchain_model(llm):
        return llm
    return RewriteQueries(as_chat_model(llm, model))


def _is_langchain_model(llm: Any) -> bool:
    """LangChain's models have methods of a generator's names, which take something else."""
    langchain = sys.modules.get("langchain_core.language_models")
    return langchain is not None and isinstance(llm, langchain.BaseChatModel)


class _Reply(BaseModel):
    """What the LLM is asked for."""

    queries: list[str]


def reply_schema() -> JsonObject:
    """JSON Schema of the reply, by the rules of structured output."""
    return {
        "type": "object",
        "properties": {"queries": {"type": "array", "items": {"type": "string"}}},
        "required": ["queries"],
        "additionalProperties": False,
    }


def search_texts(queries: Sequence[Query]) -> list[str]:
    """What the index is compared with, the whole request first.

    What an LLM says is needed tells more than the request's own words, but may miss the point. So
    the whole is then the request with all that is needed (the expansion of Wang et al.,
    *Query2doc*, 2023, arXiv:2303.07678), and the request itself is one of the parts.
    """
    texts = [query.text for query in queries]
    needs = [query.text for query in queries if query.kind == "need"]
    return [" ".join([texts[0], *needs]), *texts] if needs else texts


def parse_reply(reply: str, *, most: int) -> tuple[str, ...]:
    """The queries in an LLM's reply: JSON, alone, in a code fence or among prose.

    Blank and repeated queries are dropped, long ones cut, and all after the first ``most``.

    Raises:
        QueryGenerationError: If the reply holds no such JSON.
    """
    found = json_object(reply, "queries")
    try:
        queries = _Reply.model_validate(found).queries
    except ValidationError as error:
        where = error.errors()[0]
        place = ".".join(map(str, where["loc"])) or "reply"
        raise QueryGenerationError(f"malformed reply: {place}: {where['msg']}") from error
    # Characters that no encoding has would break the embedder.
    clean = (" ".join(q.encode("utf-8", "ignore").decode().split()) for q in queries)
    return tuple(dict.fromkeys(query[:_LONGEST_QUERY] for query in clean if query))[:most]


def render_prompt(request: Request, *, most: int) -> str:
    """The prompt for one request: the conversation as JSON lines, which nothing in it can end."""
    return _template().format(most=most, conversation=conversation_lines(request))


def conversation_lines(request: Request) -> str:
    """A conversation as one JSON object a turn, long texts shortened: data for a prompt."""
    return "\n".join(json.dumps(turn, ensure_ascii=False) for turn in _turns(request))


@cache
def _template() -> str:
    return files("toolret").joinpath("prompts", _PROMPT).read_text("utf-8")


def _turns(request: Request) -> list[dict[str, Any]]:
    messages = list(request.messages) or [{"role": "user", "content": request.text}]
    system = [m for m in messages[:-_MOST_MESSAGES] if m.get("role") == "system"][:1]
    turns = []
    for message in [*system, *messages[-_MOST_MESSAGES:]]:
        role = str(message.get("role"))
        longest = _LONGEST_RESULT if role == "tool" else _LONGEST_MESSAGE
        turn: dict[str, Any] = {
            "role": role,
            "text": shortened(_text(message.get("content")), longest),
        }
        if calls := message.get("tool_calls"):
            turn["called"] = [_call(call) for call in calls]
        turns.append(turn)
    return turns


def _call(call: Any) -> str:
    """``name(arguments)`` of a call in OpenAI's form or LangChain's."""
    function = call.get("function", call) if isinstance(call, Mapping) else {}
    arguments = function.get("arguments", function.get("args", ""))
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, default=str)
    return f"{function.get('name')}({shortened(text, _LONGEST_RESULT)})"


def shortened(text: str, longest: int) -> str:
    """The beginning of a text, and a note of how many characters were left out."""
    rest = len(text) - longest
    return text if rest <= 0 else f"{text[:longest]} [{rest} more characters]"


def as_request(conversation: Conversation) -> Request:
    """A conversation, in any form that users have it, as a request.

    Args:
        conversation: The request as text; OpenAI's messages (``{"role", "content"}``, content a
            text or parts); LangChain's messages; or a ``Request``. What the user said last is the
            raw request; if the user said nothing, the last text of all.

    Raises:
        InputError: If there is no text in it.
    """
    if isinstance(conversation, Request):
        return conversation
    if isinstance(conversation, str):
        messages: tuple[Message, ...] = ({"role": "user", "content": conversation},)
    else:
        messages = tuple(map(_as_message, conversation))
    said = [(m["role"], text) for m in messages if (text := _text(m.get("content")).strip())]
    if not said:
        raise InputError("the conversation holds no text to search for")
    by_user = [text for role, text in said if role == "user"]
    return Request(text=(by_user or [said[-1][1]])[-1], messages=messages)


def _as_message(message: Any) -> Message:
    if isinstance(message, Mapping):
        if "role" not in message:
            raise InputError(f"a message has no role: {message!r}"[:200])
        return message
    role = getattr(message, "type", None)
    if not isinstance(role, str):
        raise InputError(
            f"{message!r} is no message: give text, OpenAI's messages or LangChain's"[:200]
        )
    return {
        "role": _ROLES.get(role, role),
        "content": getattr(message, "content", ""),
        "tool_calls": getattr(message, "tool_calls", None) or [],
    }


def _text(content: Any) -> str:
    """The text of a message's content; other parts, such as images, by their kind."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, Sequence):
        return str(content)
    parts = []
    for part in content:
        if isinstance(part, str):
            parts.append(part)
        elif isinstance(part, Mapping):
            text = part.get("text")
            parts.append(text if isinstance(text, str) else f"[{part.get('type', 'part')}]")
    return "\n".join(parts)
