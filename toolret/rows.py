"""The project's own row formats: tools, demonstrations and evaluation requests as JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
    model_validator,
)

from toolret.errors import CatalogError, DemoError, InputError
from toolret.files.folders import files_of
from toolret.files.jsonlines import read_rows
from toolret.files.plain_rows import demo_to_row, tool_to_row, unique
from toolret.json_values import short_repr
from toolret.turns import Unread, messages_of, words_of
from toolret.types import Call, Demo, JsonObject, Message, Tool

__all__ = [
    "LabelledRequest",
    "check_spelling",
    "corrected_field",
    "demo_from_row",
    "demo_to_row",
    "load_demos",
    "load_requests",
    "tool_from_row",
    "tool_to_row",
    "unique",
]

_DEMO_ID_LENGTH = 16
"""Hexadecimal digits of an id made from content: 64 bits, enough to make collisions among a million
unlikely."""


@dataclass(frozen=True, slots=True)
class LabelledRequest:
    """A request of an evaluation set.

    Attributes:
        id: An identifier, unique within the set.
        text: The request; in a conversation, the user's last message.
        tools: Ids of the correct tools; empty if no tool is right.
        origin: File and position that the request was read from, for messages; ignored in
            comparisons.
        messages: The conversation up to and including the request; empty for a single request.
    """

    id: str
    text: str
    tools: tuple[str, ...] = ()
    origin: str = field(default="", compare=False)
    messages: tuple[Message, ...] = ()


_CHECKED_FIELDS = ("description", "namespace", "parameters", "permissions", "tags")
"""Optional fields of a tool row: if one is misspelt, nothing else tells that it is missing."""

_MIN_SIMILARITY = 0.85
"""Least ``difflib`` ratio of a misspelt name to a field's; one wrong letter or a plural has it."""

_RowModel = TypeVar("_RowModel", bound="_BaseRow")

_Name = Annotated[str, StringConstraints(pattern=r"\S")]
"""A string that is not blank."""


class _BaseRow(BaseModel):
    """A row of any kind, in which a null counts as a missing field."""

    model_config = ConfigDict(strict=True, extra="ignore")
    checked_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that no unknown field may be a misspelling of."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, row: object) -> object:
        if not isinstance(row, Mapping):
            return row
        return {key: value for key, value in row.items() if value is not None}


def _alternatives(value: list[Any]) -> list[frozenset[str]]:
    """Return the alternative sets of permissions that a row's list of names, or of lists, means."""
    alternatives = value if value and all(isinstance(v, list) for v in value) else [value]
    if not all(isinstance(name, str) for names in alternatives for name in names):
        raise ValueError("must be a list of strings, or a list of such lists")
    return [frozenset(names) for names in alternatives] if value else []


_Permissions = Annotated[list[Any], AfterValidator(_alternatives)]
"""The field ``permissions`` of a row, as alternative sets."""


class _ToolRow(_BaseRow):
    """A tool; a blank name is replaced by the id."""

    checked_fields = _CHECKED_FIELDS
    id: _Name | None = None
    name: str
    namespace: str = ""
    description: str = ""
    parameters: dict[str, Any] | None = None
    tags: list[str] = []
    permissions: _Permissions = []
    metadata: dict[str, Any] = {}

    @model_validator(mode="after")
    def _id_as_name(self) -> Self:
        if not self.name.strip():
            if self.id is None:
                raise ValueError("the tool has a blank `name` and no `id`")
            self.name = self.id
        return self


class _CallRow(_BaseRow):
    """A call in a demonstration."""

    tool: _Name
    arguments: dict[str, Any] = {}
    result: Any = None


class _DemoRow(_BaseRow):
    """A demonstration."""

    checked_fields = ("permissions",)
    id: _Name | None = None
    text: _Name
    calls: list[_CallRow] | None = None
    tools: list[_Name] | None = None
    answer: str = ""
    permissions: _Permissions = []


class _RequestRow(_BaseRow):
    """A request of an evaluation set."""

    id: _Name
    text: _Name | None = None
    messages: list[dict[str, Any]] = []
    tools: list[_Name]


def load_demos(*paths: str | Path) -> list[Demo]:
    """Read demonstrations from JSON Lines files, which may be gzipped, and from folders of them.

    Returns:
        The demonstrations in the order of the files, without duplicates.

    Raises:
        DemoError: If a file or a row is invalid, two different demonstrations share an id, or a
            folder holds no ``.jsonl`` file.
    """
    return unique(
        (demo_from_row(row, file=file, place=place) for file, place, row in _rows(paths)),
        error=DemoError,
    )


def load_requests(*paths: str | Path) -> list[LabelledRequest]:
    """Read evaluation requests from JSON Lines files and folders, as ``load_demos`` does.

    Returns:
        The requests in the order of the files, without duplicates.

    Raises:
        DemoError: If a file or a row is invalid, two different requests share an id, or a folder
            holds no ``.jsonl`` file.
    """
    return unique(
        (_request_from_row(row, file=file, place=place) for file, place, row in _rows(paths)),
        error=DemoError,
    )


def _rows(paths: Iterable[str | Path]) -> Iterator[tuple[Path, str, JsonObject]]:
    """Yield the rows of files and folders, each with its file and position."""
    for path in paths:
        for file, _ in files_of(path, {".jsonl"}, error=DemoError):
            for place, row in read_rows(file, error=DemoError):
                yield file, place, row


