"""Record a model's replies in a file, and replay them without the model.

A recording is JSON Lines: first ``{"toolret_recording": 1, "model": NAME}``, then one object per
call, with the ``question``'s SHA-256 and either the ``text`` of the reply and its tokens, or the
``error`` that occurred instead. A reply that could not be used is written again as ``dropped``.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from toolret.errors import LLMError, ReplayError
from toolret.files.jsonlines import GZIP_MAGIC, read_lines, row_from_line
from toolret.forking import RenewedLock
from toolret.llm.caching import question_key
from toolret.llm.model import (
    ChatModel,
    Completion,
    Forgetful,
    Messages,
    Schema,
    checked_model,
)

__all__ = ["RecordingModel", "ReplayModel"]


class _HeadRow(BaseModel):
    """The first line of a recording."""

    model_config = ConfigDict(extra="forbid", strict=True)

    toolret_recording: Literal[1]
    model: str


class _ReplyRow(BaseModel):
    """Any other line of a recording: the outcome of one call."""

    model_config = ConfigDict(extra="forbid", strict=True)

    question: str
    text: str = ""
    error: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached: bool = False
    calls: int = 1
    dropped: bool = False

    def completion(self) -> Completion:
        """Return the recorded reply."""
        return Completion(**self.model_dump(exclude={"question", "error", "dropped"}))


_Line = TypeVar("_Line", bound=BaseModel)


class RecordingModel:
    """A model whose replies are recorded as they arrive, and which is asked each question once.

    If the reply to a question is in the file, it is returned with its tokens and calls, and the
    model is not called. So a run that was killed, or in which some calls failed, can be run again:
    the model is asked only for replies that are missing, failed or could not be used. Failures are
    recorded too, so that a replay fails in the same places. Each line is appended in one write, so
    a run that is killed keeps all lines before.

    Args:
        model: The model.
        file: The recording; a new file, or one that records the same model.

    Raises:
        ReplayError: If the file cannot be written, or is not a recording of this model; it is then
            left as it was.
    """

    def __init__(self, model: ChatModel, file: str | Path) -> None:
        self._model = checked_model(model)
        self._file = Path(file).absolute()  # the process may change its directory
        self._lock = RenewedLock()
        head = {"toolret_recording": 1, "model": model.name}
        self._rows, has_head = _reopen(self._file, _as_line(head), model.name)
        if not has_head:
            self._append(head)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    def complete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """See ``ChatModel``.

        Raises:
            ReplayError: If the reply cannot be recorded.
        """
        key = question_key(messages, schema)
        if recorded := self._recorded_reply(key):
            return recorded
        try:
            reply = self._model.complete(messages, schema, timeout=timeout)
        except LLMError as error:
            self._record(_failure_row(key, error))
            raise
        return self._record(_ReplyRow(question=key, **asdict(reply)))

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """Return the reply; the asynchronous version of ``complete``."""
        key = question_key(messages, schema)
        if recorded := self._recorded_reply(key):
            return recorded
        try:
            reply = await self._model.acomplete(messages, schema, timeout=timeout)
        except LLMError as error:
            self._record(_failure_row(key, error))
            raise
        return self._record(_ReplyRow(question=key, **asdict(reply)))

    def forget(self, messages: Messages, schema: Schema) -> None:
        """Mark a question's reply as unusable, so that the model is asked again next time.

        A replay gives the reply all the same, and fails as the run did.
        """
        if isinstance(self._model, Forgetful):
            self._model.forget(messages, schema)
        row = self._rows.get(question_key(messages, schema))
        if row and row.error is None:
            self._record(row.model_copy(update={"dropped": True}), replace=True)

    def _recorded_reply(self, key: str) -> Completion | None:
        """Return the recorded reply to a question; None if there is none that could be used."""
        row = self._rows.get(key)
        return row.completion() if row and row.error is None and not row.dropped else None

    def _record(self, row: _ReplyRow, *, replace: bool = False) -> Completion:
        """Record a row, and return its reply.

        If another thread has recorded a reply to the question by now, that one stays and is
        returned, unless ``replace`` is true.
        """
        with self._lock.current:
            if not replace and (recorded := self._recorded_reply(row.question)):
                return recorded
            self._append(row.model_dump(exclude_unset=True))
            self._rows[row.question] = row
        return row.completion()

    def _append(self, row: Mapping[str, Any]) -> None:
        """Append a line to the file as a whole, or not at all."""
        line = _as_line(row)
        try:
            with self._file.open("ab", buffering=0) as file:
                written = file.write(line)
                if written < len(line):  # the disk is full; the next line would continue this one
                    file.truncate(file.tell() - written)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise ReplayError(f"cannot be written: {error.strerror}", file=self._file) from error


class ReplayModel:
    """A model that replays a recording: it answers only the recorded questions.

    If a question was recorded several times, the last outcome counts.

    Args:
        file: A file written by ``RecordingModel``, plain or gzipped.

    Raises:
        ReplayError: If the file cannot be read, or is no recording.
    """

    def __init__(self, file: str | Path) -> None:
        self._file = Path(file)
        self.name, self._rows = _read_recording(self._file)

    def complete(
        self,
        messages: Messages,
        schema: Schema,
        *,
        timeout: float,  # noqa: ARG002 - part of the protocol
    ) -> Completion:
        """Return the recorded reply.

        Raises:
            LLMError: If the model failed when it was recorded.
            ReplayError: If the question is not in the recording.
        """
        key = question_key(messages, schema)
        row = self._rows.get(key)
        if row is None:
            raise ReplayError(
                f"holds no reply to the question {key[:12]}: ask by the strategy that was "
                "recorded; if it is the same, the prompts, or the data that they are made of, "
                "have changed since, so record it anew",
                file=self._file,
            )
        if row.error is not None:
            error = LLMError(row.error)
            error.calls = row.calls
            error.input_tokens, error.output_tokens = row.input_tokens, row.output_tokens
            raise error
        return row.completion()

    async def acomplete(self, messages: Messages, schema: Schema, *, timeout: float) -> Completion:
        """Return the recorded reply, without waiting; see ``complete``."""
        return self.complete(messages, schema, timeout=timeout)


def _failure_row(question: str, error: LLMError) -> _ReplyRow:
    return _ReplyRow(
        question=question,
        error=str(error),
        input_tokens=error.input_tokens,
        output_tokens=error.output_tokens,
        calls=error.calls,
    )


def _as_line(row: Mapping[str, Any]) -> bytes:
    # An error may hold a lone surrogate, which would make the file unreadable.
    return (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _reopen(file: Path, head: bytes, name: str) -> tuple[dict[str, _ReplyRow], bool]:
    """Read a recording to add to it, and cut off a line that a killed run left incomplete.

    Args:
        file: The file. It is not changed unless it is a recording of this model.
        head: The first line of a new recording.
        name: The model's name.

    Returns:
        The last row of each question, and whether the file has a first line.

    Raises:
        ReplayError: If the file cannot be read, or is not a recording of this model.
    """
    try:
        content = file.read_bytes() if file.exists() else b""
        if content.startswith(GZIP_MAGIC):
            raise ReplayError(
                "is gzipped, so nothing can be added to it: unpack it, or name another file",
                file=file,
            )
        complete = content.rfind(b"\n") + 1
        rows: dict[str, _ReplyRow] = {}
        if not head.startswith(content):  # else new, or killed while the first line was written
            recorded, rows = _read_recording(file)
            if recorded != name:
                raise ReplayError(
                    f"holds replies of {recorded!r}, not of {name!r}: name another file",
                    file=file,
                )
        if complete < len(content):
            os.truncate(file, complete)
    except OSError as error:
        raise ReplayError(f"cannot be read: {error.strerror}", file=file) from error
    return rows, complete > 0


def _read_recording(file: Path) -> tuple[str, dict[str, _ReplyRow]]:
    """Read a recording; return the model's name, and the last row of each question."""
    head: _HeadRow | None = None
    first = b""
    rows: dict[str, _ReplyRow] = {}
    for number, line in read_lines(file, error=ReplayError):
        if head is None:
            head, first = _parse_line(_HeadRow, line, number, file), line
        elif line != first and line.endswith(b"\n"):
            # Several processes may have begun the file at the same moment, each with a first line;
            # and a line without an end is one that a killed run left incomplete.
            row = _parse_line(_ReplyRow, line, number, file)
            rows[row.question] = row
    if head is None:
        raise ReplayError("is empty: nothing was recorded", file=file)
    return head.model, rows


def _parse_line(kind: type[_Line], line: bytes, number: int, file: Path) -> _Line:
    """Parse a line of a recording; ``number`` and ``file`` are for the error's message."""
    try:
        return kind.model_validate(row_from_line(line, number, file, error=ReplayError))
    except ValidationError as error:
        problem = f"is no recording of an LLM: {error.errors()[0]['msg']}"
        raise ReplayError(problem, file=file, place=f"line {number}") from error
