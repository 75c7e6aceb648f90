"""Decide which tools a caller may use; permissions apply before anything is ranked.

Anything other than a clear yes is a no or an error; it never means "all tools".
"""

from __future__ import annotations

import inspect
import logging
import reprlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from toolret.errors import InputError
from toolret.types import Demo, Permissions, Tool

__all__ = [
    "Allow",
    "JointLimit",
    "allowed_tools",
    "fail_closed",
    "freeze_allow",
    "invalid_permissions",
    "is_allowed",
    "may_see",
]

_log = logging.getLogger(__name__)

Allow: TypeAlias = Collection[str] | Callable[[Tool], bool] | None
"""The permissions that the caller holds, or a predicate over tools; None allows all tools.

A predicate answers True or False (or 1, 0 or None, as of a database). Anything else is no answer.
"""


@dataclass(frozen=True, slots=True)
class JointLimit:
    """A predicate over tools: those that the program can run and that several limits all allow.

    What it can run says nothing of demonstrations; which may be seen, the limits say.

    Attributes:
        limits: The limits.
        can_run: Whether the program can run a tool.
    """

    limits: tuple[Allow, ...]
    can_run: Callable[[Tool], bool] = lambda _: True

    def __call__(self, tool: Tool) -> bool:
        """Whether all of them allow a tool."""
        return self.can_run(tool) and all(is_allowed(tool, limit) for limit in self.limits)

    @property
    def granted(self) -> list[list[str] | None]:
        """The permissions that each of the limits grants, in order; None for a predicate."""
        granted: list[list[str] | None] = []
        for limit in self.limits:
            if isinstance(limit, JointLimit):
                granted += limit.granted
            elif limit is not None:
                granted.append(None if callable(limit) else sorted(limit))
        return granted


def allowed_tools(tools: Sequence[Tool], allow: Allow) -> NDArray[np.bool_] | None:
    """Return which tools the caller may use: shape ``(tools,)``; None if it may use all.

    Raises:
        InputError: If ``freeze_allow`` refuses ``allow``, or it is a predicate that returns
            something other than a truth value.
    """
    if allow is None:
        return None
    if callable(allow):
        return np.array([_verdict(allow(tool), tool) for tool in tools], dtype=np.bool_)
    granted = _freeze(allow)
    # Many tools need the same few permissions.
    verdicts: dict[Permissions, bool] = {}
    for tool in tools:
        if tool.permissions not in verdicts:
            verdicts[tool.permissions] = tool.is_permitted(granted)
    return np.array([verdicts[tool.permissions] for tool in tools], dtype=np.bool_)


def is_allowed(tool: Tool, allow: Allow) -> bool:
    """Whether the caller may use a tool; raises as ``allowed_tools`` does."""
    if allow is None:
        return True
    if callable(allow):
        return _verdict(allow(tool), tool)
    return tool.is_permitted(_granted(allow))


def freeze_allow(allow: Allow) -> frozenset[str] | Callable[[Tool], bool] | None:
    """Validate ``allow`` and freeze it into an immutable set; keep None and predicates.

    Raises:
        InputError: If it is a string, a mapping, an iterator (which can be read only once), not a
            collection, or holds anything other than strings.
    """
    return allow if allow is None or callable(allow) else _freeze(allow)


def fail_closed(allow: Allow) -> Allow:
    """Make ``allow`` fail closed: a predicate that raises, or gives no clear answer, forbids.

    Raises:
        TypeError: If it is a string, which Python takes for a collection of letters.
        InputError: If it is another value that ``freeze_allow`` refuses.
    """
    if isinstance(allow, str):
        raise TypeError(f"allow is the text {allow!r}: give a collection of permissions")
    if not callable(allow):
        return freeze_allow(allow)

    def is_surely_allowed(tool: Tool) -> bool:
        try:
            return is_allowed(tool, allow)
        except Exception as error:  # noqa: BLE001 - any failure means no
            _log.warning("`allow`: the test of %r failed, so it is forbidden: %r", tool.id, error)
            return False

    return is_surely_allowed


def may_see(demo: Demo, allow: Allow) -> bool:
    """Whether a demonstration's own permissions, not those of its tools, let the caller see it.

    A predicate over tools says nothing about demonstrations, so a caller with a predicate may see
    only those that need no permissions.
    """
    if allow is None or not demo.permissions:
        return True
    if isinstance(allow, JointLimit):
        return all(may_see(demo, limit) for limit in allow.limits)
    return not callable(allow) and demo.is_permitted(_granted(allow))


def invalid_permissions(permissions: Any) -> list[Any]:
    """Return the invalid parts of an item's permissions: values that are no sets, or no names."""
    if not _is_set(permissions):
        return [permissions]
    no_sets = [names for names in permissions if not _is_set(names)]
    return no_sets or [name for names in permissions for name in names if not isinstance(name, str)]


def _is_set(value: Any) -> bool:
    """Whether a value is a collection of members; texts and mappings do not count as one."""
    return isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)


def _granted(allow: Collection[str]) -> frozenset[str]:
    """Return the permissions that ``allow`` grants; frozen ones were checked before."""
    return allow if isinstance(allow, frozenset) else _freeze(allow)


def _freeze(allow: Collection[str]) -> frozenset[str]:
    """Return permissions as an immutable set; raises as ``freeze_allow`` does."""
    if isinstance(allow, str):
        # Python would take it for a collection of letters.
        raise InputError(f"allow is the text {allow!r}: give a collection of permissions instead")
    if isinstance(allow, Mapping | Iterator) or not isinstance(allow, Iterable):
        # A mapping's keys would be read as granted, whatever their values say.
        raise InputError(
            f"allow is of the type {type(allow).__name__}: give a set or a list of permissions, a "
            "test of each tool, or None where all may be used"
        )
    granted = list(allow)
    if invalid := [permission for permission in granted if not isinstance(permission, str)]:
        raise InputError(f"allow holds {invalid[0]!r}: a permission is a text")
    return frozenset(granted)


def _verdict(answer: Any, tool: Tool) -> bool:
    """Return a predicate's answer as a bool; raise ``InputError`` for any that is unclear."""
    is_number = isinstance(answer, int) and answer in (0, 1)
    if is_number or answer is None or isinstance(answer, np.bool_):
        return bool(answer)
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        # An awaitable is truthy, whatever its result would be.
        raise InputError("allow is asynchronous: give a function that returns True or False")
    # Python takes "no" for true, and most objects that say why something is forbidden.
    raise InputError(
        f"allow gave {reprlib.repr(answer)} for the tool {tool.id!r}: give a function that returns "
        "True or False"
    )
