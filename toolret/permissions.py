"""Who may use what, as an array: permissions are applied before anything is ranked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolret.types import Permissions, Tool

__all__ = ["Allow", "allowed_tools"]

Allow: TypeAlias = Collection[str] | Callable[[Tool], bool] | None
"""The permissions that the caller holds, or a test of each tool; None means all are allowed."""


def allowed_tools(tools: Sequence[Tool], allow: Allow) -> NDArray[np.bool_] | None:
    """Which tools the caller may use: shape ``(tools,)``; None if it may use all."""
    if allow is None:
        return None
    if callable(allow):
        return np.array([bool(allow(tool)) for tool in tools], dtype=np.bool_)
    granted = frozenset(allow)
    # Many tools need the same few permissions.
    verdicts: dict[Permissions, bool] = {}
    for tool in tools:
        if tool.permissions not in verdicts:
            verdicts[tool.permissions] = tool.permitted(granted)
    return np.array([verdicts[tool.permissions] for tool in tools], dtype=np.bool_)