def tool_from_row(row: JsonObject, *, file: str | Path | None = None, place: str = "") -> Tool:
    """Make a tool from a row.

    ``permissions`` is a list of names, all of which are needed, or a list of such lists, any one of
    which is enough. Unknown fields are added to ``metadata``, whose own fields take precedence.

    Args:
        row: The row, as ``json.loads`` returns it.
        file: The file it came from, for messages.
        place: Position in the file.

    Raises:
        CatalogError: If a field is missing, misspelt or of a wrong type.
    """
    known = _validate(_ToolRow, row, error=CatalogError, file=file, place=place)
    unknown = {key: value for key, value in row.items() if key not in _ToolRow.model_fields}
    default_id = f"{known.namespace}.{known.name}" if known.namespace else known.name
    return Tool(
        id=known.id or default_id,
        name=known.name,
        namespace=known.namespace,
        description=known.description,
        parameters=known.parameters,
        tags=tuple(known.tags),
        permissions=tuple(known.permissions),
        metadata=unknown | known.metadata,
        origin=_origin(file, place),
    )


def demo_from_row(row: JsonObject, *, file: str | Path | None = None, place: str = "") -> Demo:
    """Make a demonstration from a row.

    Its tools are those of ``calls`` in order, then further ones in ``tools``; one of the two fields
    is enough. A missing ``id`` is derived from the content. ``permissions`` are written as in tool
    rows.

    Args:
        row: The row, as ``json.loads`` returns it.
        file: The file it came from, for messages.
        place: Position in the file.

    Raises:
        DemoError: If a field is missing or of a wrong type.
    """
    known = _validate(_DemoRow, row, error=DemoError, file=file, place=place)
    if known.calls is None and known.tools is None:
        raise DemoError(
            f"the demonstration {short_repr(known.text)} has neither `calls` nor `tools`: "
            "say which tools answer it",
            file=file,
            place=place,
        )
    calls = tuple(
        Call(tool=call.tool, arguments=call.arguments, result=call.result)
        for call in known.calls or ()
    )
    demo = Demo(
        id=known.id or "",
        text=known.text,
        calls=calls,
        tools=tuple(dict.fromkeys([call.tool for call in calls] + (known.tools or []))),
        answer=known.answer,
        permissions=tuple(known.permissions),
        origin=_origin(file, place),
    )
    if demo.id:
        return demo
    content = json.dumps(demo_to_row(demo), sort_keys=True).encode()
    return replace(demo, id=sha256(content).hexdigest()[:_DEMO_ID_LENGTH])


def _request_from_row(row: JsonObject, *, file: str | Path, place: str) -> LabelledRequest:
    """Make an evaluation request from a row; raises as ``demo_from_row`` does."""
    known = _validate(_RequestRow, row, error=DemoError, file=file, place=place)
    tools = tuple(dict.fromkeys(known.tools))
    messages = tuple(known.messages)
    last_text = _last_user_text(messages)
    text = known.text or last_text
    if last_text and text.strip() != last_text:
        raise DemoError(
            "the request has a `text` that its `messages` do not end with: leave the `text` out",
            file=file,
            place=place,
        )
    if not text:
        raise DemoError(
            "the request has neither a `text` nor `messages` with the text of a user",
            file=file,
            place=place,
        )
    return LabelledRequest(known.id, text, tools, _origin(file, place), messages)


def _last_user_text(messages: Sequence[Message]) -> str:
    """Return the last text that the user wrote in a conversation; empty if there is none."""
    readable = [message for message in messages_of(messages) if not isinstance(message, Unread)]
    texts = (words_of(m.get("content")) for m in reversed(readable) if m["role"] == "user")
    return next(filter(None, texts), "")


def _validate(
    model: type[_RowModel],
    row: JsonObject,
    *,
    error: type[InputError],
    file: str | Path | None,
    place: str,
) -> _RowModel:
    """Return a row's known fields; raise ``error`` if one is missing, misspelt or mistyped."""
    try:
        known = model.model_validate(row)
    except ValidationError as exc:
        raise error(_problem(exc), file=file, place=place) from exc
    check_spelling(row, model.checked_fields, error=error, file=file, place=place)
    return known


def check_spelling(
    row: JsonObject,
    fields: Collection[str],
    *,
    error: type[InputError],
    file: str | Path | None,
    place: str,
) -> None:
    """Raise an error if a row lacks a field, and has another whose name is a misspelling of it.

    Args:
        row: The row.
        fields: The fields to check, of those that a tool row has.
        error: The exception type to raise.
        file: The file it came from, for messages.
        place: Position in the file.

    Raises:
        InputError: ``error``.
    """
    for name in row:
        field_name = corrected_field(name)
        if field_name in fields and name != field_name and row.get(field_name) is None:
            raise error(
                f"the field `{name}` is not read: write `{field_name}`, or if it is something "
                "else, call it by another name",
                file=file,
                place=place,
            )


@lru_cache(1024)  # rows have the same fields again and again
def corrected_field(name: str) -> str:
    """Return the field of a tool row that a name is, or is a misspelling of; empty if none."""
    return next(
        iter(get_close_matches(name.lower(), _CHECKED_FIELDS, n=1, cutoff=_MIN_SIMILARITY)), ""
    )


def _problem(exc: ValidationError) -> str:
    """Describe the first error of a validation in one line."""
    first = exc.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"the field `{name}` is missing"
    if first["type"] == "string_pattern_mismatch":
        return f"the field `{name}` is blank"
    if first["type"] in ("dict_type", "model_type"):
        return f"the field `{name}` should be an object, not {short_repr(first['input'])}"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not name:
        return message
    return f"the field `{name}` {message}, not {short_repr(first['input'])}"


def _origin(file: str | Path | None, place: str) -> str:
    """Return the ``origin`` of an item: its file and its place there, as far as they are known."""
    return ": ".join(part for part in ("" if file is None else str(file), place) if part)
