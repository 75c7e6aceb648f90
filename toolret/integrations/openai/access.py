"""What the user of a request may use: a limit that a block of code sets for its requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from toolret.permissions import Allow, JointLimit, fail_closed

__all__ = ["current_permissions", "intersection", "permitting"]

_allowed: ContextVar[tuple[Allow] | None] = ContextVar("toolret_allowed", default=None)
"""What the surrounding ``permitting`` allows, in a tuple; None outside of one."""


@contextmanager
def permitting(allow: Allow) -> Iterator[None]:
    """Set what the user of the requests within may use, overriding ``wrap``'s ``allow``.

    Threads other than those of ``asyncio`` do not inherit it: there, ``wrap``'s applies.

    Args:
        allow: The permissions that the user holds, or a predicate over tools.
    """
    token = _allowed.set((fail_closed(allow),))
    try:
        yield
    finally:
        _allowed.reset(token)


def current_permissions(default: Allow = None) -> Allow:
    """Return what the surrounding ``permitting`` allows; ``default`` outside of one."""
    allowed = _allowed.get()
    return allowed[0] if allowed else default


def intersection(one: Allow, other: Allow) -> Allow:
    """Return a limit that allows what two limits both allow.

    Sets of permissions cannot be intersected for that: different ones may allow the same tool.
    """
    if one is None or other is None:
        return other if one is None else one
    return JointLimit((one, other))
