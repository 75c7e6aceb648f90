"""Record a model's replies in a file, and replay them without the model.

A recording is JSON Lines: first ``{"toolret_recording": 1, "model": NAME}``, then one object per
call, with the ``question``'s SHA-256 and either the ``text`` of the reply and its tokens, or the
``error`` that occurred instead.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from toolret.errors import QueryGenerationError, ReplayError
from toolret.jsonlines import read_lines, row_from_line
from toolret.llm.caching import question_key
from toolret.llm.model import ChatModel, Completion, Forgetful, Messages, Schema

__all__ = ["RecordingModel", "ReplayModel"]


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    toolret_recording: Literal[1]
    model: str


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    question: str
    text: str = ""
    error: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached: bool = False
    calls: int = 1


_Line = TypeVar("_Line", bound=BaseModel)


class RecordingModel:
    """A model whose replies are recorded as they arrive.

    Each is appended in one write, so a killed run keeps everything before; running again appends to
    the file. Failures are recorded too, so that a replay fails in the same places.

    Args:
        model: The model.
        file: The recording.

    Raises:
        ReplayError: If the file cannot be written, or is not a recording of this model.
    """

    def __init__(self, model: ChatModel, file: str | Path) -> None:
        self._model = model
        self._file = Path(file)
        self._lock = threading.Lock()
        if _whole_lines(self._file):
            recorded, _ = _read(self._file)
            if recorded != model.name:
                raise ReplayError(
                    f"holds replies of {recorded!r}, not of {model.name!r}: name another file",
                    file=self._file,
                )
        else:
            self._append({"toolret_recording": 1, "model": model.name})

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    def complete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``.

        Raises:
            ReplayError: If the reply cannot be recorded.
        """
        try:
            reply = self._model.complete(messages, schema, timeout=timeout)
        except QueryGenerationError as error:
            self._failed(messages, schema, error)
            raise
        return self._replied(messages, schema, reply)

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """``complete`` for event loops."""
        try:
            reply = await self._model.acomplete(messages, schema, timeout=timeout)
        except QueryGenerationError as error:
            self._failed(messages, schema, error)
            raise
        return self._replied(messages, schema, reply)

    def forget(self, messages: Messages, schema: Schema) -> None:
        """Discard the model's cached reply, if it caches any; the recording keeps it."""
        if isinstance(self._model, Forgetful):
            self._model.forget(messages, schema)

    def _replied(self, messages: Messages, schema: Schema, reply: Completion) -> Completion:
        self._append({"question": question_key(messages, schema), **asdict(reply)})
        return reply

    def _failed(self, messages: Messages, schema: Schema, error: QueryGenerationError) -> None:
        key = question_key(messages, schema)
        self._append({"question": key, "error": str(error), "calls": error.calls})

    def _append(self, row: Mapping[str, Any]) -> None:
        line = json.dumps(row, ensure_ascii=False) + "\n"
        try:
            with self._lock, self._file.open("ab", buffering=0) as file:
                # An error may hold a lone surrogate, which would make the file unreadable.
                file.write(line.encode("utf-8", "replace"))
        except OSError as error:
            raise ReplayError(f"cannot be written: {error.strerror}", file=self._file) from error


class ReplayModel:
    """A recording as a model: gives the recorded replies to the recorded questions only.

    A question asked several times gets its replies in the recorded order, then always the last.

    Args:
        file: A file written by ``RecordingModel``, plain or gzipped.

    Raises:
        ReplayError: If the file cannot be read, or is no recording.
    """

    def __init__(self, file: str | Path) -> None:
        self._file = Path(file)
        self.name, self._rows = _read(self._file)
        self._given: Counter[str] = Counter()
        self._lock = threading.Lock()

    def complete(
        self,
        messages: Messages,
        schema: Schema,
        *,
        timeout: float,  # noqa: ARG002 - part of the protocol
    ) -> Completion:
        """Return the recorded reply.

        Raises:
            QueryGenerationError: If the model failed when it was recorded.
            ReplayError: If the question is not in the recording.
        """
        row = self._row(question_key(messages, schema))
        if row.error is not None:
            failed = QueryGenerationError(row.error)
            failed.calls = row.calls
            raise failed
        return Completion(**row.model_dump(exclude={"question", "error"}))

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """``complete`` for event loops; returns without waiting."""
        return self.complete(messages, schema, timeout=timeout)

    def _row(self, key: str) -> _Row:
        rows = self._rows.get(key)
        if rows is None:
            raise ReplayError(
                f"holds no reply to the question {key[:12]}: the prompts, or the data that they "
                "are made of, have changed since it was recorded; record it anew",
                file=self._file,
            )
        with self._lock:
            self._given[key] += 1
            return rows[min(self._given[key], len(rows)) - 1]


def _read(file: Path) -> tuple[str, dict[str, list[_Row]]]:
    """Read the model's name, and its replies by question."""
    head: _Head | None = None
    rows: dict[str, list[_Row]] = defaultdict(list)
    for number, line in read_lines(file, error=ReplayError):
        if not line.endswith(b"\n"):
            break  # The run was killed while writing this line.
        if head is None:
            head = _line(_Head, line, number, file)
        else:
            row = _line(_Row, line, number, file)
            rows[row.question].append(row)
    if head is None:
        raise ReplayError("is empty: nothing was recorded", file=file)
    return head.model, dict(rows)


def _line(kind: type[_Line], line: bytes, number: int, file: Path) -> _Line:
    try:
        return kind.model_validate(row_from_line(line, number, file, error=ReplayError))
    except ValidationError as error:
        problem = f"is no recording of an LLM: {error.errors()[0]['msg']}"
        raise ReplayError(problem, file=file, place=f"line {number}") from error


def _whole_lines(file: Path) -> bool:
    """Whether a file holds any complete lines; cuts off a line left incomplete by a killed run."""
    try:
        if not file.exists():
            return False
        with file.open("r+b") as opened:
            whole = opened.read().rfind(b"\n") + 1
            opened.truncate(whole)
    except OSError as error:
        raise ReplayError(f"cannot be read: {error.strerror}", file=file) from error
    return whole > 0
