"""The text of what a tool returned, as a model reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Literal

from pydantic_core import to_jsonable_python

from toolret.text.surrogates import replace_surrogates

__all__ = ["result_text"]


def result_text(value: Any) -> str:
    """Return the text of a value: text as it is, anything else as JSON if possible.

    Pydantic models, dataclasses, dates, NumPy arrays and the like become JSON as pydantic writes
    it. This never raises: the tool has run, and an error would make a model call it again.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return f"({len(value):,} bytes)"
    if isinstance(value, str):
        return replace_surrogates(value)
    for write in (_json, partial(_pydantic_json, "utf8"), partial(_pydantic_json, "base64"), str):
        with suppress(Exception):  # cycles, bytes that are no text, a failing ``__str__``
            return replace_surrogates(write(value))
    return f"<{type(value).__name__}>"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _pydantic_json(bytes_mode: Literal["utf8", "base64"], value: Any) -> str:
    if isinstance(value, Iterator):  # reading it would leave nothing for the program
        return str(value)
    return _json(to_jsonable_python(value, bytes_mode=bytes_mode, fallback=_python_value))


def _python_value(value: Any) -> Any:
    """Return a NumPy value, which pydantic does not know, as a Python one; any other as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
