"""Who is asking, and what they may use: permissions per request, which fail closed."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from toolret.errors import InputError
from toolret.permissions import Allow, allowed_tools, fail_closed, freeze_allow
from toolret.types import Tool

__all__ = ["AllowFor", "Caller", "allow_for", "check_allow"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller behind one model call or tool call.

    Attributes:
        context: The run's context, as given to ``invoke(..., context=...)``.
        state: The graph's state.
        store: The agent's store, if it has one.
    """

    context: Any = None
    state: Mapping[str, Any] = field(default_factory=dict)
    store: Any = None


AllowFor: TypeAlias = Callable[[Caller], Allow] | Collection[str] | None
"""The permissions that all callers hold, or a function for those of one; None allows all."""


def check_allow(allow: AllowFor) -> None:
    """Refuse an ``allow`` that cannot work as intended.

    Raises:
        InputError: If it is a string, which Python takes for a collection of letters, or not a
            collection of permissions at all, or asynchronous.
    """
    if not callable(allow):
        allowed_tools((), allow)  # refuses strings and the like
    elif inspect.iscoroutinefunction(allow):
        raise InputError("allow is asynchronous: give a function that returns permissions at once")


def allow_for(allow: AllowFor, caller: Caller) -> Allow:
    """Return the permissions of a caller; none if that cannot be determined.

    A callable that fails, or returns something other than permissions, such as None, a string or a
    mapping, is mistaken, and a mistake must not open anything.
    """
    try:
        if not callable(allow):
            return freeze_allow(allow)
        granted = allow(caller)
        if granted is not None and not isinstance(granted, bytes):
            return fail_closed(granted)
    except Exception as error:  # noqa: BLE001 - users' code; the agent goes on without tools
        _log.warning("`allow` failed, so no tool of the index is allowed: %r", error)
    else:
        _log.warning("`allow` gave %r, so no tool of the index is allowed", granted)
    return _nothing


def _nothing(_: Tool) -> bool:
    return False
