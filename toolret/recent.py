"""``Recent``: a thread-safe LRU cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from toolret.forking import RenewedLock

__all__ = ["Recent"]

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """A mapping that drops the least recently used value when it is full; thread-safe.

    Args:
        most: The largest number of values to hold.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[_Key, _Value] = OrderedDict()
        self._lock = RenewedLock()

    def get(self, key: _Key) -> _Value | None:
        """Return the value of a key, or None if there is none."""
        with self._lock.current:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: _Key, value: _Value) -> None:
        """Store a value under a key, in place of the key's earlier value."""
        with self._lock.current:
            self._values[key] = value
            self._values.move_to_end(key)
            if len(self._values) > self._most:
                self._values.popitem(last=False)
