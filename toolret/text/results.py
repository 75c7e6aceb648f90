"""What a tool returned, as a model reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Literal

from pydantic_core import to_jsonable_python

from toolret.text.surrogates import whole

__all__ = ["result_text"]


def result_text(value: Any) -> str:
    """Return a value as a model reads it: text as it is, anything else as JSON if possible.

    Pydantic models, dataclasses, dates, NumPy arrays and the like become JSON as pydantic writes
    it. The tool has run, so whatever it returned is told: an error would make a model try again.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return f"({len(value):,} bytes)"
    if isinstance(value, str):
        return whole(value)
    for written in (_json, partial(_as_json, "utf8"), partial(_as_json, "base64"), str):
        with suppress(Exception):  # cycles, bytes that are no text, a failing ``__str__``
            return whole(written(value))
    return f"<{type(value).__name__}>"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _as_json(bytes_mode: Literal["utf8", "base64"], value: Any) -> str:
    if isinstance(value, Iterator):  # the caller still wants what it yields
        return str(value)
    return _json(to_jsonable_python(value, bytes_mode=bytes_mode, fallback=_plain))


def _plain(value: Any) -> Any:
    """Return NumPy's values, which pydantic does not know, as Python's; others as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
